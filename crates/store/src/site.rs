//! A blob's directory below `ingest/`: its data, and the journal of what of it is there.

use std::sync::Arc;

use hoist_core::{Descriptor, Result};

use crate::dir::Dir;
use crate::journal::Journal;
use crate::lock;
use crate::scribe::Scribe;
use crate::store::Store;

/// The directory of a blob on its way. It is its owner's for as long as it is locked.
#[derive(Debug)]
pub(crate) struct Site {
    ingests: Dir,
    dir: Arc<Dir>,
}

impl Site {
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

    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Who goes on with this blob from what an earlier owner left.
    pub(crate) fn scribe(&self, blob: &Descriptor) -> Result<Scribe> {
        let data = self.dir.open_or_create("data")?;
        let (journal, written) = Journal::open(self.dir.clone(), &data, blob.size)?;
        let data = (data, self.dir.path().join("data"));
        Ok(Scribe::new(blob.clone(), data, journal, written, self.dir.is_durable()))
    }

    /// Removes the directory with all that is left in it.
    pub(crate) fn discard(&self) -> Result<()> {
        self.dir.unlink("data")?;
        self.dir.unlink("journal")?;
        self.ingests.remove_empty(self.dir.path().file_name().unwrap_or_default()).map(drop)
    }
}
