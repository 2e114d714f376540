//! Space on the disk: whether there is enough before something is fetched, and how much was missing if not.

use std::collections::HashMap;
use std::fmt::Display;

use bytesize::ByteSize;
use hoist_core::{Descriptor, Error, ErrorKind, Result};

use crate::fs::dir::Dir;
use crate::fs::space::disk_space;
use crate::image::staging::Staging;
use crate::paths::pool_file;
use crate::store::Store;

impl Staging {
    /// Fails with [`NoSpace`](ErrorKind::NoSpace) where the disk has less space than these blobs need, without
    /// what is here of them already. That is no promise: others write to the disk as well.
    pub fn check_space<'a>(&self, blobs: impl IntoIterator<Item = &'a Descriptor>) -> Result<()> {
        let store = self.store();
        let sizes: HashMap<_, _> = blobs.into_iter().map(|blob| (&blob.digest, blob)).collect();
        let Some(available) = available(store.dir()) else { return Ok(()) };
        // Where there is room for all of them, nobody has to look which are here.
        if sizes.values().fold(0, |sum: u64, blob| sum.saturating_add(blob.size)) <= available {
            return Ok(());
        }
        let mut needed = 0u64;
        for blob in sizes.into_values() {
            needed = needed.saturating_add(store.missing(blob)?);
        }
        if needed <= available {
            return Ok(());
        }
        let shortage = Shortage { store, needed, available };
        Err(Error::new(ErrorKind::NoSpace, shortage.of("the image")).with_help(HELP))
    }
}

impl Store {
    /// How many bytes of a blob are still to be written.
    fn missing(&self, blob: &Descriptor) -> Result<u64> {
        if self.dir().stat(pool_file(&blob.digest))?.is_some() {
            return Ok(0);
        }
        let begun = self.dir().stat(format!("ingest/{}", blob.digest.hex()))?;
        Ok(blob.size.saturating_sub(begun.as_ref().map_or(0, disk_space)))
    }

    /// Says of an error that came of a full disk how much more this blob needs, and how much is there.
    pub(crate) fn explain_full(&self, error: Error, blob: &Descriptor) -> Error {
        let needed = self.missing(blob).ok().filter(|_| *error.kind() == ErrorKind::NoSpace);
        match (needed, available(self.dir())) {
            (Some(needed), Some(available)) => {
                let shortage = Shortage { store: self, needed, available };
                error.context(shortage.of(format!("the blob {}", blob.digest)))
            }
            _ => error,
        }
    }
}

const HELP: &str = "free some space, collect with gc, or choose another directory with `root`";

struct Shortage<'a> {
    store: &'a Store,
    needed: u64,
    available: u64,
}

impl Shortage<'_> {
    fn of(&self, what: impl Display) -> String {
        let (needed, available) = (ByteSize(self.needed), ByteSize(self.available));
        let root = self.store.root().display();
        format!("{what} needs {needed} more, and {available} are available for {root}")
    }
}

/// The space that this user may still fill on the file system of a directory, in bytes. A quota can leave less.
/// `None`: the file system does not say.
fn available(dir: &Dir) -> Option<u64> {
    let stat = rustix::fs::fstatvfs(dir.file()).ok().filter(|stat| stat.f_blocks > 0)?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}
