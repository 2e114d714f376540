//! The keys of `[cache]`.

use serde::Deserialize;

use super::Config;

/// `[cache]`: the store as a cache.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CacheConfig {
    /// Whether the store answers without asking; by default it does, if the feature `cache` is compiled in.
    pub enabled: Option<bool>,
}

impl Config {
    /// Whether the store answers without asking.
    pub fn caches(&self) -> bool {
        self.cache.enabled.unwrap_or(cfg!(feature = "cache"))
    }

    /// Lets the store answer without asking.
    pub fn with_cache(mut self) -> Self {
        self.cache.enabled = Some(true);
        self
    }

    /// Asks the sources each time.
    pub fn without_cache(mut self) -> Self {
        self.cache.enabled = Some(false);
        self
    }
}
