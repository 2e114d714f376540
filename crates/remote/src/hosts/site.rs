//! One host: where it is, what it may be asked for, how it is reached, and whether it was in trouble lately.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderMap;
use tokio::time::Instant;

use super::attempts::Need;
use super::entry::Entry;
use crate::endpoint::DOCKER_HUB;
use crate::transport::Transport;

/// How long a mirror is left alone that was in trouble; twice as long each time that it is so again.
const REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_mins(5);

/// A host that a registry's content may be had from.
#[derive(Debug)]
pub(crate) struct Site {
    /// Its name: what its credentials are found by. The registry's own, where it is that.
    pub(crate) name: String,
    /// `https://mirror.lan/v2`, with the registry as `ns` where it is another.
    pub(crate) url: Url,
    pub(crate) entry: Entry,
    /// Its own connections, where they are made in a way of its own.
    pub(crate) transport: OnceLock<Transport>,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    troubles: u32,
    rests_until: Option<Instant>,
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
        Self { name, url, entry, transport: OnceLock::new(), health: Mutex::default() }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.entry.headers
    }

    /// Whether it is trusted with this.
    pub(super) fn can(&self, need: Need) -> bool {
        match need {
            Need::Resolve => self.entry.can.resolve,
            Need::Pull => self.entry.can.pull,
        }
    }

    /// Whether it was in trouble a short time ago.
    pub(super) fn rests(&self) -> bool {
        self.health().rests_until.is_some_and(|until| Instant::now() < until)
    }

    /// It could not be reached, or does not work.
    pub(super) fn was_in_trouble(&self) {
        let mut health = self.health();
        if health.rests_until.is_some_and(|until| Instant::now() < until) {
            return; // this was asked for before
        }
        let rest = REST.saturating_mul(1 << health.troubles.min(8)).min(LONGEST_REST);
        health.troubles += 1;
        health.rests_until = Some(Instant::now() + rest);
        tracing::debug!(host = self.name, ?rest, "a mirror is left alone");
    }

    /// It answered as it should.
    pub(super) fn did_well(&self) {
        *self.health() = Health::default();
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
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
