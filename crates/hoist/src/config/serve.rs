//! The keys of `[serve]`.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;

use hoist_core::{Reference, Result};
use serde::Deserialize;

use super::{Config, NamePattern, invalid};

/// Where the server listens unless it is said otherwise: on this machine only, at the port that registries have.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);

/// `[serve]`: what `hoist serve` hands out of the store, and where. The table is read in every build.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ServeConfig {
    /// The address and port. By default `127.0.0.1:5000`.
    pub listen: SocketAddr,
    /// The registry of names that do not say theirs. By default `docker.io`.
    pub default_registry: Option<String>,
    /// The patterns of names that are shared. By default all on loopback; other addresses need this list.
    pub share: Option<Vec<NamePattern>>,
    /// The patterns of names of which also that is shared which was pulled with credentials.
    pub share_private: Vec<NamePattern>,
    /// The names by which clients may call this server, beside the address that they reach it at.
    pub names: Vec<String>,
    /// The maximum number of connections. By default 4,096.
    pub max_connections: Option<NonZeroUsize>,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            listen: LISTEN,
            default_registry: None,
            share: None,
            share_private: Vec::new(),
            names: Vec::new(),
            max_connections: None,
        }
    }
}

impl ServeConfig {
    /// Fails where a key holds what cannot be.
    pub(super) fn check(&self) -> Result<()> {
        match &self.default_registry {
            Some(registry) if !is_registry(registry) => {
                Err(invalid(format!("`serve.default-registry` is {registry:?}, which is not a registry"))
                    .with_help("write it as host or host:port, such as docker.io"))
            }
            _ => Ok(()),
        }
    }
}

fn is_registry(text: &str) -> bool {
    format!("{text}/x/x").parse::<Reference>().is_ok_and(|name| name.registry() == text)
}

impl Config {
    /// Serves at this address and port.
    pub fn with_listen(mut self, address: SocketAddr) -> Self {
        self.serve.listen = address;
        self
    }

    /// Serves names that do not say their registry from this one.
    pub fn with_default_registry(mut self, registry: impl Into<String>) -> Self {
        self.serve.default_registry = Some(registry.into());
        self
    }

    /// Shares the names that match this pattern or another shared one, and no others.
    pub fn with_shared(mut self, pattern: NamePattern) -> Self {
        self.serve.share.get_or_insert_default().push(pattern);
        self
    }
}
