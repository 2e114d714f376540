//! Connections to one host: with its certificates, through its proxy, and within its time limits.

use std::time::Duration;

use hoist_core::{Error, ErrorKind, RemoteOptions, Result};
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};
use rustls::ClientConfig;

use super::guarded::GuardedClients;
use super::proxy::Proxies;
use super::redirect::Failure;
use super::response;
use crate::tls::{self, TlsFiles};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection may be silent this long before its request fails.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// So many times as long may it take until an answer begins, unless that is configured: a registry that is a cache of another
/// one may fetch the whole image first.
const PATIENCE: u32 = 4;
/// As good as never: a clock cannot add an unbounded duration.
pub(crate) const NEVER: Duration = Duration::from_hours(24 * 365);
const USER_AGENT: &str = concat!("hoist/", env!("CARGO_PKG_VERSION"));

/// The time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// To connect, with the TLS handshake and the way through a proxy.
    pub(crate) connect: Duration,
    /// Until an answer begins.
    pub(crate) answer: Duration,
    /// Between two parts of an answer.
    pub(crate) response: Duration,
}

impl Limits {
    pub(crate) fn new(options: &RemoteOptions) -> Self {
        let limit = |set: Option<Duration>, default: Duration| set.unwrap_or(default).min(NEVER);
        Self {
            connect: limit(options.connect_timeout, CONNECT_TIMEOUT),
            answer: limit(
                options.answer_timeout,
                limit(options.response_timeout, RESPONSE_TIMEOUT).saturating_mul(PATIENCE),
            ),
            response: limit(options.response_timeout, RESPONSE_TIMEOUT),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(&RemoteOptions::default())
    }
}

/// Connections, and the proxies that they go through.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) client: Client,
    /// To the servers that a host names, such as its token server.
    pub(crate) named: GuardedClients,
    pub(crate) limits: Limits,
    proxies: Proxies,
}

impl Transport {
    /// Connections that all hosts share whose description asks for nothing special.
    pub(crate) fn usual(limits: Limits) -> Result<Self> {
        Self::new(limits, Proxies::from_env()?, "", &TlsFiles::default())
    }

    /// Connections to one host, by the files and through the proxies that its description names.
    pub(crate) fn new(limits: Limits, proxies: Proxies, host: &str, files: &TlsFiles) -> Result<Self> {
        let client = finish(builder(limits, &proxies, tls::config_for(host, files)?))?;
        let named = GuardedClients::new(limits, proxies.clone(), files.authorities.clone());
        Ok(Self { client, named, limits, proxies })
    }

    /// The error of a request without an answer. It names the proxy, where one was on the way.
    pub(crate) fn failed(&self, doing: &str, failure: Failure) -> Error {
        let (doing, cause) = match failure {
            Failure::Connection(cause) => (doing.to_owned(), cause),
            Failure::Elsewhere(host, cause) => (format!("{doing}, which redirects to {host},"), cause),
            Failure::Redirect(why) => return response::misled(doing, why),
        };
        let proxy = cause.url().filter(|_| cause.is_connect()).and_then(|url| self.proxies.of(url));
        let Some(proxy) = proxy else { return response::failed(&doing, cause) };
        let error = response::failed(&format!("{doing} through the proxy {proxy}"), cause);
        if *error.kind() == ErrorKind::Tls { error } else { error.with_help(PROXY_HELP) }
    }

    /// The proxy on the way to this address, without its credentials.
    pub(crate) fn proxy_to(&self, url: &Url) -> Option<String> {
        self.proxies.of(url).map(ToString::to_string)
    }

    /// The error for a 407 outside a tunnel.
    pub(crate) fn refused_by_proxy(&self, doing: &str, url: &Url) -> Error {
        let proxy = self.proxies.of(url).map_or_else(String::new, |proxy| format!(" {proxy}"));
        let message = format!("{doing} failed: the proxy{proxy} wants credentials");
        Error::new(ErrorKind::Unavailable, message).with_help(PROXY_HELP)
    }
}

const PROXY_HELP: &str =
    "check the proxy and its credentials in HTTP_PROXY or HTTPS_PROXY, or name the registry in NO_PROXY";

pub(super) fn builder(limits: Limits, proxies: &Proxies, tls: ClientConfig) -> ClientBuilder {
    let builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(USER_AGENT)
        .default_headers(as_it_is())
        .connect_timeout(limits.connect)
        .read_timeout(limits.answer) // bodies are watched while they are read
        .referer(false)
        .redirect(Policy::none()) // the `redirect` module follows them
        .no_proxy(); // reqwest's own reading of the environment
    if proxies.is_empty() { builder } else { builder.proxy(proxies.to_reqwest()) }
}

/// Asks for content as it is: a proxy that compresses it changes the bytes that a digest is of.
fn as_it_is() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))])
}

pub(super) fn finish(builder: ClientBuilder) -> Result<Client> {
    builder.build().map_err(|cause| {
        Error::new(ErrorKind::Unsupported, "the HTTP client cannot be set up")
            .with_source(cause.without_url())
    })
}
