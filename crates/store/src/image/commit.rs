//! Publishes a staged image with one rename.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use hoist_core::{
    Descriptor, Digest, Document, Error, ErrorKind, MAX_DOCUMENT, Manifest, Platform, Reference, Result,
};

use super::staging::{Staging, Verify};
use crate::fs::blocking::broken_off;
use crate::fs::dir::{Dir, unless_damaged};
use crate::fs::lock;
use crate::fs::rename::Exchange;
use crate::image::layout::{OCI_LAYOUT, index_of_one};
use crate::paths::{images_path, pool_file};
use crate::store::Store;
use crate::store::integrity::is_whole;
use crate::store::lease::Lease;

impl Staging {
    /// Publishes the image, and leases it before any process could collect it.
    ///
    /// `manifest` becomes the only entry of the layout's index, with its platform and annotations. Every blob
    /// that it names must have been added. If the store already has the image, this leases the existing one. If
    /// that one is damaged, this replaces it in one step.
    pub async fn commit(self, manifest: Descriptor) -> Result<Lease> {
        let sweeping = self.0.sweeping.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sweeping) = sweeping {
            sweeping.await.unwrap_or_else(|cause| Err(broken_off(cause)))?;
        }
        let store = self.store().clone();
        let commit = move |_: &Store| {
            let lease = self.commit_now(&manifest)?;
            self.0.is_published.store(true, Ordering::Relaxed);
            Ok(lease.of_arrived(std::mem::take(&mut self.lock_arrived())))
        };
        store.blocking(commit).await
    }

    /// Publishes an image that was pulled under this reference for this platform, as [`commit`](Self::commit) does. The
    /// layout's entry gets the reference's tag, and the platform that the image is made for.
    ///
    /// Fails with [`PlatformMissing`](ErrorKind::PlatformMissing) or [`Malformed`](ErrorKind::Malformed) if the image is
    /// made for another platform, or does not tell ([`Platform::check_image`]).
    pub async fn commit_pulled(
        self,
        mut manifest: Descriptor,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Lease> {
        let document = self.manifest(&manifest)?;
        let read = |config: &Descriptor| self.read(config, MAX_DOCUMENT);
        manifest.platform = platform.check_image(&manifest, &document, read)?;
        self.commit(manifest.tagged(reference)).await
    }

    fn commit_now(&self, manifest: &Descriptor) -> Result<Lease> {
        self.check_complete(manifest)?;
        self.begin_layout(manifest.digest.algorithm())?;
        self.0.image.write_new("index.json", &index_of_one(manifest))?;
        self.sync_all()?;
        loop {
            if let Some(lease) = self.publish(&manifest.digest)? {
                return Ok(lease);
            }
        }
    }

    /// Fails unless the manifest and all blobs that it names are here, with the right sizes. Their digests were
    /// checked when they were added.
    fn check_complete(&self, manifest: &Descriptor) -> Result<()> {
        for blob in self.manifest(manifest)?.blobs() {
            let stat = self.blobs(&blob.digest)?.stat(blob.digest.hex())?.ok_or_else(|| missing(blob))?;
            blob.expect_size(u64::try_from(stat.st_size).unwrap_or_default())?;
        }
        Ok(())
    }

    /// The image's own manifest.
    fn manifest(&self, manifest: &Descriptor) -> Result<Manifest> {
        let bytes = self.0.image.read(pool_file(&manifest.digest), MAX_DOCUMENT)?;
        let bytes = bytes.ok_or_else(|| missing(manifest))?;
        match Document::parse(&bytes, Some(&manifest.media_type))? {
            Document::Manifest(document) => Ok(document),
            _ => Err(Error::new(ErrorKind::Malformed, "an image's manifest is not a manifest")),
        }
    }

    /// Makes the names in the layout durable, from the innermost directory outwards, and the new names in the
    /// pool.
    fn sync_all(&self) -> Result<()> {
        let blobs = self.0.image.make_unsynced("blobs")?;
        for entry in blobs.entries()? {
            let entry = entry?;
            if let Some(dir) = blobs.sub(&entry.name)? {
                dir.sync()?;
            }
            if let Some(pool) = self.store().dir().sub(format!("blobs/{}", entry.name))? {
                pool.sync()?;
            }
        }
        blobs.sync()?;
        self.0.image.sync()
    }

    /// Moves the image to its place, or leases the one that is already there. `None`: that one has just been
    /// removed; try again.
    fn publish(&self, digest: &Digest) -> Result<Option<Lease>> {
        let images = self.store().dir().make(images_path(digest.algorithm()))?;
        let staged = lock::share(self.scratch(), "image")?;
        let staged = staged.ok_or_else(|| Error::new(ErrorKind::Storage, "the staged image has gone"))?;
        if self.scratch().rename_new("image", &images, digest.hex())? {
            images.sync()?;
            self.store().grow();
            return Ok(Some(Lease::new(staged, digest.clone())));
        }
        let Some(there) = lock::share(&images, digest.hex())? else { return Ok(None) };
        if self.is_as_good(&there, digest)? {
            return Ok(Some(Lease::new(there, digest.clone())));
        }
        drop(there);
        self.replace(&images, staged, digest)
    }

    /// Whether the existing image is good enough that this one need not replace it.
    fn is_as_good(&self, there: &Dir, digest: &Digest) -> Result<bool> {
        match self.0.verify {
            Verify::Cached => is_whole(there, digest),
            Verify::Rehash => self.is_same(there, digest),
        }
    }

    /// Replaces a damaged image with the staged one. `None`: the damaged one has just been removed.
    fn replace(&self, images: &Dir, staged: Dir, digest: &Digest) -> Result<Option<Lease>> {
        let Some(owned) = lock::try_own(images, digest.hex())? else { return self.mend(images, digest) };
        match self.scratch().exchange("image", images, digest.hex())? {
            Exchange::Done => {}
            Exchange::Gone => return Ok(None),
            Exchange::Impossible => {
                drop(owned);
                return self.mend(images, digest);
            }
        }
        images.sync()?;
        Ok(Some(Lease::new(staged, digest.clone())))
    }

    /// Moves each staged file to its place in a damaged image. The directory itself stays: it is leased, and leases
    /// are locks on it, or it cannot be renamed.
    fn mend(&self, images: &Dir, digest: &Digest) -> Result<Option<Lease>> {
        let Some(damaged) = lock::share(images, digest.hex())? else { return Ok(None) };
        self.0.image.move_all(&damaged)?;
        Ok(Some(Lease::new(damaged, digest.clone())))
    }

    /// Whether the existing image consists of the same files that were verified for this one.
    fn is_same(&self, there: &Dir, digest: &Digest) -> Result<bool> {
        if there.read("oci-layout", MAX_DOCUMENT)?.as_deref() != Some(OCI_LAYOUT) {
            return Ok(false);
        }
        if !names_only(there, digest)? {
            return Ok(false);
        }
        let blobs = self.0.image.make_unsynced("blobs")?;
        for algorithm in blobs.entries()? {
            let algorithm = algorithm?;
            let Some(ours) = blobs.sub(&algorithm.name)? else { return Ok(false) };
            for blob in ours.entries()? {
                let blob = blob?;
                let theirs = there.stat(format!("blobs/{}/{}", algorithm.name, blob.name))?;
                if ours.stat(&blob.name)?.map(|s| s.st_ino) != theirs.map(|s| s.st_ino) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

fn missing(blob: &Descriptor) -> Error {
    Error::new(ErrorKind::Storage, format!("the image lacks its blob {}", blob.digest))
}

/// Whether a layout's index has this manifest as its only entry.
pub(crate) fn names_only(layout: &Dir, digest: &Digest) -> Result<bool> {
    let bytes = unless_damaged(layout.read("index.json", MAX_DOCUMENT))?.unwrap_or_default();
    Ok(match Document::parse(&bytes, None) {
        Ok(Document::Index(index)) => {
            index.unreadable.is_empty() && matches!(&index.manifests[..], [only] if only.digest == *digest)
        }
        _ => false,
    })
}
