//! Blobs on their way: broken off, resumed, served in other ranges than asked for, or wrong.

use hoist_core::{Digest, ErrorKind};
use hoist_testkit::{Fault, Image, MockRegistry, On, flip_a_bit};

use crate::setup::{Setup, fails, one_layer, pull, refused};

/// An image whose layer breaks off once, in its middle.
async fn breaks_off_once() -> (Setup, String, Image) {
    let image = one_layer(100_000);
    let (setup, reference) = Setup::with(&image).await;
    setup.mock.fail_next(1, On::Digest(layer(&image).clone()), Fault::CutShort);
    (setup, reference, image)
}

fn layer(image: &Image) -> &Digest {
    &image.layers()[0].digest
}

fn len(image: &Image) -> u64 {
    image.layers()[0].bytes.len() as u64
}

/// The `Range` of each request for the image's layer.
fn ranges(mock: &MockRegistry, image: &Image) -> Vec<Option<String>> {
    let requests = mock.requests().into_iter();
    requests.filter(|seen| seen.digest.as_ref() == Some(layer(image))).map(|seen| seen.range).collect()
}

#[tokio::test]
async fn a_blob_that_breaks_off_is_resumed_where_it_did() {
    let (setup, reference, image) = breaks_off_once().await;
    setup.pull(&reference).await;
    let rest = format!("bytes={}-{}", len(&image) / 2, len(&image) - 1);
    assert_eq!(ranges(&setup.mock, &image), [None, Some(rest)]);
    assert_eq!(setup.mock.bytes_served(layer(&image)), len(&image), "no byte came twice");
}

#[tokio::test]
async fn what_a_failed_pull_brought_is_not_fetched_again() {
    let (setup, reference, image) = breaks_off_once().await;
    let registry = setup.registry().with_options(|options| options.with_retries(0));
    let words = ["the blob", &layer(&image).to_string()];
    fails(&registry, &reference, ErrorKind::Unavailable, &words).await;
    pull(&registry, &reference).await;
    assert_eq!(setup.mock.bytes_served(layer(&image)), len(&image), "no byte came twice");
}

#[tokio::test]
async fn a_registry_without_good_ranges_can_still_be_resumed_from() {
    for fault in [Fault::RangesIgnored, Fault::RangesRefused, Fault::WrongRange] {
        let (setup, reference, image) = breaks_off_once().await;
        setup.mock.fail(On::Blobs, fault.clone());
        let registry = setup.registry().with_options(|options| options.with_retries(0));
        refused(&registry, &reference).await;
        pull(&registry, &reference).await;
        let ranges = ranges(&setup.mock, &image);
        assert!(ranges.len() <= 3, "{fault:?}: {ranges:?}");
    }
}

#[tokio::test]
async fn a_range_may_come_in_pieces() {
    let (setup, reference, image) = breaks_off_once().await;
    setup.mock.fail_next(2, On::Blobs, Fault::ShortRange);
    setup.pull(&reference).await;
    assert_eq!(ranges(&setup.mock, &image).len(), 4);
    assert_eq!(setup.mock.bytes_served(layer(&image)), len(&image), "no byte came twice");
}

#[tokio::test]
async fn a_blob_that_always_breaks_off_at_one_place_is_given_up() {
    let image = one_layer(100_000);
    let (setup, reference) = Setup::with(&image).await;
    setup.mock.fail(On::Digest(layer(&image).clone()), Fault::CutShort);
    setup.mock.fail(On::Blobs, Fault::RangesIgnored);
    setup.fails(&reference, ErrorKind::Unavailable, &[&layer(&image).to_string(), "try again later"]).await;
    let ranges = ranges(&setup.mock, &image);
    assert_eq!(ranges.len(), 2, "the half that comes, and one retry for the other: {ranges:?}");
}

#[tokio::test]
async fn wrong_bytes_are_refused_and_never_have_a_name() {
    let image = one_layer(1000);
    let (setup, reference) = Setup::with(&image).await;
    let right = &image.layers()[0].bytes;
    for (wrong, kind) in [
        (flip_a_bit(right), ErrorKind::DigestMismatch),
        (right.slice(1..), ErrorKind::SizeMismatch),
        ([right, &b"!"[..]].concat().into(), ErrorKind::SizeMismatch),
    ] {
        setup.mock.replace(layer(&image), wrong);
        setup.fails(&reference, kind, &[&layer(&image).to_string()]).await;
        assert!(!setup.has(layer(&image)));
    }
    setup.mock.repair();
    setup.pull(&reference).await;
}

#[tokio::test]
async fn a_wrong_rest_spoils_the_blob_for_this_pull_only() {
    let (setup, reference, image) = breaks_off_once().await;
    let registry = setup.registry().with_options(|options| options.with_retries(0));
    refused(&registry, &reference).await;
    setup.mock.fail_next(1, On::Digest(layer(&image).clone()), Fault::FlippedBit);
    pull(&registry, &reference).await;
    assert_eq!(ranges(&setup.mock, &image).last(), Some(&None), "fetched anew, whole");
}

#[tokio::test]
async fn a_login_page_is_no_blob() {
    let image = one_layer(1000);
    let (setup, reference) = Setup::with(&image).await;
    setup.mock.fail(On::Digest(layer(&image).clone()), Fault::login_page());
    setup.fails(&reference, ErrorKind::SizeMismatch, &[&layer(&image).to_string()]).await;
}
