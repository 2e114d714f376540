//! Registries over HTTP by another client, for a second opinion.

use hoist_core::Result;

use super::{Source, SourceContext};
use crate::config::RemoteConfig;

#[cfg(feature = "distribution")]
pub(super) fn open(config: &RemoteConfig, context: &SourceContext) -> Result<Box<dyn Source>> {
    let SourceContext { store, platform, events } = context.clone();
    let registry = hoist_distribution::DistributionRegistry::new(store)?;
    let registry = registry.with_platform(platform).with_events(events);
    let registry =
        config.plain_http.iter().fold(registry, hoist_distribution::DistributionRegistry::with_plain_http);
    Ok(Box::new(super::backend::Leasing(registry)))
}

#[cfg(feature = "distribution")]
#[async_trait::async_trait]
impl super::backend::Backend for hoist_distribution::DistributionRegistry {
    async fn resolve(&self, reference: &str) -> Result<Option<hoist_core::PulledImage>> {
        Self::resolve(self, reference).await
    }

    async fn pull_leased(&self, reference: &str) -> Result<(hoist_core::PulledImage, hoist_store::Lease)> {
        Self::pull_leased(self, reference).await
    }

    fn for_platform(&self, platform: &hoist_core::Platform) -> Self {
        self.clone().with_platform(platform.clone())
    }
}

#[cfg(not(feature = "distribution"))]
pub(super) fn open(_: &RemoteConfig, _: &SourceContext) -> Result<Box<dyn Source>> {
    Err(super::missing("distribution", "`remote.client = \"oci-client\"`"))
}
