//! Checks the pool: hashes every blob.

use std::fs::File;

use hoist_core::{Algorithm, Digest, Result};

use super::{Check, Problem};
use crate::fs::dir::{Dir, is_damage};
use crate::fs::hash::hash;
use crate::paths::pool_path;

impl Check<'_> {
    pub(super) fn pool(&mut self, algorithm: Algorithm) -> Result<()> {
        let Some(pool) = self.store.dir().sub(pool_path(algorithm))? else { return Ok(()) };
        for entry in pool.entries()? {
            let name = entry?.name;
            match Digest::of_hex(algorithm, &name) {
                Some(digest) => self.pooled(&pool, digest)?,
                None => self.stray(&pool, &name)?,
            }
        }
        Ok(())
    }

    fn pooled(&mut self, pool: &Dir, digest: Digest) -> Result<()> {
        match pool.open_file(digest.hex()) {
            Ok(None) => Ok(()),
            Ok(Some(file)) => {
                if self.is_sound(pool, &file, &digest)? {
                    return Ok(());
                }
                let repaired = self.repair && self.store.quarantine(pool, &digest)?;
                self.found(&pool.path().join(digest.hex()), Problem::DamagedBlob, Vec::new(), repaired);
                self.damaged.insert(digest);
                Ok(())
            }
            Err(error) if is_damage(&error) => self.stray(pool, digest.hex()),
            Err(error) => Err(error),
        }
    }

    /// Whether a blob's content matches its digest. Content that the disk cannot return does not.
    pub(super) fn is_sound(&mut self, blobs: &Dir, file: &File, digest: &Digest) -> Result<bool> {
        let hashed = hash(file, &blobs.path().join(digest.hex()), digest.algorithm());
        let (found, bytes) = match hashed {
            Ok(hashed) => hashed,
            Err(error) if is_damage(&error) => {
                tracing::warn!(error = error.report(), "a blob cannot be read");
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        self.checked.blobs += 1;
        self.checked.bytes += bytes;
        Ok(found == *digest)
    }
}
