//! References: what they mean, and the errors for those that lead nowhere.

use std::error::Error as _;

use hoist_core::{Digest, ErrorKind};

use super::super::harness::Subject;
use super::support::{assert_is, assert_refused, at, kind_of, pull_published};
use crate::image::Image;

pub(super) async fn the_answer_repeats_the_reference_fully_qualified(subject: &Subject) {
    let reference = subject.publish("demo", "v1", Image::sample(1)).await;
    assert_eq!(subject.pull(&reference).await.unwrap().reference, reference);
    assert_eq!(subject.force_pull(&reference).await.unwrap().reference, reference);
}

pub(super) async fn a_name_without_a_tag_means_latest(subject: &Subject) {
    let image = Image::sample(1);
    let reference = subject.publish("demo", "latest", &image).await;
    let name = reference.strip_suffix(":latest").expect("a reference ends with its tag");
    let pulled = subject.pull(name).await.unwrap();
    assert_is(&pulled, &image);
    assert_eq!(pulled.reference, reference);
    assert!(subject.is_cached(name).await, "it is cached under the name that it was pulled by");
}

pub(super) async fn a_repository_of_several_components_is_one_name(subject: &Subject) {
    let (outer, inner) = (Image::sample(1), Image::sample(2));
    let short = subject.publish("team/app", "v1", &outer).await;
    let long = subject.publish("team/app/v1", "v1", &inner).await;
    assert_is(&subject.pull(&short).await.unwrap(), &outer);
    assert_is(&subject.pull(&long).await.unwrap(), &inner);
}

pub(super) async fn an_unknown_tag_is_not_found(subject: &Subject) {
    let reference = subject.publish("demo", "v1", Image::sample(1)).await;
    let unknown = reference.replace(":v1", ":v2");
    assert_eq!(kind_of(subject.pull(&unknown).await), ErrorKind::NotFound);
    assert_eq!(kind_of(subject.force_pull(&unknown).await), ErrorKind::NotFound);
    assert!(!subject.is_cached(&unknown).await, "what is not found is not cached");
}

pub(super) async fn an_unknown_repository_is_not_found(subject: &Subject) {
    let reference = subject.publish("demo", "v1", Image::sample(1)).await;
    let unknown = reference.replace("/demo:", "/other:");
    assert_eq!(kind_of(subject.pull(&unknown).await), ErrorKind::NotFound);
}

pub(super) async fn an_unknown_digest_is_not_found(subject: &Subject) {
    let reference = subject.publish("demo", "v1", Image::sample(1)).await;
    let unknown = at(&reference, &Digest::sha256(b"nobody has this"));
    assert_eq!(kind_of(subject.pull(&unknown).await), ErrorKind::NotFound);
}

pub(super) async fn an_unparsable_reference_is_invalid_in_every_method(subject: &Subject) {
    for bad in
        ["", "library/UPPER", "demo:", "demo:a b", "demo@sha256:../../etc", "http://host/demo", "../demo"]
    {
        assert_eq!(kind_of(subject.pull(bad).await), ErrorKind::InvalidReference, "pull of {bad:?}");
        assert_eq!(
            kind_of(subject.force_pull(bad).await),
            ErrorKind::InvalidReference,
            "force_pull of {bad:?}"
        );
        assert_eq!(kind_of(subject.remove(bad).await), ErrorKind::InvalidReference, "remove of {bad:?}");
        assert!(!subject.is_cached(bad).await, "is_cached of {bad:?}");
    }
}

pub(super) async fn a_digest_reference_yields_that_manifest(subject: &Subject) {
    let (old, new) = (Image::sample(1), Image::sample(2));
    let reference = subject.publish("demo", "old", &old).await;
    subject.publish("demo", "new", &new).await;
    for image in [old, new] {
        let pinned = at(&reference, image.digest());
        let pulled = subject.pull(&pinned).await.unwrap();
        assert_is(&pulled, &image);
        assert_eq!(pulled.reference, pinned);
    }
}

pub(super) async fn where_a_tag_and_a_digest_are_given_the_digest_decides(subject: &Subject) {
    let (tagged, meant) = (Image::sample(1), Image::sample(2));
    let reference = subject.publish("demo", "v1", &tagged).await;
    subject.publish("demo", "other", &meant).await;
    let both = format!("{reference}@{}", meant.digest());
    let pulled = subject.pull(&both).await.unwrap();
    assert_is(&pulled, &meant);
    assert_eq!(pulled.reference, both, "the tag is kept in the name");
    assert_is(&subject.pull(&reference).await.unwrap(), &tagged);
}

pub(super) async fn a_digest_reference_refuses_other_content(subject: &Subject) {
    let (asked, given) = (Image::sample(1), Image::sample(2));
    let reference = subject.publish("demo", "asked", &asked).await;
    subject.publish("demo", "given", &given).await;
    let pinned = at(&reference, asked.digest());
    subject.origin().replace(asked.digest(), given.manifest().bytes.clone()).await;
    let mismatch = [ErrorKind::DigestMismatch, ErrorKind::SizeMismatch];
    assert_refused(subject.pull(&pinned).await, &mismatch);
    assert_refused(subject.force_pull(&pinned).await, &mismatch);
    subject.origin().repair().await;
    assert_is(&subject.pull(&pinned).await.unwrap(), &asked);
}

pub(super) async fn an_error_does_not_repeat_its_cause(subject: &Subject) {
    let pulled = pull_published(subject, &Image::sample(1)).await;
    for bad in [pulled.reference.replace(":v1", ":v2"), "demo:a b".to_owned()] {
        let error = subject.pull(&bad).await.unwrap_err();
        let mut outer = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let text = inner.to_string();
            assert!(!outer.contains(&text), "{outer:?} repeats its cause, {text:?}");
            (outer, cause) = (text, inner.source());
        }
    }
}
