//! A blob's directory below `ingest/`: its data, and the journal of what of it is there.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use hoist_core::{Descriptor, Digest, Result};

use super::journal::Journal;
use super::ranges::Ranges;
use crate::dir::Dir;
use crate::lock;
use crate::staging::Staging;
use crate::store::Store;

const DATA: &str = "data";

/// The directory of a blob on its way. It is its owner's for as long as it is locked.
#[derive(Debug)]
pub(crate) struct IngestDir {
    ingests: Dir,
    dir: Arc<Dir>,
}

impl IngestDir {
    /// The name of the directory for a blob, when so many have been overtaken.
    pub(crate) fn name(blob: &Descriptor, overtaken: usize) -> String {
        match overtaken {
            0 => blob.digest.hex().to_owned(),
            number => format!("{}+{number}", blob.digest.hex()),
        }
    }

    /// Claims the directory of this name. `None`: another process has it.
    pub(crate) fn claim(store: &Store, name: &str) -> Result<Option<Self>> {
        let ingests = store.dir().make("ingest")?;
        let dir = lock::own(&ingests, name)?;
        Ok(dir.map(|dir| Self { ingests, dir: dir.into() }))
    }

    /// What an earlier owner left of this blob: its data, and what of it is there.
    pub(crate) fn open(&self, blob: &Descriptor) -> Result<(File, Journal, Ranges)> {
        let data = self.dir.open_or_create(DATA)?;
        let (journal, written) = Journal::open(self.dir.clone(), &data, blob.size)?;
        Ok((data, journal, written))
    }

    pub(crate) fn data_path(&self) -> PathBuf {
        self.dir.path().join(DATA)
    }

    /// Whether what is written here is synced.
    pub(crate) fn is_durable(&self) -> bool {
        self.dir.is_durable()
    }

    /// Makes the data durable and read-only.
    pub(crate) fn seal(&self, data: &File) -> Result<()> {
        self.dir.seal(data, &self.data_path())
    }

    /// Gives the data a name in the image. `false`: it needs a copy.
    pub(crate) fn link_to(&self, staging: &Staging, digest: &Digest) -> Result<bool> {
        Ok(staging.store().link(&self.dir, DATA, staging.blobs(digest)?, digest.hex())?.is_ok())
    }

    /// Moves the data to the pool.
    pub(crate) fn move_to(&self, pool: &Dir, name: &str) -> Result<()> {
        self.dir.rename(DATA, pool, name)
    }

    /// Removes the directory with all that is left in it.
    pub(crate) fn discard(&self) -> Result<()> {
        self.dir.unlink(DATA)?;
        self.dir.unlink("journal")?;
        self.ingests.remove_empty(self.dir.path().file_name().unwrap_or_default()).map(drop)
    }
}
