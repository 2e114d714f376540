//! The registries, to be asked without pulling.

use std::sync::{Arc, OnceLock};

use hoist_core::{Error, ErrorKind, Result};

use crate::config::{Config, RemoteConfig};
use crate::source::Shared;
use crate::source::remote;

#[cfg(feature = "remote")]
type Registry = hoist_remote::RemoteRegistry;
#[cfg(not(feature = "remote"))]
type Registry = remote::Absent;

/// The registries of a configuration, whatever stack is in front of them.
#[derive(Debug, Clone)]
pub(crate) struct Lookup {
    config: RemoteConfig,
    shared: Shared,
    /// Made at the first use.
    registry: Arc<OnceLock<Registry>>,
}

impl Lookup {
    pub(crate) fn new(config: &Config, shared: &Shared) -> Self {
        Self { config: config.remote.clone(), shared: shared.clone(), registry: Arc::default() }
    }

    /// Fails where registries are not asked, or not compiled in.
    pub(crate) fn registry(&self) -> Result<&Registry> {
        if let Some(registry) = self.registry.get() {
            return Ok(registry);
        }
        let registry = remote::registry(&self.config, &self.shared)?;
        if !self.config.enabled {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                "no registry is asked: `remote.enabled` is false",
            )
            .with_help("set it to true"));
        }
        Ok(self.registry.get_or_init(|| registry))
    }
}
