//! The connections that a client has made: one set for all usual hosts, and one for each host that is described apart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use hoist_core::Result;
use hoist_fetch::SourceId;

use crate::hosts::RegistryHost;
use crate::http::{Limits, NEVER, Proxies, Transport};

/// Transports by the host that they lead to, each made at its first use: a hit in a cache does not pay for one.
#[derive(Debug, Default)]
pub(super) struct Transports {
    usual: OnceLock<Arc<Transport>>,
    /// A host that is described anew is another host, with another id.
    apart: Mutex<HashMap<SourceId, Kept>>,
}

#[derive(Debug)]
struct Kept {
    host: Weak<RegistryHost>,
    transport: Arc<Transport>,
}

impl Transports {
    /// The connections to this host. All requests to it share them.
    pub(super) fn to(&self, host: &Arc<RegistryHost>, limits: Limits) -> Result<Arc<Transport>> {
        if host.config.is_usual() { self.usual(limits) } else { self.apart(host, limits) }
    }

    fn usual(&self, limits: Limits) -> Result<Arc<Transport>> {
        if let Some(transport) = self.usual.get() {
            return Ok(transport.clone());
        }
        let made = Arc::new(Transport::usual(limits)?);
        Ok(self.usual.get_or_init(|| made).clone())
    }

    fn apart(&self, host: &Arc<RegistryHost>, limits: Limits) -> Result<Arc<Transport>> {
        let lock = || self.apart.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = lock().get(&host.id) {
            return Ok(kept.transport.clone());
        }
        // Made without the lock, since that reads files.
        let made = Kept { host: Arc::downgrade(host), transport: Arc::new(describe(host, limits)?) };
        let mut kept = lock();
        kept.retain(|_, kept| kept.host.strong_count() > 0);
        Ok(kept.entry(host.id.clone()).or_insert(made).transport.clone())
    }
}

/// Connections as a host's description asks for them.
fn describe(host: &RegistryHost, limits: Limits) -> Result<Transport> {
    let config = &host.config;
    let connect = config.connect_timeout.unwrap_or(limits.connect).min(NEVER);
    let proxies = config.proxy.as_ref().map_or_else(Proxies::from_env, |proxy| Ok(Proxies::only(proxy)))?;
    let name = host.url.host_str().unwrap_or_default();
    Transport::new(Limits { connect, ..limits }, proxies, name, &config.tls)
}
