//! The configuration: what is stacked on what, and how; read from TOML, or built by a program.

use std::collections::BTreeMap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use hoist_core::{Error, ErrorKind, Platform, Reference, Result};
use hoist_store::Durability;
use serde::{Deserialize, Deserializer, de};

use crate::root::default_root;
use crate::secret::Secret;

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
/// foreign-layers = ["go.microsoft.com"]  # where layers may come from that a registry may not distribute
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
    #[serde(deserialize_with = "platform")]
    pub platform: Option<Platform>,
    /// Whether what is stored survives a power cut: `"synced"`, the default, or `"none"`.
    #[serde(deserialize_with = "crate::durability::deserialize")]
    pub durability: Durability,
    /// How much of the disk the store may hold, in bytes, spelled `20GiB` or `500MB`: a pull that brings more
    /// evicts the images that were not used for the longest time. By default there is no limit.
    #[serde(deserialize_with = "size")]
    pub max_size: Option<u64>,
    /// Registries that are reached over HTTP.
    pub remote: RemoteConfig,
    /// A directory of images.
    pub local: LocalConfig,
    /// Whether the store answers without asking.
    pub cache: CacheConfig,
}

/// `[remote]`: registries that are reached over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RemoteConfig {
    /// Whether registries are asked at all; by default if the feature `remote` is compiled in.
    pub enabled: bool,
    /// How many connections bring blobs from one registry at once; by default what the backend finds best.
    pub connections: Option<NonZeroUsize>,
    /// How many seconds a connection may bring nothing, or next to nothing, of a blob before the rest is asked for
    /// over another; by default what the backend finds best.
    pub stall_timeout: Option<NonZeroU64>,
    /// How often a request that failed, and may succeed, is made again; by default what the backend finds best.
    pub retries: Option<usize>,
    /// The registries, as `host` or `host:port`, that are spoken to without TLS. Those on loopback names are,
    /// without being listed.
    pub plain_http: Vec<String>,
    /// The hosts, as `host` or `host:port`, that layers may be fetched from which a registry may not distribute, and
    /// does not have; `*` is all whose addresses are public. They are shown no credentials. By default there are
    /// none, and such layers come from the registry or not at all.
    pub foreign_layers: Vec<String>,
    /// Who asks, by registry: `[remote.credentials."ghcr.io"]`.
    pub credentials: BTreeMap<String, CredentialsConfig>,
}

/// `[remote.credentials."<registry>"]`: who asks there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct CredentialsConfig {
    /// The user's name.
    pub username: String,
    /// The password, or what stands in for it: an access token, a robot account's key.
    pub password: Secret,
}

/// `[local]`: a directory that holds an OCI image layout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[non_exhaustive]
pub struct LocalConfig {
    /// The directory. It is asked before any registry; by default there is none.
    pub path: Option<PathBuf>,
    /// What its bare tags are tags of; by default the directory's own name.
    pub repository: Option<Reference>,
    /// Whether `remove` may change it; by default it may not.
    pub writable: bool,
    /// Whether you vouch that nobody writes to its blobs any more: then they are linked to, and not copied,
    /// where the store is on the same file system. By default they are copied.
    pub vouched: bool,
}

/// `[cache]`: the store as a cache.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CacheConfig {
    /// Whether the store answers without asking; by default if the feature `cache` is compiled in.
    pub enabled: bool,
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

#[allow(clippy::derivable_impls, reason = "only where the feature is off")]
impl Default for RemoteConfig {
    fn default() -> Self {
        Self {
            enabled: cfg!(feature = "remote"),
            connections: None,
            stall_timeout: None,
            retries: None,
            plain_http: Vec::new(),
            foreign_layers: Vec::new(),
            credentials: BTreeMap::new(),
        }
    }
}

#[allow(clippy::derivable_impls, reason = "only where the feature is off")]
impl Default for CacheConfig {
    fn default() -> Self {
        Self { enabled: cfg!(feature = "cache") }
    }
}

