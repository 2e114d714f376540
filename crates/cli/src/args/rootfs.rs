//! Arguments of `rootfs`.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::ValueEnum;

/// An image to make a root file system of, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct RootFsArgs {
    /// The image
    #[arg(value_name = "REF")]
    pub(crate) reference: String,

    /// Write to this file instead of the store; an existing file is replaced when all is written, an existing
    /// directory is refused
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// What to write
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: RootFsFormat,

    /// Size of an ext4 image, such as 8GiB; its unused part takes no disk space [default: a quarter more than
    /// the files need]
    #[arg(long, value_name = "SIZE")]
    pub(crate) size: Option<ByteSize>,

    /// Append a dm-verity hash tree, and print its root hash and its offset on stderr
    #[arg(long)]
    pub(crate) verity: bool,

    /// Add a file or directory of this machine, owned by root, at an absolute path of the guest; MODE is in octal,
    /// and that of a file. May be repeated
    #[arg(long = "add", value_name = "HOST:GUEST[:MODE]")]
    pub(crate) added: Vec<String>,

    /// Contact the registry without TLS, as hoist does for loopback names
    #[arg(long)]
    pub(crate) plain_http: bool,
}

/// What `rootfs` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum RootFsFormat {
    /// Read-only and small, for guests with Linux 5.4 or newer
    #[default]
    Erofs,
    /// With room to write
    Ext4,
    /// A new directory, such as virtiofs shares with a guest; needs --output, and root for files of other owners
    Dir,
}
