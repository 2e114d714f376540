//! Requests to the registries that pull nothing: resolving names, listing tags, logging in.

use hoist_core::{Error, ErrorKind, Platform, Result};

use crate::backend::remote::{self, Registry};
use crate::backend::{SourceContext, missing};
use crate::config::{Config, RemoteClient};

/// The registries of a configuration, without the stack in front of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lookup {
    registry: Option<Registry>,
    client: RemoteClient,
    offline: bool,
}

impl Lookup {
    pub(crate) fn new(config: &Config, context: &SourceContext) -> Result<Self> {
        let client = config.remote.client();
        let is_asked = config.asks_registries() && client == RemoteClient::Hoist;
        let registry = is_asked.then(|| remote::open(&config.remote, context)).transpose()?;
        Ok(Self { registry, client, offline: config.offline })
    }

    /// The same for another platform, over the same connections.
    pub(crate) fn for_platform(&self, platform: &Platform) -> Self {
        let registry = self.registry.clone().map(|registry| registry.with_platform(platform.clone()));
        Self { registry, ..*self }
    }

    /// The registries, if the configuration enables them.
    pub(crate) fn get(&self) -> Option<&Registry> {
        self.registry.as_ref()
    }

    /// The registries. Fails where they are disabled, use another client, or are not compiled in.
    pub(crate) fn registry(&self) -> Result<&Registry> {
        self.registry.as_ref().ok_or_else(|| {
            if self.client == RemoteClient::OciClient && !self.offline {
                let message = "`remote.client` is \"oci-client\", which only pulls";
                Error::new(ErrorKind::Unsupported, message).with_help("leave it out of the configuration")
            } else if !cfg!(feature = "remote") {
                missing("remote", "to ask a registry without pulling")
            } else if self.offline {
                Error::new(ErrorKind::Unavailable, "no registry is asked: `offline` is set")
                    .with_help("ask without `offline`")
            } else {
                Error::new(ErrorKind::InvalidConfig, "no registry is asked: `remote.enabled` is false")
                    .with_help("set it to true")
            }
        })
    }
}
