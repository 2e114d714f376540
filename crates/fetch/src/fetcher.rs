//! The fetcher: the options, and the state that all pulls of a process share.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hoist_core::Descriptor;

use crate::batch::Buffers;
use crate::source::{SourceId, Sources};
use crate::source_state::SourceState;

/// The default number of requests at one source at once. Far registries, which give each connection its share, need
/// them all. Near ones begin with fewer.
const CONNECTIONS: usize = 16;
/// The highest number that may be configured: each connection is a task of every pull.
const MAX_CONNECTIONS: usize = 1000;
/// The default number of retries of a failed request: the first at once, the others within two seconds.
const RETRIES: usize = 4;
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time limit, as good as none. Clocks cannot add any larger one.
const NEVER: Duration = Duration::from_hours(24 * 365);
/// The number of sources whose state is kept.
const MAX_SOURCES: usize = 1000;

/// Fetches blobs from their sources into a store. Pulls that share a fetcher share connections, and the state of
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

/// A blob to fetch, and the sources that may have it.
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

    /// Retries a piece that failed, and may succeed, up to `retries` times: at once, and then with exponential
    /// back-off.
    pub fn with_retries(self, retries: usize) -> Self {
        Self { retries, ..self }
    }

    /// Gives up an answer that stays below 1 KiB a second for `timeout`; 10 s by default.
    pub fn with_stall_timeout(self, timeout: Duration) -> Self {
        Self { stall_timeout: timeout.min(NEVER), ..self }
    }

    /// A fetcher with the same options and fresh state.
    pub fn anew(&self) -> Self {
        Self { sources: Arc::default(), buffers: Buffers::default(), ..self.clone() }
    }

    /// The maximum number of retries of a piece.
    pub fn retries(&self) -> usize {
        self.retries
    }

    /// The maximum number of requests at one source.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// The state of a source.
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
