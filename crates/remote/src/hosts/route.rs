//! The hosts to ask for one reference, in their order.

use hoist_fetch::Fetcher;
use hoist_store::Arrival;

use super::attempts::Attempts;
use super::endpoint::Endpoint;
use super::host_config::Capability;

/// Mirrors, and last the origin: the registry itself, or the server that its file names. The origin's answer counts;
/// a mirror that fails is passed over.
#[derive(Debug)]
pub(crate) struct Route {
    /// The registry's name, as references have it.
    pub(crate) registry: String,
    endpoints: Vec<Endpoint>,
}

impl Route {
    /// A route over these, of which the last is the origin.
    pub(super) fn new(registry: &str, endpoints: Vec<Endpoint>) -> Self {
        Self { registry: registry.to_owned(), endpoints }
    }

    pub(crate) fn origin(&self) -> &Endpoint {
        self.endpoints.last().expect("there is always an origin")
    }

    /// The origin's place in the route; mirrors come before it.
    pub(crate) fn origin_place(&self) -> usize {
        self.endpoints.len() - 1
    }

    pub(crate) fn has_mirrors(&self) -> bool {
        self.endpoints.len() > 1
    }

    /// The attempts to get one request answered by the hosts that have the `needed` capability.
    pub(crate) fn attempts<'a>(&'a self, needed: Capability, fetcher: &'a Fetcher) -> Attempts<'a> {
        Attempts::new(self, needed, fetcher)
    }

    /// How content came that was fetched over this route.
    pub(crate) fn arrival(&self) -> Arrival {
        let is_known = self.endpoints.iter().any(Endpoint::knows_us);
        if is_known { Arrival::Authenticated } else { Arrival::Anonymous }
    }

    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }
}
