//! Reading a blob of the store to write it elsewhere. What left the store is checked before it counts.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use hoist_core::{Descriptor, Error, Hasher, Result};
use hoist_store::Layout;

const BUFFER: usize = 256 << 10;

/// The bytes of a blob. The last read fails, with an [`Error`] in the [`io::Error`], if they do not match its
/// descriptor.
pub(super) struct CheckedBlob<'a> {
    file: BufReader<File>,
    layout: &'a Layout,
    blob: &'a Descriptor,
    hasher: Option<Hasher>,
    size: u64,
    told: &'a dyn Fn(u64),
}

impl<'a> CheckedBlob<'a> {
    pub(super) fn open(layout: &'a Layout, blob: &'a Descriptor, told: &'a dyn Fn(u64)) -> Result<Self> {
        let file = BufReader::with_capacity(BUFFER, layout.open_blob(blob)?);
        let hasher = Some(Hasher::new(blob.digest.algorithm()));
        Ok(Self { file, layout, blob, hasher, size: 0, told })
    }

    fn check(&mut self) -> io::Result<()> {
        let Some(hasher) = self.hasher.take() else { return Ok(()) };
        let checked =
            self.blob.expect_size(self.size).and_then(|()| self.blob.digest.expect(&hasher.finish()));
        checked.map_err(|cause| {
            let help = "repair the store (`hoist fsck --repair`), and pull the image again";
            let cause = cause.context(format!("{} is damaged", self.layout.path().display()));
            io::Error::other(Error::with_help(cause, help))
        })
    }
}

impl Read for CheckedBlob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.file.buffer().is_empty() {
            let piece = self.file.fill_buf()?;
            let size = piece.len() as u64;
            if let Some(hasher) = &mut self.hasher {
                hasher.update(piece);
            }
            self.size += size;
            if size == 0 {
                self.check()?;
            } else {
                (self.told)(size);
            }
        }
        self.file.read(buffer)
    }
}
