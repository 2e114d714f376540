//! The registry that other crates see: images from registries, pulled into a store.

use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use futures_util::{StreamExt, TryStreamExt, stream};
use hoist_core::{
    Descriptor, Digest, Document, Error, ErrorKind, Event, Events, ImageRegistry, MAX_DOCUMENT, Platform,
    PulledImage, Reference, Result, Source, config_platform,
};
use hoist_store::{Lease, Staging, Store, StoredImage, Trust, WriteQueue};
use oci_distribution::client::{Client, ClientProtocol};

use crate::client::{client, document, next, open};

/// The annotation of a layout's entry that tools take the tag from (image-spec, annotations).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// How many blobs of an image come at a time, as with most other clients.
const AT_ONCE: usize = 3;

/// OCI and Docker registries, asked by the crate `oci-client`. A pull always asks what a tag is now; a digest that the
/// store has is answered without asking. What is cached is what the store has for this registry's platform.
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
    /// Registries whose images go to this store, for the host's platform.
    ///
    /// Fails with [`Tls`](ErrorKind::Tls) where this system trusts no authority.
    pub fn new(store: Store) -> Result<Self> {
        let (https, http) = (client(ClientProtocol::Https)?, client(ClientProtocol::Http)?);
        let (platform, events, plain_http) = (Platform::host(), Events::default(), Vec::new());
        Ok(Self { store, platform, events, https, http, plain_http })
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

    /// Speaks to the registry of this name without TLS, as to those on `localhost` and loopback addresses.
    #[must_use]
    pub fn with_plain_http(mut self, registry: impl Into<String>) -> Self {
        self.plain_http.push(registry.into());
        self
    }

    /// The image, if it is here whole. No registry is asked.
    ///
    /// Fails where it is not [admitted](Store::with_admission).
    pub async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        Ok(self.store.resolve(&reference.parse()?, &self.platform).await?.map(Into::into))
    }

    /// Makes a pull in a task of its own, which goes on also while nobody polls this future: others may wait for the
    /// blobs that it has claimed. Dropping the future ends it. A digest that is here is answered without a task.
    async fn get(&self, reference: &str, trust: Trust) -> Result<PulledImage> {
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
            let pull = |store| async move { Self { store, ..this }.bring(&name, trust).await };
            self.store.owned(pull).await
        };
        Ok(self.events.observe(&reference, pull, |image| image.digest.clone()).await?.into())
    }

    /// Brings and names what a name is now; again where a pull that asked later was faster, and found another image.
    async fn bring(&self, reference: &Reference, trust: Trust) -> Result<StoredImage> {
        loop {
            let asked = SystemTime::now();
            let (lease, index) = self.fetch(reference, trust).await?;
            let (platform, reference) = (self.platform.clone(), reference.clone());
            let name = move |store: &Store| {
                let index = index.as_ref().map(|(digest, bytes)| (digest, &bytes[..]));
                Ok((store.name_as_of(&reference, &platform, &lease, index, asked)?, lease))
            };
            let (image, lease) = self.store.blocking(name).await?;
            if image.digest == *lease.digest() {
                return Ok(image);
            }
        }
    }

    /// Brings what a name is now, and says which index it was chosen from.
    async fn fetch(&self, reference: &Reference, trust: Trust) -> Result<(Lease, Option<(Digest, Vec<u8>)>)> {
        let name = reference.registry();
        let address = name.rsplit_once(':').map_or(name, |(host, _)| host).parse::<IpAddr>();
        let is_here = name.starts_with("localhost:") || address.is_ok_and(|address| address.is_loopback());
        let is_plain = is_here || self.plain_http.iter().any(|plain| plain == name);
        let client = if is_plain { &self.http } else { &self.https };

        let (mut entry, mut bytes, mut found) = document(client, reference, reference.digest()).await?;
        let mut index = None;
        if let Document::Index(list) = found {
            let chosen = list.choose(&self.platform)?;
            index = Some((entry.digest, bytes));
            (entry, bytes, found) = document(client, reference, Some(&chosen.digest)).await?;
            entry.expect_size(chosen.size)?;
            entry.platform.clone_from(&chosen.platform);
        }
        let Document::Manifest(manifest) = found else {
            return Err(Error::new(ErrorKind::Unsupported, "an index in an index is not looked into"));
        };
        let digest = entry.digest.clone();
        self.events.emit(|| Event::Resolved { reference: reference.clone(), digest });
        let staging = self.store.stage(trust)?;
        staging.put(&entry, bytes).await?;
        let blobs: Vec<_> =
            manifest.blobs().map(|blob| self.blob(client, reference, &staging, blob)).collect();
        stream::iter(blobs).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        if entry.platform.is_none()
            && manifest.is_runnable()
            && let Some(config) = staging.read(&manifest.config, MAX_DOCUMENT)?
        {
            self.platform.check(&config)?;
            entry.platform = config_platform(&config);
        }
        let tag = reference.tag().map(|tag| (REF_NAME.to_owned(), tag.to_owned()));
        entry.annotations = tag.into_iter().collect();
        Ok((staging.commit(entry).await?, index))
    }

    /// Brings a blob, from the pool or from the registry.
    async fn blob(&self, client: &Client, from: &Reference, to: &Staging, blob: &Descriptor) -> Result<()> {
        let (digest, what) = (&blob.digest, &format!("the blob {}", blob.digest));
        let write = |queue: WriteQueue, _| async move {
            self.events.emit(|| Event::BlobStarted { digest: digest.clone(), size: blob.size });
            let mut answer = open(client, from, &digest.to_string(), what).await?;
            answer.content_length.map_or(Ok(()), |length| blob.expect_size(length))?;
            let mut offset = 0;
            while let Some(piece) = next(&mut answer, what).await.transpose()? {
                let bytes = piece.len() as u64;
                if offset + bytes > blob.size {
                    blob.expect_size(offset + bytes)?;
                }
                queue.write(offset, piece).await?;
                offset += bytes;
                let from = || Source::Registry(from.registry().into());
                self.events.emit(|| Event::BlobProgress { digest: digest.clone(), bytes, from: from() });
            }
            Ok(())
        };
        let (is_new, size, digest) = (to.fetch(blob, write).await?, blob.size, digest.clone());
        self.events
            .emit(|| if is_new { Event::BlobVerified { digest } } else { Event::BlobFound { digest, size } });
        Ok(())
    }
}

#[async_trait::async_trait]
impl ImageRegistry for DistributionRegistry {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.get(reference, Trust::Pool).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.get(reference, Trust::Nothing).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        let image = reference.parse().and_then(|reference| self.store.known(&reference, &self.platform));
        let trouble = |error: &Error| tracing::warn!(error = error.report(), "cannot tell what is cached");
        image.inspect_err(trouble).is_ok_and(|image| image.is_some())
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

impl fmt::Display for DistributionRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("distribution")
    }
}

impl fmt::Debug for DistributionRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DistributionRegistry").field("platform", &self.platform).finish_non_exhaustive()
    }
}
