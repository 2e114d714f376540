//! The hosts to ask for one reference, in their order.

use hoist_fetch::Fetcher;

use super::attempts::{Attempts, Need};
use crate::endpoint::Endpoint;

/// Mirrors, and last the origin: the registry itself, or what its file says is its server. What the origin
/// says counts; a mirror is only ever passed over.
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

    /// The tries to have one request answered, by those who can do what is `needed` for it.
    pub(crate) fn attempts<'a>(&'a self, need: Need, fetcher: &'a Fetcher) -> Attempts<'a> {
        Attempts::new(self, need, fetcher)
    }

    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }
}
