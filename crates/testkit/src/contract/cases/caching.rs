//! Caching: which images are cached, under which names, and which are pulled from the origin again.

use super::super::harness::Subject;
use super::support::{assert_is, at, kind_of, pull_published, siblings};
use crate::image::Image;
use crate::validate::assert_valid_layout;
use hoist_core::ErrorKind;

pub(super) async fn nothing_is_cached_before_the_first_pull(subject: &Subject) {
    let reference = subject.publish("demo", "v1", Image::sample(1)).await;
    assert!(!subject.is_cached(&reference).await, "nothing was pulled yet");
    assert!(subject.list().await.is_empty(), "nothing was pulled yet");
}

pub(super) async fn what_was_pulled_is_cached_and_listed(subject: &Subject) {
    let pulled = pull_published(subject, &Image::sample(1)).await;
    assert!(subject.is_cached(&pulled.reference).await, "what was pulled is cached");
    assert_eq!(subject.list().await, [pulled.reference]);
}

pub(super) async fn what_was_pulled_by_digest_is_cached_and_listed(subject: &Subject) {
    let image = Image::sample(1);
    let reference = at(&subject.publish("demo", "v1", &image).await, image.digest());
    subject.pull(&reference).await.unwrap();
    assert!(subject.is_cached(&reference).await, "what was pulled is cached");
    assert!(subject.list().await.contains(&reference), "what was pulled is listed");
}

pub(super) async fn the_list_is_sorted_and_without_repetition(subject: &Subject) {
    let mut references = Vec::new();
    for (seed, (repository, tag)) in [("b", "v2"), ("a", "v1"), ("b", "v1"), ("c/d", "v1")].iter().enumerate()
    {
        let reference = subject.publish(repository, tag, Image::sample(seed as u64)).await;
        subject.pull(&reference).await.unwrap();
        subject.pull(&reference).await.unwrap();
        references.push(reference);
    }
    references.sort_unstable();
    assert_eq!(subject.list().await, references);
}

pub(super) async fn remove_is_true_and_then_false(subject: &Subject) {
    let pulled = pull_published(subject, &Image::sample(1)).await;
    assert!(subject.remove(&pulled.reference).await.unwrap(), "it was there");
    assert!(!subject.remove(&pulled.reference).await.unwrap(), "it was there no more");
}

pub(super) async fn what_is_removed_is_neither_cached_nor_listed(subject: &Subject) {
    let pulled = pull_published(subject, &Image::sample(1)).await;
    subject.remove(&pulled.reference).await.unwrap();
    assert!(!subject.is_cached(&pulled.reference).await, "what is removed is not cached");
    assert!(subject.list().await.is_empty(), "what is removed is not listed");
}

pub(super) async fn to_remove_what_never_was_there_is_false(subject: &Subject) {
    let pulled = pull_published(subject, &Image::sample(1)).await;
    let other = pulled.reference.replace(":v1", ":v2");
    assert!(!subject.remove(&other).await.unwrap(), "it never was there");
    assert!(subject.is_cached(&pulled.reference).await, "another one was to be removed");
}

pub(super) async fn to_remove_one_tag_keeps_the_other(subject: &Subject) {
    let image = Image::sample(1);
    let (one, other) =
        (subject.publish("demo", "v1", &image).await, subject.publish("demo", "v2", &image).await);
    subject.pull(&one).await.unwrap();
    let kept = subject.pull(&other).await.unwrap();
    assert!(subject.remove(&one).await.unwrap(), "it was there");
    assert!(!subject.is_cached(&one).await, "this one is removed");
    assert!(subject.is_cached(&other).await, "that one is not");
    assert_eq!(subject.list().await, [other]);
    assert_is(&kept, &image);
}

pub(super) async fn to_remove_an_image_keeps_those_that_share_its_layers(subject: &Subject) {
    let (going, staying, _) = siblings();
    let (one, other) =
        (subject.publish("one", "v1", &going).await, subject.publish("other", "v1", &staying).await);
    subject.pull(&one).await.unwrap();
    let kept = subject.pull(&other).await.unwrap();
    assert!(subject.remove(&one).await.unwrap(), "it was there");
    assert_is(&kept, &staying);
    assert_is(&subject.pull(&other).await.unwrap(), &staying);
}

pub(super) async fn what_was_removed_can_be_pulled_again(subject: &Subject) {
    let image = Image::sample(1);
    let pulled = pull_published(subject, &image).await;
    subject.remove(&pulled.reference).await.unwrap();
    assert_is(&subject.pull(&pulled.reference).await.unwrap(), &image);
    assert!(subject.is_cached(&pulled.reference).await, "it was pulled again");
}

