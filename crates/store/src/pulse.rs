//! The pulse of an ingest: whether the one who fetches a blob, in whatever process, still gets on with it.

use std::time::{Duration, Instant};

use hoist_core::Result;

use crate::account::disk_space;
use crate::store::Store;

/// How often a pulse is felt at least.
const LONGEST: Duration = Duration::from_secs(1);

/// Less than so many bytes a second is standing still: it may be a registry that keeps a blob from others; and where it is
/// the link, that is slow for them as well.
const SLOWEST: u64 = 16 << 10;

/// Somebody else's ingest, as it is seen from outside: alive for as long as its data grows.
#[derive(Debug)]
pub(crate) struct Pulse {
    data: String,
    /// How much disk space the data took when it had last grown by enough, in bytes.
    space: u64,
    /// When that was.
    since: Instant,
}

impl Pulse {
    /// Of the ingest of this name.
    pub(crate) fn of(name: &str) -> Self {
        Self { data: format!("ingest/{name}/data"), space: 0, since: Instant::now() }
    }

    /// How often to feel it.
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
