//! Unpacks a layer while its uncompressed bytes arrive.

use std::fs::File;
use std::sync::Arc;

use hoist_core::{Digest, Error, ErrorKind, Hasher, Result};

use super::entries::Entries;
use super::spool::Spool;
use crate::limits::Budget;
use crate::tar::{Event, Parser};
use crate::tree::LayerTree;

/// A layer whose bytes have their digest. Its files' data is in a file.
#[derive(Debug)]
pub struct Layer {
    pub(crate) tree: LayerTree,
    pub(crate) data: File,
}

/// Takes the uncompressed bytes of a layer.
///
/// ```
/// use std::sync::Arc;
///
/// use hoist_core::Digest;
/// use hoist_rootfs::{Budget, Spool, Unpacker};
///
/// let archive = [0; 1024]; // an empty archive ends with two blocks of zeros
/// let spool = Spool::new(tempfile::tempfile().unwrap());
/// let mut unpacker = Unpacker::new(spool, Digest::sha256(&archive), Arc::new(Budget::default()));
/// unpacker.push(&archive)?;
/// let layer = unpacker.finish()?;
/// # Ok::<(), hoist_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Unpacker {
    parser: Parser,
    entries: Entries,
    hasher: Hasher,
    diff_id: Digest,
}

impl Unpacker {
    /// Puts the data of the layer's files into this spool. The budget is shared by all layers of an image.
    pub fn new(spool: Spool, diff_id: Digest, budget: Arc<Budget>) -> Self {
        let parser = Parser::new(budget.limits().max_metadata);
        let hasher = Hasher::new(diff_id.algorithm());
        let entries = Entries::new(spool, budget);
        Self { parser, entries, hasher, diff_id }
    }

    /// Takes the next uncompressed bytes.
    ///
    /// Fails with [`Malformed`](ErrorKind::Malformed) if they are no tar archive, or one that different programs would
    /// read differently; with [`Unsupported`](ErrorKind::Unsupported) if a file is of a kind that no image may have;
    /// with [`TooLarge`](ErrorKind::TooLarge) beyond a limit; and as the disk does.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.entries.budget().add_bytes(bytes.len() as u64)?;
        while let Some(event) = self.parser.next(&mut bytes)? {
            match event {
                Event::Entry(entry) => self.entries.begin(*entry)?,
                Event::Data(data) => self.entries.data(data)?,
                Event::Hole(count) => self.entries.hole(count)?,
                Event::End => self.entries.end()?,
            }
        }
        Ok(())
    }

    /// All bytes were pushed.
    ///
    /// Fails with [`DigestMismatch`](ErrorKind::DigestMismatch) if they are not those of the layer.
    pub fn finish(self) -> Result<Layer> {
        let found = self.hasher.finish();
        if found != self.diff_id {
            let message = format!("a layer's uncompressed bytes are {found}, and not {}", self.diff_id);
            let help = "the image contradicts itself; its maker has to build it again";
            return Err(Error::new(ErrorKind::DigestMismatch, message).with_help(help));
        }
        self.parser.finish()?;
        self.entries.finish()
    }
}
