//! The registry that other crates see: pulls images from registries into a store.

use std::fmt;

use futures_util::{TryStreamExt, stream};
use hoist_core::{
    Descriptor, Document, Error, ErrorKind, Event, Events, ImageRegistry, Platform, PullEvents, PulledImage,
    Reference, Result, Source,
};
use hoist_store::{Fetched, Staging, Store, Verify, WriteQueue};
use oci_distribution::client::{Client, ClientProtocol};

use crate::client::{client, document, next, open};

/// How many blobs of an image are fetched at a time, as in most other clients.
const AT_ONCE: usize = 3;

/// OCI and Docker registries, through the crate `oci-client`. A pull by tag always asks the registry. A pull by digest
/// does not, if the store has the image. The cached images are those in the store for this registry's platform.
///
/// ```no_run
/// use hoist_core::ImageRegistry;
/// use hoist_distribution::DistributionRegistry;
/// use hoist_store::{Store, StoreOptions};
///
/// # async fn run() -> hoist_core::Result<()> {
/// let store = Store::open("/var/lib/hoist", StoreOptions::default())?;
/// let image = DistributionRegistry::new(store)?.pull("registry.lan:5000/app:v1").await?;
/// println!("{} is in {}", image.digest, image.path.display());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DistributionRegistry {
    store: Store,
    platform: Platform,
    events: Events,
    https: Client,
    http: Client,
    plain_http: Vec<String>,
}

impl DistributionRegistry {
    /// Pulls images into this store, for the host's platform.
    ///
    /// Fails with [`Tls`](ErrorKind::Tls) if the system trusts no certificate authority.
    pub fn new(store: Store) -> Result<Self> {
        let (https, http) = (client(ClientProtocol::Https)?, client(ClientProtocol::Http)?);
        let (platform, events, plain_http) = (Platform::host(), Events::default(), Vec::new());
        Ok(Self { store, platform, events, https, http, plain_http })
    }

    /// Sets the platform whose images are pulled.
    #[must_use]
    pub fn with_platform(self, platform: Platform) -> Self {
        Self { platform, ..self }
    }

    /// Reports progress to these events.
    #[must_use]
    pub fn with_events(self, events: Events) -> Self {
        Self { events, ..self }
    }

    /// Uses plain HTTP for the registry of this name, as for `localhost` and loopback addresses.
    #[must_use]
    pub fn with_plain_http(mut self, registry: impl Into<String>) -> Self {
        self.plain_http.push(registry.into());
        self
    }

    /// The image, if the store has all of it. Asks no registry.
    ///
    /// Fails if the image is not [admitted](Store::with_admission).
    pub async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        Ok(self.store.resolve(&reference.parse()?, &self.platform).await?.map(Into::into))
    }

    async fn get(&self, reference: &str, verify: Verify) -> Result<PulledImage> {
        let reference: Reference = reference.parse()?;
        let (this, name) = (self.clone(), reference.clone());
        let fetch = move |store, events| Self { store, ..this.clone() }.fetch(name.clone(), verify, events);
        self.store.pull(&reference, &self.platform, verify, &self.events, fetch).await
    }

    /// Fetches the image that a name resolves to now into the store.
    async fn fetch(self, reference: Reference, verify: Verify, events: PullEvents) -> Result<Fetched> {
        let reference = &reference;
        let is_plain =
            reference.is_on_loopback() || self.plain_http.iter().any(|r| r == reference.registry());
        let client = if is_plain { &self.http } else { &self.https };
        let (mut entry, mut bytes, mut found) = document(client, reference, reference.digest()).await?;
        let mut index = None;
        if let Document::Index(list) = found {
            let chosen = list.choose(&self.platform)?;
            index = Some((entry.digest, bytes));
            (entry, bytes, found) = document(client, reference, Some(&chosen.digest)).await?;
            entry.platform.clone_from(&chosen.platform);
        }
        let Document::Manifest(manifest) = found else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "this client does not look into an index in an index",
            ));
        };
        events.resolved(&entry.digest);
        events.manifest(&manifest);
        let staging = self.store.stage(verify)?;
        staging.put(&entry, bytes).await?;
        let bring = |blob| self.blob(client, reference, &staging, blob);
        stream::iter(manifest.blobs().map(Ok)).try_for_each_concurrent(AT_ONCE, bring).await?;
        let lease = staging.commit_pulled(entry, reference, &self.platform).await?;
        Ok(Fetched::New { lease, index })
    }

    /// Gets a blob, from the pool or else from the registry.
    async fn blob(&self, client: &Client, from: &Reference, to: &Staging, blob: &Descriptor) -> Result<()> {
        let (digest, what) = (&blob.digest, &format!("the blob {}", blob.digest));
        let write = |queue: WriteQueue, _| async move {
            let mut answer = open(client, from, &digest.to_string(), what).await?;
            answer.content_length.map_or(Ok(()), |length| blob.expect_size(length))?;
            let mut offset = 0;
            while let Some(piece) = next(&mut answer, what).await.transpose()? {
                let bytes = piece.len() as u64;
                queue.write(offset, piece).await?;
                offset += bytes;
                let source = || Source::Registry(from.registry().into());
                self.events.emit(|| Event::blob_progress(digest.clone(), bytes, source()));
            }
            Ok(())
        };
        to.fetch(blob, &self.events, write).await.map(drop)
    }
}

#[async_trait::async_trait]
impl ImageRegistry for DistributionRegistry {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.get(reference, Verify::Cached).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.get(reference, Verify::Rehash).await
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

impl fmt::Display for DistributionRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("distribution")
    }
}

impl fmt::Debug for DistributionRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DistributionRegistry({})", self.platform)
    }
}
