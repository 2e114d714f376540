//! Registries over HTTP.

use hoist_core::Result;

use super::{Backend, SourceContext};
use crate::config::RemoteConfig;

/// The registries themselves, for calls that the trait lacks. Clones share connections and tokens.
#[cfg(feature = "remote")]
pub(crate) type Registry = hoist_remote::RemoteRegistry;
#[cfg(not(feature = "remote"))]
pub(crate) type Registry = Absent;

#[cfg(feature = "remote")]
pub(super) fn backend(registry: &Registry) -> Box<dyn Backend> {
    Box::new(registry.clone())
}

#[cfg(feature = "remote")]
#[expect(clippy::unnecessary_wraps, reason = "where it is not compiled in, it fails")]
pub(crate) fn open(config: &RemoteConfig, context: &SourceContext) -> Result<Registry> {
    let SourceContext { store, platform, events } = context.clone();
    let remote = hoist_remote::RemoteRegistry::new(store).with_platform(platform).with_events(events);
    let remote = remote.with_options(|_| config.options.clone());
    let looks_up = config.keychain.unwrap_or(true);
    Ok(if looks_up { remote.with_keychain(hoist_remote::Keychain::from_environment()) } else { remote })
}

#[cfg(feature = "remote")]
#[async_trait::async_trait]
impl Backend for hoist_remote::RemoteRegistry {
    async fn resolve(&self, reference: &str) -> Result<Option<hoist_core::PulledImage>> {
        Self::resolve(self, reference).await
    }

    fn for_platform(&self, platform: &hoist_core::Platform) -> Box<dyn Backend> {
        Box::new(self.clone().with_platform(platform.clone()))
    }
}

#[cfg(not(feature = "remote"))]
pub(crate) fn open(_: &RemoteConfig, _: &SourceContext) -> Result<Registry> {
    Err(super::missing("remote", "`remote.enabled`"))
}

#[cfg(not(feature = "remote"))]
pub(super) fn backend(absent: &Registry) -> Box<dyn Backend> {
    match *absent {}
}

/// Stands for the registries where the feature is off. It has no values.
#[cfg(not(feature = "remote"))]
#[derive(Debug, Clone)]
pub(crate) enum Absent {}

#[cfg(not(feature = "remote"))]
#[expect(clippy::unused_async, reason = "as where it is compiled in")]
impl Absent {
    pub(crate) fn with_platform(self, _: hoist_core::Platform) -> Self {
        match self {}
    }

    pub(crate) async fn resolve_remote(&self, _: &str) -> Result<hoist_core::Resolution> {
        match *self {}
    }

    pub(crate) async fn tags(&self, _: &str) -> Result<Vec<String>> {
        match *self {}
    }
}