impl Config {
    /// Reads a configuration.
    ///
    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig), and names the key. No value that could be a
    /// secret is repeated.
    pub fn from_toml(text: &str) -> Result<Self> {
        Self::read(text, "the configuration")
    }

    /// Reads a configuration from a file.
    ///
    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig), and names the file and the key.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let name = path.as_ref().display();
        let text = std::fs::read_to_string(&path).map_err(|cause| {
            Error::new(ErrorKind::InvalidConfig, format!("cannot read {name}")).with_source(cause)
        })?;
        Self::read(&text, name)
    }

    fn read(text: &str, name: impl std::fmt::Display) -> Result<Self> {
        let config: Self =
            toml::from_str(text).map_err(|error| invalid(format!("{name}: {}", place(error, text))))?;
        config.check().map_err(|error| error.context(format!("{name} cannot be used")))?;
        Ok(config)
    }

    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) where one key contradicts another, or holds what
    /// cannot be.
    pub(crate) fn check(&self) -> Result<()> {
        let local = &self.local;
        if local.path.is_none() && (local.writable || local.vouched || local.repository.is_some()) {
            return Err(invalid("`local` is set up, but has no `local.path`")
                .with_help("set `local.path` to a directory with an OCI image layout"));
        }
        let registries = self.remote.plain_http.iter().map(|name| ("remote.plain-http", name));
        let credentials = self.remote.credentials.keys().map(|name| ("remote.credentials", name));
        let hosts = self.remote.foreign_layers.iter().filter(|name| *name != "*");
        let hosts = hosts.map(|name| ("remote.foreign-layers", name));
        match registries.chain(credentials).chain(hosts).find(|(_, name)| !is_registry(name)) {
            Some((key, name)) => Err(invalid(format!("`{key}` has {name:?}, which is not a registry"))
                .with_help("write it as host or host:port, without https://")),
            None => Ok(()),
        }
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

    /// Asks registries.
    pub fn with_remote(mut self) -> Self {
        self.remote.enabled = true;
        self
    }

    /// Asks no registry.
    pub fn without_remote(mut self) -> Self {
        self.remote.enabled = false;
        self
    }

    /// Brings blobs from one registry over so many connections at once.
    pub fn with_connections(mut self, connections: NonZeroUsize) -> Self {
        self.remote.connections = Some(connections);
        self
    }

    /// Gives up a connection that brings nothing of a blob for so many seconds, and asks over another.
    pub fn with_stall_timeout(mut self, seconds: NonZeroU64) -> Self {
        self.remote.stall_timeout = Some(seconds);
        self
    }

    /// Makes a request that failed, and may succeed, again so many times.
    pub fn with_retries(mut self, retries: usize) -> Self {
        self.remote.retries = Some(retries);
        self
    }

    /// Speaks to this registry without TLS: `host` or `host:port`.
    pub fn with_plain_http(mut self, registry: impl Into<String>) -> Self {
        self.remote.plain_http.push(registry.into());
        self
    }

    /// Lets layers that a registry may not distribute come from this host: `host`, `host:port`, or `*` for all that
    /// are public.
    pub fn with_foreign_layers(mut self, host: impl Into<String>) -> Self {
        self.remote.foreign_layers.push(host.into());
        self
    }

    /// Shows these credentials to this registry: `host` or `host:port`.
    pub fn with_credentials(
        mut self,
        registry: impl Into<String>,
        username: impl Into<String>,
        password: impl Into<Secret>,
    ) -> Self {
        let credentials = CredentialsConfig { username: username.into(), password: password.into() };
        self.remote.credentials.insert(registry.into(), credentials);
        self
    }

    /// Looks into this directory first.
    pub fn with_local(mut self, path: impl Into<PathBuf>) -> Self {
        self.local.path = Some(path.into());
        self
    }

    /// Makes the directory's bare tags those of this repository.
    pub fn with_local_repository(mut self, repository: Reference) -> Self {
        self.local.repository = Some(repository);
        self
    }

    /// Allows `remove` to change the directory.
    pub fn with_writable_local(mut self) -> Self {
        self.local.writable = true;
        self
    }

    /// Vouches that nobody writes to the directory's blobs.
    pub fn with_vouched_local(mut self) -> Self {
        self.local.vouched = true;
        self
    }

    /// Lets the store answer without asking.
    pub fn with_cache(mut self) -> Self {
        self.cache.enabled = true;
        self
    }

    /// Asks the sources each time.
    pub fn without_cache(mut self) -> Self {
        self.cache.enabled = false;
        self
    }
}

fn platform<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Platform>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(|error: Error| de::Error::custom(error.report()))
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let size = text.parse::<ByteSize>();
    size.map(|size| Some(size.as_u64()))
        .map_err(|_| de::Error::custom(format!("{text:?} is not a size; write it as 20GiB or 500MB")))
}

/// Whether this is a registry as a reference names it.
fn is_registry(name: &str) -> bool {
    let reference = format!("{name}/repository").parse::<Reference>();
    reference.is_ok_and(|reference| reference.registry() == name && reference.repository() == "repository")
        || name == "docker.io"
}

/// What is wrong, and where. The parser's own text would show the line, and with it a password.
fn place(mut error: toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    error.set_input(None);
    let what = error.to_string().lines().collect::<Vec<_>>().join(" ");
    match before {
        Some(before) => format!("line {}: {what}", before.matches('\n').count() + 1),
        None => what,
    }
}

fn invalid(message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}
