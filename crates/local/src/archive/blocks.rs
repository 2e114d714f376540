//! The blocks of a tar file: read where they are, with a file that ends too early told from one that is no archive.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// All headers and all data begin at a multiple of this.
pub(super) const BLOCK: u64 = 512;

/// Why reading an archive stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The file ends before what was begun in it.
    CutOff,
    /// The bytes make no sense.
    Damaged,
    /// The disk failed.
    Io(io::Error),
}

/// A file that is read as an archive.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    file: &'a File,
    length: u64,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(file: &'a File) -> io::Result<Self> {
        Ok(Self { file, length: file.metadata()?.len() })
    }

    pub(super) fn is_end(&self, offset: u64) -> bool {
        offset >= self.length
    }

    /// Reads so many bytes; the caller limits their number.
    pub(super) fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, Stop> {
        self.check(offset, length)?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| Stop::Damaged)?];
        self.file.read_exact_at(&mut bytes, offset).map_err(|cause| match cause.kind() {
            io::ErrorKind::UnexpectedEof => Stop::CutOff, // it was cut just now
            _ => Stop::Io(cause),
        })?;
        Ok(bytes)
    }

    /// Fails unless the file has these bytes.
    pub(super) fn check(&self, offset: u64, length: u64) -> Result<(), Stop> {
        let end = offset.checked_add(length).ok_or(Stop::Damaged)?;
        if end > self.length { Err(Stop::CutOff) } else { Ok(()) }
    }
}

/// The bytes that these fill in an archive.
pub(super) fn padded(length: u64) -> u64 {
    length.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX)
}
