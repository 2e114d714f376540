//! The keys of `[cache]`.

use serde::Deserialize;

use super::Config;

/// `[cache]`: the store as a cache.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CacheConfig {
    /// Whether the store answers without asking; by default if the feature `cache` is compiled in.
    pub enabled: bool,
}

#[allow(clippy::derivable_impls, reason = "only where the feature is off")]
impl Default for CacheConfig {
    fn default() -> Self {
        Self { enabled: cfg!(feature = "cache") }
    }
}

impl Config {
    /// Lets the store answer without asking.
    pub fn with_cache(mut self) -> Self {
        self.cache.enabled = true;
        self
    }

    /// Asks the sources each time.
    pub fn without_cache(mut self) -> Self {
        self.cache.enabled = false;
        self
    }
}
