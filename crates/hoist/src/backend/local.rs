//! A directory of images.

use std::path::Path;

use hoist_core::Result;

use super::{Backend, SourceContext};
use crate::config::LocalConfig;

#[cfg(feature = "local")]
pub(super) fn open(path: &Path, config: &LocalConfig, context: &SourceContext) -> Result<Box<dyn Backend>> {
    let SourceContext { store, platform, events } = context.clone();
    let mut local =
        hoist_local::LocalRegistry::open(path, store)?.with_platform(platform).with_events(events);
    if let Some(repository) = &config.repository {
        local = local.with_repository(repository.clone());
    }
    let local = if config.immutable { local.immutable() } else { local };
    let local = if config.writable { local.writable() } else { local };
    Ok(Box::new(local))
}

#[cfg(feature = "local")]
#[async_trait::async_trait]
impl Backend for hoist_local::LocalRegistry {
    async fn resolve(&self, reference: &str) -> Result<Option<hoist_core::PulledImage>> {
        Self::resolve(self, reference).await
    }

    fn for_platform(&self, platform: &hoist_core::Platform) -> Box<dyn Backend> {
        Box::new(self.clone().with_platform(platform.clone()))
    }
}

#[cfg(not(feature = "local"))]
pub(super) fn open(_: &Path, _: &LocalConfig, _: &SourceContext) -> Result<Box<dyn Backend>> {
    Err(super::missing("local", "`local.path`"))
}
