//! Makes directories and files.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use hoist_core::{Error, ErrorKind, Result};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, linkat, makedev, mkdirat, mknodat, openat, openat2,
    symlinkat, syncfs,
};
use rustix::io::Errno;

use super::attributes;
use crate::copy::copy_range;
use crate::tree::{BLOCK, Content, InodeId, Inodes, Kind, ROOT, RootTree};

/// Until its attributes are set, nobody else sees a file.
const PRIVATE_FILE: Mode = Mode::from_raw_mode(0o600);
const PRIVATE_DIRECTORY: Mode = Mode::from_raw_mode(0o700);

pub(super) struct Writer<'a> {
    tree: &'a RootTree,
    /// The directory that the new one is in, and its name there.
    parent: OwnedFd,
    name: Vec<u8>,
    root: OwnedFd,
    stop: &'a AtomicBool,
    /// The first path of each file, for its other names.
    known: HashMap<InodeId, Vec<u8>>,
}

impl<'a> Writer<'a> {
    /// Makes the directory itself.
    pub(super) fn create(tree: &'a RootTree, path: &Path, stop: &'a AtomicBool) -> Result<Self> {
        let failed = |e: Errno| Error::io(format!("cannot make the directory {}", path.display()), e.into());
        let name = path.file_name().ok_or(Errno::INVAL).map_err(failed)?.as_encoded_bytes().to_vec();
        let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let parent = openat(CWD, above, directory(), Mode::empty()).map_err(failed)?;
        mkdirat(&parent, &*name, PRIVATE_DIRECTORY).map_err(failed)?;
        let root = openat(&parent, &*name, directory() | OFlags::NOFOLLOW, Mode::empty()).map_err(failed)?;
        Ok(Self { tree, parent, name, root, stop, known: HashMap::new() })
    }

    pub(super) fn write(mut self) -> Result<()> {
        let (mut open, mut directories) = (vec![(ROOT, Vec::new())], Vec::new());
        while let Some((id, path)) = open.pop() {
            self.fill(id, &path, &mut open)?;
            directories.push((id, path));
        }
        // The innermost come first: what is made in a directory changes its time.
        for (id, path) in directories.into_iter().rev() {
            self.finish(id, &path).map_err(|cause| self.failed(&path, id, cause))?;
        }
        syncfs(&self.root).map_err(|e| Error::io("cannot sync a root file system", e.into()))
    }

    /// Makes all that is in a directory. Those that are directories will be filled later.
    fn fill(&mut self, id: InodeId, path: &[u8], open: &mut Vec<(InodeId, Vec<u8>)>) -> Result<()> {
        let at = self.open(path).map_err(|cause| self.failed(path, id, cause))?;
        let children = self.tree.dir(id).into_iter().flat_map(|directory| &directory.children);
        for (name, child) in children.filter_map(|(name, child)| Some((name, child.inode?))) {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::io(
                    "a root file system was not finished",
                    io::ErrorKind::Interrupted.into(),
                ));
            }
            let path = if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() };
            self.make(at.as_fd(), name, child, &path).map_err(|cause| self.failed(&path, child, cause))?;
            if self.tree.dir(child).is_some() {
                open.push((child, path));
            } else {
                self.known.entry(child).or_insert(path);
            }
        }
        Ok(())
    }

    fn make(&self, at: BorrowedFd<'_>, name: &[u8], id: InodeId, path: &[u8]) -> io::Result<()> {
        debug_assert!(path.ends_with(name));
        if let Some(first) = self.known.get(&id) {
            return Ok(linkat(&self.root, &**first, at, name, AtFlags::empty())?);
        }
        let inode = self.tree.inode(id);
        match &inode.kind {
            // Its attributes come when it is filled.
            Kind::Directory(_) => return Ok(mkdirat(at, name, PRIVATE_DIRECTORY)?),
            Kind::File(content) => self.make_file(at, name, *content)?,
            Kind::Symlink(target) => symlinkat(&**target, at, name)?,
            &Kind::CharDevice(major, minor) => {
                mknodat(at, name, FileType::CharacterDevice, PRIVATE_FILE, makedev(major, minor))?;
            }
            &Kind::BlockDevice(major, minor) => {
                mknodat(at, name, FileType::BlockDevice, PRIVATE_FILE, makedev(major, minor))?;
            }
            Kind::Fifo | Kind::LinkBelow(_) => mknodat(at, name, FileType::Fifo, PRIVATE_FILE, 0)?,
        }
        attributes::apply(at, name, inode)
    }

    fn make_file(&self, at: BorrowedFd<'_>, name: &[u8], content: Content) -> io::Result<()> {
        let Content { layer, block, size, tail } = content;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file: File = openat(at, name, flags, PRIVATE_FILE)?.into();
        let (data, whole) =
            (&self.tree.data[layer as usize], if tail.is_some() { size - size % BLOCK } else { size });
        file.set_len(size)?;
        copy_range(data, block * BLOCK, &file, 0, whole)?;
        let Some(tail) = tail else { return Ok(()) };
        let mut bytes = vec![0; usize::try_from(size - whole).expect("it is shorter than a block")];
        data.read_exact_at(&mut bytes, tail)?;
        file.write_all_at(&bytes, whole)
    }

    /// Sets a directory's attributes.
    fn finish(&self, id: InodeId, path: &[u8]) -> io::Result<()> {
        let inode = self.tree.inode(id);
        let (above, name) = match path.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&path[..0], path),
        };
        match path {
            [] => attributes::apply(self.parent.as_fd(), &self.name, inode),
            _ => attributes::apply(self.open(above)?.as_fd(), name, inode),
        }
    }

    /// Opens a directory of the new tree.
    fn open(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match openat2(&self.root, path, directory(), Mode::empty(), resolve) {
            // Old sandboxes do not know the call. All directories on the way are our own.
            Err(Errno::NOSYS | Errno::PERM) => {
                Ok(openat(&self.root, path, directory() | OFlags::NOFOLLOW, Mode::empty())?)
            }
            opened => Ok(opened?),
        }
    }

    fn failed(&self, path: &[u8], id: InodeId, cause: io::Error) -> Error {
        let shown = format!("/{}", String::from_utf8_lossy(path));
        let meta = &self.tree.inode(id).meta;
        let (message, help) = match Errno::from_io_error(&cause) {
            Some(Errno::PERM) => (
                format!("only root can make {shown}, which belongs to {}:{}", meta.uid, meta.gid),
                "do it as root, or use the format `erofs`, which needs no root",
            ),
            Some(Errno::OPNOTSUPP) => (
                format!("the file system here cannot keep the extended attributes of {shown}"),
                "write to another file system, or use the format `erofs`",
            ),
            _ => return Error::io(format!("cannot write {shown} of a root file system"), cause),
        };
        Error::new(ErrorKind::Unsupported, message).with_help(help).with_source(cause)
    }
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}
