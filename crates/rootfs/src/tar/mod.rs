//! Reads tar archives as they are pushed: V7, ustar, PAX and GNU, with sparse files of all kinds.
//!
//! Where programs disagree about an archive, one of them could be shown other files than another one. Such
//! archives are refused: two sizes for one entry, data after a directory, a header after the end's first block.

mod header;
mod parser;
mod pax;
mod sparse;

use std::fmt::Display;

use hoist_core::{Error, ErrorKind};

pub(crate) use self::parser::{Event, Parser};

/// A time as the archive tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub(crate) struct Time {
    /// Seconds since 1970; negative before that.
    pub secs: i64,
    /// Nanoseconds to add to that, fewer than 1,000,000,000.
    pub nanos: u32,
}

/// What kind of file an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    HardLink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// The header of an entry, with all its extensions applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The path as it is written, which is not to be trusted.
    pub(crate) path: Vec<u8>,
    /// Where a link leads. Empty for everything else.
    pub(crate) link: Vec<u8>,
    pub(crate) kind: EntryKind,
    pub(crate) mode: u64,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime: Time,
    /// The size of the file, holes included.
    pub(crate) size: u64,
    pub(crate) device: (u64, u64),
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

pub(crate) fn malformed(message: impl Display) -> Error {
    Error::new(ErrorKind::Malformed, message)
}
