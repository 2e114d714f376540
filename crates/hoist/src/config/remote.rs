//! The keys of `[remote]`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hoist_core::{Error, Reference, Result, Secret};
use serde::Deserialize;

use super::values::unreadable;
use super::{Config, invalid};

/// `[remote]`: registries that are reached over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RemoteConfig {
    /// Whether registries are asked at all; by default they are, if the feature `remote` is compiled in and
    /// [`Config::offline`] is not set.
    pub enabled: Option<bool>,
    /// By which client registries are asked: `"hoist"`, the default, or `"oci-client"`, which has no credentials and
    /// none of the other options here but [`plain_http`](Self::plain_http).
    #[serde(deserialize_with = "super::values::client")]
    pub client: Option<RemoteClient>,
    /// How many connections bring blobs from one registry at once; by default what the backend finds best.
    pub connections: Option<NonZeroUsize>,
    /// How long a connection may bring nothing, or next to nothing, of a blob before the rest is requested over another
    /// one, spelled `10s` or `1m`; a bare number is in seconds. By default the backend chooses.
    #[serde(deserialize_with = "super::values::duration")]
    pub stall_timeout: Option<Duration>,
    /// How often a request that failed, and may succeed, is made again; by default what the backend finds best.
    pub retries: Option<usize>,
    /// How long it may take to open a connection, handshake and proxy included. By default the backend chooses.
    #[serde(deserialize_with = "super::values::duration")]
    pub connect_timeout: Option<Duration>,
    /// How long a request may go without an answer. By default the backend chooses.
    #[serde(deserialize_with = "super::values::duration")]
    pub response_timeout: Option<Duration>,
    /// The directories that hosts are described in, as containerd (`<host>/hosts.toml`) or Docker
    /// (`<host>/*.crt`) has them: one, or a list, in their order. By default `/etc/containerd/certs.d` and
    /// `/etc/docker/certs.d`, where they exist; with an empty list, none.
    #[serde(deserialize_with = "super::values::one_or_more")]
    pub hosts_dir: Option<Vec<PathBuf>>,
    /// The mirrors of each registry, by its name in references: their addresses, in the order that they are asked
    /// in before the registry itself.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// The registries, as `host` or `host:port`, that are spoken to without TLS. Those on loopback names are,
    /// without being listed.
    pub plain_http: Vec<String>,
    /// The hosts, as `host` or `host:port`, that layers may be fetched from which a registry may not distribute, and
    /// does not have; `*` is all whose addresses are public. They are shown no credentials. By default there are
    /// none, and such layers come from the registry or not at all.
    pub foreign_layers: Vec<String>,
    /// Whether credentials that are not in this configuration are looked up in what the user has stored with
    /// `docker login`, `podman login` or `hoist login`; by default they are.
    pub keychain: Option<bool>,
    /// The credentials, by registry: `[remote.credentials."ghcr.io"]`.
    pub credentials: BTreeMap<String, CredentialsConfig>,
}

/// By which client registries are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RemoteClient {
    /// hoist's own, with all that `[remote]` has to say.
    #[default]
    Hoist,
    /// The crate `oci-client`, for a second opinion. It takes the feature `distribution`.
    OciClient,
}

impl FromStr for RemoteClient {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "hoist" => Ok(Self::Hoist),
            "oci-client" => Ok(Self::OciClient),
            _ => Err(unreadable(text, "a client", "\"hoist\" or \"oci-client\"")),
        }
    }
}

/// `[remote.credentials."<registry>"]`: the credentials for one registry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct CredentialsConfig {
    /// The user's name.
    pub username: String,
    /// The password, or what stands in for it: an access token, a robot account's key.
    pub password: Secret,
}

impl RemoteConfig {
    /// Fails where a registry is not written as one.
    pub(super) fn check(&self) -> Result<()> {
        let registries = self.plain_http.iter().map(|name| ("remote.plain-http", name));
        let credentials = self.credentials.keys().map(|name| ("remote.credentials", name));
        let mirrors = self.mirrors.keys().map(|name| ("remote.mirrors", name));
        let registries = registries.chain(mirrors);
        let hosts = self.foreign_layers.iter().filter(|name| *name != "*");
        let hosts = hosts.map(|name| ("remote.foreign-layers", name));
        match registries.chain(credentials).chain(hosts).find(|(_, name)| !is_registry(name)) {
            Some((key, name)) if name.contains('@') => {
                Err(invalid(format!("`{key}` has a name with an @ in it, which is not a registry"))
                    .with_help("write it as host or host:port; who asks is said in `remote.credentials`"))
            }
            Some((key, name)) => Err(invalid(format!("`{key}` has {name:?}, which is not a registry"))
                .with_help("write it as host or host:port, without https://")),
            None => self.check_limits().and_then(|()| self.check_client()),
        }
    }

