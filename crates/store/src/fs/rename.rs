//! Links and renames: each of them is atomic, and some file systems lack one or the other.

use hoist_core::Result;
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use super::dir::{Dir, fail};

/// The reason why a link was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoLink {
    /// The file to link to does not exist.
    Gone,
    /// The new name is taken.
    There,
    /// The file has the maximum number of links.
    Full,
    /// The file system has no hard links, the file is on another file system, or this user may not link to it.
    Impossible,
}

/// The outcome of swapping two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exchange {
    Done,
    /// One of the names is gone.
    Gone,
    /// The file system cannot swap them: it has no such call, or a directory is in the lower layer of an overlay.
    Impossible,
}

impl Dir {
    /// Hard-links `name` as `new` in `to`. Returns `Ok(Err(reason))` if that fails for a reason that callers
    /// can handle: the file is gone, the new name is taken, or links are not possible.
    pub(crate) fn link(&self, name: &str, to: &Self, new: &str) -> Result<std::result::Result<(), NoLink>> {
        match rustix::fs::linkat(self.file(), name, to.file(), new, AtFlags::empty()) {
            Ok(()) => Ok(Ok(())),
            Err(Errno::NOENT) => Ok(Err(NoLink::Gone)),
            Err(Errno::EXIST) => Ok(Err(NoLink::There)),
            Err(Errno::MLINK) => Ok(Err(NoLink::Full)),
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::XDEV) => Ok(Err(NoLink::Impossible)),
            Err(e) => Err(fail("link", &to.path().join(new), e)),
        }
    }

    /// Renames a file atomically, and replaces any file that has the new name.
    pub(crate) fn rename(&self, name: &str, to: &Self, new: &str) -> Result<()> {
        rustix::fs::renameat(self.file(), name, to.file(), new)
            .map_err(|e| fail("rename", &to.path().join(new), e))
    }

    /// Renames a directory atomically. `false`: it cannot be renamed, because an overlay has it in a lower layer.
    pub(crate) fn rename_dir(&self, name: &str, to: &Self, new: &str) -> Result<bool> {
        match rustix::fs::renameat(self.file(), name, to.file(), new) {
            Ok(()) => Ok(true),
            Err(Errno::XDEV) => Ok(false),
            Err(e) => Err(fail("rename", &to.path().join(new), e)),
        }
    }

    /// Renames atomically, and replaces any file that has the new name. `false`: the file is gone.
    pub(crate) fn take(&self, name: &str, to: &Self, new: &str) -> Result<bool> {
        match rustix::fs::renameat(self.file(), name, to.file(), new) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(fail("rename", &to.path().join(new), e)),
        }
    }

    /// Renames atomically. `false`: the new name is taken.
    pub(crate) fn rename_new(&self, name: &str, to: &Self, new: &str) -> Result<bool> {
        match rustix::fs::renameat_with(self.file(), name, to.file(), new, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(false),
            Err(Errno::INVAL) => self.rename_new_unflagged(name, to, new),
            Err(e) => Err(fail("rename", &to.path().join(new), e)),
        }
    }

    /// The same, on a file system whose renames always replace. A directory replaces an empty one only, and a
    /// link replaces nothing.
    fn rename_new_unflagged(&self, name: &str, to: &Self, new: &str) -> Result<bool> {
        if !self.has_dir(name)? {
            match self.link(name, to, new)? {
                Ok(()) => return self.unlink(name).map(|_| true),
                Err(NoLink::There) => return Ok(false),
                Err(_) if to.stat(new)?.is_some() => return Ok(false),
                Err(_) => {} // nothing better is left than to look first
            }
        }
        match rustix::fs::renameat(self.file(), name, to.file(), new) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(false),
            Err(e) => Err(fail("rename", &to.path().join(new), e)),
        }
    }

    /// Swaps two names atomically.
    pub(crate) fn exchange(&self, name: &str, to: &Self, other: &str) -> Result<Exchange> {
        match rustix::fs::renameat_with(self.file(), name, to.file(), other, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(Exchange::Done),
            Err(Errno::NOENT) => Ok(Exchange::Gone),
            Err(Errno::XDEV | Errno::INVAL) => Ok(Exchange::Impossible),
            Err(e) => Err(fail("replace", &to.path().join(other), e)),
        }
    }
}
