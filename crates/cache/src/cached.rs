//! A cache in front of any registry: a store that answers by reference, without asking.

use std::fmt;

use hoist_core::{
    Descriptor, Digest, Error, ErrorKind, Event, Events, ImageRegistry, Index, Platform, PulledImage,
    Reference, Result, media_type,
};
use hoist_store::{Layout, Lease, Store, StoredImage, Trust, blocking};

use crate::flights::Flights;

/// How often a pull begins anew because its image was removed from under it. More often than this, somebody
/// removes on purpose.
const ATTEMPTS: usize = 3;

/// A registry whose images are kept in a store, from which [`pull`](ImageRegistry::pull) is answered without
/// asking the registry within.
///
/// What is cached is what the store has for this cache's platform: `is_cached`, `list_cached` and `remove`
/// never reach into the registry within. Equal pulls that overlap are one pull. Where the registry within
/// keeps its images in this very store, nothing is copied; else an image is copied and hashed on the way.
///
/// Which platform the images are for must be told to both: the cache does not keep one that is made for
/// another.
#[derive(Debug)]
pub struct Cached<R> {
    inner: R,
    store: Store,
    platform: Platform,
    events: Events,
    flights: Flights<(Reference, Platform), PulledImage>,
}

impl<R> Cached<R> {
    /// Keeps what this registry pulls in this store: for the host's platform.
    pub fn new(inner: R, store: Store) -> Self {
        Self {
            inner,
            store,
            platform: Platform::host(),
            events: Events::default(),
            flights: Flights::default(),
        }
    }

    /// Keeps images for this platform.
    #[must_use]
    pub fn with_platform(self, platform: Platform) -> Self {
        Self { platform, ..self }
    }

    /// Reports the pulls that are answered from the store; all others are the registry's to report.
    #[must_use]
    pub fn with_events(self, events: Events) -> Self {
        Self { events, ..self }
    }

    /// The registry within.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The registry within, without the cache.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// The image, if it is here whole. Nobody is asked.
    pub fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        Ok(self.store.resolve(&reference.parse()?, &self.platform)?.map(Into::into))
    }

    /// The image that the store has under this name, noted as a use and reported.
    fn hit(&self, reference: &Reference) -> Result<Option<PulledImage>> {
        let Some(image) = self.store.hit(reference, &self.platform)? else { return Ok(None) };
        let digest = || image.digest.clone();
        self.events.emit(|| Event::Started { reference: reference.clone() });
        self.events.emit(|| Event::Resolved { reference: reference.clone(), digest: digest() });
        self.events.emit(|| Event::Committed { reference: reference.clone(), digest: digest() });
        Ok(Some(image.into()))
    }
}

impl<R: ImageRegistry> Cached<R> {
    async fn pull_or_hit(&self, reference: &Reference) -> Result<PulledImage> {
        match self.hit(reference)? {
            Some(image) => Ok(image),
            None => self.ask(reference, Trust::Pool).await,
        }
    }

    /// Asks the registry within, and keeps what it answers.
    async fn ask(&self, reference: &Reference, trust: Trust) -> Result<PulledImage> {
        let name = reference.to_string();
        for _ in 0..ATTEMPTS {
            let pulled = match trust {
                Trust::Pool => self.inner.pull(&name).await?,
                Trust::Nothing => self.inner.force_pull(&name).await?,
            };
            let kept = self.keep(reference, pulled, trust).await.inspect_err(|error| {
                let kind = error.kind().clone();
                self.events.emit(|| Event::Failed { reference: reference.clone(), kind });
            });
            if let Some(image) = kept? {
                return Ok(image);
            }
        }
        let message = format!("{reference} was removed each of the {ATTEMPTS} times it was pulled");
        Err(Error::new(ErrorKind::Storage, message).with_help("pull it while nobody removes it"))
    }

