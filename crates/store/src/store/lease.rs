//! Leases: they keep an image from being collected.

use std::os::fd::{AsFd, BorrowedFd};

use hoist_core::{Descriptor, Digest, Error, Result};

use crate::fs::blocking::blocking;
use crate::fs::dir::Dir;
use crate::fs::lock::{self, Shared};
use crate::paths::{images_path, pool_file};
use crate::store::Store;
use crate::store::arrival::{Arrival, Arrived};
use crate::store::integrity::is_whole;

/// A hold on an image of a store. The image's content stays as long as any process has the lease's descriptor
/// open.
///
/// The descriptor ([`AsFd`]) can be handed to another process, for example the one that runs the VM. The lease
/// then lasts until the last copy is closed, for whatever reason.
#[derive(Debug)]
#[must_use = "the lease ends when it is dropped"]
pub struct Lease {
    /// The image's directory, open, with a shared lock on it.
    image: Dir,
    digest: Digest,
    /// What came into the store for it, and how.
    arrived: Option<Box<Arrived>>,
}

impl Lease {
    pub(crate) fn new(image: Dir, digest: Digest) -> Self {
        Self { image, digest, arrived: None }
    }

    /// The lease of an image for which these blobs came into the store.
    pub(crate) fn of_arrived(mut self, blobs: Vec<Digest>) -> Self {
        self.arrived.get_or_insert_default().blobs = blobs;
        self
    }

    /// Says how the content came for which this image was staged, and the indexes between its name and it. The store
    /// [notes](Arrival) it when the image is named. Without that, the content counts as private.
    pub fn arrived_by(mut self, arrival: Arrival) -> Self {
        self.arrived.get_or_insert_default().by = Some(arrival);
        self
    }

    /// Adds the indexes within the outermost one, which lead from there to the image: their digests and raw bytes. The
    /// store keeps them beside the outermost one.
    pub fn with_inner_indexes(mut self, indexes: Vec<(Digest, Vec<u8>)>) -> Self {
        self.arrived.get_or_insert_default().inner_indexes = indexes;
        self
    }

    pub(crate) fn arrived(&self) -> Option<&Arrived> {
        self.arrived.as_deref()
    }

    /// A second lease of the same image, which stays until both are dropped.
    ///
    /// Fails with [`Storage`](hoist_core::ErrorKind::Storage) if no descriptor can be had.
    pub fn again(&self) -> Result<Self> {
        let again = |cause| Error::io(format!("cannot lease {} once more", self.digest), cause);
        Ok(Self::new(self.image.try_clone().map_err(again)?, self.digest.clone()))
    }

    /// The digest of the leased image's manifest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Reads a blob of the leased image, whose descriptor gives a size of at most `limit` bytes. The content is
    /// hashed again. `None`: the image does not have this blob.
    ///
    /// Fails with [`DigestMismatch`](hoist_core::ErrorKind::DigestMismatch) or
    /// [`SizeMismatch`](hoist_core::ErrorKind::SizeMismatch) if the blob is damaged.
    pub fn read(&self, blob: &Descriptor, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(bytes) = self.image.read(pool_file(&blob.digest), limit)? else { return Ok(None) };
        blob.verify(&bytes)?;
        Ok(Some(bytes))
    }
}

impl AsFd for Lease {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.image.file().as_fd()
    }
}

impl Store {
    /// Leases the image with this manifest. `None`: it is not here, or not whole.
    ///
    /// Blocks while another process collects or replaces the image. Asynchronous code should call
    /// [`lease_async`](Self::lease_async).
    pub fn lease(&self, digest: &Digest) -> Result<Option<Lease>> {
        let Some(images) = self.dir().sub(images_path(digest.algorithm()))? else { return Ok(None) };
        lease_whole(lock::share(&images, digest.hex())?, digest)
    }

    /// Like [`lease`](Self::lease). If it has to wait, it waits on a blocking thread.
    pub async fn lease_async(&self, digest: &Digest) -> Result<Option<Lease>> {
        let Some(images) = self.dir().sub(images_path(digest.algorithm()))? else { return Ok(None) };
        match lock::try_share(&images, digest.hex())? {
            Shared::Locked(image) => lease_whole(Some(image), digest),
            Shared::Gone => Ok(None),
            Shared::Busy => {
                let (store, digest) = (self.clone(), digest.clone());
                blocking(move || store.lease(&digest)).await
            }
        }
    }
}

fn lease_whole(image: Option<Dir>, digest: &Digest) -> Result<Option<Lease>> {
    match image {
        Some(image) if is_whole(&image, digest)? => Ok(Some(Lease::new(image, digest.clone()))),
        _ => Ok(None),
    }
}
