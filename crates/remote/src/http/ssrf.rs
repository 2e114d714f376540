//! Server-side request forgery: keeps a name that a registry sends us to from leading into our own network
//! (CVE-2026-33990: a token server's name that resolves to 169.254.169.254, or to this machine).

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::is_global::is_global;

/// Resolves names as the system does, but leaves out the private addresses of the names that it watches.
///
/// Other names keep all their addresses: the user's proxy usually has a private one.
#[derive(Debug, Clone, Default)]
pub(crate) struct SsrfGuard {
    watched: Arc<Mutex<HashSet<String>>>,
}

impl SsrfGuard {
    /// Watches this name from now on.
    pub(crate) fn watch(&self, name: &str) {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_ascii_lowercase());
    }

    fn watches(&self, name: &str) -> bool {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).contains(&name.to_ascii_lowercase())
    }
}

impl Resolve for SsrfGuard {
    fn resolve(&self, name: Name) -> Resolving {
        let watched = self.watches(name.as_str());
        Box::pin(async move {
            let mut addresses = lookup(name.as_str()).await?;
            if watched {
                addresses = global(addresses)?;
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// All addresses of a name.
async fn lookup(name: &str) -> std::io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.collect())
}

/// Keeps the global addresses. Fails if there are none.
fn global(mut addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, NotGlobal> {
    addresses.retain(|address| is_global(address.ip()));
    if addresses.is_empty() { Err(NotGlobal) } else { Ok(addresses) }
}

/// Whether all addresses of a host are private.
pub(crate) async fn is_internal(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    match literal.parse::<IpAddr>() {
        Ok(address) => !is_global(address),
        Err(_) => lookup(literal).await.is_ok_and(|all| !all.is_empty() && global(all).is_err()),
    }
}

/// A name whose addresses are all private.
#[derive(Debug, thiserror::Error)]
#[error("its name leads to a private address")]
pub(crate) struct NotGlobal;

/// Whether a request failed because all addresses of a watched name are private.
pub(crate) fn has_refused(error: &reqwest::Error) -> bool {
    let first = error as &(dyn std::error::Error + 'static);
    std::iter::successors(Some(first), |error| error.source()).any(<dyn std::error::Error>::is::<NotGlobal>)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect()
    }

    #[test]
    fn a_name_leads_to_its_public_addresses_or_nowhere() {
        assert_eq!(global(addresses(&["10.0.0.1", "1.1.1.1", "::1"])).unwrap(), addresses(&["1.1.1.1"]));
        for inside in ["169.254.169.254", "0.0.0.0", "::ffff:169.254.169.254", "127.0.0.1"] {
            assert!(global(addresses(&[inside])).is_err(), "{inside}");
        }
        assert!(global(Vec::new()).is_err());
    }

    #[tokio::test]
    async fn only_a_watched_name_is_refused() {
        let guard = SsrfGuard::default();
        assert!(guard.resolve("localhost".parse().unwrap()).await.is_ok());
        guard.watch("LocalHost");
        let refused = guard.resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert!(refused.is::<NotGlobal>());
    }

    #[tokio::test]
    async fn this_machine_is_internal() {
        for host in ["localhost", "127.0.0.1", "[::1]", "10.0.0.1"] {
            assert!(is_internal(host).await, "{host}");
        }
        assert!(!is_internal("1.1.1.1").await);
    }
}
