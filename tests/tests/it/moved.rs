//! Tags that move while they are pulled, from a registry alone and behind a cache: the later pull has the last word.

use std::pin::pin;

use futures_util::future::{Either, join, select};
use hoist_cache::Cached;
use hoist_core::{Digest, ImageRegistry};
use hoist_remote::RemoteRegistry;
use hoist_store::{Durability, Store, StoreOptions};
use hoist_testkit::{Image, Layer, MockRegistry, PLATFORM};
use tempfile::TempDir;

/// A mocked registry, and a directory for stores.
struct Setup {
    mock: MockRegistry,
    dir: TempDir,
}

/// The registry, which pulls into this store.
fn remote(store: &Store) -> RemoteRegistry {
    RemoteRegistry::new(store.clone()).with_platform(PLATFORM.parse().unwrap())
}

impl Setup {
    async fn new() -> Self {
        Self { mock: MockRegistry::start().await, dir: TempDir::new().unwrap() }
    }

    fn store(&self, name: &str) -> Store {
        let options = StoreOptions::default().with_durability(Durability::None);
        Store::open(self.dir.path().join(name), options).unwrap()
    }

    /// Begins a pull of a tag that leads to the old image, and while that is on its way, moves the tag and forces a
    /// pull. Both have the new image, and the name leads to it. The new image's blobs are in `store` already.
    async fn assert_the_later_word_stands(&self, store: &Store, registry: &impl ImageRegistry) {
        let old = Image::builder().layer(Layer::random(100_000, 1)).build();
        let new = Image::sample(2);
        remote(store).pull(&self.mock.publish("demo", "next", &new)).await.unwrap();
        let reference = self.mock.publish("demo", "v1", &old);
        let gate = self.mock.hold_blobs(1000);
        let mut slow = pin!(registry.pull(&reference));
        if let Either::Left((pulled, _)) = select(slow.as_mut(), pin!(gate.until_held(1))).await {
            panic!("the pull ended before it was held: {pulled:?}");
        }
        self.mock.publish("demo", "v1", &new);
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
}

#[tokio::test]
async fn a_slow_pull_does_not_take_a_name_back_to_what_it_was() {
    let setup = Setup::new().await;
    let store = setup.store("store");
    setup.assert_the_later_word_stands(&store, &remote(&store)).await;
}

#[tokio::test]
async fn nor_does_one_behind_a_cache() {
    let setup = Setup::new().await;
    let store = setup.store("store");
    let cached = Cached::new(remote(&store), store.clone());
    let cached = cached.with_platform(PLATFORM.parse().unwrap());
    setup.assert_the_later_word_stands(&store, &cached).await;
}

#[tokio::test]
async fn nor_does_one_that_is_copied_into_another_store() {
    let setup = Setup::new().await;
    let store = setup.store("store");
    let cached = Cached::new(remote(&store), setup.store("other"));
    let cached = cached.with_platform(PLATFORM.parse().unwrap());
    setup.assert_the_later_word_stands(&store, &cached).await;
}
