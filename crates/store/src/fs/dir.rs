//! Directories below the store's root. Every path is opened without following symlinks.
//!
//! All file system calls of the store go through [`Dir`]. So this rule holds everywhere, and each error names
//! the path that it concerns.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use hoist_core::{Algorithm, Digest, Error, ErrorKind, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use super::error::unexpected;
pub(crate) use super::error::{cannot_write, fail, is_damage, unless_damaged};
use super::openat2;
pub(crate) use super::rename::NoLink;

/// How often to recreate a directory that other processes remove, because it is empty, before it is used.
const MAKE_TRIES: usize = 1000;
/// How often to retry opening a path that other processes move while it is being opened.
const OPEN_TRIES: usize = 1000;
/// The size of the first read, in bytes. Most files that are read whole (refs and manifests) fit in it.
const USUAL_READ: usize = 4 << 10;
const DIR_MODE: Mode = Mode::from_raw_mode(0o755);
const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
/// Complete content is never written again.
const CONTENT_MODE: Mode = Mode::from_raw_mode(0o444);

/// An open directory, with its path for messages.
#[derive(Debug)]
pub(crate) struct Dir {
    file: File,
    path: PathBuf,
    durable: bool,
}

impl Dir {
    /// Opens a directory by its full path. The path may contain symlinks, because the user chose it.
    pub(crate) fn open(path: &Path, durable: bool) -> Result<Self> {
        let file = File::open(path).map_err(|e| fail("open", path, e))?;
        if !file.metadata().map_err(|e| fail("read", path, e))?.is_dir() {
            return Err(unexpected(path, "a directory"));
        }
        openat2::check(&file, path)?;
        Ok(Self { file, path: path.to_owned(), durable })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether files written here are synced.
    pub(crate) fn is_durable(&self) -> bool {
        self.durable
    }

    /// The open directory itself, for locking.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The same open directory, with a second descriptor.
    pub(crate) fn try_clone(&self) -> std::io::Result<Self> {
        Ok(Self { file: self.file.try_clone()?, path: self.path.clone(), durable: self.durable })
    }

    /// A directory below this one. `None`: it does not exist.
    pub(crate) fn sub(&self, path: impl AsRef<Path>) -> Result<Option<Self>> {
        let (path, whole) = (path.as_ref(), self.path.join(&path));
        match self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { file: fd.into(), path: whole, durable: self.durable })),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => Err(unexpected(&whole, "a directory")),
            Err(e) => Err(fail("open", &whole, e)),
        }
    }

    /// A directory below this one, created with all its parents if missing.
    pub(crate) fn make(&self, path: impl AsRef<Path>) -> Result<Self> {
        // Other processes may remove a parent, because it is empty, before something is in it.
        for _ in 0..MAKE_TRIES {
            if let Some(dir) = self.try_make(path.as_ref())? {
                return Ok(dir);
            }
        }
        Err(unexpected(&self.path.join(path), "there, though it was just made"))
    }

    /// `None`: a parent was removed in the meantime.
    fn try_make(&self, path: &Path) -> Result<Option<Self>> {
        let mut parents = Vec::new();
        let made = self.make_all(path, &mut parents)?;
        // Sync only after all are made: the first sync then writes the changes of the others as well.
        for parent in parents.iter().rev() {
            parent.as_ref().unwrap_or(self).sync()?;
        }
        Ok(made)
    }

    /// Creates a directory if it is missing, along with its missing parents. Adds the directories that must be
    /// synced to `parents`, where `None` stands for this one.
    fn make_all(&self, path: &Path, parents: &mut Vec<Option<Self>>) -> Result<Option<Self>> {
        if let Some(dir) = self.sub(path)? {
            return Ok(Some(dir));
        }
        let name = path.file_name().unwrap_or_default();
        let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) else {
            parents.push(None);
            return self.try_make_one(name);
        };
        let Some(parent) = self.make_all(parent, parents)? else { return Ok(None) };
        let made = parent.try_make_one(name)?;
        parents.push(Some(parent));
        Ok(made)
    }

    /// A directory in this one, created if missing. Its name is not durable until this directory is synced.
    pub(crate) fn make_unsynced(&self, name: impl AsRef<Path>) -> Result<Self> {
        for _ in 0..MAKE_TRIES {
            if let Some(dir) = self.try_make_one(name.as_ref().as_os_str())? {
                return Ok(dir);
            }
        }
        Err(unexpected(&self.path.join(name), "there, though it was just made"))
    }

    fn try_make_one(&self, name: &OsStr) -> Result<Option<Self>> {
        match rustix::fs::mkdirat(&self.file, name, DIR_MODE) {
            Ok(()) | Err(Errno::EXIST) => self.sub(name),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(fail("create", &self.path.join(name), e)),
        }
    }

    /// Creates a file for reading and writing. `None`: the name is taken.
    pub(crate) fn create_new(&self, name: impl AsRef<Path>) -> Result<Option<File>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        match self.open_at(name.as_ref(), flags, FILE_MODE) {
            Ok(fd) => Ok(Some(fd.into())),
            Err(Errno::EXIST) => Ok(None),
            Err(e) => Err(fail("create", &self.path.join(name), e)),
        }
    }

    /// Opens a file for reading and writing, and creates it if it is missing.
    pub(crate) fn open_or_create(&self, name: impl AsRef<Path>) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK;
        let whole = self.path.join(&name);
        let fd = self.open_at(name.as_ref(), flags, FILE_MODE).map_err(|e| open_failed(&whole, e))?;
        regular(fd.into(), &whole)
    }

    /// Opens a regular file for reading and writing. `None`: it does not exist.
    pub(crate) fn open_to_write(&self, name: impl AsRef<Path>) -> Result<Option<File>> {
        let whole = self.path.join(&name);
        match self.open_at(name.as_ref(), OFlags::RDWR | OFlags::NONBLOCK, Mode::empty()) {
            Ok(fd) => regular(fd.into(), &whole).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(open_failed(&whole, e)),
        }
    }

    /// Opens a regular file for reading. `None`: it does not exist.
    pub(crate) fn open_file(&self, path: impl AsRef<Path>) -> Result<Option<File>> {
        let whole = self.path.join(&path);
        // `NONBLOCK`: do not hang on a FIFO at this path.
        match self.open_at(path.as_ref(), OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()) {
            Ok(fd) => regular(fd.into(), &whole).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(open_failed(&whole, e)),
        }
    }

    /// Reads a regular file of at most `limit` bytes. `None`: it does not exist.
    pub(crate) fn read(&self, path: impl AsRef<Path>, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open_file(&path)? else { return Ok(None) };
        read_bounded(&file, limit, &self.path.join(&path)).map(Some)
    }

    /// Writes and syncs a new file that is never written again.
    pub(crate) fn write_new(&self, name: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
        use std::io::Write;
        let whole = self.path.join(&name);
        let mut file = self.create_new(&name)?.ok_or_else(|| unexpected(&whole, "new"))?;
        file.write_all(bytes).map_err(|e| fail("write", &whole, e))?;
        self.seal(&file, &whole)
    }

    /// Makes a file's content durable and read-only. Call this before a name leads to the file.
    pub(crate) fn seal(&self, file: &File, path: &Path) -> Result<()> {
        rustix::fs::fchmod(file, CONTENT_MODE).map_err(|e| fail("protect", path, e))?;
        if self.durable {
            file.sync_all().map_err(|e| fail("sync", path, e))?;
        }
        Ok(())
    }

    /// Makes a sealed file in this directory writable again.
    pub(crate) fn unseal(&self, file: &File, name: &str) -> Result<()> {
        rustix::fs::fchmod(file, FILE_MODE).map_err(|e| fail("unprotect", &self.path.join(name), e))
    }

    /// Makes the names in this directory durable.
    pub(crate) fn sync(&self) -> Result<()> {
        if self.durable {
            self.file.sync_all().map_err(|e| fail("sync", &self.path, e))?;
        }
        Ok(())
    }

    /// The metadata of a path. A symlink is not followed. `None`: nothing has this name.
    pub(crate) fn stat(&self, path: impl AsRef<Path>) -> Result<Option<Stat>> {
        let path = path.as_ref();
        let Some((parent, name)) = self.parent(path)? else { return Ok(None) };
        match rustix::fs::statat(parent.fd(self), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(fail("read", &self.path.join(path), e)),
        }
    }

    /// Removes the name of a file. `false`: it did not exist.
    pub(crate) fn unlink(&self, path: impl AsRef<Path>) -> Result<bool> {
        self.unlink_with(path.as_ref(), AtFlags::empty())
    }

    /// Removes an empty directory. `false`: it does not exist, or is not empty.
    pub(crate) fn remove_empty(&self, path: impl AsRef<Path>) -> Result<bool> {
        self.unlink_with(path.as_ref(), AtFlags::REMOVEDIR)
    }

    /// Whether this name is a directory.
    pub(crate) fn has_dir(&self, name: &str) -> Result<bool> {
        Ok(self.stat(name)?.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir()))
    }

    fn unlink_with(&self, path: &Path, flags: AtFlags) -> Result<bool> {
        let Some((parent, name)) = self.parent(path)? else { return Ok(false) };
        match rustix::fs::unlinkat(parent.fd(self), name, flags) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
            Err(e) => Err(fail("remove", &self.path.join(path), e)),
        }
    }

    /// The entries of this directory, in no order. The iterator reads them lazily, so that memory use does not
    /// depend on their number. It may or may not return entries that are removed or added during the iteration.
    pub(crate) fn entries(&self) -> Result<impl Iterator<Item = Result<DirEntry>>> {
        let failed = |e| fail("list", &self.path, e);
        let entries = rustix::fs::Dir::read_from(&self.file).map_err(failed)?;
        Ok(entries.filter_map(move |entry| entry.map_err(failed).map(|entry| self.entry(&entry)).transpose()))
    }

    /// The entries of this directory whose name is a digest of this algorithm. Other entries are not ours.
    pub(crate) fn digests(&self, algorithm: Algorithm) -> Result<impl Iterator<Item = Result<Digest>>> {
        let digest = move |entry: DirEntry| Digest::of_hex(algorithm, &entry.name);
        Ok(self.entries()?.filter_map(move |entry| entry.map(digest).transpose()))
    }

    /// `None`: the entry is `.` or `..`.
    fn entry(&self, entry: &rustix::fs::DirEntry) -> Option<DirEntry> {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "." || name == ".." {
            return None;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                let stat = self.stat(&name).ok().flatten();
                stat.map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode))
            }
            kind => kind,
        };
        Some(DirEntry { name, is_dir: kind.is_dir(), is_file: kind.is_file() })
    }

    /// Opens the parent of a path, and returns the last component. The system calls that change names have no
    /// flag to refuse symlinks, so they must be given a single component.
    fn parent<'p>(&self, path: &'p Path) -> Result<Option<(Parent, &'p Path)>> {
        let name = path.file_name().map_or(path, Path::new);
        match path.parent().filter(|p| !p.as_os_str().is_empty()) {
            None => Ok(Some((Parent::This, name))),
            Some(parent) => Ok(self.sub(parent)?.map(|dir| (Parent::Below(dir), name))),
        }
    }

    fn open_at(&self, path: &Path, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut tries = 1..OPEN_TRIES;
        loop {
            match openat2::open(&self.file, path, flags, mode) {
                // The path was moved out while it was being resolved (`complete_walk` in Linux's `fs/namei.c`).
                Err(Errno::XDEV | Errno::AGAIN) if tries.next().is_some() => {}
                outcome => return outcome,
            }
        }
    }
}