    /// Makes an image of the registry within one of this cache. `None`: it was removed meanwhile.
    ///
    /// A digest reference is a promise of content, and a name in the store is this cache's word for it from
    /// then on. So such a name is written only for what has been proven here. Where the digest is the
    /// manifest's, the bytes prove it. Where it is that of an index, the proof is the index's bytes, which
    /// are not in a layout: a registry that shares the store has checked them and has said so in the ref
    /// that it wrote; one that does not share it has told nobody. Its answer is passed on, as it would be
    /// without a cache, and it is asked again the next time.
    async fn keep(
        &self,
        reference: &Reference,
        pulled: PulledImage,
        trust: Trust,
    ) -> Result<Option<PulledImage>> {
        let digest: Digest = pulled.digest.parse()?;
        let is_pinned = reference.digest().is_none_or(|pinned| *pinned == digest);
        if !is_pinned && self.known(reference, &digest)?.is_none() {
            tracing::debug!(%reference, %digest, "an image chosen from an index that is not here is not cached");
            return Ok(Some(PulledImage { reference: reference.to_string(), ..pulled }));
        }
        let Some(lease) = self.take(&pulled, &digest, trust).await? else { return Ok(None) };
        self.name(reference, lease).await.map(|image| Some(image.into()))
    }

    /// Leases the image, having brought it into the store where it is elsewhere. `None`: it was in the store
    /// and is gone.
    async fn take(&self, pulled: &PulledImage, digest: &Digest, trust: Trust) -> Result<Option<Lease>> {
        let is_ours = pulled.path == self.store.image_path(digest);
        let ours = if is_ours { self.store.lease(digest)? } else { None };
        if is_ours && ours.is_none() {
            return Ok(None);
        }
        let layout = Layout::open(&pulled.path)?;
        let entry = only_entry(&layout, digest)?;
        self.check_platform(&entry)?;
        match ours {
            Some(lease) => Ok(Some(lease)),
            None => self.store.adopt(layout, entry, trust).await.map(Some),
        }
    }

    fn check_platform(&self, entry: &Descriptor) -> Result<()> {
        let of_one = Index { media_type: media_type::OCI_INDEX.to_owned(), manifests: vec![entry.clone()] };
        of_one.choose(&self.platform).map(drop)
    }

    /// Writes the image's name, unless it is there: whoever wrote it knew the index too, which is kept with it.
    async fn name(&self, reference: &Reference, lease: Lease) -> Result<StoredImage> {
        if let Some(known) = self.known(reference, lease.digest())? {
            return Ok(known);
        }
        let (store, reference, platform) = (self.store.clone(), reference.clone(), self.platform.clone());
        blocking(move || store.name(&reference, &platform, &lease, None)).await
    }

    /// What the store has under this name, if that is this image.
    fn known(&self, reference: &Reference, digest: &Digest) -> Result<Option<StoredImage>> {
        let image = self.store.resolve(reference, &self.platform)?;
        Ok(image.filter(|image| image.digest == *digest))
    }
}

/// The entry of a layout of one image, which must be this one.
fn only_entry(layout: &Layout, digest: &Digest) -> Result<Descriptor> {
    match &layout.entries()?[..] {
        [only] if only.digest == *digest => Ok(only.clone()),
        _ => {
            let message = format!("{} is not a layout of {digest} alone", layout.path().display());
            Err(Error::new(ErrorKind::Malformed, message))
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait::async_trait]
impl<R: ImageRegistry> ImageRegistry for Cached<R> {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        let reference: Reference = reference.parse()?;
        let key = (reference.clone(), self.platform.clone());
        self.flights.join(key, self.pull_or_hit(&reference)).await
    }

    /// Asks the registry within, and never joins a pull that began before: its answer could be older than
    /// this call.
    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.ask(&reference.parse()?, Trust::Nothing).await
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
        let (store, platform, reference) = (self.store.clone(), self.platform.clone(), reference.parse()?);
        let found = blocking(move || store.remove(&reference, &platform)).await;
        // Who pulls from now on must not be handed what was found before.
        self.flights.close();
        found
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        let (store, platform) = (self.store.clone(), self.platform.clone());
        let references = blocking(move || store.list(&platform)).await?;
        Ok(references.iter().map(ToString::to_string).collect())
    }
}

impl<R: fmt::Display> fmt::Display for Cached<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cached({})", self.inner)
    }
}
