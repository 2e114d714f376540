//! The configuration of one host.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderMap;

use crate::http::Proxy;
use crate::tls::TlsFiles;

/// One host of a `hosts.toml`, or a mirror of hoist's own configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HostConfig {
    /// The address of its API, as `https://mirror.lan/v2`. `None`: the registry's own.
    pub(crate) url: Option<Url>,
    pub(crate) capabilities: Capabilities,
    pub(crate) tls: TlsFiles,
    /// Headers of every request to it; marked sensitive, since they may hold a secret.
    pub(crate) headers: HeaderMap,
    pub(crate) connect_timeout: Option<Duration>,
    /// Goes before the environment's proxies.
    pub(crate) proxy: Option<Proxy>,
}

/// Something that a host has to be trusted with, to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capability {
    /// To say which digest a tag has.
    Resolve,
    /// To serve content by its digest, which is checked.
    Pull,
}

/// The capabilities that a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// To say which digest a tag has.
    pub(crate) resolve: bool,
    /// To serve content by its digest.
    pub(crate) pull: bool,
}

impl HostConfig {
    /// Whether it can share the connections of all hosts without settings of their own.
    pub(crate) fn is_usual(&self) -> bool {
        self.tls == TlsFiles::default()
            && self.headers.is_empty()
            && self.connect_timeout.is_none()
            && self.proxy.is_none()
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self { resolve: true, pull: true }
    }
}
