//! The keys of `[cache]`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use hoist_core::{Error, Result};
use serde::Deserialize;

use super::{Config, invalid, values};

/// `[cache]`: the store as a cache.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CacheConfig {
    /// Whether the store answers without asking; by default it does, if the feature `cache` is compiled in.
    pub enabled: Option<bool>,
    /// When it answers; by default [`IfNotPresent`](CachePolicy::IfNotPresent).
    #[serde(deserialize_with = "values::policy")]
    pub policy: Option<CachePolicy>,
    /// Whether the store answers with its image, however old, if the policy is to ask and no registry can be reached.
    /// An event and the log report this. By default it does not.
    pub serve_stale: bool,
    /// How long the cache remembers that there is no such image, spelled `5s` or `1m`; a bare number is in seconds. By
    /// default it does not remember this.
    #[serde(deserialize_with = "hoist_core::duration::deserialize")]
    pub remember_not_found: Option<Duration>,
}

/// When a store answers a pull by tag without asking. A digest that is here is never asked for again.
///
/// It is spelled as `Display` shows it: `if-not-present` (or `missing`), `always`, `never`, `newer-than 1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CachePolicy {
    /// Whenever the image is here.
    #[default]
    IfNotPresent,
    /// Never without asking what the tag is now: one `HEAD`, where nothing has moved.
    Always,
    /// If the store has the image. No registry is ever asked: any other image is not found.
    Never,
    /// Where the tag was confirmed no longer ago than this.
    NewerThan(Duration),
}

impl FromStr for CachePolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "if-not-present" | "missing" => Ok(Self::IfNotPresent),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => match text.strip_prefix("newer-than ") {
                Some(age) => hoist_core::duration::parse(age).map(Self::NewerThan),
                None => Err(invalid(format!("{text:?} is not a policy"))
                    .with_help("write it as if-not-present, always, never, or \"newer-than 1h\"")),
            },
        }
    }
}

impl fmt::Display for CachePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IfNotPresent => f.write_str("if-not-present"),
            Self::Always => f.write_str("always"),
            Self::Never => f.write_str("never"),
            Self::NewerThan(age) if age.subsec_nanos() == 0 => write!(f, "newer-than {}s", age.as_secs()),
            Self::NewerThan(age) => write!(f, "newer-than {}", humantime::format_duration(*age)),
        }
    }
}

impl CacheConfig {
    /// Fails where one key contradicts another.
    pub(super) fn check(&self) -> Result<()> {
        match self.said() {
            Some(key) if self.enabled == Some(false) => {
                Err(invalid(format!("{key} is set, and `cache.enabled` is false"))
                    .with_help("leave one of them out"))
            }
            _ => Ok(()),
        }
    }

    /// A key that is set, and says how the store answers.
    fn said(&self) -> Option<&'static str> {
        let keys = [
            ("`cache.policy`", self.policy.is_some()),
            ("`cache.serve-stale`", self.serve_stale),
            ("`cache.remember-not-found`", self.remember_not_found.is_some()),
        ];
        keys.into_iter().find(|(_, is_said)| *is_said).map(|(key, _)| key)
    }
}

impl Config {
    /// Whether the store answers without asking.
    pub fn caches(&self) -> bool {
        // A key that says how to answer enables the cache. If it is not compiled in, that is an error.
        self.cache.enabled.unwrap_or(cfg!(feature = "cache") || self.cache.said().is_some())
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

    /// Lets the store answer by this policy.
    pub fn with_policy(mut self, policy: CachePolicy) -> Self {
        self.cache.policy = Some(policy);
        self
    }

    /// Lets the store answer with its image if the policy is to ask and no registry can be reached.
    pub fn with_stale(mut self) -> Self {
        self.cache.serve_stale = true;
        self
    }

    /// Remembers for `time` that there is no such image.
    pub fn with_not_found_kept_for(mut self, time: Duration) -> Self {
        self.cache.remember_not_found = Some(time);
        self
    }
}
