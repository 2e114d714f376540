//! Requests to token servers: they follow no redirect to another server, and reach into our own network only if the
//! registry itself is there.

use std::net::SocketAddr;

use hoist_core::Result;
use reqwest::Response;

use super::realm;
use crate::hosts::Endpoint;
use crate::http::{Failure, Outgoing, Transport, is_global, ssrf};

/// The registry that names a token server.
#[derive(Debug)]
pub(super) struct Registry<'a> {
    pub(super) endpoint: &'a Endpoint,
    /// The connections to it.
    pub(super) transport: &'a Transport,
    /// Its address when it named the token server.
    pub(super) at: Option<SocketAddr>,
}

impl Registry<'_> {
    /// Sends a request to a token server. One at the registry's own origin is reached over the registry's connections,
    /// which follow the redirects of a `GET` to other servers, but never with credentials.
    ///
    /// Fails with [`Unauthorized`](hoist_core::ErrorKind) if the server's name leads into our own network. Allowed are
    /// the registry's own host, and any host if the registry is in our network too: both its address when it named the
    /// realm and its name have to say so.
    pub(super) async fn send(&self, request: Outgoing) -> Result<Response> {
        let (transport, origin) = (self.transport, self.endpoint.origin());
        let realm = request.url().clone();
        let host = realm.host_str().unwrap_or_default();
        let answer = |answer: std::result::Result<_, _>| {
            answer.map_err(|failure| transport.failed(&format!("asking {host} for a token"), failure))
        };
        if realm.origin() == origin.origin() {
            return answer(request.send(&transport.client).await);
        }
        let request = request.staying();
        if realm.host_str() != origin.host_str() {
            match request.clone().send(transport.named.guarded(host)?).await {
                Err(Failure::Connection(cause)) if ssrf::has_refused(&cause) => {}
                other => return answer(other),
            }
            if !self.is_internal().await {
                return Err(realm::refused(self.endpoint, "is in a network of our own"));
            }
        }
        answer(request.send(transport.named.unguarded(host)?).await)
    }

    async fn is_internal(&self) -> bool {
        let host = self.endpoint.origin().host_str().unwrap_or_default();
        self.at.is_some_and(|address| !is_global(address.ip())) && ssrf::is_internal(host).await
    }
}
