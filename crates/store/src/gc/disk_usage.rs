//! What images hold on the disk: each alone, and together.

use std::collections::HashMap;

use hoist_core::{Algorithm, Digest, Result};
use rustix::fs::Stat;

use crate::fs::dir::Dir;
use crate::fs::space::disk_space;
use crate::paths::pool_path;

/// What an image holds, in bytes of disk space.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Holding {
    /// All its files.
    pub(crate) total: u64,
    /// Those that no other image has: what its end would free.
    pub(crate) own: u64,
    /// How many of those are blobs.
    pub(crate) own_blobs: usize,
    /// Those that the pool does not have.
    pub(crate) unpooled: u64,
}

/// The links that images would have given up, had they been deleted.
#[derive(Debug, Default)]
pub(crate) struct Ledger(HashMap<u64, u64>);

impl Ledger {
    /// What this image holds.
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
            // The image's own link, and the pool's, if that still has it.
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

    /// Goes on as if the image had been deleted.
    pub(crate) fn strike(&mut self, images: &Dir, image: &Digest) -> Result<()> {
        each_blob(images, image, |stat| {
            // Whose links are its own and the pool's, no other image asks for.
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
    for algorithm in Algorithm::ALL {
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
