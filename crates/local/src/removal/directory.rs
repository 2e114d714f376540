//! The changes that are made to a directory: its index is replaced in one step, and blobs are deleted.
//!
//! As in all of hoist, no path below the directory is followed through a symlink.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use hoist_core::{Digest, Error, ErrorKind, MAX_DOCUMENT, Result};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

const INDEX: &str = "index.json";
/// The new index until it is whole. The lock makes it ours alone.
const NEW_INDEX: &str = ".index.json.hoist";
const INDEX_MODE: Mode = Mode::from_raw_mode(0o644);

/// A directory that is open for changes, and locked: others of its kind wait.
#[derive(Debug)]
pub(crate) struct Directory {
    file: File,
    path: PathBuf,
}

impl Directory {
    /// Opens a layout's directory, when it is our turn.
    pub(crate) fn lock(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| fail("open", path, e))?;
        file.lock().map_err(|e| fail("lock", path, e))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// The bytes of `index.json`.
    pub(crate) fn index(&self) -> Result<Vec<u8>> {
        let path = self.path.join(INDEX);
        let file: File =
            self.open(INDEX, OFlags::RDONLY | OFlags::NONBLOCK).map_err(|e| fail("open", &path, e))?.into();
        let mut bytes = Vec::new();
        file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(|e| fail("read", &path, e))?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            let message = format!("{} has more than {MAX_DOCUMENT} bytes", path.display());
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(bytes)
    }

    /// Puts a new `index.json` in the place of the old one: after a crash there is the one or the other.
    pub(crate) fn replace_index(&self, bytes: &[u8]) -> Result<()> {
        let outcome = self.write_new(bytes).and_then(|()| {
            rustix::fs::renameat(&self.file, NEW_INDEX, &self.file, INDEX)
                .map_err(|e| fail("replace", &self.path.join(INDEX), e))
        });
        if outcome.is_err() {
            _ = rustix::fs::unlinkat(&self.file, NEW_INDEX, AtFlags::empty());
        }
        outcome?;
        self.file.sync_all().map_err(|e| fail("sync", &self.path, e))
    }

    fn write_new(&self, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(NEW_INDEX);
        _ = rustix::fs::unlinkat(&self.file, NEW_INDEX, AtFlags::empty()); // of one that died
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let mut file: File = self.open(NEW_INDEX, flags).map_err(|e| fail("create", &path, e))?.into();
        file.write_all(bytes).map_err(|e| fail("write", &path, e))?;
        file.sync_all().map_err(|e| fail("sync", &path, e))
    }

    /// Deletes a blob, if it is there.
    pub(crate) fn delete(&self, digest: &Digest) -> Result<()> {
        let blobs = format!("blobs/{}", digest.algorithm().as_str());
        let path = self.path.join(&blobs);
        let deleted = self
            .open(&blobs, OFlags::RDONLY | OFlags::DIRECTORY)
            .and_then(|blobs| rustix::fs::unlinkat(&blobs, digest.hex(), AtFlags::empty()));
        match deleted {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(fail("delete", &path.join(digest.hex()), e)),
        }
    }

    fn open(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let mode = if flags.contains(OFlags::CREATE) { INDEX_MODE } else { Mode::empty() };
        rustix::fs::openat2(&self.file, path, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, mode, beneath)
    }
}

fn fail(doing: &str, path: &Path, cause: impl Into<std::io::Error>) -> Error {
    let message = format!("cannot {doing} {}", path.display());
    let cause = cause.into();
    match cause.kind() {
        // Not `Error::io`: its advice is for a store, not for a directory of somebody else's.
        std::io::ErrorKind::StorageFull => Error::new(ErrorKind::NoSpace, message),
        _ => Error::new(ErrorKind::Storage, message),
    }
    .with_source(cause)
}
