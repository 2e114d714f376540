//! The registry that other crates see: a remote one, pulled into a store.

use std::collections::HashSet;
use std::fmt;

use futures_util::{StreamExt, TryStreamExt, stream};
use hoist_core::{
    Descriptor, ErrorKind, Event, Events, ImageRegistry, MAX_DOCUMENT, Platform, PulledImage, Reference,
    Result, config_platform,
};
use hoist_store::{Claim, Lease, Staging, Store, StoredImage, Trust};

use crate::client::Client;
use crate::credentials::Credentials;
use crate::endpoint::Endpoint;
use crate::fetch::Fetch;
use crate::manifest::{self, Resolved};

/// How often a failed request is made again, unless it is said otherwise: at once, and then over the next two
/// seconds.
const RETRIES: usize = 4;
/// How many blobs are fetched at once, unless it is said otherwise.
const CONCURRENCY: usize = 6;
/// The annotation of a layout's entry that tools take the tag from (image-spec, annotations).
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// OCI and Docker registries, reached over HTTP.
///
/// A pull always asks the registry what a tag is now: with one `HEAD` where the store knows the tag, else
/// with the `GET` that it needs anyway. A digest that the store has is answered without asking. Blobs that
/// the store has, from whatever image, are not fetched.
///
/// What is cached is what the store has for this registry's platform.
#[derive(Debug)]
pub struct RemoteRegistry {
    store: Store,
    platform: Platform,
    events: Events,
    concurrency: usize,
    plain_http: HashSet<String>,
    client: Client,
}

impl RemoteRegistry {
    /// Registries whose images go to this store: for the host's platform, and without credentials.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            platform: Platform::host(),
            events: Events::default(),
            concurrency: CONCURRENCY,
            plain_http: HashSet::new(),
            client: Client::new(RETRIES),
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

    /// Fetches so many blobs of an image at once; at least one.
    #[must_use]
    pub fn with_concurrency(self, blobs: usize) -> Self {
        Self { concurrency: blobs.max(1), ..self }
    }

    /// Makes a request that failed, and may succeed, again so many times: at once, and then with exponential
    /// back-off.
    #[must_use]
    pub fn with_retries(mut self, retries: usize) -> Self {
        self.client.retries = retries;
        self
    }

    /// Shows these credentials to the registry of this name (`ghcr.io`, `registry.lan:5000`), and to no other.
    #[must_use]
    pub fn with_credentials(mut self, registry: impl Into<String>, credentials: Credentials) -> Self {
        self.client.auth.add(registry.into(), credentials);
        self
    }

    /// Speaks to the registry of this name without TLS, as to those on loopback names.
    #[must_use]
    pub fn with_plain_http(mut self, registry: impl Into<String>) -> Self {
        self.plain_http.insert(registry.into());
        self
    }

