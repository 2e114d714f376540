//! One host: where it is, what it may be asked for, how it is reached, and how soon it answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hoist_fetch::SourceId;
use reqwest::Url;
use reqwest::header::HeaderMap;

use super::attempts::Need;
use super::entry::Entry;
use crate::endpoint::DOCKER_HUB;

/// Tells hosts apart that are at one address, as each is described.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A host that a registry's content may be had from.
#[derive(Debug)]
pub(crate) struct Site {
    /// Its name: what its credentials are found by. The registry's own, where it is that.
    pub(crate) name: String,
    /// `https://mirror.lan/v2`, with the registry as `ns` where it is another.
    pub(crate) url: Url,
    pub(crate) entry: Entry,
    /// What the fetcher knows it by.
    pub(crate) id: SourceId,
    fastest: Mutex<Option<Duration>>,
}

impl Site {
    /// A host for this registry's content.
    pub(crate) fn new(registry: &str, mut url: Url, entry: Entry) -> Self {
        if url.host_str() == Some(DOCKER_HUB.0) {
            // Many a file names the registry's name in place of its API's host.
            _ = url.set_host(Some(DOCKER_HUB.1));
        }
        let is_hub = registry == DOCKER_HUB.0 && url.host_str() == Some(DOCKER_HUB.1) && url.port().is_none();
        let is_registry = is_hub || is_at(registry, &url);
        let name = if is_registry { registry.to_owned() } else { authority(&url) };
        if !is_registry {
            url.query_pairs_mut().append_pair("ns", registry);
        }
        let id = SourceId::new(format!("{url} ({})", NEXT.fetch_add(1, Ordering::Relaxed)));
        Self { name, url, entry, id, fastest: Mutex::default() }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.entry.headers
    }

    /// Whether it is trusted with this.
    pub(crate) fn can(&self, need: Need) -> bool {
        match need {
            Need::Resolve => self.entry.can.resolve,
            Need::Pull => self.entry.can.pull,
        }
    }

    /// A request was answered after this time, connecting included.
    pub(crate) fn answered_after(&self, time: Duration) {
        let mut fastest = self.fastest();
        *fastest = Some(fastest.map_or(time, |known| known.min(time)));
    }

    /// The shortest time that a request took to be answered.
    pub(crate) fn fastest_answer(&self) -> Option<Duration> {
        *self.fastest()
    }

    fn fastest(&self) -> MutexGuard<'_, Option<Duration>> {
        self.fastest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `host` or `host:port`, as a reference has it.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether a registry of this name is there; it may have been named with the port that a URL leaves out.
fn is_at(registry: &str, url: &Url) -> bool {
    let own = Url::parse(&format!("{}://{registry}", url.scheme()));
    own.is_ok_and(|own| own.origin() == url.origin())
}
