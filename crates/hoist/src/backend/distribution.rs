//! Registries over HTTP, through the crate `oci-client`.

use hoist_core::Result;

use super::{Backend, SourceContext};
use crate::config::RemoteConfig;

#[cfg(feature = "distribution")]
pub(super) fn open(config: &RemoteConfig, context: &SourceContext) -> Result<Box<dyn Backend>> {
    let SourceContext { store, platform, events } = context.clone();
    let registry = hoist_distribution::DistributionRegistry::new(store)?;
    let registry = registry.with_platform(platform).with_events(events);
    let registry = config
        .options
        .plain_http
        .iter()
        .fold(registry, hoist_distribution::DistributionRegistry::with_plain_http);
    Ok(Box::new(registry))
}

#[cfg(feature = "distribution")]
#[async_trait::async_trait]
impl Backend for hoist_distribution::DistributionRegistry {
    async fn resolve(&self, reference: &str) -> Result<Option<hoist_core::PulledImage>> {
        Self::resolve(self, reference).await
    }

    fn for_platform(&self, platform: &hoist_core::Platform) -> Box<dyn Backend> {
        Box::new(self.clone().with_platform(platform.clone()))
    }
}

#[cfg(not(feature = "distribution"))]
pub(super) fn open(_: &RemoteConfig, _: &SourceContext) -> Result<Box<dyn Backend>> {
    Err(super::missing("distribution", "`remote.client = \"oci-client\"`"))
}
