//! Registries over HTTP.

use hoist_core::Result;

use super::{Shared, Source};
use crate::config::RemoteConfig;

#[cfg(feature = "remote")]
pub(super) fn open(config: &RemoteConfig, shared: &Shared) -> Result<Box<dyn Source>> {
    Ok(Box::new(registry(config, shared)?))
}

/// The registries themselves, for what the trait has no words for.
#[cfg(feature = "remote")]
#[expect(clippy::unnecessary_wraps, reason = "where it is not compiled in, it fails")]
pub(crate) fn registry(config: &RemoteConfig, shared: &Shared) -> Result<hoist_remote::RemoteRegistry> {
    use std::time::Duration;

    use hoist_remote::{Credentials, RemoteRegistry};
    let Shared { store, platform, events } = shared.clone();
    let mut remote = RemoteRegistry::new(store).with_platform(platform).with_events(events);
    if let Some(connections) = config.connections {
        remote = remote.with_connections(connections.get());
    }
    if let Some(seconds) = config.stall_timeout {
        remote = remote.with_stall_timeout(Duration::from_secs(seconds.get()));
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
    Ok(remote.with_foreign_layers(&config.foreign_layers))
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

#[cfg(not(feature = "remote"))]
pub(crate) fn registry(_: &RemoteConfig, _: &Shared) -> Result<Absent> {
    Err(super::missing("remote", "to ask a registry without pulling"))
}

/// What stands for registries where there are none: nothing can be one.
#[cfg(not(feature = "remote"))]
#[derive(Debug)]
pub(crate) enum Absent {}

#[cfg(not(feature = "remote"))]
#[expect(clippy::unused_async, reason = "as where it is compiled in")]
impl Absent {
    pub(crate) async fn resolve_remote(&self, _: &str) -> Result<hoist_core::Resolution> {
        match *self {}
    }

    pub(crate) async fn tags(&self, _: &str) -> Result<Vec<String>> {
        match *self {}
    }
}
