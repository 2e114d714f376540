//! The disk space of images: of each alone, and of all together.

use std::collections::HashMap;

use hoist_core::{Algorithm, Digest, Result};
use rustix::fs::Stat;

use crate::fs::dir::Dir;
use crate::fs::space::disk_space;
use crate::paths::pool_path;

/// The disk space of an image, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Holding {
    /// All its files.
    pub(crate) total: u64,
    /// The files that no other image has: deleting the image would free this much.
    pub(crate) own: u64,
    /// The number of blobs among those.
    pub(crate) own_blobs: usize,
    /// The files that are not in the pool.
    pub(crate) unpooled: u64,
}

/// Counts, by inode, the links that images would give up if they were deleted.
#[derive(Debug, Default)]
pub(crate) struct Ledger(HashMap<u64, u64>);

impl Ledger {
    /// The disk space of this image.
    pub(crate) fn holding(&self, images: &Dir, image: &Digest) -> Result<Holding> {
        let mut holding = Holding::default();
        for name in ["oci-layout", "index.json"] {
            if let Some(stat) = images.stat(format!("{}/{name}", image.hex()))? {
                holding.total += disk_space(&stat);
                holding.own += disk_space(&stat);
                holding.unpooled += disk_space(&stat);
            }
        }
        each_blob(images, image, |stat| {
            let space = disk_space(stat);
            let links = links(stat) - self.0.get(&stat.st_ino).copied().unwrap_or_default();
            holding.total += space;
            // The image's own link, and the pool's if the pool still has the blob.
            if links <= 2 {
                holding.own += space;
                holding.own_blobs += 1;
            }
            if links == 1 {
                holding.unpooled += space;
            }
        })?;
        Ok(holding)
    }

    /// Continues as if the image had been deleted.
    pub(crate) fn strike(&mut self, images: &Dir, image: &Digest) -> Result<()> {
        each_blob(images, image, |stat| {
            // A blob with only its own link and the pool's belongs to no other image.
            if links(stat) > 2 {
                *self.0.entry(stat.st_ino).or_default() += 1;
            }
        })
    }
}

fn links(stat: &Stat) -> u64 {
    #[allow(clippy::useless_conversion, reason = "it is not of this type on every architecture")]
    u64::from(stat.st_nlink)
}

fn each_blob(images: &Dir, image: &Digest, mut see: impl FnMut(&Stat)) -> Result<()> {
    for &algorithm in Algorithm::ALL {
        let path = format!("{}/{}", image.hex(), pool_path(algorithm));
        let Some(blobs) = images.sub(path)? else { continue };
        for blob in blobs.entries()? {
            if let Some(stat) = blobs.stat(blob?.name)? {
                see(&stat);
            }
        }
    }
    Ok(())
}
