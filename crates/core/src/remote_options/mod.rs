//! The options for registries over HTTP. A program, a configuration and a backend all share this one type, so that each
//! option is written once.

mod credentials;
#[cfg(feature = "config")]
pub mod duration;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Error, ErrorKind, Reference, Result};

pub use credentials::{CredentialKind, Credentials};

/// The options for registries over HTTP. An option that is not set is as the backend's own default.
///
/// With the feature `config`, they can be deserialized: the keys of `[remote]` in hoist's configuration, such as
/// `stall-timeout`.
///
/// ```
/// use hoist_core::{Credentials, RemoteOptions};
///
/// let options = RemoteOptions::default()
///     .with_retries(2)
///     .with_mirror("docker.io", "https://mirror.lan")
///     .with_credentials("ghcr.io", Credentials::basic("jo", "..."));
/// assert_eq!(options.retries, Some(2));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "config",
    derive(serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields, default)
)]
#[non_exhaustive]
#[must_use]
pub struct RemoteOptions {
    /// The maximum number of connections per registry, shared by all pulls: 16 by default, and at most 1000. It is lower
    /// for a time after a registry answers 429 or 503, or goes silent.
    pub connections: Option<NonZeroUsize>,
    /// How long a connection may bring less than 1 KiB of a blob per second; 10 s by default. After that, the rest is
    /// requested over another connection.
    #[cfg_attr(feature = "config", serde(deserialize_with = "duration::deserialize"))]
    pub stall_timeout: Option<Duration>,
    /// How many times a request is retried that failed for a transient reason; 4 by default. The first retry follows at
    /// once, the others with exponential back-off.
    pub retries: Option<usize>,
    /// How long it may take to connect, with the TLS handshake and a proxy; 10 s by default. A host's file may set
    /// another limit for it.
    #[cfg_attr(feature = "config", serde(deserialize_with = "duration::deserialize"))]
    pub connect_timeout: Option<Duration>,
    /// How long it may take until an answer begins; four times the response time-out by default. A registry that is a
    /// cache of another one may fetch the whole image first.
    #[cfg_attr(feature = "config", serde(deserialize_with = "duration::deserialize"))]
    pub answer_timeout: Option<Duration>,
    /// How long an answer may bring nothing once it has begun; 30 s by default. A document, such as a manifest, is also given up if
    /// it comes with less than 1 KiB per second over that time, or takes ten times as long.
    #[cfg_attr(feature = "config", serde(deserialize_with = "duration::deserialize"))]
    pub response_timeout: Option<Duration>,
    /// The directories that describe hosts, as containerd (`<host>/hosts.toml`) or Docker (`<host>/*.crt`, `*.cert` and
    /// `*.key`) have them, in their order. By default `/etc/containerd/certs.d` and `/etc/docker/certs.d`, where they
    /// exist; with an empty list, none.
    #[cfg_attr(feature = "config", serde(deserialize_with = "one_or_more"))]
    pub hosts_dir: Option<Vec<PathBuf>>,
    /// The mirrors of each registry, by the registry's name in references: their addresses (`https://mirror.lan`,
    /// `http://10.0.0.5:5000/prefix`), in the order in which they are asked before the registry itself. A mirror gets
    /// the registry's name as `ns`, and only credentials of its own. If it fails in any way, the next host is asked.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// The registries, as `host` or `host:port`, to reach without TLS. Those on loopback names need no entry.
    pub plain_http: Vec<String>,
    /// The hosts, as `host` or `host:port`, that may serve foreign layers: layers that a registry may not distribute, and
    /// does not have. `*` allows all hosts with public addresses. They are asked directly, without a proxy and without
    /// credentials. By default such layers come from the registry or not at all.
    pub foreign_layers: Vec<String>,
    /// The credentials, by registry (`ghcr.io`, `registry.lan:5000`). A program may also use the start of repositories'
    /// names (`quay.io/team`); the longest one that fits counts.
    pub credentials: BTreeMap<String, Credentials>,
}

impl RemoteOptions {
    /// Sets the maximum number of connections per registry, shared by all pulls.
    pub fn with_connections(self, connections: NonZeroUsize) -> Self {
        Self { connections: Some(connections), ..self }
    }

    /// Gives up a connection that brings almost nothing of a blob for `limit`, and requests the rest over another one.
    pub fn with_stall_timeout(self, limit: Duration) -> Self {
        Self { stall_timeout: Some(limit), ..self }
    }

    /// Retries a request that failed, and may succeed, up to `retries` times.
    pub fn with_retries(self, retries: usize) -> Self {
        Self { retries: Some(retries), ..self }
    }

    /// Gives up a connection that is not open after `limit`.
    pub fn with_connect_timeout(self, limit: Duration) -> Self {
        Self { connect_timeout: Some(limit), ..self }
    }

