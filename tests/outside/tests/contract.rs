//! The whole behavioural suite on a backend of somebody else's, alone and in a stack: one call each.

mod shelf;

use hoist::Hoist;
use hoist_outside::ShelfRegistry;
use hoist_store::{Durability, Store, StoreOptions};
use hoist_testkit::{Ability, Harness, PLATFORM, Subject, run_contract};
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

#[test]
fn the_stack_shows_it() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(InTheStack::open(&dir).to_string(), "cached(shelf)");
}
