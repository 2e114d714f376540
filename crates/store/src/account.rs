//! What images hold on the disk: each alone, and together.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hoist_core::{Algorithm, Digest, Result};
use rustix::fs::Stat;

use crate::dir::Dir;
use crate::store::pool_path;

/// A file's space on the disk, in bytes: `stat(2)` counts blocks of 512, whatever the file system's are.
pub(crate) fn disk_space(stat: &Stat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or_default() * 512
}

/// When a file was last written, or last used where its use is noted.
pub(crate) fn modified(stat: &Stat) -> SystemTime {
    let seconds = u64::try_from(stat.st_mtime).unwrap_or_default();
    UNIX_EPOCH + Duration::new(seconds, u32::try_from(stat.st_mtime_nsec).unwrap_or_default())
}

/// The disk space of the files in a directory and below, those that have a name elsewhere left out.
pub(crate) fn space_below(dir: &Dir) -> Result<u64> {
    let mut space = 0;
    for entry in dir.entries()? {
        let entry = entry?;
        // What others remove meanwhile has no space.
        if entry.is_dir {
            space += dir.sub(&entry.name)?.map_or(Ok(0), |dir| space_below(&dir))?;
        } else if let Some(stat) = dir.stat(&entry.name)?.filter(|stat| stat.st_nlink == 1) {
            space += disk_space(&stat);
        }
    }
    Ok(space)
}

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
