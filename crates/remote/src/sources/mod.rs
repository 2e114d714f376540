//! The sources of blobs for the scheduler in `hoist-fetch`: a registry's mirrors, its origin, and the addresses of
//! foreign layers.

mod foreign;
mod foreign_rules;
mod host;

use std::sync::Arc;

use hoist_core::{Descriptor, Result};
use hoist_fetch::{Sources, Tier, Wanted};

use crate::client::SharedClient;
use crate::hosts::{Capability, Route};
use host::Host;

pub(crate) use foreign::ForeignLayers;

/// These blobs, each with its sources: the hosts of the route that may serve blobs, and the addresses of a foreign
/// layer.
pub(crate) fn wanted<'a>(
    client: &SharedClient,
    route: &Route,
    foreign: &ForeignLayers,
    blobs: impl Iterator<Item = &'a Descriptor>,
) -> Result<Vec<Wanted>> {
    let hosts = hosts(client, route, foreign)?;
    Ok(blobs.map(|blob| Wanted::new(blob.clone(), foreign.sources(blob, hosts.clone()))).collect())
}

/// The hosts that may serve blobs: mirrors in their order, and the origin.
pub(crate) fn hosts(client: &SharedClient, route: &Route, foreign: &ForeignLayers) -> Result<Sources> {
    let able =
        route.endpoints().iter().enumerate().filter(|(_, endpoint)| endpoint.host.has(Capability::Pull));
    let (mut sources, mut is_empty) = (Sources::default(), true);
    for (place, endpoint) in able {
        let is_origin = place == route.origin_place();
        let host = Host {
            client: client.clone(),
            endpoint: endpoint.clone(),
            foreign: is_origin.then(|| foreign.clone()),
        };
        let tier = if is_origin { Tier::Origin } else { Tier::Mirror(place) };
        (sources, is_empty) = (sources.with(tier, Arc::new(host)), false);
    }
    if is_empty {
        return Err(route.attempts(Capability::Pull, &client.fetcher).into_error());
    }
    Ok(sources)
}