    /// Fails where a time limit is zero, which nothing could keep.
    fn check_limits(&self) -> Result<()> {
        let limits = [
            ("stall-timeout", self.stall_timeout),
            ("connect-timeout", self.connect_timeout),
            ("response-timeout", self.response_timeout),
        ];
        match limits.iter().find(|(_, limit)| limit.is_some_and(|limit| limit.is_zero())) {
            Some((key, _)) => Err(invalid(format!("`remote.{key}` is zero"))
                .with_help("write it as 10s, or leave it out for the default")),
            None => Ok(()),
        }
    }

    /// Fails where the other client is to do what it cannot.
    fn check_client(&self) -> Result<()> {
        let asked = [
            ("connections", self.connections.is_some()),
            ("stall-timeout", self.stall_timeout.is_some()),
            ("retries", self.retries.is_some()),
            ("connect-timeout", self.connect_timeout.is_some()),
            ("response-timeout", self.response_timeout.is_some()),
            ("hosts-dir", self.hosts_dir.as_ref().is_some_and(|directories| !directories.is_empty())),
            ("mirrors", !self.mirrors.is_empty()),
            ("foreign-layers", !self.foreign_layers.is_empty()),
            ("keychain", self.keychain == Some(true)),
            ("credentials", !self.credentials.is_empty()),
        ];
        match asked.iter().find(|(_, is_asked)| *is_asked) {
            Some((key, _)) if self.client == Some(RemoteClient::OciClient) => {
                Err(invalid(format!("`remote.client` is \"oci-client\", which cannot do `remote.{key}`"))
                    .with_help("leave one of them out"))
            }
            _ => Ok(()),
        }
    }

    /// By which client registries are asked.
    pub(crate) fn client(&self) -> RemoteClient {
        self.client.unwrap_or_default()
    }
}

impl Config {
    /// Whether registries are asked.
    pub fn asks_registries(&self) -> bool {
        let by_default = cfg!(feature = "remote") || self.remote.client() == RemoteClient::OciClient;
        !self.offline && self.remote.enabled.unwrap_or(by_default)
    }

    /// Asks registries.
    pub fn with_remote(mut self) -> Self {
        self.remote.enabled = Some(true);
        self
    }

    /// Asks no registry.
    pub fn without_remote(mut self) -> Self {
        self.remote.enabled = Some(false);
        self
    }

    /// Asks registries by this client.
    pub fn with_client(mut self, client: RemoteClient) -> Self {
        self.remote.client = Some(client);
        self
    }

    /// Sets the maximum number of connections per registry, shared by all pulls.
    pub fn with_connections(mut self, connections: NonZeroUsize) -> Self {
        self.remote.connections = Some(connections);
        self
    }

    /// Gives up a connection that brings nothing of a blob for `limit`, and requests the rest over another one.
    pub fn with_stall_timeout(mut self, limit: Duration) -> Self {
        self.remote.stall_timeout = Some(limit);
        self
    }

    /// Retries a request that failed, and may succeed, up to `retries` times.
    pub fn with_retries(mut self, retries: usize) -> Self {
        self.remote.retries = Some(retries);
        self
    }

    /// Gives up a connection that is not open after `limit`.
    pub fn with_connect_timeout(mut self, limit: Duration) -> Self {
        self.remote.connect_timeout = Some(limit);
        self
    }

    /// Gives up a request that is not answered for `limit`.
    pub fn with_response_timeout(mut self, limit: Duration) -> Self {
        self.remote.response_timeout = Some(limit);
        self
    }

    /// Reads the descriptions of hosts in this directory, in place of the usual ones.
    pub fn with_hosts_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.remote.hosts_dir.get_or_insert_default().push(path.into());
        self
    }

    /// Reads no descriptions of hosts.
    pub fn without_hosts_dirs(mut self) -> Self {
        self.remote.hosts_dir = Some(Vec::new());
        self
    }

    /// Asks this mirror before this registry, and after the mirrors that were added before.
    pub fn with_mirror(mut self, registry: impl Into<String>, mirror: impl Into<String>) -> Self {
        self.remote.mirrors.entry(registry.into()).or_default().push(mirror.into());
        self
    }

    /// Looks for no credentials in what the user has stored.
    pub fn without_keychain(mut self) -> Self {
        self.remote.keychain = Some(false);
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
}

/// Whether this is a registry as a reference names it.
fn is_registry(name: &str) -> bool {
    let reference = format!("{name}/repository").parse::<Reference>();
    reference.is_ok_and(|reference| reference.registry() == name && reference.repository() == "repository")
        || name == "docker.io"
}
