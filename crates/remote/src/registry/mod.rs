//! The registry that other crates see: [`RemoteRegistry`] pulls images into a store, and [`Login`] stores credentials.
//! Each operation is in a file of its own.

mod login;
mod pull;
mod resolve;
mod tags;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hoist_core::{Events, ImageRegistry, Platform, PulledImage, Result};
use hoist_store::{Store, Verify};

use crate::client::SharedClient;
use crate::credentials::{Credentials, Keychain};
use crate::hosts::Hosts;
use crate::http::NEVER;
use crate::sources::{self, ForeignLayers};

pub use login::Login;

/// OCI and Docker registries, reached over HTTP.
///
/// A pull always asks the registry for a tag's current digest: with one `HEAD` if the store knows the tag, otherwise
/// with the `GET` that it needs anyway. A digest that the store has is answered without asking. Blobs that the store
/// has, from any image, are not fetched.
///
/// The cached images are those in the store for this registry's platform.
///
/// Clones share connections, tokens and knowledge of hosts: `registry.clone().with_platform(other)` is the same
/// registry for another platform. A clone with other options has connections of its own from then on.
///
/// ```no_run
/// use hoist_core::ImageRegistry;
/// use hoist_remote::{Credentials, RemoteRegistry};
/// use hoist_store::{Store, StoreOptions};
///
/// # async fn run() -> hoist_core::Result<()> {
/// let store = Store::open("/var/lib/hoist", StoreOptions::default())?;
/// let registry = RemoteRegistry::new(store).with_credentials("ghcr.io", Credentials::basic("jo", "..."));
/// let image = registry.pull("ghcr.io/org/app:v1").await?;
/// println!("{} is in {}", image.digest, image.path.display());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RemoteRegistry {
    store: Store,
    platform: Platform,
    events: Events,
    hosts: Arc<Hosts>,
    foreign: ForeignLayers,
    client: SharedClient,
}

impl RemoteRegistry {
    /// Pulls images into this store, for this machine's platform and without credentials.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            platform: Platform::host(),
            events: Events::default(),
            hosts: Arc::default(),
            foreign: ForeignLayers::default(),
            client: SharedClient::new(),
        }
    }

    /// Chooses images for this platform.
    #[must_use]
    pub fn with_platform(self, platform: Platform) -> Self {
        Self { platform, ..self }
    }

    /// Reports progress.
    #[must_use]
    pub fn with_events(self, events: Events) -> Self {
        Self { events, ..self }
    }

    /// Sets the maximum number of connections per registry, shared by all pulls: 1 to 1000, and 16 by default. It is
    /// lower for a time after a registry answers 429 or 503, or goes silent.
    #[must_use]
    pub fn with_connections(mut self, connections: usize) -> Self {
        self.client.fetcher = self.client.fetcher.clone().with_connections(connections);
        self
    }

    /// Gives up a connection that brings less than 1 KiB of a blob per second for `timeout`, and asks for the rest over
    /// another; 10 s by default.
    #[must_use]
    pub fn with_stall_timeout(mut self, timeout: Duration) -> Self {
        self.client.fetcher = self.client.fetcher.clone().with_stall_timeout(timeout);
        self
    }

    /// Retries a request that failed for a transient reason up to `retries` times: at once, and then with exponential
    /// back-off.
    #[must_use]
    pub fn with_retries(mut self, retries: usize) -> Self {
        self.client.fetcher = self.client.fetcher.clone().with_retries(retries);
        self
    }

    /// Uses these credentials for the registry of this name (`ghcr.io`, `registry.lan:5000`) and no other. A name may
    /// also be the start of repositories' names (`quay.io/team`); the longest one that fits counts.
    #[must_use]
    pub fn with_credentials(mut self, registry: impl Into<String>, credentials: Credentials) -> Self {
        self.client.auth.add(registry.into(), credentials);
        self
    }

    /// Looks up credentials that were not given [here](Self::with_credentials) in this keychain, when a registry asks
    /// for them.
    #[must_use]
    pub fn with_keychain(mut self, keychain: Keychain) -> Self {
        self.client.auth.search(keychain);
        self
    }

    /// Uses plain http for the registry of this name, as for those on loopback names.
    #[must_use]
    pub fn with_plain_http(mut self, registry: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.hosts).add_plain_http(registry.into());
        self
    }

    /// Asks this mirror (`https://mirror.lan`, `http://10.0.0.5:5000/prefix`) before the registry of this name, and
    /// after the mirrors that were added before. It gets the registry's name as `ns`, and only credentials of its own.
    /// If it fails in any way, the next host is asked.
    #[must_use]
    pub fn with_mirror(mut self, registry: impl Into<String>, mirror: impl AsRef<str>) -> Self {
        Arc::make_mut(&mut self.hosts).add_mirror(registry.into(), mirror.as_ref());
        self
    }

    /// Reads descriptions of hosts in this directory: containerd's `<host>/hosts.toml`, or Docker's
    /// `<host>/*.crt`, `*.cert` and `*.key`. By default, `/etc/containerd/certs.d` and `/etc/docker/certs.d` are
    /// read; once a directory is added, only the added ones are, in their order.
    #[must_use]
    pub fn with_hosts_dir(mut self, path: impl Into<PathBuf>) -> Self {
        Arc::make_mut(&mut self.hosts).add_directory(path.into());
        self
    }

    /// Reads no descriptions of hosts.
    #[must_use]
    pub fn without_hosts_dirs(mut self) -> Self {
        Arc::make_mut(&mut self.hosts).ignore_directories();
        self
    }

    /// Limits the time to connect, with the TLS handshake, to `timeout`; 10 s by default. A host's file may set another
    /// limit for it.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.client.limits.connect = timeout.min(NEVER);
        self.foreign = self.foreign.within(self.client.limits);
        self
    }

    /// Gives up a request that gets no answer for `timeout`; 30 s by default. A document, such as a manifest, is also
    /// given up if it comes with less than 1 KiB per second over that time, or takes ten times as long.
    #[must_use]
    pub fn with_response_timeout(mut self, timeout: Duration) -> Self {
        self.client.limits.response = timeout.min(NEVER);
        self.foreign = self.foreign.within(self.client.limits);
        self
    }

    /// Fetches foreign layers, which a registry may not distribute, from these hosts if the registry lacks them:
    /// `host` or `host:port`, at any address, and with `*` from all hosts with public addresses. They are asked
    /// directly, without a proxy and without credentials. By default such layers come from the registry or not at all.
    #[must_use]
    pub fn with_foreign_layers(mut self, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.foreign = self.foreign.allowing(hosts);
        self
    }

    /// The image, if the store has all of it. Asks no registry.
    ///
    /// Fails if it is not [admitted](Store::with_admission).
    pub async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        Ok(self.store.resolve(&reference.parse()?, &self.platform).await?.map(Into::into))
    }

    /// The hosts that serve this reference's blobs, for a [`Fetcher`](hoist_fetch::Fetcher): mirrors in their order,
    /// and the origin. Makes no request.
    pub fn sources(&self, reference: &str) -> Result<hoist_fetch::Sources> {
        sources::hosts(&self.client, &self.hosts.route(&reference.parse()?)?, &self.foreign)
    }
}

#[async_trait::async_trait]
impl ImageRegistry for RemoteRegistry {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.pull_with(reference, Verify::Cached).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.pull_with(reference, Verify::Rehash).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        self.store.is_cached(reference, &self.platform)
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        self.store.remove_cached(reference, &self.platform).await
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        self.store.list_cached(&self.platform).await
    }
}

impl fmt::Display for RemoteRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("remote")
    }
}
