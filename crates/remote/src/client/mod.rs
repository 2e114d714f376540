//! One request to a registry, with the right credentials, and with retries where they help. The client also keeps the
//! connections that it has made.

mod shared;
mod transports;

use std::sync::Arc;

use hoist_core::{MAX_DOCUMENT, RemoteOptions, Result};
use hoist_fetch::{Fetcher, Retry};
use reqwest::header::HeaderMap;
use reqwest::{Method, Response, StatusCode, Url};

use crate::auth::{Auth, Request};
use crate::hosts::{Capability, Endpoint, Route};
use crate::http::{Limits, Question, Transport, response};
use transports::Transports;

pub(crate) use shared::SharedClient;

/// Connections to registries, with the credentials for them.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) auth: Auth,
    /// Fetches blobs, and keeps track of the hosts' speed and trouble.
    pub(crate) fetcher: Fetcher,
    pub(crate) limits: Limits,
    transports: Transports,
}

impl Client {
    pub(crate) fn new() -> Self {
        Self {
            auth: Auth::default(),
            fetcher: Fetcher::default(),
            limits: Limits::default(),
            transports: Transports::default(),
        }
    }

    /// A client with these options and the same keychain, with its own connections, tokens and knowledge of hosts.
    fn with(&self, options: &RemoteOptions) -> Self {
        let mut auth = self.auth.clone();
        auth.give(options.credentials.clone());
        Self {
            auth,
            fetcher: fetcher(options),
            limits: Limits::new(options),
            transports: Transports::default(),
        }
    }

    /// Asks one host after another for a document, with retries, until one answers with a document that `read`
    /// accepts. A status other than success is an error.
    pub(crate) async fn ask<T>(
        &self,
        route: &Route,
        needed: Capability,
        (method, headers): (Method, &HeaderMap),
        address: impl Fn(&Endpoint) -> Url,
        read: impl Fn(&HeaderMap, Vec<u8>) -> Result<T>,
    ) -> Result<T> {
        let mut retry = Retry::new(self.fetcher.retries());
        loop {
            let mut attempts = route.attempts(needed, &self.fetcher);
            while let Some((place, endpoint)) = attempts.next() {
                let url = address(endpoint);
                let document = self.document(endpoint, method.clone(), &url, headers).await;
                match document.and_then(|(headers, bytes)| read(&headers, bytes)) {
                    Ok(document) => {
                        attempts.succeeded(place);
                        return Ok(document);
                    }
                    Err(error) => attempts.failed(place, error)?,
                }
            }
            retry.after(attempts.into_error()).await?;
        }
    }

    /// The connections to a host, as its description asks for them.
    pub(crate) fn transport(&self, endpoint: &Endpoint) -> Result<Arc<Transport>> {
        self.transports.to(&endpoint.host, self.limits)
    }

    async fn document(
        &self,
        endpoint: &Endpoint,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<(HeaderMap, Vec<u8>)> {
        let response = self.send_once(endpoint, method, url, headers).await?;
        let headers = response.headers().clone();
        Ok((headers, response::read_bounded(response, MAX_DOCUMENT, self.limits.response).await?))
    }

    /// Makes a request to one host, and repeats it only to authenticate.
    pub(crate) async fn send_once(
        &self,
        endpoint: &Endpoint,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<Response> {
        let transport = &*self.transports.to(&endpoint.host, self.limits)?;
        let doing = format!("asking {} for {}", endpoint.registry, describe(url));
        let request = Request { transport, endpoint, method, url, headers, doing };
        let response = self.auth.exchange(&request).await?;
        if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(transport.refused_by_proxy(&request.doing, response.url()));
        }
        let asked = Question { host: &endpoint.registry, what: &describe(url), url };
        match response::check(response, asked, self.limits.response).await {
            Ok(response) => Ok(response),
            Err(error) => Err(self.auth.explain(endpoint, error).await),
        }
    }
}

fn fetcher(options: &RemoteOptions) -> Fetcher {
    let mut fetcher = Fetcher::default();
    if let Some(connections) = options.connections {
        fetcher = fetcher.with_connections(connections.get());
    }
    if let Some(retries) = options.retries {
        fetcher = fetcher.with_retries(retries);
    }
    if let Some(timeout) = options.stall_timeout {
        fetcher = fetcher.with_stall_timeout(timeout);
    }
    fetcher
}

impl Clone for Client {
    /// The same options, with its own connections, tokens and knowledge of hosts.
    fn clone(&self) -> Self {
        Self {
            auth: self.auth.clone(),
            fetcher: self.fetcher.anew(),
            limits: self.limits,
            transports: Transports::default(),
        }
    }
}

/// Describes an address for messages, by its last two parts, which hold no secret.
fn describe(url: &Url) -> String {
    let parts: Vec<_> = url.path().rsplitn(3, '/').collect();
    match parts[..] {
        [name, "manifests", _] => format!("the manifest {name}"),
        ["", "v2", _] => "its API".into(),
        [name, "blobs", _] => format!("the blob {name}"),
        ["list", "tags", _] => "the list of tags".into(),
        _ => "an answer".into(),
    }
}
