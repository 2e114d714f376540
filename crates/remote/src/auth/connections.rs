//! Connections to token servers: always over verified TLS, never on to another server, and into our own network
//! only where the registry itself is there.

use std::net::SocketAddr;
use std::sync::OnceLock;

use hoist_core::Result;
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{RequestBuilder, Response, Url};

use super::realm;
use crate::address::is_public;
use crate::client;
use crate::endpoint::{Endpoint, is_loopback};
use crate::guard::{self, Guard};
use crate::response;

const MAX_REDIRECTS: usize = 5;

/// Clients for token servers, each made at its first use.
#[derive(Debug, Default)]
pub(super) struct TokenConnections {
    guard: Guard,
    /// For servers on this machine, and for all others.
    guarded: [OnceLock<reqwest::Client>; 2],
    unguarded: [OnceLock<reqwest::Client>; 2],
}

impl TokenConnections {
    /// Sends a request to the token server at `realm`.
    ///
    /// Where its name leads into our own network, that fails with [`Unauthorized`](hoist_core::ErrorKind), unless
    /// it is the registry's own host, or the registry is there as well: it was when it named the realm, at
    /// `registry_at`, and is by its name.
    pub(super) async fn send(
        &self,
        endpoint: &Endpoint,
        realm: &Url,
        registry_at: Option<SocketAddr>,
        request: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Response> {
        let host = realm.host_str().unwrap_or_default();
        let failed = |cause| response::failed(&format!("asking {host} for a token"), cause);
        if realm.host_str() == endpoint.origin().host_str() {
            return request(self.client(host, false)?).send().await.map_err(failed);
        }
        self.guard.watch(host);
        match request(self.client(host, true)?).send().await {
            Err(cause) if guard::has_refused(&cause) => {}
            answer => return answer.map_err(failed),
        }
        if !is_registry_inside(endpoint, registry_at).await {
            return Err(realm::refused(endpoint, "is in a network of our own"));
        }
        request(self.client(host, false)?).send().await.map_err(failed)
    }

    fn client(&self, host: &str, guarded: bool) -> Result<&reqwest::Client> {
        let local = is_loopback(host);
        let cell = &(if guarded { &self.guarded } else { &self.unguarded })[usize::from(local)];
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let builder = client::builder(local)?.redirect(Policy::custom(stay));
        let builder = if guarded { builder.dns_resolver(self.guard.clone()) } else { builder };
        let client = client::finish(builder)?;
        Ok(cell.get_or_init(|| client))
    }
}

async fn is_registry_inside(endpoint: &Endpoint, registry_at: Option<SocketAddr>) -> bool {
    let host = endpoint.origin().host_str().unwrap_or_default();
    registry_at.is_some_and(|address| !is_public(address.ip())) && guard::is_inside(host).await
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
