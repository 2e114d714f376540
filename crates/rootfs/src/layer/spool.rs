//! The data of a layer's files on the disk, until an image is written from it.
//!
//! Whole blocks lie one after the other, each file's together, so that an image takes long runs of them at once,
//! and shares them where the file system can. The rest of a file, its tail, would waste half a block on average.
//! Tails are packed, in chunks between the blocks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::tree::{BLOCK, BLOCK_LEN};

/// Blocks are written this many bytes at a time.
const BUFFER: usize = 1 << 20;

/// Tails are gathered in chunks of this many bytes.
const CHUNK: usize = 64 * BLOCK_LEN;

/// A file that takes the data of a layer.
#[derive(Debug)]
pub struct Spool {
    file: File,
    buffer: Vec<u8>,
    /// Where the buffer's bytes belong.
    base: u64,
    tails: Vec<u8>,
    tails_base: u64,
}

impl Spool {
    /// Takes an empty file.
    pub fn new(file: File) -> Self {
        Self { file, buffer: Vec::new(), base: 0, tails: Vec::new(), tails_base: 0 }
    }

    /// The number of the next block.
    pub(crate) fn next_block(&self) -> u64 {
        (self.base + self.buffer.len() as u64) / BLOCK
    }

    /// Appends bytes to the blocks.
    pub(crate) fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BUFFER - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == BUFFER {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Appends zeros to the blocks. Many of them take no space on the disk.
    pub(crate) fn append_zeros(&mut self, count: u64) -> io::Result<()> {
        let short = usize::try_from(count).unwrap_or(usize::MAX);
        if short <= BUFFER {
            return self.append(&vec![0; short]);
        }
        self.flush()?;
        self.base += count;
        Ok(())
    }

    /// Fills the last block up.
    pub(crate) fn align(&mut self) -> io::Result<()> {
        let used = (self.base + self.buffer.len() as u64) % BLOCK;
        self.append_zeros((BLOCK - used) % BLOCK)
    }

    /// Stores the tail of a file, and returns where. The blocks must be aligned.
    pub(crate) fn put_tail(&mut self, tail: &[u8]) -> io::Result<u64> {
        if self.tails.capacity() == 0 || self.tails.len() + tail.len() > CHUNK {
            self.begin_chunk()?;
        }
        let at = self.tails_base + self.tails.len() as u64;
        self.tails.extend_from_slice(tail);
        Ok(at)
    }

    fn begin_chunk(&mut self) -> io::Result<()> {
        self.flush_tails()?;
        self.tails.reserve_exact(CHUNK);
        self.flush()?;
        self.tails_base = self.base;
        self.base += CHUNK as u64;
        Ok(())
    }

    fn flush_tails(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.tails, self.tails_base)?;
        self.tails.clear();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.base)?;
        self.base += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left, and returns the file.
    pub(crate) fn finish(mut self) -> io::Result<File> {
        self.align()?;
        self.flush()?;
        self.flush_tails()?;
        // Zeros at the end were not written.
        self.file.set_len(self.base)?;
        Ok(self.file)
    }
}
