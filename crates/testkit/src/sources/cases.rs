//! The cases: each trouble alone, beside a good origin, and once more for the next blob.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hoist_core::{Descriptor, ErrorKind, Event, Events, Result, Source};
use hoist_fetch::{BlobSource, Fetcher, Sources, Tier, Wanted};
use hoist_store::{Durability, Store, StoreOptions, Verify};

use super::{MemorySource, SourceMaker, Trouble};
use crate::image::Blob;
use crate::random::random_bytes;

/// How large the blobs are, in bytes: several pieces.
const SIZE: usize = 3 << 20;
/// An answer that is silent for so long is given up.
const STALL: Duration = Duration::from_millis(200);

/// Fetches blobs from sources of one kind that go wrong in every way, and panics with the first fetch that does not end
/// as it should: beside a good origin the right bytes always come, and what was right is not fetched twice.
pub async fn assert_fetched(maker: &dyn SourceMaker) {
    for trouble in Trouble::ALL {
        alone(maker, trouble).await;
        before_an_origin(maker, trouble).await;
    }
    lacks_ranges_and_then_fails(maker).await;
}

/// The only source is an origin that goes wrong.
async fn alone(maker: &dyn SourceMaker, trouble: Trouble) {
    if matches!(trouble, Trouble::Stall(1..)) {
        return; // it brings a little with each request, and so all of it in the end
    }
    let (blob, fetch) = (blob(1), Fetch::new());
    let source = maker.make(&blob, trouble).await;
    let outcome = fetch.run(&blob, Sources::default().with(Tier::Origin, source)).await;
    let expected = match trouble {
        Trouble::None | Trouble::CutOnce | Trouble::NoRanges | Trouble::BusyOnce => None,
        Trouble::OtherRange => Some(ErrorKind::SizeMismatch),
        Trouble::Lie => Some(ErrorKind::DigestMismatch),
        Trouble::Lacking => Some(ErrorKind::NotFound),
        Trouble::CutAlways | Trouble::Dead | Trouble::Stall(_) => Some(ErrorKind::Unavailable),
    };
    match (trouble, expected, outcome) {
        // A source may notice wrong ranges itself, and answer with the whole.
        (Trouble::OtherRange, _, Ok(())) | (_, None, Ok(())) => fetch.assert_has(&blob),
        (_, Some(kind), Err(error)) => assert_eq!(*error.kind(), kind, "{trouble:?}: {}", error.report()),
        (_, expected, outcome) => panic!("{trouble:?} alone: expected {expected:?}, got {outcome:?}"),
    }
}

/// A mirror goes wrong, and the origin is good.
async fn before_an_origin(maker: &dyn SourceMaker, trouble: Trouble) {
    let (blob, fetch) = (blob(2), Fetch::new());
    let mirror = maker.make(&blob, trouble).await;
    let told_as = mirror.told_as();
    let origin = Arc::new(MemorySource::new("origin", &blob, Trouble::None));
    let sources = Sources::default().with(Tier::Mirror(0), mirror).with(Tier::Origin, origin.clone());
    let outcome = fetch.run(&blob, sources).await;
    outcome.unwrap_or_else(|error| panic!("{trouble:?} before an origin: {}", error.report()));
    fetch.assert_has(&blob);
    let (from_mirror, from_origin) = (fetch.brought_by(&told_as), fetch.brought_by(&origin.told_as()));
    let size = SIZE as u64;
    match trouble {
        Trouble::None | Trouble::NoRanges => {
            assert_eq!(
                (from_mirror, from_origin),
                (size, 0),
                "{trouble:?}: a mirror leaves nothing to the origin"
            );
        }
        Trouble::Lie => assert_eq!(from_origin, size, "only what the suspect brought comes twice"),
        Trouble::Dead | Trouble::Lacking => assert_eq!((from_mirror, from_origin), (0, size), "{trouble:?}"),
        _ => assert_eq!(from_mirror + from_origin, size, "{trouble:?}: no byte is fetched twice"),
    }
}

/// What is learned of one source says nothing of another.
async fn lacks_ranges_and_then_fails(maker: &dyn SourceMaker) {
    let fetch = Fetch::new();
    let first = blob(3);
    let origin = Arc::new(MemorySource::new("origin", &first, Trouble::None));
    let mirror = maker.make(&first, Trouble::NoRanges).await;
    let sources = Sources::default().with(Tier::Mirror(0), mirror).with(Tier::Origin, origin);
    fetch.run(&first, sources).await.expect("a mirror without ranges brings a blob");
    let next = blob(4);
    let origin = Arc::new(MemorySource::new("origin", &next, Trouble::None));
    let mirror = maker.make(&next, Trouble::Dead).await;
    let sources = Sources::default().with(Tier::Mirror(0), mirror).with(Tier::Origin, origin.clone());
    fetch.run(&next, sources).await.expect("the origin has it");
    assert!(origin.range_requests() > 1, "the origin is asked in ranges");
}

fn blob(seed: u64) -> Blob {
    Blob::new("application/vnd.oci.image.layer.v1.tar", random_bytes(SIZE, seed))
}

/// A store, a fetcher, and what events have told.
struct Fetch {
    store: Store,
    fetcher: Fetcher,
    brought: Arc<Mutex<Vec<(Source, u64)>>>,
    _dir: tempfile::TempDir,
}

impl Fetch {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("there is room for a store");
        let options = StoreOptions::default().with_durability(Durability::None);
        let store = Store::open(dir.path().join("store"), options).expect("a store can be made");
        let fetcher = Fetcher::default().with_stall_timeout(STALL).with_retries(1);
        Self { store, fetcher, brought: Arc::default(), _dir: dir }
    }

    async fn run(&self, blob: &Blob, sources: Sources) -> Result<()> {
        let brought = self.brought.clone();
        let events = Events::to(move |event| {
            if let Event::BlobProgress { bytes, from, .. } = event {
                brought.lock().expect("no test panics in here").push((from, bytes));
            }
        });
        let staging = self.store.stage(Verify::Cached)?;
        let wanted = Wanted::new(Descriptor::of(&blob.media_type, &blob.bytes), sources);
        self.fetcher.fetch(&staging, vec![wanted], &events, |_| Ok(())).await
    }

    fn brought_by(&self, source: &Source) -> u64 {
        let brought = self.brought.lock().expect("no test panics in here");
        brought.iter().filter(|(from, _)| from == source).map(|(_, bytes)| bytes).sum()
    }

    #[track_caller]
    fn assert_has(&self, blob: &Blob) {
        let descriptor = Descriptor::of(&blob.media_type, &blob.bytes);
        let found = self.store.read_blob(&descriptor, SIZE as u64).expect("the pool can be read");
        assert!(
            found.is_some_and(|found| found == blob.bytes),
            "the blob is in the pool, with its own bytes"
        );
    }
}
