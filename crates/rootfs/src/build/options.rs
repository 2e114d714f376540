//! What to make of an image.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use hoist_core::{Error, ErrorKind, Result};

use crate::limits::Limits;

/// What a root file system is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Format {
    /// One EROFS image: read-only, small, for Linux 5.4 and newer.
    #[default]
    Erofs,
    /// One ext4 image, which has room to write.
    Ext4,
    /// A directory of this machine, such as virtiofs shares with a guest. The store keeps none.
    Directory,
}

impl Format {
    /// All formats.
    pub const ALL: &[Self] = &[Self::Erofs, Self::Ext4, Self::Directory];

    /// The format's name, which for a file is also its extension.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Erofs => "erofs",
            Self::Ext4 => "ext4",
            Self::Directory => "dir",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.iter().copied().find(|format| format.as_str() == text);
        found.ok_or_else(|| {
            let message = format!("{text} is no format of a root file system");
            Error::new(ErrorKind::InvalidConfig, message).with_help("use `erofs`, `ext4` or `dir`")
        })
    }
}

/// What to make of an image.
///
/// ```
/// use hoist_rootfs::{Format, RootFsOptions};
///
/// let options = RootFsOptions::ext4().with_size(8 << 30);
/// assert_eq!(options.format, Format::Ext4);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RootFsOptions {
    /// What it is written as.
    pub format: Format,
    /// The size of an ext4 image, with its room to write. `None`: a quarter more than its files need.
    pub size: Option<u64>,
    /// Whether a dm-verity hash tree follows the root file system, by which a guest verifies what it reads.
    pub verity: bool,
    /// Files of this machine that it has besides, such as the guest's init.
    pub added: Vec<AddedFile>,
    /// What the image may at most contain.
    pub limits: Limits,
}

impl RootFsOptions {
    /// An EROFS image.
    pub fn erofs() -> Self {
        Self::default()
    }

    /// An ext4 image.
    pub fn ext4() -> Self {
        Self { format: Format::Ext4, ..Self::default() }
    }

    /// A directory.
    pub fn directory() -> Self {
        Self { format: Format::Directory, ..Self::default() }
    }

    /// Sets the size of an ext4 image. Its unused part takes no space on the disk.
    #[must_use]
    pub fn with_size(self, size: u64) -> Self {
        Self { size: Some(size), ..self }
    }

    /// Appends a dm-verity hash tree.
    #[must_use]
    pub fn with_verity(self) -> Self {
        Self { verity: true, ..self }
    }

    /// Adds a file or directory of this machine.
    #[must_use]
    pub fn with_added(mut self, file: AddedFile) -> Self {
        self.added.push(file);
        self
    }

    /// Sets what the image may at most contain.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) if the options contradict each other.
    pub(crate) fn check(&self) -> Result<()> {
        if self.size.is_some() && self.format != Format::Ext4 {
            let message = format!("a root file system of the format `{}` has no size to set", self.format);
            let help = "it is as large as its files; use `ext4`";
            return Err(Error::new(ErrorKind::InvalidConfig, message).with_help(help));
        }
        if self.verity && self.format == Format::Directory {
            let message = "a directory can have no hash tree";
            return Err(Error::new(ErrorKind::InvalidConfig, message).with_help("use `erofs`"));
        }
        Ok(())
    }
}

/// A file or directory of this machine, to be put into a root file system. As text: `HOST:GUEST` or
/// `HOST:GUEST:MODE`.
///
/// ```
/// let file: hoist_rootfs::AddedFile = "/usr/lib/my-vmm/init:/sbin/init:755".parse()?;
/// assert_eq!((file.guest.as_str(), file.mode), ("/sbin/init", Some(0o755)));
/// # Ok::<(), hoist_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AddedFile {
    /// The file or directory. If it is a symlink, that is an error.
    pub host: PathBuf,
    /// Its absolute path in the root file system, without `..`. A symlink of the image on the way is followed inside
    /// the image; one at the path itself is replaced.
    pub guest: String,
    /// The permissions of a file. `None`: those that it has here.
    pub mode: Option<u16>,
}

impl AddedFile {
    /// Puts the file or directory `host` at `guest`.
    ///
    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) if `guest` is not absolute, is the root, or contains `..`.
    pub fn new(host: impl Into<PathBuf>, guest: impl Into<String>) -> Result<Self> {
        let file = Self { host: host.into(), guest: guest.into(), mode: None };
        let mut names = file.guest.split('/').filter(|name| !matches!(*name, "" | "."));
        let is_fine = file.guest.starts_with('/')
            && !file.guest.contains('\0')
            && names.clone().all(|name| name != "..");
        if !is_fine || names.next().is_none() {
            let message = format!("a file cannot be added at `{}`", file.guest);
            let help = "give an absolute path without `..`, as in `./init:/sbin/init`";
            return Err(Error::new(ErrorKind::InvalidConfig, message).with_help(help));
        }
        Ok(file)
    }

    /// Sets the permissions of a file.
    #[must_use]
    pub fn with_mode(self, mode: u16) -> Self {
        Self { mode: Some(mode), ..self }
    }
}

impl FromStr for AddedFile {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |help: &str| {
            Error::new(ErrorKind::InvalidConfig, format!("`{text}` names no file to add")).with_help(help)
        };
        let parts: Vec<&str> = text.split(':').collect();
        let (host, guest, mode) = match *parts.as_slice() {
            [host, guest] if !host.is_empty() => (host, guest, None),
            [host, guest, mode] if !host.is_empty() => (host, guest, Some(mode)),
            _ => return Err(invalid("write it as `HOST:GUEST` or `HOST:GUEST:MODE`")),
        };
        let file = Self::new(host, guest)?;
        let Some(mode) = mode else { return Ok(file) };
        let bits = u16::from_str_radix(mode, 8).ok().filter(|&bits| bits <= 0o7777 && !mode.starts_with('+'));
        Ok(file.with_mode(bits.ok_or_else(|| invalid("the mode is an octal number, such as `755`"))?))
    }
}
