//! What can be said on the command line.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::images::Kind;
use crate::networks::Network;
use crate::peers::Peer;

/// Measures hoist side by side with other clients: progress on stderr, tables in Markdown on stdout.
#[derive(Debug, Parser)]
#[command(name = "hoist-bench", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// Pull these images only
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) image: Vec<Kind>,

    /// Pull over these networks only
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) network: Vec<Network>,

    /// Measure these clients only, and fail where one is not installed
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) peer: Vec<Peer>,

    /// How often each client pulls each image over each network; what is printed is the median
    #[arg(long, value_name = "N", default_value = "5")]
    pub(crate) runs: NonZeroUsize,

    /// Where the destinations are made [default: the directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// The `hoist` to measure [default: the one that was built beside this program]
    #[arg(long, value_name = "FILE")]
    pub(crate) hoist: Option<PathBuf>,

    /// What the images' bytes, and the choice of the answers that are cut, are made from
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) seed: u64,

    /// How many of a hundred answers the network `cut` cuts
    #[arg(long, value_name = "PERCENT", default_value = "1")]
    pub(crate) cut: f64,

    /// Leave out the pulls of cached images, and the equal pulls at once
    #[arg(long)]
    pub(crate) no_warm: bool,

    #[command(subcommand)]
    pub(crate) inside: Option<Inside>,
}

/// What else it measures; and what this program runs itself as, so that each process is measured alone.
#[derive(Debug, Subcommand)]
pub(crate) enum Inside {
    /// Make stores of few and of very many images, without a network, and measure what it costs to look into them
    Scale {
        /// The sizes of the stores
        #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "10,100000")]
        images: Vec<usize>,

        /// Where the stores are made [default: the directory for temporary files]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Run a command, and print what it took
    #[command(hide = true)]
    Measure {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Fetch an image's blobs, and nothing more
    #[command(hide = true)]
    Floor {
        reference: String,
        destination: PathBuf,
        #[arg(long)]
        connections: usize,
        #[arg(long)]
        synced: bool,
    },
    /// Fetch an image's blobs one after another, by the registry crate
    #[command(hide = true)]
    OciClient { reference: String, destination: PathBuf },
    /// Pull a cached image by the library, and print the median of the microseconds
    #[command(hide = true)]
    Warm { reference: String, root: PathBuf },
    /// Pull the same image several times at once by the library, and print the seconds
    #[command(hide = true)]
    Together { reference: String, root: PathBuf, count: usize },
}
