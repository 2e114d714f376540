//! Disk space: checks for enough of it before a fetch, and reports a shortage.

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
    /// Fails with [`NoSpace`](ErrorKind::NoSpace) if the disk has less free space than these blobs need, not
    /// counting the bytes that the store already has. Success is no guarantee, because other programs write to
    /// the disk as well.
    pub fn check_space<'a>(&self, blobs: impl IntoIterator<Item = &'a Descriptor>) -> Result<()> {
        let store = self.store();
        let sizes: HashMap<_, _> = blobs.into_iter().map(|blob| (&blob.digest, blob)).collect();
        let Some(available) = available(store.dir()) else { return Ok(()) };
        // If all of them fit, there is no need to find out which the store already has.
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
    /// The number of bytes of a blob that are still to be written.
    fn missing(&self, blob: &Descriptor) -> Result<u64> {
        if self.dir().stat(pool_file(&blob.digest))?.is_some() {
            return Ok(0);
        }
        let begun = self.dir().stat(format!("ingest/{}", blob.digest.hex()))?;
        Ok(blob.size.saturating_sub(begun.as_ref().map_or(0, disk_space)))
    }

    /// Adds to an error caused by a full disk how much more space this blob needs, and how much is available.
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

/// The free space, in bytes, that this user may fill on the directory's file system. A quota may leave less.
/// `None`: the file system does not report it.
fn available(dir: &Dir) -> Option<u64> {
    let stat = rustix::fs::fstatvfs(dir.file()).ok().filter(|stat| stat.f_blocks > 0)?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}
