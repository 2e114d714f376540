//! Leases: what keeps an image from being collected.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use hoist_core::{Digest, Error, Result};

use crate::dir::Dir;
use crate::lock;
use crate::store::{Store, images_path};
use crate::whole::is_whole;

/// A hold on an image of a store. As long as any process has its descriptor open, the image's bytes stay.
///
/// The descriptor ([`AsFd`]) can be handed to another process, say the one that runs the VM: the lease
/// then lives until the last copy is closed, by whatever means.
#[derive(Debug)]
#[must_use = "the lease ends when it is dropped"]
pub struct Lease {
    /// The image's directory, open and locked (shared).
    image: File,
    digest: Digest,
}

impl Lease {
    pub(crate) fn new(image: Dir, digest: Digest) -> Self {
        Self { image: image.into_file(), digest }
    }

    /// The same lease once more: the image stays until both are dropped.
    pub(crate) fn again(&self) -> Result<Self> {
        let again = |cause| Error::io(format!("cannot lease {} once more", self.digest), cause);
        Ok(Self { image: self.image.try_clone().map_err(again)?, digest: self.digest.clone() })
    }

    /// The digest of the leased image's manifest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl AsFd for Lease {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.image.as_fd()
    }
}

impl Store {
    /// Leases the image with this manifest. `None`: it is not here, or not whole.
    pub fn lease(&self, digest: &Digest) -> Result<Option<Lease>> {
        let Some(images) = self.dir().sub(images_path(digest.algorithm()))? else { return Ok(None) };
        match lock::share(&images, digest.hex())? {
            Some(image) if is_whole(&image, digest)? => Ok(Some(Lease::new(image, digest.clone()))),
            _ => Ok(None),
        }
    }
}
