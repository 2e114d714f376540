//! The disk space of files, and when they were last used.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hoist_core::Result;
use rustix::fs::Stat;

use super::dir::Dir;

/// A file's disk space in bytes. `stat(2)` counts blocks of 512 bytes, whatever the file system's block size.
pub(crate) fn disk_space(stat: &Stat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or_default() * 512
}

/// When a file was last written, or last used if its uses are recorded.
pub(crate) fn modified(stat: &Stat) -> SystemTime {
    let seconds = u64::try_from(stat.st_mtime).unwrap_or_default();
    UNIX_EPOCH + Duration::new(seconds, u32::try_from(stat.st_mtime_nsec).unwrap_or_default())
}

/// The disk space of the files in a directory and below it. Files with more than one link do not count.
pub(crate) fn space_below(dir: &Dir) -> Result<u64> {
    let mut space = 0;
    for entry in dir.entries()? {
        let entry = entry?;
        // Entries that another process removes in the meantime take no space.
        if entry.is_dir {
            space += dir.sub(&entry.name)?.map_or(Ok(0), |dir| space_below(&dir))?;
        } else if let Some(stat) = dir.stat(&entry.name)?.filter(|stat| stat.st_nlink == 1) {
            space += disk_space(&stat);
        }
    }
    Ok(space)
}
