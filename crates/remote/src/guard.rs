//! Names that a registry sends us to, kept from leading into our own network
//! (CVE-2026-33990: a token server's name that resolves to 169.254.169.254, or to this machine).

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::is_public;

/// Resolves names as the system does, but gives none of a watched one's addresses that are not public.
///
/// Others are not looked at: a proxy, which is where the user says, usually has a private address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guard {
    watched: Arc<Mutex<HashSet<String>>>,
}

impl Guard {
    /// Watches this name from now on.
    pub(crate) fn watch(&self, name: &str) {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_ascii_lowercase());
    }

    fn watches(&self, name: &str) -> bool {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).contains(&name.to_ascii_lowercase())
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let watched = self.watches(name.as_str());
        Box::pin(async move {
            let mut addresses = lookup(name.as_str()).await?;
            if watched {
                addresses = public(addresses)?;
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// All addresses of a name.
async fn lookup(name: &str) -> std::io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.collect())
}

/// Those addresses that are public, of which there has to be one.
fn public(mut addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, NotPublic> {
    addresses.retain(|address| is_public(address.ip()));
    if addresses.is_empty() { Err(NotPublic) } else { Ok(addresses) }
}

/// Whether all addresses of a host are ones that only those inside can reach.
pub(crate) async fn is_inside(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    match literal.parse::<IpAddr>() {
        Ok(address) => !is_public(address),
        Err(_) => lookup(literal).await.is_ok_and(|all| !all.is_empty() && public(all).is_err()),
    }
}

/// A name that leads nowhere but into our own network.
#[derive(Debug)]
pub(crate) struct NotPublic;

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its name leads to a private address")
    }
}

impl std::error::Error for NotPublic {}

/// Whether a request failed since a watched name leads nowhere else.
pub(crate) fn has_refused(error: &reqwest::Error) -> bool {
    let first = error as &(dyn std::error::Error + 'static);
    std::iter::successors(Some(first), |error| error.source()).any(<dyn std::error::Error>::is::<NotPublic>)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect()
    }

    #[test]
    fn a_name_leads_to_its_public_addresses_or_nowhere() {
        assert_eq!(public(addresses(&["10.0.0.1", "1.1.1.1", "::1"])).unwrap(), addresses(&["1.1.1.1"]));
        for inside in ["169.254.169.254", "0.0.0.0", "::ffff:169.254.169.254", "127.0.0.1"] {
            assert!(public(addresses(&[inside])).is_err(), "{inside}");
        }
        assert!(public(Vec::new()).is_err());
    }

    #[tokio::test]
    async fn only_a_watched_name_is_refused() {
        let guard = Guard::default();
        assert!(guard.resolve("localhost".parse().unwrap()).await.is_ok());
        guard.watch("LocalHost");
        let refused = guard.resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert!(refused.is::<NotPublic>());
    }

    #[tokio::test]
    async fn this_machine_is_inside() {
        for host in ["localhost", "127.0.0.1", "[::1]", "10.0.0.1"] {
            assert!(is_inside(host).await, "{host}");
        }
        assert!(!is_inside("1.1.1.1").await);
    }
}
