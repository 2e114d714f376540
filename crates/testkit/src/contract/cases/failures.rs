//! Failures: each is told for what it is, publishes nothing, and is over when its cause is.

use bytes::Bytes;
use hoist_core::{Digest, ErrorKind};

use super::super::harness::{PLATFORM, Subject};
use super::support::{assert_is, assert_refused, kind_of, pull_published};
use crate::image::{Image, ImageIndex, flip_a_bit};

/// What bytes can be refused for that are not those of the digest.
const WRONG: [ErrorKind; 2] = [ErrorKind::DigestMismatch, ErrorKind::SizeMismatch];

/// Likewise where some are missing: who counts on more to come may take it for a broken connection.
const MISSING: [ErrorKind; 3] = [ErrorKind::DigestMismatch, ErrorKind::SizeMismatch, ErrorKind::Unavailable];

pub(super) async fn an_origin_that_is_down_is_unavailable_and_not_lacking(subject: &Subject) {
    let reference = subject.publish("demo", "v1", Image::sample(1)).await;
    subject.origin().go_down().await;
    assert_eq!(kind_of(subject.pull(&reference).await), ErrorKind::Unavailable);
    assert_eq!(kind_of(subject.force_pull(&reference).await), ErrorKind::Unavailable);
}

pub(super) async fn an_origin_that_came_back_is_pulled_from(subject: &Subject) {
    let image = Image::sample(1);
    let reference = subject.publish("demo", "v1", &image).await;
    subject.origin().go_down().await;
    subject.pull(&reference).await.unwrap_err();
    subject.origin().go_up().await;
    assert_is(&subject.pull(&reference).await.unwrap(), &image);
}

pub(super) async fn what_was_not_pulled_is_not_cached(subject: &Subject) {
    let reference = subject.publish("demo", "v1", Image::sample(1)).await;
    subject.origin().go_down().await;
    subject.pull(&reference).await.unwrap_err();
    assert!(!subject.is_cached(&reference).await, "it could not be pulled");
    assert!(subject.list().await.is_empty(), "it could not be pulled");
}

pub(super) async fn a_layer_with_a_wrong_bit_is_refused_until_it_is_right(subject: &Subject) {
    let image = Image::sample(1);
    let layer = &image.layers()[1];
    refused_until_repaired(subject, &image, &layer.digest, flip_a_bit(&layer.bytes), &WRONG).await;
}

pub(super) async fn a_config_with_a_wrong_bit_is_refused_until_it_is_right(subject: &Subject) {
    let image = Image::sample(1);
    let config = image.config();
    refused_until_repaired(subject, &image, &config.digest, flip_a_bit(&config.bytes), &WRONG).await;
}

pub(super) async fn a_layer_that_is_too_short_is_refused_until_it_is_right(subject: &Subject) {
    let image = Image::sample(1);
    let layer = &image.layers()[1];
    let half = layer.bytes.slice(..layer.bytes.len() / 2);
    refused_until_repaired(subject, &image, &layer.digest, half, &MISSING).await;
}

/// Who asks for the right range never sees that there is more, and that is as good as to refuse it.
pub(super) async fn nothing_behind_the_end_of_a_layer_is_kept(subject: &Subject) {
    let image = Image::sample(1);
    let layer = &image.layers()[1];
    let reference = subject.publish("demo", "v1", &image).await;
    let more = [&layer.bytes[..], b"and more"].concat();
    subject.origin().replace(&layer.digest, more.into()).await;
    match subject.pull(&reference).await {
        Ok(pulled) => assert_is(&pulled, &image),
        refused => assert_refused(refused, &WRONG),
    }
}

pub(super) async fn a_layer_that_is_gone_is_refused_until_it_is_back(subject: &Subject) {
    let image = Image::sample(1);
    refused_until_repaired(subject, &image, &image.layers()[1].digest, Bytes::new(), &MISSING).await;
}

