//! Connections to servers that a registry names, such as its token server: always over verified TLS, and into our own
//! network only if the caller says so.

use std::path::PathBuf;
use std::sync::OnceLock;

use hoist_core::Result;
use reqwest::Client;

use super::loopback::is_loopback;
use super::proxy::Proxies;
use super::ssrf::SsrfGuard;
use super::transport::{Limits, builder, finish};
use crate::tls::{self, TlsFiles};

/// Clients for the servers that a host may name, each made at its first use.
#[derive(Debug)]
pub(crate) struct GuardedClients {
    limits: Limits,
    proxies: Proxies,
    /// The authorities that the host's file trusts. Its `skip_verify`, and our certificates, are for the host alone.
    authorities: Vec<PathBuf>,
    /// For servers on this machine, which no proxy leads to, and for all others.
    here: Clients,
    elsewhere: Clients,
}

#[derive(Debug, Default)]
struct Clients {
    guard: SsrfGuard,
    guarded: OnceLock<Client>,
    unguarded: OnceLock<Client>,
}

impl GuardedClients {
    /// Clients with these limits and proxies, which trust these authorities beside the system's.
    pub(crate) fn new(limits: Limits, proxies: Proxies, authorities: Vec<PathBuf>) -> Self {
        Self { limits, proxies, authorities, here: Clients::default(), elsewhere: Clients::default() }
    }

    fn clients(&self, host: &str) -> &Clients {
        if is_loopback(host) { &self.here } else { &self.elsewhere }
    }

    /// Reaches only global addresses of this host.
    pub(crate) fn guarded(&self, host: &str) -> Result<&Client> {
        let clients = self.clients(host);
        clients.guard.watch(host);
        self.client(&clients.guarded, Some(&clients.guard))
    }

    /// Reaches this host wherever it is.
    pub(crate) fn unguarded(&self, host: &str) -> Result<&Client> {
        self.client(&self.clients(host).unguarded, None)
    }

    fn client<'a>(&self, cell: &'a OnceLock<Client>, guard: Option<&SsrfGuard>) -> Result<&'a Client> {
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let files = TlsFiles { authorities: self.authorities.clone(), ..TlsFiles::default() };
        let builder = builder(self.limits, &self.proxies, tls::config_for("", &files)?);
        let builder = match guard {
            Some(guard) => builder.dns_resolver(guard.clone()),
            None => builder,
        };
        let client = finish(builder)?;
        Ok(cell.get_or_init(|| client))
    }
}
