//! What many cases do.

use std::fmt::Debug;

use hoist_core::{Digest, ErrorKind, PulledImage, Reference, Result};

use super::super::harness::Subject;
use crate::image::{Image, Layer};
use crate::validate::assert_valid_layout;

/// Panics unless what was pulled is this image, whole and valid on disk.
#[track_caller]
pub(super) fn assert_is(pulled: &PulledImage, image: &Image) {
    assert_eq!(pulled.digest, image.digest().to_string(), "the wrong image was pulled");
    assert_valid_layout(&pulled.path, &pulled.digest);
}

/// The error's kind. Panics if there is none.
#[track_caller]
pub(super) fn kind_of<T: Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("this should have failed").kind().clone()
}

/// Panics unless this failed with one of these kinds.
#[track_caller]
pub(super) fn assert_refused(result: Result<PulledImage>, kinds: &[ErrorKind]) {
    let error = result.expect_err("this should have been refused");
    assert!(kinds.contains(error.kind()), "{:?} and none of {kinds:?}: {}", error.kind(), error.report());
}

/// The reference's repository, at this digest.
pub(super) fn at(reference: &str, digest: &Digest) -> String {
    let reference: Reference = reference.parse().expect("a reference that was published");
    reference.pinned(digest.clone()).to_string()
}

/// Publishes this image and pulls it.
pub(super) async fn pull_published(subject: &Subject, image: &Image) -> PulledImage {
    let reference = subject.publish("demo", "v1", image).await;
    subject.pull(&reference).await.expect("a published image can be pulled")
}

/// Two images that have their first layer in common, and that layer's digest.
pub(super) fn siblings() -> (Image, Image, Digest) {
    let shared = Layer::random(20_000, 1);
    let sibling = |seed| Image::builder().layer(shared.clone()).layer(Layer::random(3000, seed)).build();
    let (one, other) = (sibling(2), sibling(3));
    let digest = one.layers()[0].digest.clone();
    (one, other, digest)
}
