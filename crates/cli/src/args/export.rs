//! Arguments of commands that take images out of the store.

use std::path::PathBuf;

use clap::ValueEnum;

/// Images to save, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct SaveArgs {
    /// Stored images
    #[arg(required = true, value_name = "REF")]
    pub(crate) references: Vec<String>,

    /// Write to this path instead of stdout; an existing file is replaced when all is written
    #[arg(long, short, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,

    /// What to write
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: SaveFormat,

    /// Compress the archive as a whole; layers stay as they are
    #[arg(long, value_enum, value_name = "METHOD")]
    pub(crate) compress: Option<Compress>,
}

/// What `save` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum SaveFormat {
    /// An OCI layout in a tar file, which docker, podman and skopeo read
    #[default]
    OciArchive,
    /// Only what docker load needs; the image's digest is lost
    DockerArchive,
    /// An OCI layout as a directory
    OciDir,
}

/// How `save` compresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compress {
    Gzip,
    Zstd,
}

/// Images to copy, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct CopyArgs {
    /// Stored images
    #[arg(required = true, value_name = "REF")]
    pub(crate) references: Vec<String>,

    /// The other store; it is created if there is none
    #[arg(long, required = true, value_name = "ROOT")]
    pub(crate) to: PathBuf,
}
