//! Root file systems outside the store.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use hoist_core::{Digest, Error, ErrorKind, Result};
use hoist_store::Layout;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, open, renameat_with};
use rustix::io::Errno;
use tempfile::{Builder, NamedTempFile};

use super::make::{Plan, WRITER, uuid};
use super::options::{Format, RootFsOptions};
use crate::tree::RootTree;
use crate::verity::Verity;

/// Makes a root file system of the image in this layout at `path`, as a file, or as a directory for that format. It is written beside it, and renamed when
/// it is whole, so that a file that was there is replaced at once or not at all. Setting `stop` makes it fail soon.
///
/// A file with added files can be read by its owner only. A directory is written below one that only its owner can enter,
/// and replaces nothing.
///
/// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) if something other than a file is at `path`, or if a directory
/// is to be made and anything is there; and as [`Plan::new`], [`Plan::write`] and [`Plan::write_directory`] do.
pub fn write(
    layout: Layout,
    options: &RootFsOptions,
    path: &Path,
    stop: &AtomicBool,
) -> Result<Option<Verity>> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if options.format == Format::Directory {
        return write_directory(layout, options, path, parent, stop).map(|()| None);
    }
    check_replaceable(path)?;
    let failed =
        |e| Error::io(format!("cannot write {}", path.display()), e).with_help("choose another file");
    let plan = Plan::new(layout, options, parent)?;
    let mode = if plan.has_added_files() { 0o600 } else { 0o644 };
    let out = Out::create(parent).map_err(failed)?;
    let verity = plan.write(out.file(), parent, stop)?;
    out.file().set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
    out.publish(path, parent).map_err(failed)?;
    Ok(verity)
}

/// Makes an empty ext4 file system of this size at `path`, for what a guest writes above a read-only root file system. Its
/// root directory belongs to root. Nearly all of the file is a hole. A file that was there is replaced at once.
///
/// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) if something other than a file is at `path`, or if `size` is too
/// small for a file system; and as the disk does.
pub fn write_scratch(path: &Path, size: u64) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    check_replaceable(path)?;
    let failed =
        |e| Error::io(format!("cannot write {}", path.display()), e).with_help("choose another file");
    let out = Out::create(parent).map_err(failed)?;
    let identity = Digest::sha256(format!("{WRITER}\nscratch {size}\n").as_bytes());
    RootTree::empty().write_ext4(out.file(), uuid(&identity), Some(size))?;
    out.file().set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
    out.publish(path, parent).map_err(failed)
}

/// Nobody else can enter the directory while it is written: its programs may be setuid.
fn write_directory(
    layout: Layout,
    options: &RootFsOptions,
    path: &Path,
    parent: &Path,
    stop: &AtomicBool,
) -> Result<()> {
    let failed = |e| Error::io(format!("cannot make the directory {}", path.display()), e);
    check_absent(path)?;
    let plan = Plan::new(layout, options, parent)?;
    let private =
        temporary().permissions(Permissions::from_mode(0o700)).tempdir_in(parent).map_err(failed)?;
    let root = private.path().join("root");
    plan.write_directory(&root, private.path(), stop)?;
    match renameat_with(CWD, &root, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        // Network file systems do not know the flag.
        Err(Errno::INVAL) => check_absent(path).and_then(|()| fs::rename(&root, path).map_err(failed))?,
        Err(Errno::EXIST) => check_absent(path)?,
        Err(cause) => return Err(failed(cause.into())),
    }
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)
}

fn check_absent(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(_) => {
            let message = format!("{} is there already", path.display());
            Err(Error::new(ErrorKind::InvalidConfig, message).with_help("choose another path, or remove it"))
        }
        Err(_) => Ok(()),
    }
}

/// The file that is being written.
enum Out {
    /// It has no name yet, so that a killed process leaves nothing.
    Unnamed(File),
    /// The file system has no unnamed files.
    Named(NamedTempFile),
}

impl Out {
    fn create(parent: &Path) -> io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let can_be_named = Path::new("/proc/self/fd").exists();
        match can_be_named.then(|| open(parent, flags, Mode::RUSR | Mode::WUSR)) {
            Some(Ok(file)) => Ok(Self::Unnamed(file.into())),
            _ => temporary().tempfile_in(parent).map(Self::Named),
        }
    }

    fn file(&self) -> &File {
        match self {
            Self::Unnamed(file) => file,
            Self::Named(file) => file.as_file(),
        }
    }

    /// Makes the file durable, and then gives it its name.
    fn publish(self, path: &Path, parent: &Path) -> io::Result<()> {
        self.file().sync_all()?;
        match self {
            Self::Unnamed(file) => temporary().make_in(parent, |path| link(&file, path))?.persist(path)?,
            Self::Named(file) => drop(file.persist(path)?),
        }
        File::open(parent)?.sync_all()
    }
}

fn temporary() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(".hoist-rootfs-");
    builder
}

/// Gives an unnamed file a name.
fn link(file: &File, path: &Path) -> io::Result<()> {
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW).map_err(Into::into)
}

fn check_replaceable(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(meta) if !meta.is_file() => {
            let message = format!("{} is there, and is not a file", path.display());
            Err(Error::new(ErrorKind::InvalidConfig, message).with_help("choose another path"))
        }
        _ => Ok(()),
    }
}
