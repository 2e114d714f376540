//! The backends that a stack is made of, and the code that stacks them. Each file opens one backend, or names the
//! feature that it needs.

mod cache;
mod custom;
#[cfg(feature = "cache")]
mod decorated;
mod distribution;
mod local;
mod offline;
pub(crate) mod remote;

use std::fmt::{Debug, Display};

use hoist_core::{Error, ErrorKind, Events, ImageRegistry, Platform, PulledImage, Result};
use hoist_store::Store;

use crate::config::Config;

pub(crate) use custom::Make;
use remote::Registry;

/// A registry as part of a stack. It can be displayed, and can look an image up without fetching it.
#[async_trait::async_trait]
pub(crate) trait Backend: ImageRegistry + Display + Debug + 'static {
    /// The image, if all of it is on the disk. Unlike [`is_cached`](ImageRegistry::is_cached), this reports errors.
    async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>>;

    /// The same for another platform, over the same store and connections.
    fn for_platform(&self, platform: &Platform) -> Box<dyn Backend>;
}

/// The parts that all backends of a stack share. A program gets them to
/// [make a registry of its own](crate::Builder::source).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SourceContext {
    /// The store to put images into. Cloning it is cheap.
    pub store: Store,
    /// The platform to choose images for.
    pub platform: Platform,
    /// Receives the progress of pulls.
    pub events: Events,
}

/// Fails where a configuration has no source of images. The builder calls it before it touches the disk.
pub(crate) fn check(config: &Config, own: &[Make]) -> Result<()> {
    let invalid = |message: String| Error::new(ErrorKind::InvalidConfig, message);
    match config.local.path.as_deref() {
        None if config.offline && !config.caches() && own.is_empty() => {
            let message =
                "`offline` leaves nothing to answer from: `cache.enabled` is false, or not compiled in";
            Err(invalid(message.to_owned())
                .with_help("let the store answer, or set `local.path` to a directory of images"))
        }
        None if !config.asks_registries() && !config.offline && own.is_empty() => {
            Err(invalid("no source of images is enabled".to_owned())
                .with_help("set `remote.enabled = true`, or `local.path` to a directory of images"))
        }
        Some(path) if !path.is_dir() => {
            Err(invalid(format!("`local.path` is {}, which is not a directory", path.display()))
                .with_help("create it, or correct the path"))
        }
        _ => Ok(()),
    }
}

/// Opens the enabled backends and chains them: the directory answers first, then the program's `own` registries, then
/// those over HTTP, through hoist's own client where `registries` is given. [`check`] has made sure that there is one.
pub(crate) fn stack(
    config: &Config,
    own: &[Make],
    registries: Option<&Registry>,
    context: &SourceContext,
) -> Result<Box<dyn Backend>> {
    let mut sources: Vec<_> = directory(config, context)?.into_iter().collect();
    sources.extend(own.iter().map(|make| custom(make, context)));
    if let Some(registries) = registries {
        sources.push(remote::backend(registries));
    } else if config.asks_registries() {
        sources.push(distribution::open(&config.remote, context)?);
    } else if config.offline && (sources.is_empty() || cfg!(feature = "cache")) {
        sources.push(Box::new(offline::Offline));
    }
    decorate(chain(sources)?, config, context)
}

/// Wraps the backends in the configured decorators. The cache is outside the limit, so that an image in the store never
/// waits for other pulls. Observation is outermost, and sees every call.
fn decorate(
    mut source: Box<dyn Backend>,
    config: &Config,
    context: &SourceContext,
) -> Result<Box<dyn Backend>> {
    if let Some(pulls) = config.max_pulls {
        source = cache::limited(source, pulls, context)?;
    }
    if config.caches() {
        source = cache::cached(source, config, context)?;
    }
    if config.observe {
        source = cache::observed(source, context)?;
    }
    Ok(source)
}

/// Adds the metrics to the receivers of events, if the configuration enables them.
pub(crate) fn counted(config: &Config, events: Events) -> Events {
    cache::counted(config, events)
}

fn directory(config: &Config, context: &SourceContext) -> Result<Option<Box<dyn Backend>>> {
    config.local.path.as_deref().map(|path| local::open(path, &config.local, context)).transpose()
}

fn custom(make: &Make, context: &SourceContext) -> Box<dyn Backend> {
    Box::new(custom::Custom::new(make.clone(), context.clone()))
}

/// Chains backends: each one gets the references that the ones before it do not have.
fn chain(sources: Vec<Box<dyn Backend>>) -> Result<Box<dyn Backend>> {
    let mut sources = sources.into_iter().rev();
    let last = sources.next().expect("at least one source is enabled");
    sources.try_fold(last, |rest, source| cache::fallback(source, rest))
}

/// The error for a feature that is needed and not compiled in.
pub(crate) fn missing(feature: &str, asked_by: &str) -> Error {
    let message =
        format!("the feature `{feature}` of the crate hoist is not compiled in: {asked_by} needs it");
    Error::new(ErrorKind::Unsupported, message)
        .with_help(format!("build with `--features {feature}`, or leave it out of the configuration"))
}
