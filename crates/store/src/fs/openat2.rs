//! The system call by which the store opens everything below its root, and whether this machine allows it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::OnceLock;

use hoist_core::{Error, ErrorKind, Result};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::error::fail;

/// Opens a path below a directory. It never leaves the directory, and follows no symlinks.
pub(super) fn open(dir: &File, path: &Path, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(dir, path, flags, mode, beneath)
}

/// Fails with [`Unsupported`](ErrorKind::Unsupported) if this machine does not allow `openat2(2)`. `dir` is any
/// open directory, at this path.
///
/// A kernel before 5.6 does not have the call. A container runtime whose seccomp profile is older than the call
/// forbids it, with one error or another. So what tells is that `openat(2)` can open the same directory.
pub(crate) fn check(dir: &File, path: &Path) -> Result<()> {
    static WORKS: OnceLock<()> = OnceLock::new();
    if WORKS.get().is_some() {
        return Ok(());
    }
    let (here, flags) = (Path::new("."), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC);
    match open(dir, here, flags, Mode::empty()) {
        Ok(_) => {
            _ = WORKS.set(());
            Ok(())
        }
        Err(cause @ (Errno::NOSYS | Errno::PERM | Errno::ACCESS | Errno::INVAL))
            if rustix::fs::openat(dir, here, flags, Mode::empty()).is_ok() =>
        {
            Err(forbidden(cause))
        }
        Err(cause) => Err(fail("open", path, cause)),
    }
}

fn forbidden(cause: Errno) -> Error {
    let message = match cause {
        Errno::NOSYS => {
            "this machine has no openat2(2): the kernel is older than Linux 5.6, or a seccomp profile \
                         forbids the call"
        }
        _ => "a seccomp profile forbids openat2(2), which hoist opens all files of a store with",
    };
    Error::new(ErrorKind::Unsupported, message).with_source(std::io::Error::from(cause)).with_help(
        "use Linux 5.6 or newer; in a container, update its runtime and libseccomp, or allow openat2 in its \
         seccomp profile",
    )
}
