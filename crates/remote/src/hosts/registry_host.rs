//! One host: its address, its configuration, and its shortest time to answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hoist_fetch::SourceId;
use reqwest::Url;
use reqwest::header::HeaderMap;

use super::endpoint::DOCKER_HUB;
use super::host_config::{Capability, HostConfig};

/// Tells apart hosts that have one address and several descriptions.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A host that serves a registry's content.
#[derive(Debug)]
pub(crate) struct RegistryHost {
    /// The name by which its credentials are found. For the registry's own host, the registry's name.
    pub(crate) name: String,
    /// `https://mirror.lan/v2`; a host other than the registry gets the registry's name as `ns`.
    pub(crate) url: Url,
    pub(crate) config: HostConfig,
    /// Its id in the fetcher, unique for this description.
    pub(crate) id: SourceId,
    fastest: Mutex<Option<Duration>>,
}

impl RegistryHost {
    /// A host for this registry's content.
    pub(crate) fn new(registry: &str, mut url: Url, config: HostConfig) -> Self {
        if url.host_str() == Some(DOCKER_HUB.0) {
            // Many files have the registry's name in place of its API's host.
            _ = url.set_host(Some(DOCKER_HUB.1));
        }
        let is_hub = registry == DOCKER_HUB.0 && url.host_str() == Some(DOCKER_HUB.1) && url.port().is_none();
        let is_registry = is_hub || is_at(registry, &url);
        let name = if is_registry { registry.to_owned() } else { authority(&url) };
        if !is_registry {
            url.query_pairs_mut().append_pair("ns", registry);
        }
        let id = SourceId::new(format!("{url} ({})", NEXT.fetch_add(1, Ordering::Relaxed)));
        Self { name, url, config, id, fastest: Mutex::default() }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.config.headers
    }

    /// Whether each request to it has something that others may not have.
    pub(crate) fn is_private(&self) -> bool {
        let has_password = !self.url.username().is_empty() || self.url.password().is_some();
        has_password || !self.config.headers.is_empty() || self.config.tls.has_client_certificate()
    }

    /// Whether it has this capability.
    pub(crate) fn has(&self, capability: Capability) -> bool {
        match capability {
            Capability::Resolve => self.config.capabilities.resolve,
            Capability::Pull => self.config.capabilities.pull,
        }
    }

    /// Notes that a request was answered after this time, with the time to connect.
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

/// Whether a registry of this name has this address. Its name may have the default port, which a URL leaves out.
fn is_at(registry: &str, url: &Url) -> bool {
    let own = Url::parse(&format!("{}://{registry}", url.scheme()));
    own.is_ok_and(|own| own.origin() == url.origin())
}