pub(super) async fn what_was_removed_for_good_is_not_found(subject: &Subject) {
    let pulled = pull_published(subject, &Image::sample(1)).await;
    subject.origin().unpublish(&pulled.reference).await;
    subject.remove(&pulled.reference).await.unwrap();
    assert_eq!(kind_of(subject.pull(&pulled.reference).await), ErrorKind::NotFound);
}

pub(super) async fn a_second_pull_gives_the_same_answer(subject: &Subject) {
    let first = pull_published(subject, &Image::sample(1)).await;
    for second in [subject.pull(&first.reference).await, subject.force_pull(&first.reference).await] {
        let second = second.unwrap();
        assert_eq!((&second.digest, &second.reference), (&first.digest, &first.reference));
        assert_valid_layout(&second.path, &first.digest);
    }
    assert_valid_layout(&first.path, &first.digest);
}

pub(super) async fn a_second_pull_transfers_no_blob(subject: &Subject) {
    let image = Image::sample(1);
    let pulled = pull_published(subject, &image).await;
    subject.pull(&pulled.reference).await.unwrap();
    assert_transferred_once(subject, &image);
}

pub(super) async fn a_force_pull_transfers_no_blob_that_is_whole(subject: &Subject) {
    let image = Image::sample(1);
    let pulled = pull_published(subject, &image).await;
    subject.force_pull(&pulled.reference).await.unwrap();
    assert_transferred_once(subject, &image);
}

#[track_caller]
fn assert_transferred_once(subject: &Subject, image: &Image) {
    for blob in image.blobs() {
        assert_eq!(
            subject.origin().bytes_served(&blob.digest),
            blob.bytes.len() as u64,
            "{}",
            blob.media_type
        );
    }
}

pub(super) async fn a_layer_of_two_images_is_transferred_once(subject: &Subject) {
    let (one, other, shared) = siblings();
    let first = subject.publish("one", "v1", &one).await;
    let second = subject.publish("other", "v1", &other).await;
    assert_is(&subject.pull(&first).await.unwrap(), &one);
    assert_is(&subject.pull(&second).await.unwrap(), &other);
    let len = one.layers()[0].bytes.len() as u64;
    assert_eq!(subject.origin().bytes_served(&shared), len);
}

pub(super) async fn a_moved_tag_is_followed_by_a_pull(subject: &Subject) {
    let old = pull_published(subject, &Image::sample(1)).await;
    let new = Image::sample(2);
    subject.publish("demo", "v1", &new).await;
    assert_is(&subject.pull(&old.reference).await.unwrap(), &new);
}

pub(super) async fn a_moved_tag_is_not_seen_by_a_pull_that_remembers(subject: &Subject) {
    let image = Image::sample(1);
    let old = pull_published(subject, &image).await;
    subject.publish("demo", "v1", Image::sample(2)).await;
    assert_is(&subject.pull(&old.reference).await.unwrap(), &image);
}

pub(super) async fn a_moved_tag_is_followed_by_a_force_pull(subject: &Subject) {
    let old = pull_published(subject, &Image::sample(1)).await;
    let new = Image::sample(2);
    subject.publish("demo", "v1", &new).await;
    assert_is(&subject.force_pull(&old.reference).await.unwrap(), &new);
    assert_is(&subject.pull(&old.reference).await.unwrap(), &new);
    assert_eq!(subject.list().await, [old.reference], "the name is there once");
}

pub(super) async fn a_moved_tag_leaves_the_old_image_readable(subject: &Subject) {
    let image = Image::sample(1);
    let old = pull_published(subject, &image).await;
    subject.publish("demo", "v1", Image::sample(2)).await;
    subject.force_pull(&old.reference).await.unwrap();
    assert_is(&old, &image);
}

pub(super) async fn a_cached_image_is_pulled_without_the_origin(subject: &Subject) {
    let image = Image::sample(1);
    let pulled = pull_published(subject, &image).await;
    subject.origin().go_down().await;
    assert_is(&subject.pull(&pulled.reference).await.unwrap(), &image);
    assert!(subject.is_cached(&pulled.reference).await, "it is cached, with or without its origin");
}

pub(super) async fn a_cached_digest_is_pulled_without_the_origin(subject: &Subject) {
    let image = Image::sample(1);
    let reference = at(&subject.publish("demo", "v1", &image).await, image.digest());
    subject.pull(&reference).await.unwrap();
    subject.origin().go_down().await;
    assert_is(&subject.pull(&reference).await.unwrap(), &image);
}
