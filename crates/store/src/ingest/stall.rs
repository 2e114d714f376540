//! Stalls: whether the owner of an ingest, in whatever process, still gets on with its blob.

use std::time::Duration;

use hoist_core::Result;
use tokio::time::Instant;

use crate::fs::space::disk_space;
use crate::store::Store;

/// How often it is looked at least.
const LONGEST: Duration = Duration::from_secs(1);

/// Less than so many bytes a second is standing still: it may be a registry that keeps a blob from others; and where it is
/// the link, that is slow for them as well.
const SLOWEST: u64 = 16 << 10;

/// Tells whether somebody else's ingest has stalled, as far as that is seen from outside: by whether its data grows.
#[derive(Debug)]
pub(crate) struct IngestStall {
    data: String,
    /// How much disk space the data took when it had last grown by enough, in bytes.
    space: u64,
    /// When that was.
    since: Instant,
}

impl IngestStall {
    /// Of the ingest of this name.
    pub(crate) fn of(name: &str) -> Self {
        Self { data: format!("ingest/{name}"), space: 0, since: Instant::now() }
    }

    /// How often to look.
    pub(crate) fn interval(store: &Store) -> Duration {
        (store.options().stall / 4).min(LONGEST)
    }

    /// Whether nothing, or next to nothing, has come for as long as the store's options allow.
    pub(crate) fn has_stopped(&mut self, store: &Store) -> Result<bool> {
        let stall = store.options().stall;
        let space = store.dir().stat(&self.data)?.as_ref().map_or(0, disk_space);
        let enough = SLOWEST.saturating_mul(stall.as_secs());
        // Data that somebody has begun anew is smaller than it was.
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
    /// What has to come in that time, in bytes.
    const ENOUGH: u64 = SLOWEST * STALL.as_secs();

    fn store(dir: &tempfile::TempDir) -> (Store, File) {
        let store = Store::open(dir.path().join("store"), StoreOptions::default().with_stall(STALL)).unwrap();
        let ingests = store.root().join("ingest");
        fs::create_dir_all(&ingests).unwrap();
        (store, File::create(ingests.join("blob")).unwrap())
    }

    /// Whether a blob is found to have stopped that gets so many bytes in each second of a minute.
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
