//! The registry that other crates see: a remote one, pulled into a store.

mod lookup;
mod tags;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future;
use hoist_core::{
    Descriptor, Event, Events, ImageRegistry, MAX_DOCUMENT, Platform, PulledImage, Reference, Result,
    config_platform,
};
use hoist_store::{Lease, Staging, Store, StoredImage, Trust};

use crate::client::SharedClient;
use crate::credentials::{Credentials, Keychain};
use crate::foreign::ForeignLayers;
use crate::hosts::{Hosts, Route};
use crate::http::NEVER;
use crate::manifest::{self, Resolved};
use crate::source;

/// The annotation of a layout's entry that tools take the tag from (image-spec, annotations).
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// OCI and Docker registries, reached over HTTP.
///
/// A pull always asks the registry what a tag is now: with one `HEAD` where the store knows the tag, else
/// with the `GET` that it needs anyway. A digest that the store has is answered without asking. Blobs that
/// the store has, from whatever image, are not fetched.
///
/// What is cached is what the store has for this registry's platform.
///
/// Clones share connections, tokens and what is known of hosts: `registry.clone().with_platform(other)` is the
/// same registry for another platform. One that is given other options has connections of its own from then on.
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
    pub(crate) hosts: Arc<Hosts>,
    foreign: ForeignLayers,
    pub(crate) client: SharedClient,
}

impl RemoteRegistry {
    /// Registries whose images go to this store: for the host's platform, and without credentials.
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

    /// Brings blobs from one registry over so many connections at once, of all pulls together; 16 by default, at
    /// least one, and 1000 at the most. It takes fewer for a time where a registry answers 429 or 503, or goes silent.
    #[must_use]
    pub fn with_connections(mut self, connections: usize) -> Self {
        self.client.fetcher = self.client.fetcher.clone().with_connections(connections);
        self
    }

    /// Gives up a connection that brings less than 1 KiB a second of a blob for so long, and asks for the rest
    /// over another; 10 s by default.
    #[must_use]
    pub fn with_stall_timeout(mut self, timeout: Duration) -> Self {
        self.client.fetcher = self.client.fetcher.clone().with_stall_timeout(timeout);
        self
    }

    /// Makes a request that failed, and may succeed, again so many times: at once, and then with exponential
    /// back-off.
    #[must_use]
    pub fn with_retries(mut self, retries: usize) -> Self {
        self.client.fetcher = self.client.fetcher.clone().with_retries(retries);
        self
    }

    /// Shows these credentials to the registry of this name (`ghcr.io`, `registry.lan:5000`), and to no other; or
    /// for the repositories below a name only (`quay.io/team`), of which the longest that fits counts.
    #[must_use]
    pub fn with_credentials(mut self, registry: impl Into<String>, credentials: Credentials) -> Self {
        self.client.auth.add(registry.into(), credentials);
        self
    }

    /// Looks up credentials that were not given [here](Self::with_credentials) in what the user has stored, when a
    /// registry asks for them.
    #[must_use]
    pub fn with_keychain(mut self, keychain: Keychain) -> Self {
        self.client.auth.search(keychain);
        self
    }

