//! The configuration of a stack, read from TOML or built by a program. Each file has the keys of one table.

mod admission;
mod cache;
mod env;
mod file;
mod local;
mod name_pattern;
mod remote;
mod remote_table;
mod serve;
mod values;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use hoist_core::{Error, ErrorKind, Platform, Result};
use hoist_store::Durability;
use serde::Deserialize;

use crate::root::default_root;

pub use admission::AdmissionConfig;
pub use cache::{CacheConfig, CachePolicy};
pub use local::LocalConfig;
pub use name_pattern::NamePattern;
pub use remote::{RemoteClient, RemoteConfig};
pub use serve::ServeConfig;

/// What a [`Hoist`](crate::Hoist) is made of.
///
/// In TOML, where every key may be left out, and an unknown one is an error:
///
/// ```
/// # let text = r#"
/// root = "/var/lib/hoist"
/// max-size = "20GiB"
///
/// [remote.credentials."ghcr.io"]
/// username = "jo"
/// password = "..."
///
/// [local]
/// path = "/srv/images"
/// # "#;
/// # hoist::Config::from_toml(text).unwrap();
/// ```
///
/// `docs/configuration.md` lists the keys with their defaults, and the environment variables that go before
/// them ([`with_env`](Self::with_env)). A program says the same with the `with_` methods:
///
/// ```
/// let config = hoist::Config::default()
///     .with_root("/var/lib/hoist")
///     .with_max_size(20 << 30)
///     .with_remote_options(|options| {
///         options.with_credentials("ghcr.io", hoist::Credentials::basic("jo", "..."))
///     })
///     .with_local("/srv/images");
/// ```
///
/// Paths that are not absolute start from the process's working directory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[non_exhaustive]
#[must_use]
pub struct Config {
    /// The store's directory; [`default_root`] unless it is said otherwise.
    pub root: PathBuf,
    /// Which images are chosen, spelled `os/architecture[/variant]`; by default those for the host.
    #[serde(deserialize_with = "values::platform")]
    pub platform: Option<Platform>,
    /// Whether stored images survive a power cut: `"synced"`, the default, or `"none"`.
    #[serde(deserialize_with = "values::durability")]
    pub durability: Durability,
    /// How much of the disk the store may hold, in bytes, spelled `20GiB` or `500MB`: a pull that brings more
    /// evicts the images that were not used for the longest time. By default there is no limit.
    #[serde(deserialize_with = "values::size")]
    pub max_size: Option<u64>,
    /// The group, by its number, that may read the store beside its owner, as [`Access::Group`](crate::Access::Group)
    /// has it. By default only the owner may.
    pub access_group: Option<u32>,
    /// Whether the store may be on a network file system, such as NFS, SMB, 9p or Ceph, as
    /// [`StoreOptions::with_network_file_system`](crate::StoreOptions::with_network_file_system) has it. By default it
    /// may not.
    pub allow_network_file_system: bool,
    /// Whether no registry is asked, whatever `[remote]` says of how: what neither the store nor a directory has
    /// is [`Unavailable`](ErrorKind::Unavailable).
    pub offline: bool,
    /// The maximum number of images that are fetched at once, for each platform. Images in the store do not wait. By
    /// default there is no limit.
    pub max_pulls: Option<NonZeroUsize>,
    /// Whether each call is a `tracing` span, and is counted, where the feature `metrics` is compiled in. By default it
    /// is not.
    pub observe: bool,
    /// Registries that are reached over HTTP.
    pub remote: RemoteConfig,
    /// A directory of images.
    pub local: LocalConfig,
    /// Whether the store answers without asking.
    pub cache: CacheConfig,
    /// Which images may be handed out at all.
    pub admission: AdmissionConfig,
    /// What is handed out to other programs, and where.
    pub serve: ServeConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            root: default_root(),
            platform: None,
            durability: Durability::default(),
            max_size: None,
            access_group: None,
            allow_network_file_system: false,
            offline: false,
            max_pulls: None,
            observe: false,
            remote: RemoteConfig::default(),
            local: LocalConfig::default(),
            cache: CacheConfig::default(),
            admission: AdmissionConfig::default(),
            serve: ServeConfig::default(),
        }
    }
}

impl Config {
    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) where one key contradicts another, or holds what
    /// cannot be.
    pub(crate) fn check(&self) -> Result<()> {
        self.local.check()?;
        self.remote.check()?;
        self.cache.check()?;
        self.serve.check()?;
        self.admission.check()?;
        if self.offline && self.remote.enabled == Some(true) {
            return Err(invalid("`offline` and `remote.enabled` contradict each other")
                .with_help("leave one of them out"));
        }
        if self.local.writable && self.caches() {
            return Err(invalid("`local.writable` is set, and `cache.enabled` is not false").with_help(
                "where the store answers, `remove` is about the store alone: leave one of them out",
            ));
        }
        Ok(())
    }

    /// Keeps the store in this directory.
    pub fn with_root(self, root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), ..self }
    }

    /// Chooses images for this platform.
    pub fn with_platform(self, platform: Platform) -> Self {
        Self { platform: Some(platform), ..self }
    }

    /// Chooses whether stored images survive a power cut.
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// Limits the store to `bytes` on the disk.
    pub fn with_max_size(self, bytes: u64) -> Self {
        Self { max_size: Some(bytes), ..self }
    }

    /// Lets this group, by its number, read the store.
    pub fn with_access_group(self, group: u32) -> Self {
        Self { access_group: Some(group), ..self }
    }

    /// Allows the store to be on a network file system, for a store that one host uses.
    pub fn with_network_file_system(self) -> Self {
        Self { allow_network_file_system: true, ..self }
    }

    /// Asks no registry, whatever else is said of registries.
    pub fn with_offline(self) -> Self {
        Self { offline: true, ..self }
    }

    /// Sets the maximum number of images that are fetched at once.
    pub fn with_max_pulls(self, pulls: NonZeroUsize) -> Self {
        Self { max_pulls: Some(pulls), ..self }
    }

    /// Makes each call a span, and counts it where that is compiled in.
    pub fn with_observe(self) -> Self {
        Self { observe: true, ..self }
    }
}

fn invalid(message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}
