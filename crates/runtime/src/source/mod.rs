//! What a stack is made of. Each file here opens one backend, or says which feature it takes.

mod cache;
mod local;
pub(crate) mod remote;

use std::fmt::{Debug, Display};

use hoist_core::{Error, ErrorKind, Events, ImageRegistry, Platform, PulledImage, Result};
use hoist_store::Store;

use crate::config::Config;

/// A registry as a stack has it: it can also be shown, and asked what is here without being asked to fetch.
#[async_trait::async_trait]
pub(crate) trait Source: ImageRegistry + Display + Debug {
    /// The image, if it is here whole; unlike [`is_cached`](ImageRegistry::is_cached), with the trouble there was.
    async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>>;
}

/// What all sources of a stack have in common.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) platform: Platform,
    #[cfg_attr(not(any(feature = "cache", feature = "local", feature = "remote")), expect(dead_code))]
    pub(crate) events: Events,
}

/// Fails where the configuration has nothing to get images from; to be asked before anything is touched.
pub(crate) fn check(config: &Config) -> Result<()> {
    let invalid = |message: String| Error::new(ErrorKind::InvalidConfig, message);
    match config.local.path.as_deref() {
        None if !config.remote.enabled => Err(invalid("no source of images is enabled".to_owned())
            .with_help("set `remote.enabled = true`, or `local.path` to a directory of images")),
        Some(path) if !path.is_dir() => {
            Err(invalid(format!("`local.path` is {}, which is not a directory", path.display()))
                .with_help("create it, or correct the path"))
        }
        _ => Ok(()),
    }
}

/// Opens what is enabled, each within the next. At least one is, as was [checked](check).
pub(crate) fn stack(config: &Config, shared: &Shared) -> Result<Box<dyn Source>> {
    let local =
        config.local.path.as_deref().map(|path| local::open(path, &config.local, shared)).transpose()?;
    let remote = config.remote.enabled.then(|| remote::open(&config.remote, shared)).transpose()?;
    let source = match (local, remote) {
        (Some(local), Some(remote)) => cache::fallback(local, remote)?,
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => unreachable!("no source is enabled"),
    };
    if config.cache.enabled { cache::cached(source, shared) } else { Ok(source) }
}

/// What is asked for, and not compiled in.
#[cfg(not(all(feature = "cache", feature = "local", feature = "remote")))]
fn missing(feature: &str, asked_by: &str) -> Error {
    let message =
        format!("the feature `{feature}` of the crate hoist is not compiled in: {asked_by} needs it");
    Error::new(ErrorKind::Unsupported, message)
        .with_help(format!("build with `--features {feature}`, or leave it out of the configuration"))
}
