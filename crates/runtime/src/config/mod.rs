//! The configuration: what is stacked on what, and how; read from TOML, or built by a program.

mod cache;
mod file;
mod local;
mod remote;
mod values;

use std::path::PathBuf;

use hoist_core::{Error, ErrorKind, Platform, Result};
use hoist_store::Durability;
use serde::Deserialize;

use crate::root::default_root;

pub use cache::CacheConfig;
pub use local::LocalConfig;
pub use remote::{CredentialsConfig, RemoteConfig};

/// What a [`Hoist`](crate::Hoist) is made of.
///
/// In TOML, where every key may be left out, and an unknown one is an error:
///
/// ```
/// # let text = r#"
/// root = "/var/lib/hoist"      # the store's directory
/// platform = "linux/amd64"     # which images to choose; the host's platform by default
/// durability = "synced"        # or "none": faster, and damaged by a power cut
/// max-size = "20GiB"           # what was not used for longest is evicted; no limit by default
///
/// [remote]
/// enabled = true               # where compiled in
/// connections = 16             # how many connections bring blobs from one registry at once
/// stall-timeout = 10           # seconds that one of them may bring nothing
/// retries = 4                  # how often a request that failed is made again
/// plain-http = ["10.0.0.5:5000"]
///
/// [remote.credentials."ghcr.io"]
/// username = "jo"
/// password = "..."
///
/// [local]
/// path = "/srv/images"         # asked first, where it is set
/// repository = "example.com/demo"
/// writable = false
/// vouched = false              # true: nobody writes to its blobs, so that they can be linked to
///
/// [cache]
/// enabled = true               # where compiled in
/// # "#;
/// # hoist::Config::from_toml(text).unwrap();
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
    /// Whether what is stored survives a power cut: `"synced"`, the default, or `"none"`.
    #[serde(deserialize_with = "values::durability")]
    pub durability: Durability,
    /// How much of the disk the store may hold, in bytes, spelled `20GiB` or `500MB`: a pull that brings more
    /// evicts the images that were not used for the longest time. By default there is no limit.
    #[serde(deserialize_with = "values::size")]
    pub max_size: Option<u64>,
    /// Registries that are reached over HTTP.
    pub remote: RemoteConfig,
    /// A directory of images.
    pub local: LocalConfig,
    /// Whether the store answers without asking.
    pub cache: CacheConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            root: default_root(),
            platform: None,
            durability: Durability::default(),
            max_size: None,
            remote: RemoteConfig::default(),
            local: LocalConfig::default(),
            cache: CacheConfig::default(),
        }
    }
}

impl Config {
    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) where one key contradicts another, or holds what
    /// cannot be.
    pub(crate) fn check(&self) -> Result<()> {
        self.local.check()?;
        self.remote.check()
    }

    /// Keeps the store in this directory.
    pub fn with_root(self, root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), ..self }
    }

    /// Chooses images for this platform.
    pub fn with_platform(self, platform: Platform) -> Self {
        Self { platform: Some(platform), ..self }
    }

    /// Chooses whether what is stored survives a power cut.
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// Keeps the store to so many bytes of the disk.
    pub fn with_max_size(self, bytes: u64) -> Self {
        Self { max_size: Some(bytes), ..self }
    }
}

fn invalid(message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}
