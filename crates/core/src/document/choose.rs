//! Whether an image fits a platform, according to an index or to the image's configuration.

use super::{Descriptor, Index};
use crate::error::{Error, ErrorKind, Result};
use crate::platform::Platform;

impl Index {
    /// Chooses the entry that fits this platform best.
    ///
    /// Fails with [`PlatformMissing`](ErrorKind::PlatformMissing), which lists the available platforms. If an
    /// index has only one entry, and that entry names no platform, the entry is chosen.
    pub fn choose(&self, platform: &Platform) -> Result<&Descriptor> {
        let candidates = self.manifests.iter().filter_map(|entry| Some((entry.platform.as_ref()?, entry)));
        let lone = || match &self.manifests[..] {
            [only] if only.platform.is_none() => Some(only),
            _ => None,
        };
        platform.choose(candidates).or_else(lone).ok_or_else(|| {
            platform.missing(self.manifests.iter().filter_map(|m| m.platform.clone()).collect())
        })
    }
}

/// The platform in an image's configuration. `None`: it is not specified, as for an artifact.
pub fn config_platform(config: &[u8]) -> Option<Platform> {
    let platform: Platform = serde_json::from_slice(config).ok()?;
    Some(platform).filter(|p| !p.os.is_empty() && !p.architecture.is_empty())
}

impl Platform {
    /// The error for an image that is made for these platforms, but not for this one.
    pub fn missing(&self, available: Vec<Self>) -> Error {
        // Attestations and the like are listed as unknown/unknown, which cannot be requested.
        let available: Vec<_> = available.into_iter().filter(|p| p.os != "unknown").collect();
        let names: Vec<_> = available.iter().map(ToString::to_string).collect();
        let there_is = if names.is_empty() { "no platform at all".to_owned() } else { names.join(", ") };
        let kind = ErrorKind::PlatformMissing { available };
        Error::new(kind, format!("the image is not made for {self}, but for {there_is}"))
            .with_help("choose one of those with `platform`")
    }

    /// Fails with [`PlatformMissing`](ErrorKind::PlatformMissing) if an image with this configuration is made
    /// for another platform.
    pub fn check(&self, config: &[u8]) -> Result<()> {
        match config_platform(config) {
            Some(made_for) if !self.accepts(&made_for) => Err(self.missing(vec![made_for])),
            _ => Ok(()),
        }
    }
}
