//! Files of this machine that are put into a root file system: a layer above all others.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hoist_core::{Algorithm, Digest, Error, ErrorKind, Hasher, Result};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, readlinkat, statat};
use rustix::io::Errno;

use super::options::AddedFile;
use crate::layer::{Entries, Layer};
use crate::tar::{Entry, EntryKind, Time};

/// Files are read this many bytes at a time.
const BUFFER: usize = 256 << 10;

/// Names that a layer means something else by.
const WHITEOUT: &[u8] = b".wh.";

/// How deep directories may be nested.
const MAX_DEPTH: usize = 256;

/// Takes files in, and hashes all that an image has of them.
struct Adding {
    entries: Entries,
    hasher: Hasher,
}

/// Reads the files, and returns them as a layer, with the digest of their paths, permissions and content. They belong to
/// root, and their time is yet to be set.
///
/// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) if one is neither a file nor a directory, or not there.
pub(crate) fn read(files: &[AddedFile], entries: Entries) -> Result<(Layer, Digest)> {
    let mut adding = Adding { entries, hasher: Hasher::new(Algorithm::Sha256) };
    for file in files {
        adding.add(file).map_err(|error| error.context(format!("cannot add {}", file.host.display())))?;
    }
    Ok((adding.entries.finish()?, adding.hasher.finish()))
}

impl Adding {
    fn add(&mut self, file: &AddedFile) -> Result<()> {
        let opened = open(CWD, file.host.as_os_str(), &file.host)?;
        let guest = Path::new(file.guest.trim_end_matches('/'));
        let meta = opened.metadata().map_err(|e| Error::io("cannot read it", e))?;
        if meta.is_dir() {
            return self.directory(&opened, guest, 0);
        }
        if !meta.is_file() {
            return Err(refused("it is neither a file nor a directory"));
        }
        let mode = file.mode.map_or(meta.mode() & 0o7777, u32::from);
        self.file(opened, guest, mode, meta.len())
    }

    fn file(&mut self, mut file: File, guest: &Path, mode: u32, size: u64) -> Result<()> {
        self.begin(guest, EntryKind::File, mode, size, &[])?;
        let (mut buffer, mut left) = (vec![0; BUFFER], size);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
            let count = file.read(&mut buffer[..most]).map_err(|e| Error::io("cannot read it", e))?;
            if count == 0 {
                return Err(refused("it became shorter while it was read"));
            }
            self.hasher.update(&buffer[..count]);
            self.entries.data(&buffer[..count])?;
            left -= count as u64;
        }
        self.entries.end()
    }

    fn directory(&mut self, directory: &File, guest: &Path, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(refused("its directories are nested too deep"));
        }
        let meta = directory.metadata().map_err(|e| Error::io("cannot read it", e))?;
        self.begin(guest, EntryKind::Directory, meta.mode() & 0o7777, 0, &[])?;
        for name in names(directory)? {
            let guest = guest.join(OsStr::from_bytes(&name));
            self.child(directory, &name, &guest, depth)
                .map_err(|error| error.context(format!("cannot add {}", guest.display())))?;
        }
        Ok(())
    }

    fn child(&mut self, directory: &File, name: &[u8], guest: &Path, depth: usize) -> Result<()> {
        if name.starts_with(WHITEOUT) {
            return Err(refused("layers give names that begin with `.wh.` another meaning"));
        }
        let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let target = readlinkat(directory, name, Vec::new()).map_err(failed)?;
                self.begin(guest, EntryKind::Symlink, 0o777, 0, target.as_bytes())
            }
            FileType::Directory => {
                self.directory(&open(directory, OsStr::from_bytes(name), guest)?, guest, depth + 1)
            }
            FileType::RegularFile => {
                let file = open(directory, OsStr::from_bytes(name), guest)?;
                let meta = file.metadata().map_err(|e| Error::io("cannot read it", e))?;
                self.file(file, guest, meta.mode() & 0o7777, meta.len())
            }
            _ => Err(refused("it is neither a file, a directory nor a symlink")),
        }
    }

    fn begin(&mut self, guest: &Path, kind: EntryKind, mode: u32, size: u64, link: &[u8]) -> Result<()> {
        let path = guest.as_os_str().as_bytes();
        // The lengths tell where each field ends.
        let told = format!("{kind:?} {mode:o} {size} {} {} ", path.len(), link.len());
        self.hasher.update(&[told.as_bytes(), path, link].concat());
        self.entries.begin(Entry {
            path: path.to_vec(),
            link: link.to_vec(),
            kind,
            mode: u64::from(mode),
            uid: 0,
            gid: 0,
            mtime: Time::default(),
            size,
            device: (0, 0),
            xattrs: Vec::new(),
        })
    }
}

/// Opens a file or directory, but follows no symlink, and does not hang on a FIFO.
fn open(at: impl AsFd, name: &OsStr, shown: &Path) -> Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match openat(at, PathBuf::from(name), flags, Mode::empty()) {
        Ok(file) => Ok(file.into()),
        Err(Errno::LOOP) => Err(refused("it is a symlink").with_help("name the file that it leads to")),
        Err(Errno::NOENT) => Err(refused("it does not exist").with_help("check the path")),
        Err(cause) => Err(Error::io(format!("cannot open {}", shown.display()), cause.into())),
    }
}

/// The names in a directory, sorted.
fn names(directory: &File) -> Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_bytes().to_vec();
        if !matches!(&*name, b"." | b"..") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn failed(cause: Errno) -> Error {
    Error::io("cannot read it", cause.into())
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::InvalidConfig, why)
}
