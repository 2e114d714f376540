//! A blob's files below `ingest/`: its data, locked by its owner, and the journal, which records the ranges
//! that are present.
//!
//! A journal never exists without its data: it is created after the data and removed before it.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use hoist_core::{Descriptor, Digest, Result};

use super::journal::Journal;
use super::ranges::Ranges;
use crate::fs::dir::{Dir, fail};
use crate::fs::lock;
use crate::image::staging::Staging;
use crate::paths::journal_of;
use crate::store::format::take_over;

/// The data file of an unfinished blob. Its owner holds the lock on it until the file is closed.
#[derive(Debug)]
pub(crate) struct IngestFile {
    ingests: Arc<Dir>,
    name: String,
    data: File,
}

impl IngestFile {
    /// The name of the file for a blob after `overtaken` stalled ingests of it were overtaken.
    pub(crate) fn name(blob: &Descriptor, overtaken: usize) -> String {
        match overtaken {
            0 => blob.digest.hex().to_owned(),
            number => format!("{}+{number}", blob.digest.hex()),
        }
    }

    /// Claims the file of this name, with the part of the blob that an earlier owner left. `None`: another
    /// process holds it.
    pub(crate) fn claim(
        ingests: Arc<Dir>,
        root: &Dir,
        name: &str,
        blob: &Descriptor,
    ) -> Result<Option<(Self, Journal, Ranges)>> {
        let mut has_retried = false;
        let owned = loop {
            match lock::own_file(&ingests, name) {
                Err(_) if ingests.has_dir(name)? => {
                    if !take_over(root, &ingests, name)? {
                        return Ok(None);
                    }
                }
                // It may have been a directory that another process has taken over by now.
                Err(_) if !has_retried => has_retried = true,
                outcome => break outcome?,
            }
        };
        let Some(lock::OwnFile { file: data, length, is_new }) = owned else { return Ok(None) };
        let journal = journal_of(name);
        let (journal, written) = if is_new {
            (Journal::none(ingests.clone(), journal), Ranges::default())
        } else {
            Journal::open(ingests.clone(), journal, (&data, length), blob.size)?
        };
        Ok(Some((Self { ingests, name: name.to_owned(), data }, journal, written)))
    }

    pub(crate) fn data(&self) -> &File {
        &self.data
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.ingests.path().join(&self.name)
    }

    /// Whether files written here are synced.
    pub(crate) fn is_durable(&self) -> bool {
        self.ingests.is_durable()
    }

    /// Makes the data durable and read-only.
    pub(crate) fn seal(&self) -> Result<()> {
        self.ingests.seal(&self.data, &self.path())
    }

    /// Hard-links the data into the image. `false`: it must be copied.
    pub(crate) fn link_to(&self, staging: &Staging, digest: &Digest) -> Result<bool> {
        Ok(staging.store().link(&self.ingests, &self.name, staging.blobs(digest)?, digest.hex())?.is_ok())
    }

    /// Moves the data to the pool. `false`: the pool already has this blob.
    pub(crate) fn move_to(&self, pool: &Dir, digest: &Digest) -> Result<bool> {
        self.ingests.rename_new(&self.name, pool, digest.hex())
    }

    /// Removes the data and the journal. Data without a journal counts as complete up to its length, so it is
    /// truncated first.
    pub(crate) fn discard(&self, journal: &mut Journal) -> Result<()> {
        if journal.exists() {
            self.data.set_len(0).map_err(|e| fail("write", &self.path(), e))?;
            journal.remove()?;
        }
        self.ingests.unlink(&self.name).map(drop)
    }
}