    /// Gives up a request whose answer does not begin for `limit`.
    pub fn with_answer_timeout(self, limit: Duration) -> Self {
        Self { answer_timeout: Some(limit), ..self }
    }

    /// Gives up an answer that brings nothing for `limit`.
    pub fn with_response_timeout(self, limit: Duration) -> Self {
        Self { response_timeout: Some(limit), ..self }
    }

    /// Reads the descriptions of hosts in this directory too, in place of the usual ones.
    pub fn with_hosts_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.hosts_dir.get_or_insert_default().push(path.into());
        self
    }

    /// Reads no descriptions of hosts.
    pub fn without_hosts_dirs(self) -> Self {
        Self { hosts_dir: Some(Vec::new()), ..self }
    }

    /// Asks this mirror before the registry of this name, and after the mirrors that were added before.
    pub fn with_mirror(mut self, registry: impl Into<String>, mirror: impl Into<String>) -> Self {
        self.mirrors.entry(registry.into()).or_default().push(mirror.into());
        self
    }

    /// Uses plain http for this registry: `host` or `host:port`.
    pub fn with_plain_http(mut self, registry: impl Into<String>) -> Self {
        self.plain_http.push(registry.into());
        self
    }

    /// Lets foreign layers come from this host: `host`, `host:port`, or `*` for all with public addresses.
    pub fn with_foreign_layers(mut self, host: impl Into<String>) -> Self {
        self.foreign_layers.push(host.into());
        self
    }

    /// Sends these credentials to this registry, and no other.
    pub fn with_credentials(mut self, registry: impl Into<String>, credentials: Credentials) -> Self {
        self.credentials.insert(registry.into(), credentials);
        self
    }

    /// The keys of the options that are set, as a configuration has them.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("connections", self.connections.is_some()),
            ("stall-timeout", self.stall_timeout.is_some()),
            ("retries", self.retries.is_some()),
            ("connect-timeout", self.connect_timeout.is_some()),
            ("answer-timeout", self.answer_timeout.is_some()),
            ("response-timeout", self.response_timeout.is_some()),
            ("hosts-dir", self.hosts_dir.as_ref().is_some_and(|directories| !directories.is_empty())),
            ("mirrors", !self.mirrors.is_empty()),
            ("plain-http", !self.plain_http.is_empty()),
            ("foreign-layers", !self.foreign_layers.is_empty()),
            ("credentials", !self.credentials.is_empty()),
        ];
        all.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key)
    }

    /// Checks options that a configuration has: each registry is written as one, and no time limit is zero.
    ///
    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig), and names the key in `[remote]`.
    pub fn check(&self) -> Result<()> {
        match self.registries().find(|(_, name)| !is_registry(name)) {
            Some((key, name)) if name.contains('@') => {
                Err(invalid(format!("`remote.{key}` has a name with an @ in it, which is not a registry"))
                    .with_help("write it as host or host:port; who asks is said in `remote.credentials`"))
            }
            Some((key, name)) => {
                Err(invalid(format!("`remote.{key}` has {name:?}, which is not a registry"))
                    .with_help("write it as host or host:port, without https://"))
            }
            None => self.check_limits(),
        }
    }

    /// The names that should be registries or hosts, with their keys.
    fn registries(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let plain_http = self.plain_http.iter().map(|name| ("plain-http", name));
        let mirrors = self.mirrors.keys().map(|name| ("mirrors", name));
        let credentials = self.credentials.keys().map(|name| ("credentials", name));
        let hosts = self.foreign_layers.iter().filter(|name| *name != "*");
        plain_http.chain(mirrors).chain(credentials).chain(hosts.map(|name| ("foreign-layers", name)))
    }

    fn check_limits(&self) -> Result<()> {
        let limits = [
            ("stall-timeout", self.stall_timeout),
            ("connect-timeout", self.connect_timeout),
            ("answer-timeout", self.answer_timeout),
            ("response-timeout", self.response_timeout),
        ];
        match limits.iter().find(|(_, limit)| limit.is_some_and(|limit| limit.is_zero())) {
            Some((key, _)) => Err(invalid(format!("`remote.{key}` is zero"))
                .with_help("write it as 10s, or leave it out for the default")),
            None => Ok(()),
        }
    }
}

/// Whether this is a registry as a reference names it.
fn is_registry(name: &str) -> bool {
    let reference = format!("{name}/repository").parse::<Reference>();
    reference.is_ok_and(|reference| reference.registry() == name && reference.repository() == "repository")
        || name == "docker.io"
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

/// Reads a path, or a list of them.
#[cfg(feature = "config")]
fn one_or_more<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Vec<PathBuf>>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged, expecting = "this has to be a path, or a list of paths")]
    enum Paths {
        One(PathBuf),
        More(Vec<PathBuf>),
    }
    Ok(Some(match serde::Deserialize::deserialize(deserializer)? {
        Paths::One(path) => vec![path],
        Paths::More(paths) => paths,
    }))
}
