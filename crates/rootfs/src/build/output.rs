//! Root file systems as files outside the store.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use hoist_core::{Error, ErrorKind, Result};
use hoist_store::Layout;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
use tempfile::{Builder, NamedTempFile};

use super::make::Plan;
use super::options::RootFsOptions;
use crate::verity::Verity;

/// Makes a root file system of the image in this layout, as a file at `path`. It is written beside it, and renamed when
/// it is whole, so that a file that was there is replaced at once or not at all. Setting `stop` makes it fail soon.
///
/// A file with added files can be read by its owner only.
///
/// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) if something other than a file is at `path`, and as
/// [`Plan::new`] and [`Plan::write`] do.
pub fn write_file(
    layout: Layout,
    options: &RootFsOptions,
    path: &Path,
    stop: &AtomicBool,
) -> Result<Option<Verity>> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
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
