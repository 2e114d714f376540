//! Directories as locks: who holds a directory's lock owns what is in it, and the lock dies with its owner.
//!
//! The lock is `flock(2)` on the directory itself, so there is no lock file to leave behind. A directory
//! that is locked can meanwhile have been removed or replaced by whoever had it before; so each function
//! here looks again at what it has locked.

use std::fs::TryLockError;
use std::os::unix::fs::MetadataExt;

use hoist_core::Result;

use crate::dir::{Dir, fail};

/// Makes a directory where it is missing, and locks it for this owner alone. `None`: it has another owner.
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

/// Makes a directory, with its parents, where it is missing, and waits until it can be locked for this owner
/// alone: for a moment's work, since who waits here cannot be called off.
pub(crate) fn hold(root: &Dir, path: &str) -> Result<Dir> {
    loop {
        let dir = root.make(path)?;
        dir.file().lock().map_err(|e| fail("lock", dir.path(), e))?;
        if is_at(&dir, root, path)? {
            return Ok(dir);
        }
    }
}

/// Locks a directory for this owner alone, if it is there and nobody else has it.
pub(crate) fn try_own(parent: &Dir, name: &str) -> Result<Option<Dir>> {
    match parent.sub(name)? {
        Some(dir) if try_lock(&dir)? && is_at(&dir, parent, name)? => Ok(Some(dir)),
        _ => Ok(None),
    }
}

/// Locks a directory together with others who share it. `None`: it is not there.
pub(crate) fn share(parent: &Dir, name: &str) -> Result<Option<Dir>> {
    while let Some(dir) = parent.sub(name)? {
        dir.file().lock_shared().map_err(|e| fail("lock", dir.path(), e))?;
        if is_at(&dir, parent, name)? {
            return Ok(Some(dir));
        }
    }
    Ok(None)
}

fn try_lock(dir: &Dir) -> Result<bool> {
    match dir.file().try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(fail("lock", dir.path(), e)),
    }
}

/// Whether this open directory is still the one of that name.
pub(crate) fn is_at(dir: &Dir, parent: &Dir, name: &str) -> Result<bool> {
    let locked = dir.file().metadata().map_err(|e| fail("read", dir.path(), e))?;
    Ok(parent.stat(name)?.is_some_and(|now| now.st_ino == locked.ino() && now.st_dev == locked.dev()))
}