    /// The image, if it is here whole. Nobody is asked.
    pub fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        Ok(self.store.resolve(&reference.parse()?, &self.platform)?.map(Into::into))
    }

    async fn pull_observed(&self, reference: &str, trust: Trust) -> Result<PulledImage> {
        let reference: Reference = reference.parse()?;
        let pull = self.pull_reference(&reference, trust);
        Ok(self.events.observe(&reference, pull, |image| image.digest.clone()).await?.into())
    }

    async fn pull_reference(&self, reference: &Reference, trust: Trust) -> Result<StoredImage> {
        let endpoint = Endpoint::of(reference, &self.plain_http)?;
        if trust == Trust::Pool
            && self.is_current(&endpoint, reference).await?
            && let Some(image) = self.store.hit(reference, &self.platform)?
        {
            return Ok(image);
        }
        let resolved =
            manifest::resolve(&self.client, &endpoint, reference, &self.platform, &self.store).await?;
        let digest = resolved.manifest.digest.clone();
        tracing::info!(%reference, %digest, "resolved");
        self.events.emit(|| Event::Resolved { reference: reference.clone(), digest });
        let lease = self.obtain(&endpoint, reference, &resolved, trust).await?;
        let index = resolved.index.as_ref().map(|(digest, bytes)| (digest, &bytes[..]));
        self.store.name(reference, &self.platform, &lease, index)
    }

    /// Whether what the store has under this name is what the registry has now.
    async fn is_current(&self, endpoint: &Endpoint, reference: &Reference) -> Result<bool> {
        let Some(known) = self.store.resolve(reference, &self.platform)? else { return Ok(false) };
        if reference.digest().is_some() {
            return Ok(true);
        }
        let current = manifest::current_digest(&self.client, endpoint, reference).await?;
        Ok(current == Some(known.resolved))
    }

    /// Leases the image, having brought it into the store where it is not there.
    async fn obtain(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
        resolved: &Resolved,
        trust: Trust,
    ) -> Result<Lease> {
        if trust == Trust::Pool
            && let Some(lease) = self.store.lease(&resolved.manifest.digest)?
        {
            self.check_platform(resolved)?;
            return Ok(lease);
        }
        let staging = self.store.stage(trust)?;
        staging.put(&resolved.manifest, resolved.bytes.clone()).await?;
        let blobs = resolved.document.blobs().map(|blob| self.bring(endpoint, &staging, blob, resolved));
        // A stream must not borrow through a closure's argument, hence the collected futures.
        let blobs: Vec<_> = blobs.collect();
        stream::iter(blobs).buffer_unordered(self.concurrency).try_collect::<()>().await?;
        staging.commit(self.entry(reference, resolved)).await
    }

    /// Brings one blob into the image: from the pool, or from the registry.
    async fn bring(
        &self,
        endpoint: &Endpoint,
        staging: &Staging,
        blob: &Descriptor,
        resolved: &Resolved,
    ) -> Result<()> {
        match staging.claim(blob).await? {
            Claim::Present => {
                let Descriptor { digest, size, .. } = blob;
                self.events.emit(|| Event::BlobFound { digest: digest.clone(), size: *size });
            }
            Claim::Fetch(ingest) => self.fetch(endpoint, staging, blob, ingest).await?,
        }
        if *blob == resolved.document.config { self.check_platform(resolved) } else { Ok(()) }
    }

    /// Fetches a blob. One that went on from what an earlier pull had left, and turns out wrong, is fetched
    /// once more, whole: it may have been what was left that was wrong.
    async fn fetch(
        &self,
        endpoint: &Endpoint,
        staging: &Staging,
        blob: &Descriptor,
        ingest: hoist_store::Ingest,
    ) -> Result<()> {
        let fetch = Fetch { client: &self.client, endpoint, events: &self.events, blob };
        let resumed = ingest.is_resumed();
        match fetch.run(ingest).await {
            Err(error) if resumed && *error.kind() == ErrorKind::DigestMismatch => {
                tracing::warn!(digest = %blob.digest, "what was left of a blob was damaged; fetching it again");
                match staging.claim(blob).await? {
                    Claim::Present => Ok(()),
                    Claim::Fetch(ingest) => fetch.run(ingest).await,
                }
            }
            outcome => outcome,
        }
    }

    /// Fails where an image that came without an index is made for another platform, by its configuration.
    fn check_platform(&self, resolved: &Resolved) -> Result<()> {
        match self.config_of(resolved)? {
            Some(config) => self.platform.check(&config),
            None => Ok(()),
        }
    }

    /// The configuration, where it is what the image's platform has to be taken from.
    fn config_of(&self, resolved: &Resolved) -> Result<Option<Vec<u8>>> {
        let config = &resolved.document.config;
        if resolved.manifest.platform.is_some() || !resolved.document.is_runnable() {
            return Ok(None);
        }
        self.store.read_blob(config, MAX_DOCUMENT)
    }

    /// The one entry of the layout's index.
    fn entry(&self, reference: &Reference, resolved: &Resolved) -> Descriptor {
        let mut entry = resolved.manifest.clone();
        if entry.platform.is_none() {
            entry.platform = self.config_of(resolved).ok().flatten().as_deref().and_then(config_platform);
        }
        entry.annotations =
            reference.tag().map(|tag| (REF_NAME.to_owned(), tag.to_owned())).into_iter().collect();
        entry
    }
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
        match self.resolve(reference) {
            Ok(image) => image.is_some(),
            Err(error) => {
                tracing::warn!(reference, error = error.report(), "cannot tell whether an image is cached");
                false
            }
        }
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        self.store.remove(&reference.parse()?, &self.platform)
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        Ok(self.store.list(&self.platform)?.iter().map(ToString::to_string).collect())
    }
}

impl fmt::Display for RemoteRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("remote")
    }
}
