//! Connections to token servers: by what the registry's file says of it, but always over verified TLS; never on to
//! another server, and into our own network only where the registry itself is there.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;

use hoist_core::Result;
use reqwest::{Client, Response};

use super::realm;
use crate::address::is_public;
use crate::endpoint::{Endpoint, is_loopback};
use crate::guard::{self, Guard};
use crate::proxies::Proxies;
use crate::redirect::{Failure, Outgoing};
use crate::tls::{self, TlsFiles};
use crate::transport::{self, Limits, Transport};

/// The registry that names a token server.
#[derive(Debug)]
pub(super) struct Registry<'a> {
    pub(super) endpoint: &'a Endpoint,
    /// The connections that it has.
    pub(super) transport: &'a Transport,
    /// Where it was when it named the token server.
    pub(super) at: Option<SocketAddr>,
}

/// Clients for the token servers that a host may name, each made at its first use.
#[derive(Debug)]
pub(crate) struct TokenConnections {
    limits: Limits,
    proxies: Proxies,
    /// Whom the host's file trusts. That the host is not verified, and what we show to it, is for itself alone.
    authorities: Vec<PathBuf>,
    /// For servers on this machine, which are reached through no proxy, and for all others.
    here: Clients,
    elsewhere: Clients,
}

#[derive(Debug, Default)]
struct Clients {
    guard: Guard,
    guarded: OnceLock<Client>,
    unguarded: OnceLock<Client>,
}

impl TokenConnections {
    /// Within these limits, through these proxies, to whom these authorities know beside the system's.
    pub(crate) fn new(limits: Limits, proxies: Proxies, authorities: Vec<PathBuf>) -> Self {
        Self { limits, proxies, authorities, here: Clients::default(), elsewhere: Clients::default() }
    }

    fn clients(&self, host: &str) -> &Clients {
        if is_loopback(host) { &self.here } else { &self.elsewhere }
    }

    fn guarded(&self, host: &str) -> Result<&Client> {
        let clients = self.clients(host);
        clients.guard.watch(host);
        self.client(&clients.guarded, Some(&clients.guard))
    }

    fn unguarded(&self, host: &str) -> Result<&Client> {
        self.client(&self.clients(host).unguarded, None)
    }

    fn client<'a>(&self, cell: &'a OnceLock<Client>, guard: Option<&Guard>) -> Result<&'a Client> {
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let files = TlsFiles { authorities: self.authorities.clone(), ..TlsFiles::default() };
        let builder = transport::builder(self.limits, &self.proxies, tls::config_for("", &files)?);
        let builder = match guard {
            Some(guard) => builder.dns_resolver(guard.clone()),
            None => builder,
        };
        let client = transport::finish(builder)?;
        Ok(cell.get_or_init(|| client))
    }
}

impl Registry<'_> {
    /// Sends a request to a token server: over the registry's own connections, where it is that itself. Those lead a
    /// `GET` on to other servers, but never with credentials.
    ///
    /// Where its name leads into our own network, that fails with [`Unauthorized`](hoist_core::ErrorKind), unless
    /// it is the registry's own host, or the registry is there as well: it was when it named the realm, and is by
    /// its name.
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
            match request.clone().send(transport.tokens.guarded(host)?).await {
                Err(Failure::Connection(cause)) if guard::has_refused(&cause) => {}
                other => return answer(other),
            }
            if !self.is_inside().await {
                return Err(realm::refused(self.endpoint, "is in a network of our own"));
            }
        }
        answer(request.send(transport.tokens.unguarded(host)?).await)
    }

    async fn is_inside(&self) -> bool {
        let host = self.endpoint.origin().host_str().unwrap_or_default();
        self.at.is_some_and(|address| !is_public(address.ip())) && guard::is_inside(host).await
    }
}
