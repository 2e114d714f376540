//! What can be said on the command line.

#![allow(clippy::doc_markdown, reason = "it is printed by --help as it stands")]

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{ArgAction, Parser, Subcommand};
use hoist::{CachePolicy, Config, Reference, Result};

use crate::exit;

/// Puts container images on this machine's disk, as verified OCI image layouts.
#[derive(Debug, Parser)]
#[command(name = "hoist", version, after_help = exit::HELP, arg_required_else_help = true)]
pub(crate) struct Args {
    /// The directory of the store [env: HOIST_ROOT] [default: /var/lib/hoist for root, else ~/.local/share/hoist]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    /// A configuration file, in TOML [env: HOIST_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The platform to choose images for, such as linux/arm64 [env: HOIST_PLATFORM] [default: this machine's]
    #[arg(long, global = true, value_name = "OS[(VERSION)]/ARCH[/VARIANT]")]
    pub(crate) platform: Option<String>,

    /// Ask no registry: what is not here is unavailable [env: HOIST_OFFLINE]
    #[arg(long, global = true)]
    pub(crate) offline: bool,

    /// Print one JSON object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Print no progress
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// Log what is done; twice, each request as well
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Put images on the disk, and print the path of each one's layout
    Pull {
        /// Images, such as nginx, ghcr.io/org/repo:v1 or name@sha256:...; three are pulled at once, or as many as
        /// `max-pulls` in the configuration says
        #[arg(required = true, value_name = "REF")]
        references: Vec<String>,

        /// Ask the registry again, and check what is here already byte for byte
        #[arg(long)]
        force: bool,

        /// When to ask the registry about a tag that is here: missing (never), always, never (nor about what is
        /// not), or "newer-than 1h" (an hour after it was last asked) [env: HOIST_CACHE_POLICY] [default: missing]
        #[arg(long, value_name = "POLICY", value_parser = policy, conflicts_with = "force")]
        policy: Option<CachePolicy>,

        /// Speak to the registries of these images without TLS, as to those on loopback names
        #[arg(long)]
        plain_http: bool,
    },
    /// Take the images of an archive into the store: one that skopeo wrote as oci-archive, or docker 25 or later saved
    Load {
        /// The archive; `-` is what comes on stdin
        #[arg(value_name = "FILE")]
        path: PathBuf,

        /// Also where a name leads to another image already
        #[arg(long)]
        replace: bool,
    },
    /// Print the references of the images that are here, and <none>@DIGEST for those that a moved tag left
    #[command(visible_alias = "ls")]
    List,
    /// Forget images, print the names that are gone, and delete those that have no other name
    #[command(visible_alias = "rm")]
    Remove {
        /// Images: by the names that `list` prints; by name@sha256:..., that is all that lead there in this
        /// repository; or by sha256:..., that is all
        #[arg(required = true, value_name = "REF")]
        references: Vec<String>,
    },
    /// Delete what no name leads to: what a moved tag or a failed pull left
    Gc {
        /// Take what failed pulls left at once, and not a day later
        #[arg(long)]
        all: bool,

        /// Keep the store to this size, such as 20GiB or 500MB: after all else, images go that were not used
        /// for the longest time [env: HOIST_MAX_SIZE] [default: `max-size` in the configuration]
        #[arg(long, value_name = "SIZE")]
        max_size: Option<ByteSize>,

        /// Only say what would be deleted
        #[arg(long)]
        dry_run: bool,
    },
    /// Show how much of the disk the store and each image take
    Usage,
    /// Check every byte and every name of the store
    Fsck {
        /// Take away what is damaged, so that the next pull fetches it again
        #[arg(long)]
        repair: bool,
    },
    /// Show what a reference is at its registry now: its digest, and the images for each platform. Nothing is stored
    Resolve {
        /// The image
        #[arg(value_name = "REF")]
        reference: String,

        /// Speak to the registry without TLS, as to those on loopback names
        #[arg(long)]
        plain_http: bool,
    },
    /// Print the tags that a repository has at its registry now
    Tags {
        /// The repository, such as nginx or ghcr.io/org/repo
        #[arg(value_name = "REPO")]
        repository: String,

        /// Speak to the registry without TLS, as to those on loopback names
        #[arg(long)]
        plain_http: bool,
    },
    /// Show what an image that is here consists of
    Inspect {
        /// The image
        #[arg(value_name = "REF")]
        reference: String,

        /// Print its configuration in place of that, byte for byte: its entrypoint, its environment and so on
        #[arg(long)]
        image_config: bool,
    },
    /// Check credentials with a registry, and store them where docker and podman find them too
    Login(LoginArgs),
    /// Forget the credentials that a login has stored
    Logout {
        /// The registry
        #[arg(value_name = "REGISTRY")]
        registry: String,
    },
    /// Exit with 0 if the image is cached, with 1 if not
    IsCached {
        /// The image
        #[arg(value_name = "REF")]
        reference: String,
    },
}

/// What `login` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct LoginArgs {
    /// The registry, such as docker.io, ghcr.io or registry.lan:5000
    #[arg(value_name = "REGISTRY")]
    pub(crate) registry: String,

    /// Who logs in; asked for where there is a terminal
    #[arg(long, short, value_name = "USER")]
    pub(crate) username: Option<String>,

    /// Read the password, or the access token, from stdin; else it is asked for, unseen, where there is a terminal
    #[arg(long)]
    pub(crate) password_stdin: bool,

    /// Speak to the registry without TLS, as to those on loopback names
    #[arg(long)]
    pub(crate) plain_http: bool,
}

impl Command {
    /// Whether there has to be a store for it: to put images there, or since the answer is in another place.
    pub(crate) fn needs_store(&self, config: &Config) -> bool {
        let asks_directory = config.local.path.is_some() && !config.caches();
        matches!(self, Self::Pull { .. } | Self::Load { .. }) || asks_directory
    }

    /// Whether it is about registries alone, and leaves no image behind: then the user's store is not touched.
    pub(crate) fn only_asks(&self) -> bool {
        matches!(self, Self::Resolve { .. } | Self::Tags { .. } | Self::Login(_) | Self::Logout { .. })
    }

    /// The references whose registries are to be spoken to without TLS.
    fn plain_http(&self) -> &[String] {
        match self {
            Self::Pull { references, plain_http: true, .. } => references,
            Self::Resolve { reference: name, plain_http: true }
            | Self::Tags { repository: name, plain_http: true } => std::slice::from_ref(name),
            _ => &[],
        }
    }

    /// Fails where there are references and none of them is one: then nothing else need be touched.
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
    /// The configuration: the file's, with what the environment and then the command line say in its place. Keys that
    /// would contradict a flag are no longer said.
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
                config.cache.enabled = None; // only the store is left to answer
            }
            config = config.with_offline();
        }
        if let Command::Logout { .. } = &self.command {
            // It asks no registry, and so there is nothing that could forbid it.
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
