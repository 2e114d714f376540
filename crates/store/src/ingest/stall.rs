//! Stalls: detects whether the owner of an ingest, in any process, still makes progress with its blob.

use std::time::Duration;

use hoist_core::Result;
use tokio::time::Instant;

use crate::fs::space::disk_space;
use crate::store::Store;

/// The longest interval between two checks.
const LONGEST: Duration = Duration::from_secs(1);

/// In bytes per second. A slower ingest counts as stalled: its registry may be slowing it down, and then others
/// need not wait for it. If the link is slow instead, others are slow as well.
const SLOWEST: u64 = 16 << 10;

/// Detects from outside whether another owner's ingest has stalled: its data no longer grows.
#[derive(Debug)]
pub(crate) struct IngestStall {
    data: String,
    /// The disk space of the data, in bytes, when it had last grown enough.
    space: u64,
    /// When that was.
    since: Instant,
}

impl IngestStall {
    /// Watches the ingest of this name.
    pub(crate) fn of(name: &str) -> Self {
        Self { data: format!("ingest/{name}"), space: 0, since: Instant::now() }
    }

    /// How often to check.
    pub(crate) fn interval(store: &Store) -> Duration {
        (store.options().stall / 4).min(LONGEST)
    }

    /// Whether nothing, or next to nothing, has arrived for the `stall` time of the store's options.
    pub(crate) fn has_stopped(&mut self, store: &Store) -> Result<bool> {
        let stall = store.options().stall;
        let space = store.dir().stat(&self.data)?.as_ref().map_or(0, disk_space);
        let enough = SLOWEST.saturating_mul(stall.as_secs());
        // Data is smaller than before if an owner has started again.
        if space < self.space || space - self.space > enough {
            (self.space, self.since) = (space, Instant::now());
        }
        Ok(self.since.elapsed() > stall)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use tokio::time::advance;

    use super::*;
    use crate::options::StoreOptions;

    const STALL: Duration = Duration::from_secs(8);
    /// The bytes that must arrive within that time.
    const ENOUGH: u64 = SLOWEST * STALL.as_secs();

    fn store(dir: &tempfile::TempDir) -> (Store, File) {
        let store = Store::open(dir.path().join("store"), StoreOptions::default().with_stall(STALL)).unwrap();
        let ingests = store.root().join("ingest");
        fs::create_dir_all(&ingests).unwrap();
        (store, File::create(ingests.join("blob")).unwrap())
    }

    /// Whether a blob that receives `bytes_a_second` in each second of a minute counts as stalled.
    async fn stops_at(bytes_a_second: u64) -> bool {
        use std::io::Write;

        let dir = tempfile::TempDir::new().unwrap();
        let (store, mut data) = store(&dir);
        let mut stall = IngestStall::of("blob");
        let bytes = vec![7; usize::try_from(bytes_a_second).unwrap()];
        for _ in 0..60 {
            data.write_all(&bytes).unwrap();
            advance(Duration::from_secs(1)).await;
            if stall.has_stopped(&store).unwrap() {
                return true;
            }
        }
        false
    }

    #[tokio::test(start_paused = true)]
    async fn what_gets_on_has_not_stopped_and_what_hardly_does_has() {
        assert!(stops_at(0).await);
        assert!(stops_at(SLOWEST / 2).await);
        assert!(!stops_at(SLOWEST * 2).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_begun_anew_has_as_long_as_at_first() {
        let dir = tempfile::TempDir::new().unwrap();
        let (store, data) = store(&dir);
        let mut stall = IngestStall::of("blob");
        fs::write(store.root().join("ingest/blob"), vec![7; 1 << 20]).unwrap();
        assert!(!stall.has_stopped(&store).unwrap());
        advance(STALL).await;
        data.set_len(ENOUGH / 2).unwrap();
        assert!(!stall.has_stopped(&store).unwrap());
        advance(STALL).await;
        assert!(!stall.has_stopped(&store).unwrap());
        advance(STALL).await;
        assert!(stall.has_stopped(&store).unwrap());
    }

    #[test]
    fn it_is_looked_at_four_times_a_stall_and_each_second_at_least() {
        let dir = tempfile::TempDir::new().unwrap();
        let of = |stall| {
            let options = StoreOptions::default().with_stall(stall);
            IngestStall::interval(&Store::open(dir.path().join("store"), options).unwrap())
        };
        assert_eq!(of(Duration::from_secs(2)), Duration::from_millis(500));
        assert_eq!(of(Duration::from_mins(2)), Duration::from_secs(1));
    }
}
