//! Registries over HTTP.

use hoist_core::Result;

use super::{Shared, Source};
use crate::config::RemoteConfig;

#[cfg(feature = "remote")]
#[expect(clippy::unnecessary_wraps, reason = "where it is not compiled in, it fails")]
pub(super) fn open(config: &RemoteConfig, shared: &Shared) -> Result<Box<dyn Source>> {
    use std::time::Duration;

    use hoist_remote::{Credentials, Keychain, RemoteRegistry};
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
    if let Some(seconds) = config.connect_timeout {
        remote = remote.with_connect_timeout(Duration::from_secs(seconds.get()));
    }
    if let Some(seconds) = config.response_timeout {
        remote = remote.with_response_timeout(Duration::from_secs(seconds.get()));
    }
    if let Some(directories) = &config.hosts_dir {
        remote = directories.iter().fold(remote.without_hosts_dirs(), RemoteRegistry::with_hosts_dir);
    }
    for (registry, mirrors) in &config.mirrors {
        remote = mirrors.iter().fold(remote, |remote, mirror| remote.with_mirror(registry, mirror));
    }
    for registry in &config.plain_http {
        remote = remote.with_plain_http(registry);
    }
    for (registry, who) in &config.credentials {
        remote = remote.with_credentials(registry, Credentials::basic(&who.username, who.password.expose()));
    }
    if config.keychain {
        remote = remote.with_keychain(Keychain::from_environment());
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
