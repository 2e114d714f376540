//! Registries over HTTP.

use hoist_core::Result;

use super::{Shared, Source};
use crate::config::RemoteConfig;

#[cfg(feature = "remote")]
#[expect(clippy::unnecessary_wraps, reason = "where it is not compiled in, it fails")]
pub(super) fn open(config: &RemoteConfig, shared: &Shared) -> Result<Box<dyn Source>> {
    use hoist_remote::{Credentials, RemoteRegistry};
    let Shared { store, platform, events } = shared.clone();
    let mut remote = RemoteRegistry::new(store).with_platform(platform).with_events(events);
    if let Some(blobs) = config.concurrency {
        remote = remote.with_concurrency(blobs.get());
    }
    if let Some(retries) = config.retries {
        remote = remote.with_retries(retries);
    }
    for registry in &config.plain_http {
        remote = remote.with_plain_http(registry);
    }
    for (registry, who) in &config.credentials {
        remote = remote.with_credentials(registry, Credentials::basic(&who.username, who.password.expose()));
    }
    Ok(Box::new(remote))
}

#[cfg(feature = "remote")]
#[async_trait::async_trait]
impl Source for hoist_remote::RemoteRegistry {
    async fn resolve(&self, reference: &str) -> Result<Option<hoist_core::PulledImage>> {
        Self::resolve(self, reference)
    }
}

#[cfg(not(feature = "remote"))]
pub(super) fn open(_: &RemoteConfig, _: &Shared) -> Result<Box<dyn Source>> {
    Err(super::missing("remote", "`remote.enabled`"))
}
