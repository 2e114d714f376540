//! The one pass over a blob's bytes: written where they belong, and hashed in their order.
//!
//! A scribe works where waiting is allowed, so that the network never waits for the disk or the hash. It
//! takes pieces in any order. What continues the contiguous front is hashed from memory; what came early
//! is read back when the front reaches it.

use std::fs::File;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use hoist_core::{Algorithm, Descriptor, Digest, Hasher, Result};
use rustix::fs::Advice;

use crate::dir::fail;
use crate::journal::Journal;
use crate::ranges::Ranges;

const READ_BUFFER: usize = 256 << 10;
/// How many bytes are written before they are noted in the journal: what a crash costs at the most.
const NOTE_EVERY: u64 = 128 << 10;

/// How many bytes are written before the disk is told to begin with them: large enough that it writes them in
/// one go, small enough that little is left for the sync at the end.
const WRITE_BACK_EVERY: u64 = 8 << 20;

/// Writes and hashes one blob.
#[derive(Debug)]
pub(crate) struct Scribe {
    blob: Descriptor,
    data: File,
    journal: Journal,
    path: PathBuf,
    /// Whether the disk is told to begin with what is written.
    durable: bool,
    hasher: Hasher,
    /// All before this offset is hashed.
    front: u64,
    /// What is written.
    written: Ranges,
    /// What is written, but not yet noted in the journal.
    unnoted: Ranges,
    /// What is written, but the disk was not told to begin with.
    dirty: Ranges,
    /// What is read back goes through this.
    buffer: Vec<u8>,
}

impl Scribe {
    /// Goes on with a blob of which `written` is in `data` already, as the `journal` says. What of that can be
    /// hashed is hashed by [`catch_up`](Self::catch_up).
    pub(crate) fn new(
        blob: Descriptor,
        (data, path): (File, PathBuf),
        journal: Journal,
        written: Ranges,
        durable: bool,
    ) -> Self {
        let hasher = Hasher::new(blob.digest.algorithm());
        Self {
            blob,
            data,
            journal,
            path,
            durable,
            hasher,
            front: 0,
            written,
            unnoted: Ranges::default(),
            dirty: Ranges::default(),
            buffer: Vec::new(),
        }
    }

    pub(crate) fn data(&self) -> &File {
        &self.data
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn written(&self) -> &Ranges {
        &self.written
    }

    /// Takes the bytes at this offset; those that are there already stay as they are.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset + bytes.len() as u64;
        for gap in self.written.gaps_in(offset..end) {
            let part = |at: u64| usize::try_from(at - offset).expect("an offset in a buffer");
            self.write_new(gap.start, &bytes[part(gap.start)..part(gap.end)])?;
        }
        Ok(())
    }

    fn write_new(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset + bytes.len() as u64;
        self.journal.expect(offset, &self.written)?;
        self.data.write_all_at(bytes, offset).map_err(|e| fail("write", &self.path, e))?;
        self.written.insert(offset..end);
        self.unnoted.insert(offset..end);
        self.dirty.insert(offset..end);
        if self.unnoted.total() >= NOTE_EVERY {
            self.note()?;
        }
        if self.durable && self.dirty.total() >= WRITE_BACK_EVERY {
            self.write_back();
        }
        if offset == self.front {
            self.hasher.update(bytes);
            self.front = end;
        }
        self.catch_up()
    }

    /// Notes what is written, after it was written: so a process that takes over need not fetch it again.
    pub(crate) fn note(&mut self) -> Result<()> {
        self.journal.note(&std::mem::take(&mut self.unnoted))
    }

    /// Tells the disk to begin with what was written, without waiting for it.
    fn write_back(&mut self) {
        for range in std::mem::take(&mut self.dirty).iter() {
            // Linux starts to write what is dirty of such a range, and then forgets what is clean (`mm/fadvise.c`).
            // What it says to it does not matter: all is synced in the end.
            let length = NonZeroU64::new(range.end - range.start);
            _ = rustix::fs::fadvise(&self.data, range.start, length, Advice::DontNeed);
        }
    }

    /// The end: fails unless all bytes are there and hash to the digest.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.blob.expect_size(self.front)?;
        let hasher = std::mem::replace(&mut self.hasher, Hasher::new(self.blob.digest.algorithm()));
        self.blob.digest.expect(&hasher.finish())
    }

    /// Hashes what came early, as far as it reaches without a gap.
    pub(crate) fn catch_up(&mut self) -> Result<()> {
        let end = self.written.end_of_run(self.front).min(self.blob.size);
        hash_range(&self.data, &self.path, self.front..end, &mut self.hasher, &mut self.buffer)?;
        self.front = self.front.max(end);
        Ok(())
    }
}

/// Hashes a whole file, and counts its bytes.
pub(crate) fn hash(file: &File, path: &Path, algorithm: Algorithm) -> Result<(Digest, u64)> {
    let size = file.metadata().map_err(|e| fail("read", path, e))?.len();
    let mut hasher = Hasher::new(algorithm);
    hash_range(file, path, 0..size, &mut hasher, &mut Vec::new())?;
    Ok((hasher.finish(), size))
}

fn hash_range(
    file: &File,
    path: &Path,
    range: Range<u64>,
    hasher: &mut Hasher,
    buffer: &mut Vec<u8>,
) -> Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    buffer.resize(READ_BUFFER, 0);
    let mut offset = range.start;
    while offset < range.end {
        let wanted = usize::try_from(range.end - offset).unwrap_or(READ_BUFFER).min(READ_BUFFER);
        file.read_exact_at(&mut buffer[..wanted], offset).map_err(|e| fail("read", path, e))?;
        hasher.update(&buffer[..wanted]);
        offset += wanted as u64;
    }
    Ok(())
}
