//! Writes a root file system as a directory of this machine, such as virtiofs shares with a guest.
//!
//! Directories are made first, and each is opened without following a symlink, so that no path of an image leads out of
//! the directory. Owners, permissions and times of directories come last: a directory without write permission is filled
//! before it loses it.

mod attributes;
mod write;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use hoist_core::Result;

use crate::tree::RootTree;

impl RootTree {
    /// Writes the files into a new directory, and syncs its file system. Setting `stop` makes it fail soon; what is
    /// written by then stays.
    ///
    /// Fails with [`Unsupported`](hoist_core::ErrorKind::Unsupported) if only root can make a file, or if the file system
    /// keeps no extended attributes; and as the disk does.
    pub fn write_directory(&self, path: &Path, stop: &AtomicBool) -> Result<()> {
        write::Writer::create(self, path, stop)?.write()
    }
}
