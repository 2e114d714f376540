//! Connections to hosts: with their certificates, through their proxy, and within time.

use std::time::{Duration, Instant};

use hoist_core::{Error, ErrorKind, Result};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Method, Response, Url};
use rustls::ClientConfig;

use crate::auth::TokenConnections;
use crate::hosts::Site;
use crate::proxies::Proxies;
use crate::redirect::{Failure, Outgoing};
use crate::response;
use crate::tls::{self, TlsFiles};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may be silent before its request counts as broken.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// As good as never. Clocks, and those who reckon with them, do not go on without end.
pub(crate) const NEVER: Duration = Duration::from_hours(24 * 365);
const USER_AGENT: &str = concat!("hoist/", env!("CARGO_PKG_VERSION"));

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// To connect, the handshake of TLS and the way through a proxy included.
    pub(crate) connect: Duration,
    /// Until an answer begins, and between two parts of it.
    pub(crate) response: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: CONNECT_TIMEOUT, response: RESPONSE_TIMEOUT }
    }
}

/// Connections, and the proxies that they go through.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) client: Client,
    /// To the token servers that its hosts name.
    pub(crate) tokens: TokenConnections,
    pub(crate) limits: Limits,
    proxies: Proxies,
}

impl Transport {
    /// Connections for all hosts that need none of their own.
    pub(crate) fn usual(limits: Limits) -> Result<Self> {
        Self::new(limits, Proxies::from_env()?, "", &TlsFiles::default())
    }

    /// Connections as one host's file wants them.
    pub(crate) fn of(site: &Site, limits: Limits) -> Result<Self> {
        let connect = site.entry.connect_timeout.unwrap_or(limits.connect);
        let proxies =
            site.entry.proxy.as_ref().map_or_else(Proxies::from_env, |proxy| Ok(Proxies::only(proxy)))?;
        let host = site.url.host_str().unwrap_or_default();
        Self::new(Limits { connect: connect.min(NEVER), ..limits }, proxies, host, &site.entry.tls)
    }

    fn new(limits: Limits, proxies: Proxies, host: &str, files: &TlsFiles) -> Result<Self> {
        let client = finish(builder(limits, &proxies, tls::config_for(host, files)?))?;
        let tokens = TokenConnections::new(limits, proxies.clone(), files.authorities.clone());
        Ok(Self { client, tokens, limits, proxies })
    }

    /// Sends a request to a host, and follows where that leads to. What the host's file adds to requests is for
    /// the host alone, and so is what it asks for.
    pub(crate) async fn send(
        &self,
        site: &Site,
        (method, url): (&Method, &Url),
        headers: &HeaderMap,
        authorization: Option<HeaderValue>,
    ) -> std::result::Result<Response, Failure> {
        let mut private = site.headers().clone();
        if let Some(value) = authorization {
            private.insert(AUTHORIZATION, value);
        }
        let asked = Instant::now();
        let outgoing = Outgoing::new(method.clone(), url.clone(), headers.clone(), private);
        outgoing.send(&self.client).await.inspect(|_| site.answered_after(asked.elapsed()))
    }

    /// A request that was not answered: whether the proxy is to blame is said as well.
    pub(crate) fn failed(&self, doing: &str, failure: Failure) -> Error {
        let cause = match failure {
            Failure::Connection(cause) => cause,
            Failure::Redirect(why) => return response::misled(doing, why),
        };
        let proxy = cause.url().filter(|_| cause.is_connect()).and_then(|url| self.proxies.of(url));
        let Some(proxy) = proxy else { return response::failed(doing, cause) };
        let error = response::failed(&format!("{doing} through the proxy {proxy}"), cause);
        if *error.kind() == ErrorKind::Tls { error } else { error.with_help(PROXY_HELP) }
    }

    /// A 407 where no tunnel was asked for.
    pub(crate) fn refused_by_proxy(&self, doing: &str, url: &Url) -> Error {
        let proxy = self.proxies.of(url).map_or_else(String::new, |proxy| format!(" {proxy}"));
        let message = format!("{doing} failed: the proxy{proxy} wants credentials");
        Error::new(ErrorKind::Unavailable, message).with_help(PROXY_HELP)
    }
}

const PROXY_HELP: &str =
    "check the proxy and its credentials in HTTP_PROXY or HTTPS_PROXY, or name the registry in NO_PROXY";

pub(crate) fn builder(limits: Limits, proxies: &Proxies, tls: ClientConfig) -> ClientBuilder {
    let builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(USER_AGENT)
        .connect_timeout(limits.connect)
        .read_timeout(limits.response)
        .referer(false)
        .redirect(Policy::none()) // they are followed in `redirect`
        .no_proxy(); // reqwest's own reading of the environment
    if proxies.is_empty() { builder } else { builder.proxy(proxies.to_reqwest()) }
}

pub(crate) fn finish(builder: ClientBuilder) -> Result<Client> {
    builder.build().map_err(|cause| {
        Error::new(ErrorKind::Unsupported, "the HTTP client cannot be set up")
            .with_source(cause.without_url())
    })
}