/// Pulls the image while its origin has the wrong bytes in one place, and then again with the right ones.
async fn refused_until_repaired(
    subject: &Subject,
    image: &Image,
    digest: &Digest,
    wrong: Bytes,
    kinds: &[ErrorKind],
) {
    let reference = subject.publish("demo", "v1", image).await;
    subject.origin().replace(digest, wrong).await;
    assert_refused(subject.pull(&reference).await, kinds);
    assert_refused(subject.force_pull(&reference).await, kinds);
    subject.origin().repair().await;
    assert_is(&subject.pull(&reference).await.unwrap(), image);
    assert!(subject.is_cached(&reference).await, "it could be pulled");
}

pub(super) async fn a_manifest_of_an_index_with_a_wrong_bit_is_refused(subject: &Subject) {
    let index = ImageIndex::sample(1);
    let manifest = index.image(PLATFORM).manifest();
    let reference = subject.publish("demo", "v1", &index).await;
    subject.origin().replace(&manifest.digest, flip_a_bit(&manifest.bytes)).await;
    assert_refused(subject.pull(&reference).await, &WRONG);
    subject.origin().repair().await;
    assert_is(&subject.pull(&reference).await.unwrap(), index.image(PLATFORM));
}

pub(super) async fn a_failed_pull_is_not_cached(subject: &Subject) {
    let image = Image::sample(1);
    let reference = subject.publish("demo", "v1", &image).await;
    damage(subject, &image).await;
    subject.pull(&reference).await.unwrap_err();
    assert!(!subject.is_cached(&reference).await, "nothing of it is published");
    assert!(subject.list().await.is_empty(), "nothing of it is published");
}

pub(super) async fn a_failed_force_pull_leaves_the_old_image_as_it_was(subject: &Subject) {
    let (image, damaged) = (Image::sample(1), Image::sample(2));
    let old = pull_published(subject, &image).await;
    subject.publish("demo", "v1", &damaged).await;
    damage(subject, &damaged).await;
    subject.force_pull(&old.reference).await.unwrap_err();
    assert_is(&old, &image);
    subject.origin().repair().await;
    assert_is(&subject.force_pull(&old.reference).await.unwrap(), &damaged);
}

pub(super) async fn a_failed_force_pull_leaves_the_old_image_cached(subject: &Subject) {
    let (image, damaged) = (Image::sample(1), Image::sample(2));
    let old = pull_published(subject, &image).await;
    subject.publish("demo", "v1", &damaged).await;
    damage(subject, &damaged).await;
    subject.force_pull(&old.reference).await.unwrap_err();
    assert!(subject.is_cached(&old.reference).await, "the old image is still there");
    assert_eq!(subject.list().await, [old.reference]);
}

/// Gives the origin one wrong bit in the image's last layer.
async fn damage(subject: &Subject, image: &Image) {
    let layer = image.layers().last().expect("a layer");
    subject.origin().replace(&layer.digest, flip_a_bit(&layer.bytes)).await;
}

pub(super) async fn a_force_pull_without_the_origin_leaves_the_old_image_as_it_was(subject: &Subject) {
    let image = Image::sample(1);
    let old = pull_published(subject, &image).await;
    subject.origin().go_down().await;
    assert_eq!(kind_of(subject.force_pull(&old.reference).await), ErrorKind::Unavailable);
    assert!(subject.is_cached(&old.reference).await, "the old image is still there");
    assert_eq!(subject.list().await, [old.reference.as_str()]);
    assert_is(&old, &image);
}

pub(super) async fn a_force_pull_of_a_tag_that_is_gone_leaves_the_old_image_as_it_was(subject: &Subject) {
    let image = Image::sample(1);
    let old = pull_published(subject, &image).await;
    subject.origin().unpublish(&old.reference).await;
    assert_eq!(kind_of(subject.force_pull(&old.reference).await), ErrorKind::NotFound);
    assert!(subject.is_cached(&old.reference).await, "the old image is still there");
    assert_is(&old, &image);
}
