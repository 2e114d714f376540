//! A directory of images.

use std::path::Path;

use hoist_core::Result;

use super::{Shared, Source};
use crate::config::LocalConfig;

#[cfg(feature = "local")]
pub(super) fn open(path: &Path, config: &LocalConfig, shared: &Shared) -> Result<Box<dyn Source>> {
    let Shared { store, platform, events } = shared.clone();
    let mut local =
        hoist_local::LocalRegistry::open(path, store)?.with_platform(platform).with_events(events);
    if let Some(repository) = &config.repository {
        local = local.with_repository(repository.clone());
    }
    let local = if config.vouched { local.vouched() } else { local };
    Ok(Box::new(if config.writable { local.writable() } else { local }))
}

#[cfg(feature = "local")]
#[async_trait::async_trait]
impl Source for hoist_local::LocalRegistry {
    async fn resolve(&self, reference: &str) -> Result<Option<hoist_core::PulledImage>> {
        Self::resolve(self, reference).await
    }
}

#[cfg(not(feature = "local"))]
pub(super) fn open(_: &Path, _: &LocalConfig, _: &Shared) -> Result<Box<dyn Source>> {
    Err(super::missing("local", "`local.path`"))
}
