//! The quarantine: damaged content goes here, so that it is not used any more and can be inspected. The
//! collector empties it after a while.

use hoist_core::{Digest, Result};
use rustix::fs::{FileType, Stat};

use crate::fs::dir::Dir;
use crate::store::Store;

impl Store {
    /// Moves a blob's file out of a directory of blobs. `false`: the file was already gone.
    pub(crate) fn quarantine(&self, blobs: &Dir, digest: &Digest) -> Result<bool> {
        tracing::warn!(%digest, from = %blobs.path().display(), "a damaged blob goes into quarantine");
        let quarantine = self.dir().make("quarantine")?;
        let name = format!("{}-{}", digest.algorithm().as_str(), digest.hex());
        let [here, there] = [blobs.stat(digest.hex())?, quarantine.stat(&name)?];
        // Renaming a file to another name of the same file does nothing (`rename(2)`).
        if matches!((here, there), (Some(here), Some(there)) if is_same(&here, &there)) {
            return blobs.unlink(digest.hex());
        }
        blobs.take(digest.hex(), &quarantine, &name)
    }

    /// Moves something out of the way that the store did not create.
    pub(crate) fn quarantine_stray(&self, dir: &Dir, name: &str) -> Result<()> {
        let quarantine = self.dir().make("quarantine")?;
        let mut number = 0;
        while let Some(there) = dir.stat(name)? {
            let new = format!("stray-{number}");
            if FileType::from_raw_mode(there.st_mode).is_dir() {
                if quarantine.stat(&new)?.is_none() {
                    return dir.move_dir(name, &quarantine, &new);
                }
            } else if dir.rename_new(name, &quarantine, &new)? {
                return Ok(());
            }
            number += 1;
        }
        Ok(())
    }
}

/// Whether two names belong to the same file.
pub(crate) fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}
