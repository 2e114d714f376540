//! The registry that other crates see: [`RemoteRegistry`] pulls images into a store, and [`Login`] stores credentials.
//! Each operation is in a file of its own.

mod diagnosis;
mod login;
mod pull;
mod resolve;
mod tags;

use std::fmt;
use std::sync::Arc;

use hoist_core::{Events, ImageRegistry, Platform, PulledImage, RemoteOptions, Result};
use hoist_store::{Store, Verify};

use crate::client::SharedClient;
use crate::credentials::Keychain;
use crate::hosts::Hosts;
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
/// let mine = Credentials::basic("jo", "...");
/// let registry = RemoteRegistry::new(store).with_options(|options| options.with_credentials("ghcr.io", mine));
/// let image = registry.pull("ghcr.io/org/app:v1").await?;
/// println!("{} is in {}", image.digest, image.path.display());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RemoteRegistry {
    store: Store,
    platform: Platform,
    events: Events,
    options: RemoteOptions,
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
            options: RemoteOptions::default(),
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

    /// Changes the options. They are those of [`RemoteOptions::default`] at first.
    ///
    /// ```no_run
    /// # fn with(registry: hoist_remote::RemoteRegistry) -> hoist_remote::RemoteRegistry {
    /// registry.with_options(|options| options.with_retries(2).with_mirror("docker.io", "https://mirror.lan"))
    /// # }
    /// ```
    #[must_use]
    pub fn with_options(mut self, change: impl FnOnce(RemoteOptions) -> RemoteOptions) -> Self {
        self.options = change(self.options);
        self.hosts = Arc::new(Hosts::new(&self.options));
        self.foreign = ForeignLayers::new(&self.options);
        self.client = self.client.with(&self.options);
        self
    }

    /// Looks up credentials that the [options](RemoteOptions::credentials) lack in this keychain, when a registry asks
    /// for them.
    #[must_use]
    pub fn with_keychain(mut self, keychain: Keychain) -> Self {
        self.client.auth.search(keychain);
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

impl fmt::Debug for RemoteRegistry {
    /// Leaves out the options: a mirror's address may have a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteRegistry")
            .field("store", &self.store)
            .field("platform", &self.platform)
            .finish_non_exhaustive()
    }
}
