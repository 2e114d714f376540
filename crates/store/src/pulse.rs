//! The pulse of an ingest: whether the one who fetches a blob, in whatever process, still gets on with it.

use std::time::{Duration, Instant, SystemTime};

use hoist_core::Result;

use crate::account::{disk_space, modified};
use crate::store::Store;

/// How often a pulse is felt at least.
const LONGEST: Duration = Duration::from_secs(1);

/// Somebody else's ingest, as it is seen from outside: alive for as long as its data changes.
#[derive(Debug)]
pub(crate) struct Pulse {
    data: String,
    seen: Option<Beat>,
    since: Instant,
}

/// When data was last written, and how much disk space it takes.
type Beat = (SystemTime, u64);

impl Pulse {
    /// Of the ingest of this name.
    pub(crate) fn of(name: &str) -> Self {
        Self { data: format!("ingest/{name}/data"), seen: None, since: Instant::now() }
    }

    /// How often to feel it.
    pub(crate) fn interval(store: &Store) -> Duration {
        (store.options().stall / 4).min(LONGEST)
    }

    /// Whether nothing has come for as long as the store's options allow.
    pub(crate) fn has_stopped(&mut self, store: &Store) -> Result<bool> {
        let beat = store.dir().stat(&self.data)?;
        let beat = beat.as_ref().map(|stat| (modified(stat), disk_space(stat)));
        if beat != self.seen {
            (self.seen, self.since) = (beat, Instant::now());
        }
        Ok(self.since.elapsed() > store.options().stall)
    }
}
