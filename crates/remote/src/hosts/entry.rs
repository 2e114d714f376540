//! What a host's configuration says of one host.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderMap;

use crate::http::Proxy;
use crate::tls::TlsFiles;

/// One host that may be asked, in the place where it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    /// Where its API is, as `https://mirror.lan/v2`. `None`: where the registry's own is.
    pub(crate) url: Option<Url>,
    pub(crate) can: Abilities,
    pub(crate) tls: TlsFiles,
    /// What every request to it carries; marked sensitive, since it may be a secret.
    pub(crate) headers: HeaderMap,
    pub(crate) connect_timeout: Option<Duration>,
    /// Goes before whatever the environment says.
    pub(crate) proxy: Option<Proxy>,
}

/// What a host is trusted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// To say what a tag is.
    pub(crate) resolve: bool,
    /// To serve what has a digest.
    pub(crate) pull: bool,
}

impl Entry {
    /// Whether connections to it are made as to any other host.
    pub(crate) fn is_usual(&self) -> bool {
        self.tls == TlsFiles::default()
            && self.headers.is_empty()
            && self.connect_timeout.is_none()
            && self.proxy.is_none()
    }
}

impl Default for Abilities {
    fn default() -> Self {
        Self { resolve: true, pull: true }
    }
}
