//! Blobs that come over several connections: divided, taken over from those that are slow, and put together.

use std::time::Duration;

use hoist_core::{Digest, ErrorKind};
use hoist_testkit::{Fault, Image, Layer, MockRegistry, On, flip_a_bit};

use crate::setup::{Setup, fails, one_layer, pull, trickling};

const MIB: usize = 1 << 20;

fn layer(image: &Image) -> &Digest {
    &image.layers()[0].digest
}

/// The ranges that the image's layer was asked for in: first and last byte, in the blob's order.
fn ranges(mock: &MockRegistry, image: &Image) -> Vec<(u64, u64)> {
    let seen = mock.requests().into_iter().filter(|seen| seen.digest.as_ref() == Some(layer(image)));
    let parse = |range: String| {
        let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    let mut ranges: Vec<_> = seen.filter_map(|seen| seen.range.and_then(parse)).collect();
    ranges.sort_unstable();
    ranges
}

#[tokio::test]
async fn a_large_blob_comes_over_several_connections_and_no_byte_of_it_twice() {
    let image = one_layer(4 * MIB); // soon here, so that nobody is thought slow
    let (setup, reference) = Setup::with(&image).await;
    pull(
        &setup.registry().with_options(|options| options.with_connections(4.try_into().unwrap())),
        &reference,
    )
    .await;
    let len = image.layers()[0].bytes.len() as u64;
    let ranges = ranges(&setup.mock, &image);
    assert!(ranges.len() >= 2, "{ranges:?}");
    assert_eq!((ranges[0].0, ranges.last().unwrap().1), (0, len - 1));
    assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{ranges:?}");
    assert_eq!(setup.mock.bytes_served(layer(&image)), len);
}

#[tokio::test]
async fn a_registry_without_good_ranges_is_asked_for_the_whole() {
    for fault in [Fault::RangesIgnored, Fault::RangesRefused, Fault::WrongRange] {
        let image = one_layer(8 * MIB);
        let (setup, reference) = Setup::with(&image).await;
        setup.mock.fail(On::Blobs, fault.clone());
        let registry = setup
            .registry()
            .with_options(|options| options.with_retries(0).with_connections(4.try_into().unwrap()));
        pull(&registry, &reference).await;
        setup.mock.forget_requests();
        let other = Image::builder().layer(Layer::random(8 * MIB, 2)).build();
        let reference = setup.mock.publish("demo", "v2", &other);
        pull(&registry, &reference).await;
        assert_eq!(ranges(&setup.mock, &other), [], "{fault:?}: it is known now");
    }
}

#[tokio::test]
async fn ranges_may_come_in_pieces() {
    let image = one_layer(8 * MIB);
    let (setup, reference) = Setup::with(&image).await;
    setup.mock.fail_next(6, On::Blobs, Fault::ShortRange);
    pull(
        &setup.registry().with_options(|options| options.with_connections(4.try_into().unwrap())),
        &reference,
    )
    .await;
    assert_eq!(setup.mock.bytes_served(layer(&image)), image.layers()[0].bytes.len() as u64);
}

#[tokio::test]
async fn each_broken_connection_costs_only_what_it_had_not_brought() {
    let image = one_layer(8 * MIB);
    let (setup, reference) = Setup::with(&image).await;
    setup.mock.fail_next(6, On::Digest(layer(&image).clone()), Fault::CutShort);
    pull(
        &setup.registry().with_options(|options| options.with_connections(4.try_into().unwrap())),
        &reference,
    )
    .await;
    assert_eq!(setup.mock.bytes_served(layer(&image)), image.layers()[0].bytes.len() as u64);
}

#[tokio::test]
async fn a_blob_with_a_wrong_part_is_fetched_once_more_whole() {
    let image = one_layer(8 * MIB);
    let (setup, reference) = Setup::with(&image).await;
    setup.mock.fail_next(1, On::Digest(layer(&image).clone()), Fault::FlippedBit);
    let registry = setup.registry().with_options(|options| options.with_connections(4.try_into().unwrap()));
    pull(&registry, &reference).await;
    let whole =
        |seen: &hoist_testkit::Seen| seen.digest.as_ref() == Some(layer(&image)) && seen.range.is_none();
    assert_eq!(setup.mock.requests().iter().filter(|seen| whole(seen)).count(), 1);
}

#[tokio::test]
async fn a_blob_that_stays_wrong_is_refused() {
    let image = one_layer(8 * MIB);
    let (setup, reference) = Setup::with(&image).await;
    setup.mock.replace(layer(&image), flip_a_bit(&image.layers()[0].bytes));
    let registry = setup.registry().with_options(|options| options.with_connections(4.try_into().unwrap()));
    fails(&registry, &reference, ErrorKind::DigestMismatch, &[&layer(&image).to_string()]).await;
    assert!(!setup.has(layer(&image)));
}

#[tokio::test]
async fn a_connection_that_goes_silent_is_given_up_and_the_rest_comes_over_another() {
    let image = one_layer(50_000);
    let (setup, reference) = Setup::with(&image).await;
    let _silence = setup.mock.hold_blobs(20_000); // of each answer, for ever
    let registry =
        setup.registry().with_options(|options| options.with_stall_timeout(Duration::from_millis(20)));
    pull(&registry, &reference).await;
}

/// containerd#11650: each byte comes before a time limit for reading ends, and an hour later there are some kilobytes.
#[tokio::test]
async fn bytes_that_trickle_are_given_up_and_the_rest_comes_over_another_connection() {
    let image = one_layer(50_000);
    let (setup, reference) = Setup::with(&image).await;
    let slow = trickling(setup.mock.host(), 20_000).await;
    let registry = setup.registry().with_options(|options| {
        options.with_connections(1.try_into().unwrap()).with_stall_timeout(Duration::from_secs(1))
    });
    pull(&registry, &reference.replace(&setup.mock.host(), &slow)).await;
}

#[tokio::test]
async fn a_registry_that_is_always_silent_is_given_up() {
    let image = one_layer(50_000);
    let (setup, reference) = Setup::with(&image).await;
    let _silence = setup.mock.hold_blobs(0);
    let registry =
        setup.registry().with_options(|options| options.with_stall_timeout(Duration::from_millis(20)));
    fails(&registry, &reference, ErrorKind::Unavailable, &["was silent for 20ms", "try again later"]).await;
}

#[tokio::test]
async fn an_overloaded_registry_is_waited_for() {
    let image = one_layer(8 * MIB);
    let (setup, reference) = Setup::with(&image).await;
    setup.mock.fail_next(2, On::Digest(layer(&image).clone()), Fault::TooManyRequests("0".into()));
    pull(
        &setup.registry().with_options(|options| options.with_connections(4.try_into().unwrap())),
        &reference,
    )
    .await;
}

/// anchore/stereoscope#695: an open range is answered 416.
#[tokio::test]
async fn all_ranges_that_are_asked_for_are_closed() {
    let image = one_layer(8 * MIB);
    let (setup, reference) = Setup::with(&image).await;
    setup.mock.fail_next(3, On::Digest(layer(&image).clone()), Fault::CutShort);
    pull(
        &setup.registry().with_options(|options| options.with_connections(4.try_into().unwrap())),
        &reference,
    )
    .await;
    let asked: Vec<_> = setup.mock.requests().into_iter().filter_map(|seen| seen.range).collect();
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|range| !range.ends_with('-') && !range.contains(',')), "{asked:?}");
}
