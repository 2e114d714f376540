//! Command line arguments.

#![allow(clippy::doc_markdown, reason = "it is printed by --help as it stands")]

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{ArgAction, Parser, Subcommand};
use hoist::{CachePolicy, Config, Reference, Result};

use crate::exit;

/// Pull container images to the local disk, as verified OCI image layouts
#[derive(Debug, Parser)]
#[command(name = "hoist", version, after_help = exit::HELP, arg_required_else_help = true)]
pub(crate) struct Args {
    /// Directory of the store [env: HOIST_ROOT] [default: /var/lib/hoist for root, else ~/.local/share/hoist]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    /// Configuration file, in TOML [env: HOIST_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

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

    /// Log what hoist does; -vv also logs each request
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Pull images, and print the path of each image's layout
    Pull {
        /// Images, such as nginx, ghcr.io/org/repo:v1 or name@sha256:...; pulls three at once, or `max-pulls`
        /// of the configuration
        #[arg(required = true, value_name = "REF")]
        references: Vec<String>,

        /// Ask the registry again, and check the stored files byte for byte
        #[arg(long)]
        force: bool,

        /// When to ask the registry about a tag that is stored: missing (never), always, never (not even about
        /// a tag that is not stored), or "newer-than 1h" (if it was last asked more than an hour ago) [env:
        /// HOIST_CACHE_POLICY] [default: missing]
        #[arg(long, value_name = "POLICY", value_parser = policy, conflicts_with = "force")]
        policy: Option<CachePolicy>,

        /// Contact the registries of these images without TLS, as hoist does for loopback names
        #[arg(long)]
        plain_http: bool,
    },
    /// Load the images of an archive: an oci-archive from skopeo, or the output of docker save (docker 25 or
    /// later)
    Load {
        /// The archive; `-` reads it from stdin
        #[arg(value_name = "FILE")]
        path: PathBuf,

        /// Replace names that already lead to other images
        #[arg(long)]
        replace: bool,
    },
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
    Gc {
        /// Delete leftovers of failed pulls at once, instead of a day later
        #[arg(long)]
        all: bool,

        /// Limit the store to this size, such as 20GiB or 500MB, by also deleting the least recently used
        /// images [env: HOIST_MAX_SIZE] [default: `max-size` in the configuration]
        #[arg(long, value_name = "SIZE")]
        max_size: Option<ByteSize>,

        /// Only print what would be deleted
        #[arg(long)]
        dry_run: bool,
    },
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
    /// Check credentials with a registry, and store them where docker and podman also find them
    Login(LoginArgs),
    /// Remove the credentials that `login` stored
    Logout {
        /// The registry
        #[arg(value_name = "REGISTRY")]
        registry: String,
    },
    /// Exit with code 0 if the image is cached, and with 1 if not
    IsCached {
        /// The image
        #[arg(value_name = "REF")]
        reference: String,
    },
}

/// Arguments of `login`.
#[derive(Debug, clap::Args)]
pub(crate) struct LoginArgs {
    /// The registry, such as docker.io, ghcr.io or registry.lan:5000
    #[arg(value_name = "REGISTRY")]
    pub(crate) registry: String,

    /// Username; hoist asks for it on a terminal
    #[arg(long, short, value_name = "USER")]
    pub(crate) username: Option<String>,

    /// Read the password or access token from stdin; without this flag, hoist asks for it on a terminal,
    /// without echo
    #[arg(long)]
    pub(crate) password_stdin: bool,

    /// Contact the registry without TLS, as hoist does for loopback names
    #[arg(long)]
    pub(crate) plain_http: bool,
}

impl Command {
    /// Whether the command needs a store: to put images there, or because a directory of images answers
    /// instead.
    pub(crate) fn needs_store(&self, config: &Config) -> bool {
        let asks_directory = config.local.path.is_some() && !config.caches();
        matches!(self, Self::Pull { .. } | Self::Load { .. }) || asks_directory
    }

    /// Whether the command only asks registries and stores no image. The user's store is then left alone.
    pub(crate) fn only_asks(&self) -> bool {
        matches!(self, Self::Resolve { .. } | Self::Tags { .. } | Self::Login(_) | Self::Logout { .. })
    }

    /// The references whose registries are contacted without TLS.
    fn plain_http(&self) -> &[String] {
        match self {
            Self::Pull { references, plain_http: true, .. } => references,
            Self::Resolve { reference: name, plain_http: true }
            | Self::Tags { repository: name, plain_http: true } => std::slice::from_ref(name),
            _ => &[],
        }
    }

    /// Fails if the command has references and none of them is valid. Nothing else is touched in that case.
    pub(crate) fn check_references(&self) -> Result<()> {
        let references = match self {
            Self::Pull { references, .. } | Self::Remove { references } => references,
            Self::Inspect { reference, .. }
            | Self::IsCached { reference }
            | Self::Resolve { reference, .. }
            | Self::Tags { repository: reference, .. } => std::slice::from_ref(reference),
            Self::List
            | Self::Load { .. }
            | Self::Gc { .. }
            | Self::Usage
            | Self::Fsck { .. }
            | Self::Login(_)
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

impl Args {
    /// The configuration: the file's, overridden by the environment and then by the command line. Keys that
    /// would contradict a flag are removed.
    pub(crate) fn config(&self) -> Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::load_with_env(path)?,
            None => Config::from_env()?,
        };
        if let Some(root) = &self.root {
            config = config.with_root(root);
        }
        if let Some(platform) = &self.platform {
            config = config.with_platform(platform.parse()?);
        }
        if self.offline {
            config.remote.enabled = None;
            if config.local.path.is_none() {
                config.cache.enabled = None; // only the store can answer
            }
            config = config.with_offline();
        }
        if let Command::Logout { .. } = &self.command {
            // It asks no registry, so `offline` does not apply.
            (config.offline, config.remote.enabled) = (false, None);
        }
        if let Command::Gc { max_size: Some(size), .. } = &self.command {
            config = config.with_max_size(size.as_u64());
        }
        if let Command::Pull { policy: Some(policy), .. } = &self.command {
            config.cache.enabled = None;
            config = config.with_policy(*policy);
        }
        for reference in self.command.plain_http().iter().filter_map(|text| text.parse::<Reference>().ok()) {
            config = config.with_plain_http(reference.registry());
        }
        Ok(config)
    }
}

fn policy(text: &str) -> std::result::Result<CachePolicy, String> {
    text.parse().map_err(|error: hoist::Error| error.report())
}
