//! Arguments of commands that change the store.

use std::path::PathBuf;

use bytesize::ByteSize;
use hoist::{Config, GcOptions};

/// An archive to load, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// The archive; `-` reads it from stdin
    #[arg(value_name = "FILE")]
    pub(crate) path: PathBuf,

    /// Name the images. Without TAG, the archive's bare tags belong to REPOSITORY, and an image without a name is
    /// REPOSITORY:latest. With TAG, this is the name of the archive's one image, whatever the archive calls it
    /// [default: the names in the archive; REPOSITORY is the file's name without .tar]
    #[arg(long, value_name = "REPOSITORY[:TAG]")]
    pub(crate) name: Option<String>,

    /// Replace names that already lead to other images
    #[arg(long)]
    pub(crate) replace: bool,
}

/// What to collect.
#[derive(Debug, clap::Args)]
pub(crate) struct GcArgs {
    /// Delete leftovers of failed pulls at once, instead of a day later
    #[arg(long)]
    pub(crate) all: bool,

    /// Limit the store to this size, such as 20GiB or 500MB, by also deleting the least recently used
    /// images [env: HOIST_MAX_SIZE] [default: `max-size` in the configuration]
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_size: Option<ByteSize>,

    /// Only print what would be deleted
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl GcArgs {
    /// The options of a collection, with the limit of the configuration.
    pub(crate) fn options(&self, config: &Config) -> GcOptions {
        let options = GcOptions::default().with_all(self.all).with_dry_run(self.dry_run);
        match config.max_size {
            Some(size) => options.with_max_size(size),
            None => options,
        }
    }
}
