//! Command line arguments.

#![allow(clippy::doc_markdown, reason = "it is printed by --help as it stands")]

mod export;
mod login;
mod pull;
mod rootfs;
mod serve;
mod settings;
mod store;

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};
use hoist::{Config, Reference, Result};

use crate::exit;
use crate::progress::Style;

pub(crate) use export::{Compress, CopyArgs, SaveArgs, SaveFormat};
pub(crate) use login::LoginArgs;
pub(crate) use pull::PullArgs;
pub(crate) use rootfs::RootFsArgs;
#[cfg(feature = "rootfs")]
pub(crate) use rootfs::RootFsFormat;
pub(crate) use serve::ServeArgs;
pub(crate) use store::{GcArgs, LoadArgs};

/// Pull container images to the local disk, as verified OCI image layouts
#[derive(Debug, Parser)]
#[command(name = "hoist", version, after_help = exit::HELP, arg_required_else_help = true)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// Directory of the store [env: HOIST_ROOT] [default: /var/lib/hoist for root, else ~/.local/share/hoist]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    /// Configuration file, in TOML [env: HOIST_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Keep the store on a network file system, such as NFS; only for a store that one host uses [env:
    /// HOIST_ALLOW_NETWORK_FILE_SYSTEM]
    #[arg(long, global = true)]
    pub(crate) allow_network_file_system: bool,

    /// Platform to choose images for, such as linux/arm64 [env: HOIST_PLATFORM] [default: this machine's]
    #[arg(long, global = true, value_name = "OS[(VERSION)]/ARCH[/VARIANT]")]
    pub(crate) platform: Option<String>,

    /// Ask no registry; images that are not stored are unavailable [env: HOIST_OFFLINE]
    #[arg(long, global = true)]
    pub(crate) offline: bool,

    /// Print results as JSON, one object per line
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Print no progress
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// How to show progress on stderr: bars on a terminal and plain lines elsewhere (auto), bar, plain, json (one object
    /// per line), or none
    #[arg(
        long,
        global = true,
        value_name = "STYLE",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    #[arg(conflicts_with = "quiet")]
    pub(crate) progress: Style,

    /// Log what hoist does; -vv also logs each request
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Pull images, and print the path of each image's layout
    Pull(PullArgs),
    /// Load the images of an archive: an oci-archive from skopeo, or the output of docker save (docker 25 or
    /// later)
    Load(LoadArgs),
    /// Write stored images to an archive, or to an OCI layout directory
    Save(SaveArgs),
    /// Copy stored images to another store, under the same names
    Copy(CopyArgs),
    /// List the references of stored images, and <none>@DIGEST for images that a moved tag left behind
    #[command(visible_alias = "ls")]
    List,
    /// Remove images by name, print the removed names, and delete images without any other name
    #[command(visible_alias = "rm")]
    Remove {
        /// Images: a name that `list` prints; name@sha256:... for all names of that image in this repository;
        /// or sha256:... for all its names in all repositories
        #[arg(required = true, value_name = "REF")]
        references: Vec<String>,
    },
    /// Delete images and data that no name leads to, left by moved tags and failed pulls
    Gc(GcArgs),
    /// Show the disk space of the store and of each image
    Usage,
    /// Check every byte and every name in the store
    Fsck {
        /// Remove damaged content, so that the next pull fetches it again
        #[arg(long)]
        repair: bool,
    },
    /// Show what a reference leads to at its registry now: its digest, and the images for each platform. Stores
    /// nothing
    Resolve {
        /// The image
        #[arg(value_name = "REF")]
        reference: String,

        /// Contact the registry without TLS, as hoist does for loopback names
        #[arg(long)]
        plain_http: bool,
    },
    /// List the tags that a repository has at its registry now
    Tags {
        /// The repository, such as nginx or ghcr.io/org/repo
        #[arg(value_name = "REPO")]
        repository: String,

        /// Contact the registry without TLS, as hoist does for loopback names
        #[arg(long)]
        plain_http: bool,
    },
    /// Show the manifest, configuration and layers of a stored image
    Inspect {
        /// The image
        #[arg(value_name = "REF")]
        reference: String,

        /// Print the image's configuration instead, byte for byte: its entrypoint, environment and so on
        #[arg(long)]
        image_config: bool,
    },
    /// Pull an image, make a root file system of it that a virtual machine can boot from, and print its path
    #[command(name = "rootfs")]
    RootFs(RootFsArgs),
    /// Serve the images of the store to other programs, as a registry that can be pulled from; stops on Ctrl-C
    Serve(ServeArgs),
    /// Check credentials with a registry, and store them where docker and podman also find them
    Login(LoginArgs),
    /// Remove the credentials that `login` stored
    Logout {
        /// The registry
        #[arg(value_name = "REGISTRY")]
        registry: String,
    },
    /// Check what surprises people: the store's file system, proxies, certificates and hosts' files; and each step of
    /// the way to a registry
    Doctor {
        /// A registry to go to, as host or host:port
        #[arg(long, value_name = "HOST")]
        registry: Option<String>,
    },
    /// Exit with code 0 if the image is cached, and with 1 if not
    IsCached {
        /// The image
        #[arg(value_name = "REF")]
        reference: String,
    },
}

impl Command {
    /// Whether the command needs a store: to put images there, or because a directory of images answers
    /// instead.
    pub(crate) fn needs_store(&self, config: &Config) -> bool {
        let asks_directory = config.local.path.is_some() && !config.caches();
        matches!(self, Self::Pull(_) | Self::Load(_) | Self::RootFs(_) | Self::Serve(_)) || asks_directory
    }

    /// Whether the command only asks registries and stores no image. The user's store is then left alone.
    pub(crate) fn only_asks(&self) -> bool {
        matches!(
            self,
            Self::Resolve { .. }
                | Self::Tags { .. }
                | Self::Login(_)
                | Self::Logout { .. }
                | Self::Doctor { .. }
        )
    }

    /// The references whose registries are contacted without TLS.
    pub(super) fn plain_http(&self) -> &[String] {
        match self {
            Self::Pull(PullArgs { references, plain_http: true, .. }) => references,
            Self::RootFs(RootFsArgs { reference: name, plain_http: true, .. })
            | Self::Resolve { reference: name, plain_http: true }
            | Self::Tags { repository: name, plain_http: true } => std::slice::from_ref(name),
            _ => &[],
        }
    }

    /// Fails if the command has references and none of them is valid. Nothing else is touched in that case.
    pub(crate) fn check_references(&self) -> Result<()> {
        let references = match self {
            Self::Pull(PullArgs { references, .. })
            | Self::Save(SaveArgs { references, .. })
            | Self::Copy(CopyArgs { references, .. })
            | Self::Remove { references } => references,
            Self::RootFs(RootFsArgs { reference, .. })
            | Self::Inspect { reference, .. }
            | Self::IsCached { reference }
            | Self::Resolve { reference, .. }
            | Self::Tags { repository: reference, .. } => std::slice::from_ref(reference),
            Self::Load(args) => args.name.as_slice(),
            Self::List
            | Self::Serve(_)
            | Self::Gc(_)
            | Self::Usage
            | Self::Fsck { .. }
            | Self::Login(_)
            | Self::Doctor { .. }
            | Self::Logout { .. } => return Ok(()),
        };
        let parsed: Vec<Result<Reference>> = references.iter().map(|text| text.parse()).collect();
        if parsed.iter().any(Result::is_ok) {
            Ok(())
        } else {
            parsed.into_iter().collect::<Result<Vec<_>>>().map(drop)
        }
    }
}
