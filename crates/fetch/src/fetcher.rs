//! The fetcher: what all pulls of a process share of the engine.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hoist_core::{Descriptor, Events, Result};
use hoist_store::Staging;

use crate::batch::Buffers;
use crate::fetch::Fetch;
use crate::source::{SourceId, Sources};
use crate::source_state::SourceState;

/// How many requests run at one source at once by default: what far registries need, which give each connection its
/// share. Near ones begin with fewer.
const CONNECTIONS: usize = 16;
/// The most that may be configured: each is a task of every pull.
const MAX_CONNECTIONS: usize = 1000;
/// How often a failed request is made again by default: at once, and then over the next two seconds.
const RETRIES: usize = 4;
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// As good as never. Clocks do not go on without end.
const NEVER: Duration = Duration::from_hours(24 * 365);
/// Of how many sources it is kept what was learned.
const MAX_SOURCES: usize = 1000;

/// Brings blobs from their sources into a store. Pulls that share a fetcher share connections and what is learned of
/// sources. Cheap to clone; clones share everything.
///
/// ```
/// use hoist_fetch::{BlobSource, Fetcher, Sources, Tier, Wanted};
/// use std::sync::Arc;
///
/// # async fn run(staging: hoist_store::Staging, blob: hoist_core::Descriptor, origin: Arc<dyn BlobSource>) -> hoist_core::Result<()> {
/// let wanted = Wanted::new(blob, Sources::default().with(Tier::Origin, origin));
/// Fetcher::default().fetch(&staging, vec![wanted], &hoist_core::Events::default(), |_| Ok(())).await
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Fetcher {
    pub(crate) connections: usize,
    pub(crate) retries: usize,
    pub(crate) stall_timeout: Duration,
    pub(crate) buffers: Buffers,
    sources: Arc<Mutex<HashMap<SourceId, Arc<SourceState>>>>,
}

/// A blob that is to be fetched, and where it may come from.
#[derive(Debug, Clone)]
#[must_use]
pub struct Wanted {
    pub(crate) blob: Descriptor,
    pub(crate) sources: Sources,
}

impl Wanted {
    /// This blob, from these sources.
    pub fn new(blob: Descriptor, sources: Sources) -> Self {
        Self { blob, sources }
    }
}

impl Default for Fetcher {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            retries: RETRIES,
            stall_timeout: STALL_TIMEOUT,
            buffers: Buffers::default(),
            sources: Arc::default(),
        }
    }
}

impl Fetcher {
    /// Sets the maximum number of requests that run at one source at once, for all pulls together: 16 by default, at
    /// least 1 and at most 1000. A source that is overloaded gets fewer for a time.
    pub fn with_connections(self, connections: usize) -> Self {
        Self { connections: connections.clamp(1, MAX_CONNECTIONS), sources: Arc::default(), ..self }
    }

    /// Retries a piece that failed, and may succeed, up to so many times: at once, and then with exponential back-off.
    pub fn with_retries(self, retries: usize) -> Self {
        Self { retries, ..self }
    }

    /// Gives up an answer that brings less than 1 KiB a second for so long; 10 s by default.
    pub fn with_stall_timeout(self, timeout: Duration) -> Self {
        Self { stall_timeout: timeout.min(NEVER), ..self }
    }

    /// The same options, with nothing learned of any source.
    pub fn anew(&self) -> Self {
        Self { sources: Arc::default(), buffers: Buffers::default(), ..self.clone() }
    }

    /// Retries a piece up to so many times.
    pub fn retries(&self) -> usize {
        self.retries
    }

    /// The maximum number of requests at one source.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// What is known of a source.
    pub fn state(&self, id: &SourceId) -> Arc<SourceState> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = sources.get(id) {
            return known.clone();
        }
        if sources.len() >= MAX_SOURCES {
            sources.retain(|_, state| Arc::strong_count(state) > 1);
        }
        let state = Arc::new(SourceState::new(self.connections));
        sources.insert(id.clone(), state.clone());
        state
    }

    /// Brings all blobs into the image: from the pool, or from their sources. `check` is called with each one that is
    /// there; an error of it ends the fetch.
    ///
    /// Fails with [`NotFound`](hoist_core::ErrorKind::NotFound) where the origin does not have a blob, with
    /// [`DigestMismatch`](hoist_core::ErrorKind::DigestMismatch) or
    /// [`SizeMismatch`](hoist_core::ErrorKind::SizeMismatch) where no source has the right bytes, with
    /// [`Unavailable`](hoist_core::ErrorKind::Unavailable) where no source can be reached, and as the store does. What
    /// was verified by then stays, and the next fetch goes on from the rest.
    pub async fn fetch(
        &self,
        staging: &Staging,
        blobs: Vec<Wanted>,
        events: &Events,
        check: impl Fn(&Descriptor) -> Result<()>,
    ) -> Result<()> {
        Fetch::new(self, events, blobs).run(staging, check).await
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("connections", &self.connections)
            .field("retries", &self.retries)
            .field("stall_timeout", &self.stall_timeout)
            .finish_non_exhaustive()
    }
}
