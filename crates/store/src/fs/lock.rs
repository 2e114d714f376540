//! Locks on directories and files: the holder of the lock owns the content, and the lock ends with its process.
//!
//! The lock is `flock(2)` on the directory or file itself, so there is no separate lock file to leave behind.
//! The previous holder may have removed or replaced the directory before the lock was granted. So each function
//! here checks again that the name still leads to what it locked.

use std::fs::{File, Metadata, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hoist_core::Result;
use rustix::fs::Stat;

use crate::fs::dir::{Dir, fail};

/// Creates a directory if it is missing, and locks it exclusively. `None`: another process or handle holds a
/// lock on it.
pub(crate) fn own(parent: &Dir, name: &str) -> Result<Option<Dir>> {
    loop {
        let dir = parent.make_unsynced(name)?;
        if !try_lock(&dir)? {
            return Ok(None);
        }
        if is_at(&dir, parent, name)? {
            return Ok(Some(dir));
        }
    }
}

/// Creates a directory, with its parents, if it is missing, and waits for an exclusive lock on it. Hold this
/// lock only for a moment, because waiting for it cannot be cancelled.
pub(crate) fn hold(root: &Dir, path: &str) -> Result<Dir> {
    loop {
        let dir = root.make(path)?;
        dir.file().lock().map_err(|e| fail("lock", dir.path(), e))?;
        if is_at(&dir, root, path)? {
            return Ok(dir);
        }
    }
}

/// Locks a directory exclusively. `None`: it does not exist, or is already locked.
pub(crate) fn try_own(parent: &Dir, name: &str) -> Result<Option<Dir>> {
    match parent.sub(name)? {
        Some(dir) if try_lock(&dir)? && is_at(&dir, parent, name)? => Ok(Some(dir)),
        _ => Ok(None),
    }
}

/// Takes a shared lock on a directory, and waits for it. `None`: the directory does not exist.
pub(crate) fn share(parent: &Dir, name: &str) -> Result<Option<Dir>> {
    while let Some(dir) = parent.sub(name)? {
        dir.file().lock_shared().map_err(|e| fail("lock", dir.path(), e))?;
        if is_at(&dir, parent, name)? {
            return Ok(Some(dir));
        }
    }
    Ok(None)
}

/// The outcome of trying to share a directory.
#[derive(Debug)]
pub(crate) enum Shared {
    Locked(Dir),
    /// Another owner holds an exclusive lock for a moment.
    Busy,
    Gone,
}

/// Like [`share`], without waiting.
pub(crate) fn try_share(parent: &Dir, name: &str) -> Result<Shared> {
    while let Some(dir) = parent.sub(name)? {
        match dir.file().try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Shared::Busy),
            Err(TryLockError::Error(e)) => return Err(fail("lock", dir.path(), e)),
        }
        if is_at(&dir, parent, name)? {
            return Ok(Shared::Locked(dir));
        }
    }
    Ok(Shared::Gone)
}

/// A file that is locked exclusively for as long as it is open.
#[derive(Debug)]
pub(crate) struct OwnFile {
    pub(crate) file: File,
    /// The length in bytes when it was locked.
    pub(crate) length: u64,
    /// Whether this owner created it, and nothing was written to it yet.
    pub(crate) is_new: bool,
}

/// Creates a file if it is missing, and locks it exclusively. `None`: another owner holds the lock.
pub(crate) fn own_file(parent: &Dir, name: &str) -> Result<Option<OwnFile>> {
    loop {
        let (file, is_new) = match parent.create_new(name)? {
            Some(file) => (file, true),
            None => match parent.open_to_write(name) {
                Ok(Some(file)) => (file, false),
                Ok(None) => continue,
                Err(_) if unseal(parent, name)? => continue,
                Err(error) => return Err(error),
            },
        };
        if !try_lock_file(&file, parent, name)? {
            return Ok(None);
        }
        if let Some(meta) = is_named(&file, parent, name)? {
            // Another owner may have locked it for a moment, written to it, and died.
            let is_new = is_new && meta.len() == 0;
            return Ok(Some(OwnFile { file, length: meta.len(), is_new }));
        }
    }
}

/// Locks a file exclusively, and opens it for reading. `None`: it does not exist, or is already locked.
pub(crate) fn try_own_file(parent: &Dir, name: &str) -> Result<Option<(File, Metadata)>> {
    let Some(file) = parent.open_file(name)? else { return Ok(None) };
    if !try_lock_file(&file, parent, name)? {
        return Ok(None);
    }
    Ok(is_named(&file, parent, name)?.map(|meta| (file, meta)))
}

/// Makes a file writable again whose last owner made it read-only and then died. `false`: it is not such a
/// file.
fn unseal(parent: &Dir, name: &str) -> Result<bool> {
    match try_own_file(parent, name)? {
        Some((file, meta)) if meta.mode() & 0o200 == 0 => parent.unseal(&file, name).map(|()| true),
        _ => Ok(false),
    }
}

fn try_lock(dir: &Dir) -> Result<bool> {
    try_lock_at(dir.file(), dir.path())
}

fn try_lock_file(file: &File, parent: &Dir, name: &str) -> Result<bool> {
    try_lock_at(file, &parent.path().join(name))
}

fn try_lock_at(file: &File, path: &Path) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(fail("lock", path, e)),
    }
}

/// Whether this open directory still has that name.
pub(crate) fn is_at(dir: &Dir, parent: &Dir, name: &str) -> Result<bool> {
    Ok(is_named(dir.file(), parent, name)?.is_some())
}

/// The metadata of an open file. `None`: the name no longer leads to this file.
fn is_named(file: &File, parent: &Dir, name: &str) -> Result<Option<Metadata>> {
    let meta = file.metadata().map_err(|e| fail("read", &parent.path().join(name), e))?;
    let is_it = |now: &Stat| now.st_ino == meta.ino() && now.st_dev == meta.dev();
    Ok(parent.stat(name)?.is_some_and(|now| is_it(&now)).then_some(meta))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_its_dead_owner_had_sealed_can_be_written_again_and_that_of_a_living_one_is_left_alone() {
        let temp = tempfile::TempDir::new().unwrap();
        let dir = Dir::open(temp.path(), false).unwrap();
        let mode = || dir.stat("blob").unwrap().unwrap().st_mode & 0o777;
        let owner = own_file(&dir, "blob").unwrap().unwrap();
        dir.seal(&owner.file, Path::new("blob")).unwrap();
        assert!(own_file(&dir, "blob").unwrap().is_none());
        assert!(!unseal(&dir, "blob").unwrap());
        assert_eq!(mode(), 0o444);
        drop(owner);
        assert!(unseal(&dir, "blob").unwrap());
        assert_eq!(mode(), 0o600);
        assert!(own_file(&dir, "blob").unwrap().is_some());
    }
}