    /// Speaks to the registry of this name without TLS, as to those on loopback names.
    #[must_use]
    pub fn with_plain_http(mut self, registry: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.hosts).add_plain_http(registry.into());
        self
    }

    /// Asks this mirror (`https://mirror.lan`, `http://10.0.0.5:5000/prefix`) before the registry of this name,
    /// and after the mirrors that were added before. It is told the registry's name as `ns`, and shown
    /// credentials of its own only. Whatever trouble there is with it, the next one is asked.
    #[must_use]
    pub fn with_mirror(mut self, registry: impl Into<String>, mirror: impl AsRef<str>) -> Self {
        Arc::make_mut(&mut self.hosts).add_mirror(registry.into(), mirror.as_ref());
        self
    }

    /// Reads what is said of hosts in this directory: containerd's `<host>/hosts.toml`, or Docker's
    /// `<host>/*.crt`, `*.cert` and `*.key`. By default, `/etc/containerd/certs.d` and `/etc/docker/certs.d` are
    /// read; with a directory, only that one and others so added, in their order.
    #[must_use]
    pub fn with_hosts_dir(mut self, path: impl Into<PathBuf>) -> Self {
        Arc::make_mut(&mut self.hosts).add_directory(path.into());
        self
    }

    /// Reads of hosts nothing at all.
    #[must_use]
    pub fn without_hosts_dirs(mut self) -> Self {
        Arc::make_mut(&mut self.hosts).ignore_directories();
        self
    }

    /// Gives up a connection that is not there, handshake and all, after so long; 10 s by default. A host's
    /// file may say otherwise of it.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.client.limits.connect = timeout.min(NEVER);
        self.foreign = self.foreign.within(self.client.limits);
        self
    }

    /// Gives up a request that is not answered for so long; 30 s by default. A document, such as a manifest, is given
    /// up that brings less than 1 KiB a second over it, or takes ten times as long.
    #[must_use]
    pub fn with_response_timeout(mut self, timeout: Duration) -> Self {
        self.client.limits.response = timeout.min(NEVER);
        self.foreign = self.foreign.within(self.client.limits);
        self
    }

    /// Fetches layers that a registry may not distribute, and does not have, from these hosts: `host` or
    /// `host:port`, wherever they are, and with `*` from all whose addresses are public. They are asked directly,
    /// through no proxy, and shown no credentials. By default such layers come from the registry or not at all.
    #[must_use]
    pub fn with_foreign_layers(mut self, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.foreign = self.foreign.allowing(hosts);
        self
    }

    /// The image, if it is here whole. No registry is asked.
    ///
    /// Fails where it is not [admitted](Store::with_admission).
    pub async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        Ok(self.store.resolve(&reference.parse()?, &self.platform).await?.map(Into::into))
    }

    /// The hosts that serve this reference's blobs, for a [`Fetcher`](hoist_fetch::Fetcher): mirrors in their order, and
    /// the origin. Nobody is asked yet.
    pub fn sources(&self, reference: &str) -> Result<hoist_fetch::Sources> {
        source::hosts(&self.client, &self.hosts.route(&reference.parse()?)?, &self.foreign)
    }

    /// A pull with its beginning and its end reported. What a digest says is here is answered at once; all else is done in
    /// a task.
    async fn pull_observed(&self, reference: &str, trust: Trust) -> Result<PulledImage> {
        let reference: Reference = reference.parse()?;
        let pull = async {
            self.store.admit_reference(&reference)?;
            if trust == Trust::Pool
                && reference.digest().is_some()
                && let Some(image) = self.store.hit(&reference, &self.platform).await?
            {
                return Ok(image);
            }
            let (this, name) = (self.clone(), reference.clone());
            let pull = |store| async move { Self { store, ..this }.pull_reference(&name, trust).await };
            self.store.owned(pull).await
        };
        Ok(self.events.observe(&reference, pull, |image| image.digest.clone()).await?.into())
    }

    async fn pull_reference(&self, reference: &Reference, trust: Trust) -> Result<StoredImage> {
        if trust == Trust::Pool
            && let Some(image) = self.unchanged(reference).await?
        {
            return Ok(image);
        }
        self.bring(reference, trust).await
    }

    /// What the store has under this name, if that is what the registry has now.
    async fn unchanged(&self, reference: &Reference) -> Result<Option<StoredImage>> {
        if !self.is_current(reference).await? {
            return Ok(None);
        }
        self.store.hit(reference, &self.platform).await
    }

    /// Brings the image. That begins anew where another pull, which asked later, was faster and found another one.
    async fn bring(&self, reference: &Reference, trust: Trust) -> Result<StoredImage> {
        loop {
            let (image, lease) = self.bring_once(reference, trust).await?;
            if image.digest == *lease.digest() {
                return Ok(image);
            }
            tracing::debug!(%reference, "the name was given to another image meanwhile; asking again");
        }
    }

    /// Asks what the image is now, brings what the store lacks of it, and names it, unless a later answer has the
    /// name.
    async fn bring_once(&self, reference: &Reference, trust: Trust) -> Result<(StoredImage, Lease)> {
        let asked = SystemTime::now();
        let route = self.hosts.route(reference)?;
        let resolved =
            manifest::resolve(&self.client, &route, reference, &self.platform, &self.store).await?;
        let digest = resolved.manifest.digest.clone();
        tracing::info!(%reference, %digest, "resolved");
        self.events.emit(|| Event::Resolved { reference: reference.clone(), digest });
        let lease = self.obtain(&route, reference, &resolved, trust).await?;
        let (reference, platform) = (reference.clone(), self.platform.clone());
        let name = move |store: &Store| {
            let index = resolved.index.as_ref().map(|(digest, bytes)| (digest, &bytes[..]));
            Ok((store.name_as_of(&reference, &platform, &lease, index, asked)?, lease))
        };
        self.store.blocking(name).await
    }

    /// Whether what the store has under this name is what the registry has now.
    async fn is_current(&self, reference: &Reference) -> Result<bool> {
        let Some(known) = self.store.known(reference, &self.platform)? else { return Ok(false) };
        if reference.digest().is_some() {
            return Ok(true);
        }
        let route = self.hosts.route(reference)?;
        let current = manifest::current_digest(&self.client, &route, reference).await?;
        Ok(current == Some(known.resolved))
    }

    /// Leases the image, having brought it into the store where it is not there.
    async fn obtain(
        &self,
        route: &Route,
        reference: &Reference,
        resolved: &Resolved,
        trust: Trust,
    ) -> Result<Lease> {
        if trust == Trust::Pool
            && let Some(lease) = self.store.lease_async(&resolved.manifest.digest).await?
        {
            self.check_platform(config_of(resolved, |config| lease.read(config, MAX_DOCUMENT))?.as_deref())?;
            return Ok(lease);
        }
        let staging = self.store.stage(trust)?;
        staging.check_space(resolved.document.blobs())?;
        let put = staging.put(&resolved.manifest, resolved.bytes.clone());
        let wanted = source::wanted(&self.client, route, &self.foreign, resolved.document.blobs())?;
        let check = |blob: &Descriptor| {
            if *blob != resolved.document.config {
                return Ok(());
            }
            self.check_platform(staged_config(&staging, resolved)?.as_deref())
        };
        let fetch = self.client.fetcher.fetch(&staging, wanted, &self.events, check);
        future::try_join(fetch, put).await?;
        let entry = entry(&staging, reference, resolved);
        staging.commit(entry).await
    }

    /// Fails where an image that came without an index is made for another platform, by its configuration.
    fn check_platform(&self, config: Option<&[u8]>) -> Result<()> {
        config.map_or(Ok(()), |config| self.platform.check(config))
    }
}

