//! Connections to token servers: always over verified TLS, never on to another server, and into our own network
//! only where the registry itself is there.

use std::net::SocketAddr;
use std::sync::OnceLock;

use hoist_core::{Error, Result};
use reqwest::redirect::{Action, Attempt};
use reqwest::{Client, RequestBuilder, Response, Url};

use super::realm;
use crate::address::is_public;
use crate::endpoint::{Endpoint, is_loopback};
use crate::guard::{self, Guard};
use crate::response;
use crate::transport;

const MAX_REDIRECTS: usize = 5;

/// The registry that names a token server.
#[derive(Debug)]
pub(super) struct Registry<'a> {
    pub(super) endpoint: &'a Endpoint,
    /// The connections that it has.
    pub(super) client: &'a Client,
    /// Where it was when it named the token server.
    pub(super) at: Option<SocketAddr>,
}

/// Clients for token servers, each made at its first use.
#[derive(Debug, Default)]
pub(super) struct TokenConnections {
    guard: Guard,
    /// For servers on this machine, and for all others.
    guarded: [OnceLock<Client>; 2],
    unguarded: [OnceLock<Client>; 2],
}

impl TokenConnections {
    /// Sends a `GET` to the token server at `realm`; over the registry's own connections, where it is that itself.
    /// Those lead on to other servers, but never with credentials.
    pub(super) async fn get(
        &self,
        registry: &Registry<'_>,
        realm: &Url,
        get: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response> {
        if realm.origin() == registry.endpoint.origin().origin() {
            return get(registry.client).send().await.map_err(|cause| failed(realm, cause));
        }
        self.send(registry, realm, get).await
    }

    /// Sends a request, which may have credentials in its body, to the token server at `realm`.
    ///
    /// Where its name leads into our own network, that fails with [`Unauthorized`](hoist_core::ErrorKind), unless
    /// it is the registry's own host, or the registry is there as well: it was when it named the realm, and is by
    /// its name.
    pub(super) async fn send(
        &self,
        registry: &Registry<'_>,
        realm: &Url,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response> {
        let host = realm.host_str().unwrap_or_default();
        if realm.host_str() != registry.endpoint.origin().host_str() {
            self.guard.watch(host);
            match request(self.client(host, true)?).send().await {
                Err(cause) if guard::has_refused(&cause) => {}
                answer => return answer.map_err(|cause| failed(realm, cause)),
            }
            if !registry.is_inside().await {
                return Err(realm::refused(registry.endpoint, "is in a network of our own"));
            }
        }
        request(self.client(host, false)?).send().await.map_err(|cause| failed(realm, cause))
    }

    fn client(&self, host: &str, guarded: bool) -> Result<&Client> {
        let local = is_loopback(host);
        let cell = &(if guarded { &self.guarded } else { &self.unguarded })[usize::from(local)];
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let builder = transport::to_token_server(stay)?;
        let builder = if guarded { builder.dns_resolver(self.guard.clone()) } else { builder };
        let client = transport::finish(builder)?;
        Ok(cell.get_or_init(|| client))
    }
}

impl Registry<'_> {
    async fn is_inside(&self) -> bool {
        let host = self.endpoint.origin().host_str().unwrap_or_default();
        self.at.is_some_and(|address| !is_public(address.ip())) && guard::is_inside(host).await
    }
}

fn failed(realm: &Url, cause: reqwest::Error) -> Error {
    response::failed(&format!("asking {} for a token", realm.host_str().unwrap_or_default()), cause)
}

/// Follows a token server about its own rooms only: a `POST` has the credentials in its body, and would take
/// them along.
fn stay(attempt: Attempt<'_>) -> Action {
    let stays = attempt.previous().last().is_some_and(|from| from.origin() == attempt.url().origin());
    if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("redirected too often")
    } else if stays {
        attempt.follow()
    } else {
        attempt.error("redirected to another server")
    }
}
