//! Platforms: which image of an index is pulled, and the error if none fits.

use hoist_core::{ErrorKind, Platform};

use super::super::harness::{PLATFORM, Subject};
use super::support::{assert_is, at, kind_of};
use crate::image::{Format, Image, ImageIndex, Layer};

const OTHER: &str = "linux/arm64";

fn image_for(platform: &str, seed: u64) -> Image {
    Image::builder().platform(platform).layer(Layer::random(2000, seed)).build()
}

pub(super) async fn the_image_for_the_platform_is_chosen(subject: &Subject) {
    let index = ImageIndex::sample(1);
    let reference = subject.publish("demo", "v1", &index).await;
    let pulled = subject.pull(&reference).await.unwrap();
    assert_is(&pulled, index.image(PLATFORM));
    assert_eq!(pulled.reference, reference);
}

pub(super) async fn a_docker_manifest_list_is_an_index(subject: &Subject) {
    let image = |platform, seed| {
        Image::builder().platform(platform).format(Format::Docker).layer(Layer::random(500, seed)).build()
    };
    let list = ImageIndex::with_format(Format::Docker, [image(OTHER, 1), image(PLATFORM, 2)]);
    let reference = subject.publish("demo", "v1", &list).await;
    assert_is(&subject.pull(&reference).await.unwrap(), list.image(PLATFORM));
}

pub(super) async fn an_index_can_be_pulled_by_its_digest(subject: &Subject) {
    let index = ImageIndex::sample(1);
    let reference = at(&subject.publish("demo", "v1", &index).await, index.digest());
    for _ in ["cold", "warm"] {
        let pulled = subject.pull(&reference).await.unwrap();
        assert_is(&pulled, index.image(PLATFORM));
        assert_eq!(pulled.reference, reference, "the digest that was asked for is kept");
    }
}

pub(super) async fn a_manifest_of_an_index_can_be_pulled_by_its_digest(subject: &Subject) {
    let index = ImageIndex::sample(1);
    let image = index.image(PLATFORM);
    let reference = at(&subject.publish("demo", "v1", &index).await, image.digest());
    assert_is(&subject.pull(&reference).await.unwrap(), image);
}

pub(super) async fn a_missing_platform_is_told_with_those_that_there_are(subject: &Subject) {
    let index = ImageIndex::new([image_for(OTHER, 1), image_for("linux/s390x", 2)]);
    let reference = subject.publish("demo", "v1", &index).await;
    let parse = |name: &str| name.parse::<Platform>().expect("a platform");
    let available = vec![parse(OTHER), parse("linux/s390x")];
    assert_eq!(kind_of(subject.pull(&reference).await), ErrorKind::PlatformMissing { available });
    assert!(!subject.is_cached(&reference).await, "an image for another platform is not cached");
    assert!(subject.list().await.is_empty(), "an image for another platform is not listed");
}

pub(super) async fn an_image_for_another_platform_is_refused(subject: &Subject) {
    let reference = subject.publish("demo", "v1", image_for(OTHER, 1)).await;
    let available = vec![OTHER.parse().expect("a platform")];
    assert_eq!(kind_of(subject.pull(&reference).await), ErrorKind::PlatformMissing { available });
    assert!(!subject.is_cached(&reference).await, "an image for another platform is not cached");
}

pub(super) async fn an_attestation_is_not_taken_for_an_image(subject: &Subject) {
    let index = ImageIndex::new([image_for("unknown/unknown", 1), image_for(PLATFORM, 2)]);
    let reference = subject.publish("demo", "v1", &index).await;
    assert_is(&subject.pull(&reference).await.unwrap(), index.image(PLATFORM));
}
