//! The hosts to ask for one reference, in their order.

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

    /// The name of the host at this place.
    pub(crate) fn name(&self, place: usize) -> &str {
        &self.endpoints[place].registry
    }

    pub(crate) fn has_mirrors(&self) -> bool {
        self.endpoints.len() > 1
    }

    /// The tries to have one request answered, by those who are `needed` for it, without those `shunned`.
    pub(crate) fn attempts(&self, need: Need, shunned: impl Fn(usize) -> bool) -> Attempts<'_> {
        Attempts::new(self, need, shunned)
    }

    /// A mirror does not get on with what it began to bring.
    pub(crate) fn was_in_trouble(&self, place: usize) {
        self.endpoints[place].site.was_in_trouble();
    }

    pub(super) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }
}
