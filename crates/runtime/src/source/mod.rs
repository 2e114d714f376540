//! What a stack is made of. Each file here opens one backend, or says which feature it takes.

mod cache;
#[cfg(feature = "cache")]
mod decorated;
mod distribution;
mod foreign;
mod local;
mod offline;
pub(crate) mod remote;

use std::fmt::{Debug, Display};

use hoist_core::{Error, ErrorKind, Events, ImageRegistry, Platform, PulledImage, Result};
use hoist_store::Store;

use crate::config::Config;

pub(crate) use foreign::Make;
use remote::Registry;

/// A registry as a stack has it: it can also be shown, and asked what is here without being asked to fetch.
#[async_trait::async_trait]
pub(crate) trait Source: ImageRegistry + Display + Debug + 'static {
    /// The image, if it is here whole; unlike [`is_cached`](ImageRegistry::is_cached), with the trouble there was.
    async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>>;

    /// The same for another platform, over the same store and connections.
    fn for_platform(&self, platform: &Platform) -> Box<dyn Source>;
}

/// What all sources of a stack have in common: what a registry of one's own is
/// [made with](crate::Builder::source).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SourceContext {
    /// Where images are to be put; to be cloned, which is cheap.
    pub store: Store,
    /// The platform to choose images for.
    pub platform: Platform,
    /// Where the progress of pulls is to be reported.
    pub events: Events,
}

/// Fails where there is nothing to get images from; to be asked before anything is touched.
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

/// Opens what is enabled, each within the next: the directory is asked first, then the program's `own`
/// registries, then those over HTTP, by hoist's own client where `registries` are given. There is at least one, as was [checked](check).
pub(crate) fn stack(
    config: &Config,
    own: &[Make],
    registries: Option<&Registry>,
    context: &SourceContext,
) -> Result<Box<dyn Source>> {
    let mut sources: Vec<_> = directory(config, context)?.into_iter().collect();
    sources.extend(own.iter().map(|make| foreign(make, context)));
    if let Some(registries) = registries {
        sources.push(remote::source(registries));
    } else if config.asks_registries() {
        sources.push(distribution::open(&config.remote, context)?);
    } else if config.offline && (sources.is_empty() || cfg!(feature = "cache")) {
        sources.push(Box::new(offline::Offline));
    }
    decorate(chain(sources)?, config, context)
}

/// Puts around the sources what the configuration wants there: what is in the store waits for no pull of others, and all of
/// it is seen by who observes.
fn decorate(
    mut source: Box<dyn Source>,
    config: &Config,
    context: &SourceContext,
) -> Result<Box<dyn Source>> {
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

/// Where events go beside the program, as the configuration has it.
pub(crate) fn counted(config: &Config, events: Events) -> Events {
    cache::counted(config, events)
}

fn directory(config: &Config, context: &SourceContext) -> Result<Option<Box<dyn Source>>> {
    config.local.path.as_deref().map(|path| local::open(path, &config.local, context)).transpose()
}

fn foreign(make: &Make, context: &SourceContext) -> Box<dyn Source> {
    Box::new(foreign::Foreign::new(make.clone(), context.clone()))
}

/// Each source is asked for what the ones before it do not have.
fn chain(sources: Vec<Box<dyn Source>>) -> Result<Box<dyn Source>> {
    let mut sources = sources.into_iter().rev();
    let last = sources.next().expect("at least one source is enabled");
    sources.try_fold(last, |rest, source| cache::fallback(source, rest))
}

/// What is asked for, and not compiled in.
pub(crate) fn missing(feature: &str, asked_by: &str) -> Error {
    let message =
        format!("the feature `{feature}` of the crate hoist is not compiled in: {asked_by} needs it");
    Error::new(ErrorKind::Unsupported, message)
        .with_help(format!("build with `--features {feature}`, or leave it out of the configuration"))
}
