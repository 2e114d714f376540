//! The suite for sources on the source in memory, and what several sources make of one blob.

use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use hoist_core::{Descriptor, Event, Events, Source};
use hoist_fetch::{BlobSource, Fetcher, SourceFinder, Sources, Tier, Wanted};
use hoist_store::{Durability, Store, StoreOptions, Verify};
use hoist_testkit::sources::{InMemory, MemorySource, Trouble, assert_fetched};
use hoist_testkit::{Blob, random_bytes};

const SIZE: u64 = 8 << 20;

#[tokio::test]
async fn sources_in_memory_are_fetched_from_whatever_goes_wrong() {
    assert_fetched(&InMemory).await;
}

fn blob() -> Blob {
    Blob::new("application/octet-stream", random_bytes(usize::try_from(SIZE).unwrap(), 7))
}

/// Fetches the blob into a new store; gives how much each source brought.
async fn fetch(blob: &Blob, sources: Sources) -> Vec<(Source, u64)> {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions::default().with_durability(Durability::None);
    let store = Store::open(dir.path().join("store"), options).unwrap();
    let staging = store.stage(Verify::Cached).unwrap();
    let brought = Arc::new(Mutex::new(Vec::new()));
    let told = brought.clone();
    let events = Events::to(move |event| {
        if let Event::BlobProgress { bytes, from, .. } = event {
            told.lock().unwrap().push((from, bytes));
        }
    });
    let descriptor = Descriptor::of(&blob.media_type, &blob.bytes);
    let wanted = Wanted::new(descriptor.clone(), sources);
    Fetcher::default().fetch(&staging, vec![wanted], &events, |_| Ok(())).await.unwrap();
    assert_eq!(store.read_blob(&descriptor, SIZE).unwrap().unwrap(), blob.bytes);
    let brought = brought.lock().unwrap();
    brought.clone()
}

fn sum(brought: &[(Source, u64)], source: &MemorySource) -> u64 {
    brought.iter().filter(|(from, _)| *from == source.told_as()).map(|(_, bytes)| bytes).sum()
}

#[tokio::test]
async fn one_blob_comes_from_three_sources_of_which_one_dies_and_one_lies() {
    let blob = blob();
    let source = |name: &str, trouble| Arc::new(MemorySource::new(name, &blob, trouble));
    let (dies, lies, good) =
        (source("dies", Trouble::CutOnce), source("lies", Trouble::Lie), source("good", Trouble::None));
    let sources = Sources::default().with(Tier::Peer, dies.clone()).with(Tier::Peer, lies.clone());
    let brought = fetch(&blob, sources.with(Tier::Origin, good.clone())).await;
    let suspects = sum(&brought, &dies) + sum(&brought, &lies);
    assert!(sum(&brought, &lies) > 0, "{brought:?}");
    assert!(sum(&brought, &good) <= SIZE, "{brought:?}");
    let twice = brought.iter().map(|(_, bytes)| bytes).sum::<u64>() - SIZE;
    assert!(twice <= suspects, "only what the suspects brought comes twice: {brought:?}");
}

/// Finds one source, at once.
struct Finds(Arc<MemorySource>);

impl SourceFinder for Finds {
    fn find(&self, _: &Descriptor) -> BoxStream<'static, Arc<dyn BlobSource>> {
        let source: Arc<dyn BlobSource> = self.0.clone();
        futures_util::stream::iter([source]).boxed()
    }
}

/// Finds nobody, for ever.
struct Seeks;

impl SourceFinder for Seeks {
    fn find(&self, _: &Descriptor) -> BoxStream<'static, Arc<dyn BlobSource>> {
        futures_util::stream::pending().boxed()
    }
}

#[tokio::test]
async fn a_source_that_is_found_while_a_blob_is_fetched_brings_what_the_others_do_not() {
    let blob = blob();
    let origin = Arc::new(MemorySource::new("origin", &blob, Trouble::Stall(1000)));
    let found = Arc::new(MemorySource::new("found", &blob, Trouble::None));
    let sources = Sources::default().with(Tier::Origin, origin).with_finder(Arc::new(Finds(found.clone())));
    let brought = fetch(&blob, sources).await;
    assert!(sum(&brought, &found) > SIZE / 2, "{brought:?}");
}

#[tokio::test]
async fn the_origin_waits_for_no_finder() {
    let blob = blob();
    let origin = Arc::new(MemorySource::new("origin", &blob, Trouble::None));
    let sources = Sources::default().with(Tier::Origin, origin.clone()).with_finder(Arc::new(Seeks));
    assert_eq!(sum(&fetch(&blob, sources).await, &origin), SIZE);
}
