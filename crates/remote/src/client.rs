//! One request to a registry: with the right credentials, made again where that helps.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hoist_core::{Error, ErrorKind, MAX_DOCUMENT, Result};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Method, Response, StatusCode, Url};

use crate::auth::Auth;
use crate::buffers::Buffers;
use crate::endpoint::{Endpoint, is_loopback};
use crate::host::Host;
use crate::response;
use crate::retry::Retry;
use crate::tls;

/// How often a failed request is made again, unless it is said otherwise: at once, and then over the next two
/// seconds.
const RETRIES: usize = 4;
/// How many connections bring blobs from one host, unless it is said otherwise: what far registries need, which
/// give each connection its share; near ones are no slower for it.
const CONNECTIONS: usize = 16;
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may be silent before its request counts as broken.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5; // registries need one or two, to object storage
const USER_AGENT: &str = concat!("hoist/", env!("CARGO_PKG_VERSION"));

/// Connections to registries, with what is needed to be let in.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) auth: Auth,
    /// How often a request that failed is made again.
    pub(crate) retries: usize,
    /// How many connections bring blobs from one host at once.
    pub(crate) connections: usize,
    /// How long a connection may bring nothing, or next to nothing, of a blob.
    pub(crate) stall_timeout: Duration,
    pub(crate) buffers: Buffers,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    /// Made at the first use, so that a hit in a cache does not pay for them.
    direct: OnceLock<reqwest::Client>,
    proxied: OnceLock<reqwest::Client>,
}

impl Client {
    pub(crate) fn new() -> Self {
        Self {
            auth: Auth::default(),
            retries: RETRIES,
            connections: CONNECTIONS,
            stall_timeout: STALL_TIMEOUT,
            buffers: Buffers::default(),
            hosts: Mutex::default(),
            direct: OnceLock::new(),
            proxied: OnceLock::new(),
        }
    }

    /// What is known of the endpoint's host.
    pub(crate) fn host(&self, endpoint: &Endpoint) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(endpoint.registry.clone());
        host.or_insert_with(|| Arc::new(Host::new(self.connections))).clone()
    }

    /// Asks for a document, and again where that may help, until it is here whole: its headers and its
    /// bytes. A status that is no success is an error.
    pub(crate) async fn send(
        &self,
        endpoint: &Endpoint,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<(HeaderMap, Vec<u8>)> {
        let mut retry = Retry::new(self.retries);
        loop {
            match self.document(endpoint, method.clone(), url, headers).await {
                Ok(document) => return Ok(document),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    async fn document(
        &self,
        endpoint: &Endpoint,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<(HeaderMap, Vec<u8>)> {
        let mut response = self.send_once(endpoint, method, url, headers).await?;
        let headers = std::mem::take(response.headers_mut());
        Ok((headers, response::read_bounded(response, MAX_DOCUMENT).await?))
    }

    /// Makes a request once, or twice where it has to be let in first.
    pub(crate) async fn send_once(
        &self,
        endpoint: &Endpoint,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<Response> {
        let client = self.connections(endpoint)?;
        let doing = format!("asking {} for {}", endpoint.registry, describe(url));
        let send = async |authorization: Option<_>| {
            let mut request = client.request(method.clone(), url.clone()).headers(headers.clone());
            if let Some(value) = authorization {
                request = request.header(AUTHORIZATION, value);
            }
            request.send().await.map_err(|cause| response::failed(&doing, cause))
        };
        tracing::debug!(registry = endpoint.registry, %method, path = url.path(), "asking");
        let shown = self.auth.session(endpoint).lock().await.clone();
        let mut response = send(shown.clone()).await?;
        // Only the registry itself is answered, never one that it redirected to (CVE-2026-49349).
        if response.status() == StatusCode::UNAUTHORIZED && response.url().origin() == url.origin() {
            let answer = self.auth.answer(client, endpoint, response.headers(), shown).await?;
            if let Some(answer) = answer {
                response = send(Some(answer)).await?;
            }
        }
        response::check(response, &endpoint.registry, &describe(url)).await
    }

    fn connections(&self, endpoint: &Endpoint) -> Result<&reqwest::Client> {
        let loopback = endpoint.origin().host_str().is_some_and(is_loopback);
        let cell = if loopback { &self.direct } else { &self.proxied };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let client = build(loopback)?;
        Ok(cell.get_or_init(|| client))
    }
}

impl Clone for Client {
    /// The same options, with connections, tokens and knowledge of hosts of its own.
    fn clone(&self) -> Self {
        Self {
            auth: self.auth.clone(),
            retries: self.retries,
            connections: self.connections,
            stall_timeout: self.stall_timeout,
            ..Self::new()
        }
    }
}

fn build(loopback: bool) -> Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .referer(false)
        .redirect(Policy::custom(follow))
        .tls_backend_preconfigured(tls::config()?);
    // What is on this machine is not reached through a proxy.
    let builder = if loopback { builder.no_proxy() } else { builder };
    builder.build().map_err(|cause| {
        Error::new(ErrorKind::Unsupported, "the HTTP client cannot be set up")
            .with_source(cause.without_url())
    })
}

/// Follows a few redirects, and never from https to http. `Authorization` stays behind when scheme, host or
/// port change: reqwest sees to that.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let from_tls = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("redirected too often")
    } else if from_tls && attempt.url().scheme() != "https" {
        attempt.error("redirected from https to http")
    } else {
        attempt.follow()
    }
}

/// What an address is of, for messages: its last two parts, which have no secret.
fn describe(url: &Url) -> String {
    let parts: Vec<_> = url.path().rsplitn(3, '/').collect();
    match parts[..] {
        [name, "manifests", _] => format!("the manifest {name}"),
        [name, "blobs", _] => format!("the blob {name}"),
        ["list", "tags", _] => "the list of tags".into(),
        _ => "an answer".into(),
    }
}
