//! The quarantine: where damaged content goes, so that nothing is made of it any more, and somebody who wants
//! to know what happened to it can look. The collector empties it after a while.

use hoist_core::{Digest, Result};
use rustix::fs::Stat;

use crate::fs::dir::Dir;
use crate::store::Store;

impl Store {
    /// Takes a blob's file out of a directory of blobs. `false`: it was not there any more.
    pub(crate) fn quarantine(&self, blobs: &Dir, digest: &Digest) -> Result<bool> {
        tracing::warn!(%digest, from = %blobs.path().display(), "a damaged blob goes into quarantine");
        let quarantine = self.dir().make("quarantine")?;
        let name = format!("{}-{}", digest.algorithm().as_str(), digest.hex());
        let [here, there] = [blobs.stat(digest.hex())?, quarantine.stat(&name)?];
        // To rename a file to another name of its own would do nothing (`rename(2)`).
        if matches!((here, there), (Some(here), Some(there)) if is_same(&here, &there)) {
            return blobs.unlink(digest.hex());
        }
        blobs.take(digest.hex(), &quarantine, &name)
    }

    /// Takes something out of the way that the store did not put there.
    pub(crate) fn quarantine_stray(&self, dir: &Dir, name: &str) -> Result<()> {
        let quarantine = self.dir().make("quarantine")?;
        let mut number = 0;
        while dir.stat(name)?.is_some() && !dir.rename_new(name, &quarantine, &format!("stray-{number}"))? {
            number += 1;
        }
        Ok(())
    }
}

/// Whether two names are of one file.
pub(crate) fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}
