//! Adopting: an image of the inner registry becomes one of the cache.

use std::time::SystemTime;

use hoist_core::{
    Descriptor, Digest, Document, Error, ErrorKind, MAX_DOCUMENT, PulledImage, Reference, Result,
};
use hoist_store::{Layout, Lease, Store, StoredImage, Verify};

use super::answer::Cache;

impl<R> Cache<R> {
    /// Adopts an image of the inner registry, which was asked for it at the time `asked`. `None`: the image was removed
    /// meanwhile, or its name moved to a later image.
    ///
    /// A digest reference promises content, and a name in the store vouches for it from then on. So the cache writes
    /// such a name only if the content is proven. For the digest of a manifest, the bytes prove it. For the digest of
    /// an index, the proof is the bytes of the index, which are not in a layout. An inner registry that shares the
    /// store has checked them, and has written a ref that says so. For one that does not share it, the cache has no
    /// proof: it passes the image on, as it would be without a cache, and asks again the next time.
    pub(super) async fn adopt(
        &self,
        reference: &Reference,
        pulled: PulledImage,
        verify: Verify,
        asked: SystemTime,
    ) -> Result<Option<PulledImage>> {
        let digest: Digest = pulled.digest.parse()?;
        let is_pinned = reference.digest().is_none_or(|pinned| *pinned == digest);
        if !is_pinned && self.known(reference, &digest)?.is_none() {
            self.store.admit_pulled(reference, &self.platform, &pulled).await?;
            tracing::debug!(%reference, %digest, "an image chosen from an index that is not here is not cached");
            return Ok(Some(pulled));
        }
        let Some(lease) = self.take(&pulled, &digest, verify).await? else { return Ok(None) };
        let image = self.name(reference, lease, verify, asked).await?;
        Ok(Some(image).filter(|image| image.digest == digest).map(Into::into))
    }

    /// Leases the image. An image from elsewhere is copied into the store first. `None`: it is gone.
    async fn take(&self, pulled: &PulledImage, digest: &Digest, verify: Verify) -> Result<Option<Lease>> {
        let is_ours = pulled.path == self.store.image_path(digest);
        let ours = if is_ours { self.store.lease_async(digest).await? } else { None };
        if is_ours && ours.is_none() {
            return Ok(None);
        }
        match self.take_checked(pulled, digest, ours, verify).await {
            Err(_) if !pulled.path.exists() => Ok(None),
            // A layout that lacks a blob does not mean that the registry has no such image.
            Err(error) if *error.kind() == ErrorKind::NotFound => {
                let message = format!("{} is not whole", pulled.path.display());
                Err(Error::new(ErrorKind::Storage, message).with_source(error))
            }
            taken => taken.map(Some),
        }
    }

    async fn take_checked(
        &self,
        pulled: &PulledImage,
        digest: &Digest,
        ours: Option<Lease>,
        verify: Verify,
    ) -> Result<Lease> {
        let layout = Layout::open(&pulled.path)?;
        let entry = only_entry(&layout, digest)?;
        self.check_platform(&layout, &entry, ours.as_ref())?;
        match ours {
            Some(lease) => Ok(lease),
            None => self.store.adopt_reporting(layout, entry, verify, self.events.clone()).await,
        }
    }

    /// Fails if the image is not made for this platform, by what is leased, or else by the layout that is adopted.
    fn check_platform(&self, layout: &Layout, entry: &Descriptor, ours: Option<&Lease>) -> Result<()> {
        let read = |blob: &Descriptor| match ours {
            Some(lease) => lease.read(blob, MAX_DOCUMENT),
            None => layout.read(blob).map(Some),
        };
        let manifest = read(entry)?.map(|bytes| Document::parse(&bytes, Some(&entry.media_type)));
        let Some(Document::Manifest(manifest)) = manifest.transpose()? else {
            return Err(Error::new(ErrorKind::Malformed, format!("{} is not a manifest", entry.digest)));
        };
        self.platform.check_image(entry, &manifest, read).map(drop)
    }

    /// Writes the image's name, unless the store has it: that name also keeps the index. An existing name is noted as
    /// used. Its age starts again where that matters: if the policy depends on it, or if the pull was forced.
    async fn name(
        &self,
        reference: &Reference,
        lease: Lease,
        verify: Verify,
        asked: SystemTime,
    ) -> Result<StoredImage> {
        let is_kept = |known: &StoredImage| verify == Verify::Cached && !self.policy.ages(known.pulled);
        let known = self.store.peek_leased(reference, &self.platform, &lease)?;
        if known.as_ref().is_some_and(|known| reference.digest().is_some() || is_kept(known))
            && let Some(image) = self.store.get_and_touch(reference, &self.platform).await?
        {
            return Ok(image);
        }
        let (reference, platform) = (reference.clone(), self.platform.clone());
        let name = move |store: &Store| match known {
            Some(_) => store.confirm(&reference, &platform, &lease, asked),
            None => store.name_as_of(&reference, &platform, &lease, None, asked),
        };
        self.store.blocking(name).await
    }

    /// The store's image of this name, if it has this digest.
    fn known(&self, reference: &Reference, digest: &Digest) -> Result<Option<StoredImage>> {
        let image = self.store.peek(reference, &self.platform)?;
        Ok(image.filter(|image| image.digest == *digest))
    }
}

/// The only entry of a layout, which must be this image.
fn only_entry(layout: &Layout, digest: &Digest) -> Result<Descriptor> {
    match &layout.entries()?[..] {
        [only] if only.digest == *digest => Ok(only.clone()),
        _ => {
            let message = format!("{} is not a layout of {digest} alone", layout.path().display());
            Err(Error::new(ErrorKind::Malformed, message))
        }
    }
}
