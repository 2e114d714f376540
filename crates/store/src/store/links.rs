//! Which blobs are in use, on file systems with and without hard links. Without them, the link count says
//! nothing. A blob of the pool is then in use for as long as an image has a copy of it.

use std::collections::HashSet;

use hoist_core::{Algorithm, Digest, Result};
use rustix::fs::Stat;

use crate::fs::dir::{Dir, NoLink, cannot_write};
use crate::fs::scratch::Scratch;
use crate::paths::{images_path, pool_path};
use crate::store::Store;

/// The blobs of the pool that are in use.
#[derive(Debug)]
pub(crate) enum InUse {
    /// Those with more than one link.
    Linked,
    /// Those that an image has a copy of.
    Copied(HashSet<Digest>),
}

impl InUse {
    /// Whether this blob of the pool is in use.
    pub(crate) fn has(&self, blob: &Digest, stat: &Stat) -> bool {
        match self {
            Self::Linked => stat.st_nlink > 1,
            Self::Copied(blobs) => stat.st_nlink > 1 || blobs.contains(blob),
        }
    }
}

impl Store {
    /// Whether the file system has hard links. Tested on the first call.
    pub(crate) fn has_links(&self) -> Result<bool> {
        let known = self.links();
        if let Some(has_links) = known.get() {
            return Ok(*has_links);
        }
        let scratch = Scratch::new(self.dir())?;
        let dir = scratch.dir();
        dir.create_new("file")?;
        let has_links = dir.link("file", dir, "link")? != Err(NoLink::Impossible);
        Ok(*known.get_or_init(|| has_links))
    }

    /// The blobs of the pool that are in use now. Without hard links, this lists every image. So it does if it
    /// cannot try whether there are links, because the store is read-only.
    pub(crate) fn in_use(&self) -> Result<InUse> {
        match self.has_links() {
            Ok(true) => return Ok(InUse::Linked),
            Err(error) if !cannot_write(&error) => return Err(error),
            _ => {}
        }
        let mut blobs = HashSet::new();
        for &algorithm in Algorithm::ALL {
            if let Some(images) = self.dir().sub(images_path(algorithm))? {
                for image in images.digests(algorithm)? {
                    add_blobs(&images, image?.hex(), &mut blobs)?;
                }
            }
        }
        if let Some(staging) = self.dir().sub("staging")? {
            for scratch in staging.entries()? {
                let scratch = scratch?;
                if scratch.is_dir {
                    add_blobs(&staging, &format!("{}/image", scratch.name), &mut blobs)?;
                }
            }
        }
        Ok(InUse::Copied(blobs))
    }
}

/// Adds the blobs of an image. An image that another process removes in the meantime has none.
fn add_blobs(dir: &Dir, image: &str, found: &mut HashSet<Digest>) -> Result<()> {
    for &algorithm in Algorithm::ALL {
        if let Some(blobs) = dir.sub(format!("{image}/{}", pool_path(algorithm)))? {
            for blob in blobs.digests(algorithm)? {
                found.insert(blob?);
            }
        }
    }
    Ok(())
}
