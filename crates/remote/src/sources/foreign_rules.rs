//! The rules for the addresses of foreign layers. Each URL is checked, and so is each address that its name resolves
//! to.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hoist_core::{Error, ErrorKind, Result};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::http::is_global;

/// Stands for all hosts with public addresses.
const ANY: &str = "*";

/// The allowed hosts. A host that is allowed by its name may have any address: the user knows where it is.
#[derive(Debug, Default)]
pub(super) struct Rules {
    hosts: HashSet<String>,
}

impl Rules {
    pub(super) fn of(hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { hosts: hosts.into_iter().map(|host| host.into().to_ascii_lowercase()).collect() }
    }

    pub(super) fn allow_any(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// Parses an address, and checks that it may be asked.
    pub(super) fn admit(&self, address: &str) -> Result<Url> {
        let url = Url::parse(address).map_err(|_| {
            Error::new(ErrorKind::Malformed, "the manifest names an address of a layer that is none")
        })?;
        self.admit_url(&url).map_err(|refused| refused.to_error())?;
        Ok(url)
    }

    /// Checks an address as far as possible without resolving its name.
    pub(super) fn admit_url(&self, url: &Url) -> std::result::Result<(), Refused> {
        let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https"));
        let Some(host) = host else { return Err(Refused("it is no http or https address".into())) };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused(format!("the address at {host} has credentials in it")));
        }
        if self.names(host) || self.hosts.contains(&name(url)) {
            return Ok(());
        }
        if !self.hosts.contains(ANY) {
            return Err(Refused(format!("{} is not among those that `foreign-layers` allows", name(url))));
        }
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) if !is_global(address) => Err(Refused::private(host)),
            _ => Ok(()),
        }
    }

    fn names(&self, host: &str) -> bool {
        self.hosts.contains(host)
    }

    /// Whether a name is allowed, with or without a port: then it may resolve to any address.
    fn trusts(&self, host: &str) -> bool {
        let with_port = |allowed: &String| allowed.rsplit_once(':').is_some_and(|(name, _)| name == host);
        self.names(host) || self.hosts.iter().any(with_port)
    }
}

/// A host, with its port if it is not the default one.
pub(super) fn name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The hosts of those addresses that are valid, without repetitions.
pub(super) fn hosts(addresses: &[String]) -> Vec<String> {
    let mut hosts: Vec<String> =
        addresses.iter().filter_map(|a| Url::parse(a).ok()).map(|u| name(&u)).collect();
    hosts.dedup();
    hosts
}

/// Resolves names, and leaves out private addresses.
#[derive(Debug)]
pub(super) struct Names(pub(super) Arc<Rules>);

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = self.0.clone();
        Box::pin(async move {
            let host = name.as_str();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            let admitted: Vec<_> = if rules.trusts(host) {
                found
            } else {
                found.into_iter().filter(|address| is_global(address.ip())).collect()
            };
            if admitted.is_empty() {
                return Err(Refused::private(host).into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

/// The reason for not asking an address.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(pub(super) String);

impl Refused {
    fn private(host: &str) -> Self {
        Self(format!("{host} is on this machine or its network"))
    }

    pub(super) fn to_error(&self) -> Error {
        Error::new(ErrorKind::Unsupported, format!("a foreign layer's address is refused: {self}")).with_help(
            "have the registry keep the layer, or allow that host by its name with `foreign-layers`",
        )
    }
}
