//! Tags that move while they are pulled: whoever asked later has the last word.

use std::pin::pin;

use futures_util::future::{Either, join, select};
use hoist_cache::Cached;
use hoist_core::{Digest, ImageRegistry};
use hoist_store::{Store, StoreOptions};
use hoist_testkit::{Image, PLATFORM};
use tempfile::TempDir;

use super::setup::{Setup, one_layer, pull};

/// Begins a pull of a tag that leads to the old image, and while that is on its way, moves the tag and forces a pull.
/// Both have the new image, and the name leads to it.
async fn assert_the_later_word_stands(setup: &Setup, registry: &impl ImageRegistry) {
    let (old, new) = (one_layer(100_000), Image::sample(2));
    pull(&setup.registry(), &setup.mock.publish("demo", "next", &new)).await;
    let reference = setup.mock.publish("demo", "v1", &old);
    let gate = setup.mock.hold_blobs(1000);
    let mut slow = pin!(registry.pull(&reference));
    if let Either::Left((pulled, _)) = select(slow.as_mut(), pin!(gate.until_held(1))).await {
        panic!("the pull ended before it was held: {pulled:?}");
    }
    setup.mock.publish("demo", "v1", &new);
    let forced = async {
        let forced = registry.force_pull(&reference).await;
        gate.release();
        forced
    };
    let (slow, forced) = join(slow, forced).await;
    let latest = registry.pull(&reference).await;
    for pulled in [forced, slow, latest] {
        assert_eq!(pulled.unwrap().digest.parse::<Digest>().unwrap(), *new.digest());
    }
}

#[tokio::test]
async fn a_slow_pull_does_not_take_a_name_back_to_what_it_was() {
    let setup = Setup::new().await;
    assert_the_later_word_stands(&setup, &setup.registry()).await;
}

#[tokio::test]
async fn nor_does_one_behind_a_cache() {
    let setup = Setup::new().await;
    let cached = Cached::new(setup.registry(), setup.store.clone()).with_platform(PLATFORM.parse().unwrap());
    assert_the_later_word_stands(&setup, &cached).await;
}

#[tokio::test]
async fn nor_does_one_that_is_copied_into_another_store() {
    let (setup, dir) = (Setup::new().await, TempDir::new().unwrap());
    let store = Store::open(dir.path().join("store"), StoreOptions::default()).unwrap();
    let cached = Cached::new(setup.registry(), store).with_platform(PLATFORM.parse().unwrap());
    assert_the_later_word_stands(&setup, &cached).await;
}
