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

#[cfg(test)]
mod tests {
    use hoist_core::RemoteOptions;

    use super::*;
    use crate::hosts::Hosts;

    /// A host whose file sets a time to connect.
    fn described(directory: &std::path::Path, seconds: u32) -> Hosts {
        let of_host = directory.join("registry.lan");
        std::fs::create_dir_all(&of_host).unwrap();
        std::fs::write(of_host.join("hosts.toml"), format!("dial_timeout = \"{seconds}s\"")).unwrap();
        Hosts::new(&RemoteOptions::default().with_hosts_dir(directory))
    }

    fn host(hosts: &Hosts) -> Arc<RegistryHost> {
        hosts.route(&"registry.lan/demo".parse().unwrap()).unwrap().origin().host.clone()
    }

    #[test]
    fn usual_hosts_share_connections_and_described_ones_have_their_own() {
        let directory = tempfile::tempdir().unwrap();
        let (transports, hosts) = (Transports::default(), described(directory.path(), 3));
        let usual = Hosts::new(&RemoteOptions::default().without_hosts_dirs());
        let [one, two] = ["a.lan/x", "b.lan/x"].map(|name| {
            let route = usual.route(&name.parse().unwrap()).unwrap();
            transports.to(&route.origin().host, Limits::default()).unwrap()
        });
        assert!(Arc::ptr_eq(&one, &two));

        let own = transports.to(&host(&hosts), Limits::default()).unwrap();
        assert!(!Arc::ptr_eq(&own, &one));
        assert_eq!(own.limits.connect.as_secs(), 3);
        assert!(Arc::ptr_eq(&own, &transports.to(&host(&hosts), Limits::default()).unwrap()));
    }

    #[test]
    fn connections_to_a_host_are_forgotten_once_it_is_described_anew() {
        let directory = tempfile::tempdir().unwrap();
        let (transports, hosts) = (Transports::default(), described(directory.path(), 3));
        let old = Arc::downgrade(&transports.to(&host(&hosts), Limits::default()).unwrap());
        assert!(old.upgrade().is_some());

        described(directory.path(), 4);
        let new = transports.to(&host(&hosts), Limits::default()).unwrap();
        assert_eq!(new.limits.connect.as_secs(), 4);
        assert!(old.upgrade().is_none());
    }
}
