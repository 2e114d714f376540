//! Examines the place of a store before it surprises anybody: its file system, and what the kernel allows.

use std::fs::File;
use std::path::Path;

use hoist_core::{Error, ErrorKind, Result};
use rustix::fs::{
    Access, FlockOperation, OFlags, StatVfsMountFlags, access, flock, ioctl_ficlone, open, statfs, statvfs,
};

use crate::fs::network::refuse_network;
use crate::fs::openat2;

/// Less than this is worth a word: an image of the usual size would not fit.
const LITTLE_ROOM: u64 = 1 << 30;
/// The file systems that are known by name ([`statfs(2)`](https://man7.org/linux/man-pages/man2/statfs.2.html)).
const NAMES: [(i64, &str); 7] = [
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x0102_1994, "tmpfs"),
    (0x794c_7630, "overlay"),
    (0x6573_5546, "FUSE or virtiofs"),
    (0x2fc1_2fc1, "zfs"),
];

/// One thing that was examined: what was found, or what is wrong and what to do.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Check {
    /// What it is about, such as `file system`.
    pub subject: &'static str,
    /// What was found. An error says in its report what is wrong, and what to do.
    pub outcome: Result<String>,
}

impl Check {
    /// A check with this outcome.
    pub fn new(subject: &'static str, outcome: Result<String>) -> Self {
        Self { subject, outcome }
    }
}

/// Examines where a store is, or would be created. Where it is not there yet, its nearest parent is examined.
///
/// Temporary files are created there, and removed again. The store itself is not touched.
pub fn examine(root: &Path, allow_network_file_system: bool) -> Vec<Check> {
    let place = root.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    vec![
        Check::new("store", at(root, place)),
        Check::new("file system", file_system(root, place, allow_network_file_system)),
        Check::new("writing", writing(place)),
        Check::new("room", room(place)),
        Check::new("links", links(place)),
        Check::new("openat2", opening(place)),
    ]
}

fn at(root: &Path, place: &Path) -> Result<String> {
    if place == root {
        return Ok(format!("at {}", root.display()));
    }
    if let Some(file) = root.ancestors().find(|path| path.exists() && !path.is_dir()) {
        let message = format!("{} is no directory", file.display());
        return Err(Error::new(ErrorKind::Storage, message).with_help("choose another directory with `root`"));
    }
    Ok(format!("none yet: the first pull creates it at {}", root.display()))
}

fn file_system(root: &Path, place: &Path, allow_network: bool) -> Result<String> {
    if !allow_network {
        refuse_network(root)?;
    }
    let found = statfs(place).map_err(|cause| failed("ask for the file system of", place, cause))?;
    #[allow(clippy::useless_conversion, reason = "it is not of this type on every architecture")]
    let magic = i64::from(found.f_type) & 0xffff_ffff;
    let name = NAMES.iter().find(|(known, _)| *known == magic).map(|(_, name)| (*name).to_owned());
    let name = name.unwrap_or_else(|| format!("of type {magic:#x}"));
    let note =
        if name == "overlay" { ", where files of lower layers are copied before they change" } else { "" };
    Ok(format!("{name}{note}"))
}

fn writing(place: &Path) -> Result<String> {
    let found = statvfs(place).map_err(|cause| failed("ask for the file system of", place, cause))?;
    let is_read_only = found.f_flag.contains(StatVfsMountFlags::RDONLY);
    if is_read_only || access(place, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let why = if is_read_only { "is mounted read-only" } else { "may not be written by this user" };
        let message =
            format!("{} {why}: a store there only hands out the images that it has", place.display());
        return Err(Error::new(ErrorKind::Storage, message)
            .with_help("choose a directory that this user may write, with `root`"));
    }
    Ok("allowed".into())
}

fn room(place: &Path) -> Result<String> {
    let found = statvfs(place).map_err(|cause| failed("ask for the file system of", place, cause))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let text = format!("{} MiB free", free >> 20);
    let no_names = found.f_files > 0 && found.f_favail == 0;
    if no_names || free < LITTLE_ROOM {
        let names = if no_names { ", and no more files can be created (inodes)" } else { "" };
        let message = format!("little room at {}: {text}{names}", place.display());
        return Err(Error::new(ErrorKind::NoSpace, message)
            .with_help("free some space, or choose another directory with `root`"));
    }
    Ok(text)
}

/// Hard links, reflinks and locks, of temporary files.
fn links(place: &Path) -> Result<String> {
    let dir = tempfile::Builder::new().prefix(".hoist-doctor-").tempdir_in(place);
    let dir = dir.map_err(|cause| Error::io(format!("cannot create files in {}", place.display()), cause))?;
    let path = |name: &str| dir.path().join(name);
    let create = |name: &str| {
        let file = File::create(path(name));
        file.map_err(|cause| Error::io(format!("cannot create files in {}", place.display()), cause))
    };
    let (one, two) = (create("one")?, create("two")?);
    flock(&one, FlockOperation::NonBlockingLockExclusive).map_err(|cause| {
        failed("lock files in", place, cause)
            .with_help("choose a directory on a local file system with `root`")
    })?;
    let hard = std::fs::hard_link(path("one"), path("three")).is_ok();
    let copies = ioctl_ficlone(&two, &one).is_ok();
    let say = |works: bool, name: &str| if works { name.to_owned() } else { format!("no {name}") };
    let costs = if hard { "" } else { ": each image then has copies of its blobs" };
    Ok(format!("{}, {}, locks{costs}", say(hard, "hard links"), say(copies, "reflinks")))
}

fn opening(place: &Path) -> Result<String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = open(place, flags, rustix::fs::Mode::empty());
    let dir = dir.map_err(|cause| failed("open", place, cause))?;
    openat2::check(&File::from(dir), place)?;
    Ok("works".into())
}

fn failed(doing: &str, place: &Path, cause: rustix::io::Errno) -> Error {
    Error::io(format!("cannot {doing} {}", place.display()), cause.into())
}
