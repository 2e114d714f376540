//! A blob's directory below `ingest/`: its data, and the journal of what of it is there.

use std::fs::File;
use std::io::{Read, Seek, Write};

use hoist_core::{Descriptor, Result};

use crate::dir::{Dir, fail};
use crate::lock;
use crate::ranges::Ranges;
use crate::scribe::{Scribe, read_journal};
use crate::store::Store;

/// The directory of a blob on its way. It is its owner's for as long as it is locked.
#[derive(Debug)]
pub(crate) struct Site {
    ingests: Dir,
    dir: Dir,
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
        Ok(dir.map(|dir| Self { ingests, dir }))
    }

    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Who goes on with this blob from what an earlier owner left.
    pub(crate) fn scribe(&self, blob: &Descriptor) -> Result<Scribe> {
        let data = self.dir.open_or_create("data")?;
        let journal = self.dir.open_or_create("journal")?;
        let written = recover(&data, &journal, blob.size).map_err(|e| fail("resume", self.dir.path(), e))?;
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

/// What an earlier owner wrote. A journal that claims more than there is, as after a power cut, is not
/// believed at all.
fn recover(data: &File, mut journal: &File, size: u64) -> std::io::Result<Ranges> {
    let mut text = String::new();
    journal.read_to_string(&mut text)?;
    let written = read_journal(&text);
    if written.end() > data.metadata()?.len().min(size) {
        data.set_len(0)?;
        journal.set_len(0)?;
        journal.rewind()?;
        return Ok(Ranges::default());
    }
    if !text.is_empty() && !text.ends_with('\n') {
        journal.write_all(b"\n")?; // a crash tore the last line; the next one must not continue it
    }
    Ok(written)
}
