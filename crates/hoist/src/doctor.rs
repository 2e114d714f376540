//! What surprises people, checked before it does.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hoist_core::{Error, ErrorKind, Result};
use hoist_store::Check;

use crate::config::Config;
use crate::hoist::Hoist;

/// No clock that is right shows an earlier time: the end of 2025.
const EARLIEST: Duration = Duration::from_hours(24 * 365 * 56);

impl Hoist {
    /// Checks the place of a store at `root`, this machine's clock, and what it says about registries; with `registry`,
    /// also each step of the way there. Nothing is pulled, and no secret is in what is found.
    ///
    /// The store at `root` need not be this stack's, so that a store that cannot be opened can be checked as well.
    pub async fn doctor(&self, config: &Config, root: &Path, registry: Option<&str>) -> Vec<Check> {
        let mut checks = hoist_store::examine(root, config.allow_network_file_system);
        checks.push(Check::new("clock", clock()));
        checks.extend(self.ask_registries(registry).await);
        checks
    }

    #[cfg(feature = "remote")]
    async fn ask_registries(&self, registry: Option<&str>) -> Vec<Check> {
        let remote = match self.lookup().registry() {
            Ok(remote) => remote,
            Err(error) if registry.is_some() => return vec![Check::new("registry", Err(error))],
            Err(error) => return vec![Check::new("registries", Ok(error.to_string()))],
        };
        let mut checks = remote.examine();
        if let Some(registry) = registry {
            checks.extend(remote.diagnose(registry).await);
        }
        checks
    }

    #[cfg(not(feature = "remote"))]
    #[allow(clippy::unused_async, clippy::unused_self, reason = "it is called as with the feature")]
    async fn ask_registries(&self, registry: Option<&str>) -> Vec<Check> {
        let missing = || Check::new("registry", Err(crate::backend::missing("remote", "to ask a registry")));
        registry.map(|_| missing()).into_iter().collect()
    }
}

fn clock() -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if now < EARLIEST {
        let message = "this machine's clock is years behind, so that certificates seem not valid yet";
        return Err(
            Error::new(ErrorKind::InvalidConfig, message).with_help("set the clock, or start an NTP client")
        );
    }
    Ok("plausible".into())
}
