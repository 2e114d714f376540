//! The whole behavioural suite on a backend of somebody else's, alone and in a stack: one call each.

mod shelf;

use bytes::Bytes;
use hoist::Hoist;
use hoist::{Claim, Durability, Store, StoreOptions, Verify};
use hoist::{Descriptor, ImageRegistry};
use hoist_outside::ShelfRegistry;
use hoist_testkit::{Ability, Harness, Image, Origin, PLATFORM, Subject, assert_valid_layout, run_contract};
use shelf::Shelf;

const ORIGIN: &[Ability] = &[
    Ability::Outage,
    Ability::Damage,
    Ability::Counting,
    Ability::Holding,
    Ability::KeepsCopies,
    Ability::StartsEmpty,
    Ability::Removes,
];

fn store(dir: &tempfile::TempDir) -> Store {
    let options = StoreOptions::default().with_durability(Durability::None);
    Store::open(dir.path().join("store"), options).expect("a store can be made")
}

struct Alone;

#[async_trait::async_trait]
impl Harness for Alone {
    fn name(&self) -> String {
        "shelf".to_owned()
    }

    fn abilities(&self) -> Vec<Ability> {
        [ORIGIN, &[Ability::AlwaysAsks]].concat()
    }

    async fn start(&self) -> Subject {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let registry = ShelfRegistry::new(store(&dir), PLATFORM.parse().expect("a platform"));
        Subject::new(registry, Shelf::start().await).keeping(dir)
    }
}

/// In the place of the remote backend, in the stack that a program gets.
struct InTheStack;

impl InTheStack {
    fn open(dir: &tempfile::TempDir) -> Hoist {
        Hoist::builder()
            .opened_store(store(dir))
            .platform(PLATFORM.parse().expect("a platform"))
            .without_remote()
            .source(|context| ShelfRegistry::new(context.store.clone(), context.platform.clone()))
            .build()
            .expect("a stack can be built")
    }
}

#[async_trait::async_trait]
impl Harness for InTheStack {
    fn name(&self) -> String {
        "cached(shelf)".to_owned()
    }

    fn abilities(&self) -> Vec<Ability> {
        [ORIGIN, &[Ability::Remembers]].concat()
    }

    async fn start(&self) -> Subject {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        Subject::new(Self::open(&dir), Shelf::start().await).keeping(dir)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_of_somebody_elses_keeps_the_contract() {
    run_contract(&Alone).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_in_the_place_of_the_remote_backend() {
    run_contract(&InTheStack).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_left_wrong_of_a_blob_does_not_spoil_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, shelf, image) = (store(&dir), Shelf::start().await, Image::sample(1));
    let reference = shelf.publish("demo", "v1", &image.clone().into()).await;
    for blob in image.blobs() {
        let blob = Descriptor::of(&blob.media_type, &blob.bytes);
        let Claim::Fetch(ingest) = store.stage(Verify::Cached).unwrap().claim(&blob).await.unwrap() else {
            panic!("it is new")
        };
        ingest.write(0, Bytes::from_static(b"wrong")).await.unwrap();
    }
    let registry = ShelfRegistry::new(store, PLATFORM.parse().unwrap());
    assert_valid_layout(registry.pull(&reference).await.unwrap().path, &image.digest().to_string());
}

#[test]
fn the_stack_shows_it() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(InTheStack::open(&dir).to_string(), "cached(shelf)");
}
