//! Connections to token servers: always over verified TLS, never on to another server, and into our own network
//! only where the registry itself is there.

use std::net::SocketAddr;
use std::sync::OnceLock;

use hoist_core::Result;
use reqwest::{Client, Response};

use super::realm;
use crate::address::is_public;
use crate::endpoint::{Endpoint, is_loopback};
use crate::guard::{self, Guard};
use crate::redirect::{Failure, Outgoing};
use crate::transport::{self, Transport};

/// The registry that names a token server.
#[derive(Debug)]
pub(super) struct Registry<'a> {
    pub(super) endpoint: &'a Endpoint,
    /// The connections that it has.
    pub(super) transport: &'a Transport,
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
    /// Sends a request to a token server; a `GET` over the registry's own connections, where it is that itself. Those
    /// lead on to other servers, but never with credentials.
    ///
    /// Where its name leads into our own network, that fails with [`Unauthorized`](hoist_core::ErrorKind), unless
    /// it is the registry's own host, or the registry is there as well: it was when it named the realm, and is by
    /// its name.
    pub(super) async fn send(&self, registry: &Registry<'_>, request: Outgoing) -> Result<Response> {
        let realm = request.url().clone();
        let doing = format!("asking {} for a token", realm.host_str().unwrap_or_default());
        let answer = |answer: std::result::Result<_, _>| {
            answer.map_err(|failure| registry.transport.failed(&doing, failure))
        };
        if !request.has_form() && realm.origin() == registry.endpoint.origin().origin() {
            return answer(request.send(&registry.transport.client).await);
        }
        let request = request.staying();
        let host = realm.host_str().unwrap_or_default();
        if realm.host_str() != registry.endpoint.origin().host_str() {
            self.guard.watch(host);
            match request.clone().send(self.client(host, true)?).await {
                Err(Failure::Connection(cause)) if guard::has_refused(&cause) => {}
                other => return answer(other),
            }
            if !registry.is_inside().await {
                return Err(realm::refused(registry.endpoint, "is in a network of our own"));
            }
        }
        answer(request.send(self.client(host, false)?).await)
    }

    fn client(&self, host: &str, guarded: bool) -> Result<&Client> {
        let local = is_loopback(host);
        let cell = &(if guarded { &self.guarded } else { &self.unguarded })[usize::from(local)];
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let builder = transport::to_token_server()?;
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