/// An entry of a directory.
#[derive(Debug)]
pub(crate) struct DirEntry {
    pub(crate) name: String,
    pub(crate) is_dir: bool,
    /// Whether it is a regular file.
    pub(crate) is_file: bool,
}

enum Parent {
    This,
    Below(Dir),
}

impl Parent {
    fn fd<'a>(&'a self, this: &'a Dir) -> &'a File {
        match self {
            Self::This => &this.file,
            Self::Below(dir) => &dir.file,
        }
    }
}

fn regular(file: File, path: &Path) -> Result<File> {
    match file.metadata() {
        Ok(meta) if meta.is_file() => Ok(file),
        Ok(_) => Err(unexpected(path, "a regular file")),
        Err(e) => Err(fail("read", path, e)),
    }
}

/// Reads an open file of at most `limit` bytes.
pub(crate) fn read_bounded(file: &File, limit: u64, path: &Path) -> Result<Vec<u8>> {
    let failed = |e| fail("read", path, e);
    let mut bytes = vec![0; USUAL_READ];
    let read = retry_on_intr(|| rustix::io::read(file, &mut bytes)).map_err(|e| failed(e.into()))?;
    bytes.truncate(read);
    // A regular file returns less than requested only at its end.
    if read == USUAL_READ {
        let more = limit.saturating_add(1).saturating_sub(read as u64);
        file.take(more).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() as u64 > limit {
        let message = format!("{} has more than {limit} bytes", path.display());
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(bytes)
}

fn open_failed(path: &Path, cause: Errno) -> Error {
    match cause {
        Errno::LOOP | Errno::NXIO | Errno::ISDIR => unexpected(path, "a regular file"),
        cause => fail("open", path, cause),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn what_is_moved_while_it_is_opened_is_there_or_is_not() {
        let temp = tempfile::TempDir::new().unwrap();
        let root = Dir::open(temp.path(), false).unwrap();
        let (here, there) = (root.make_unsynced("here").unwrap(), root.make_unsynced("there").unwrap());
        here.make_unsynced("image").unwrap();
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    here.rename("image", &there, "image").unwrap();
                    there.rename("image", &here, "image").unwrap();
                }
            });
            let outcome = (0..100_000).try_for_each(|_| here.sub("image").map(drop));
            is_done.store(true, Ordering::Relaxed);
            outcome.unwrap();
        });
    }
}