/// The configuration, as `read` reads it, where it is what the image's platform has to be taken from.
fn config_of(
    resolved: &Resolved,
    read: impl FnOnce(&Descriptor) -> Result<Option<Vec<u8>>>,
) -> Result<Option<Vec<u8>>> {
    let is_needed = resolved.manifest.platform.is_none() && resolved.document.is_runnable();
    if is_needed { read(&resolved.document.config) } else { Ok(None) }
}

/// The configuration that the image has by now; the pool may not have it, where there are no hard links.
fn staged_config(staging: &Staging, resolved: &Resolved) -> Result<Option<Vec<u8>>> {
    config_of(resolved, |config| staging.read(config, MAX_DOCUMENT))
}

/// The one entry of the layout's index.
fn entry(staging: &Staging, reference: &Reference, resolved: &Resolved) -> Descriptor {
    let mut entry = resolved.manifest.clone();
    if entry.platform.is_none() {
        let config = staged_config(staging, resolved).ok().flatten();
        entry.platform = config.as_deref().and_then(config_platform);
    }
    entry.annotations =
        reference.tag().map(|tag| (REF_NAME.to_owned(), tag.to_owned())).into_iter().collect();
    entry
}

#[async_trait::async_trait]
impl ImageRegistry for RemoteRegistry {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.pull_observed(reference, Trust::Pool).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.pull_observed(reference, Trust::Nothing).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        match reference.parse().and_then(|reference| self.store.known(&reference, &self.platform)) {
            Ok(image) => image.is_some(),
            Err(error) => {
                tracing::warn!(reference, error = error.report(), "cannot tell whether an image is cached");
                false
            }
        }
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        let (platform, reference) = (self.platform.clone(), reference.parse()?);
        self.store.blocking(move |store| store.remove(&reference, &platform)).await
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        let platform = self.platform.clone();
        let references = self.store.blocking(move |store| store.list(&platform)).await?;
        Ok(references.iter().map(ToString::to_string).collect())
    }
}

impl fmt::Display for RemoteRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("remote")
    }
}
