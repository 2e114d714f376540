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
    use hoist_remote::{Credentials, Keychain, RemoteRegistry};
    let SourceContext { store, platform, events } = context.clone();
    let mut remote = RemoteRegistry::new(store).with_platform(platform).with_events(events);
    if let Some(connections) = config.connections {
        remote = remote.with_connections(connections.get());
    }
    if let Some(limit) = config.stall_timeout {
        remote = remote.with_stall_timeout(limit);
    }
    if let Some(retries) = config.retries {
        remote = remote.with_retries(retries);
    }
    if let Some(limit) = config.connect_timeout {
        remote = remote.with_connect_timeout(limit);
    }
    if let Some(limit) = config.response_timeout {
        remote = remote.with_response_timeout(limit);
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
    for (registry, login) in &config.credentials {
        remote =
            remote.with_credentials(registry, Credentials::basic(&login.username, login.password.expose()));
    }
    if config.keychain.unwrap_or(true) {
        remote = remote.with_keychain(Keychain::from_environment());
    }
    Ok(remote.with_foreign_layers(&config.foreign_layers))
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
