//! The decorators: a cache, a fallback to a second backend, a limit, and observation.

use std::num::NonZeroUsize;

use hoist_core::{Events, Result};

use super::{Backend, SourceContext};
use crate::config::Config;

#[cfg(feature = "cache")]
mod compiled_in {
    use hoist_cache::{Cached, Fallback, Limited, Observed, Policy};
    use hoist_core::{Platform, PulledImage};

    use super::super::decorated::{Decorated, Inner};
    use super::{Backend, Config, NonZeroUsize, Result, SourceContext};
    use crate::config::{CacheConfig, CachePolicy};

    #[expect(clippy::unnecessary_wraps, reason = "where it is not compiled in, it fails")]
    pub(crate) fn cached(source: Inner, config: &Config, context: &SourceContext) -> Result<Inner> {
        let SourceContext { store, platform, events } = context.clone();
        let CacheConfig { policy, serve_stale, remember_not_found, .. } = config.cache.clone();
        // Offline, no registry can confirm a tag: the store answers with the image that it has.
        let policy = if config.offline { CachePolicy::IfNotPresent } else { policy.unwrap_or_default() };
        let make = move |inner, platform: &Platform| {
            let cached = Cached::new(inner, store.clone())
                .with_platform(platform.clone())
                .with_events(events.clone())
                .with_policy(translate(policy))
                .with_stale(serve_stale);
            match remember_not_found {
                Some(time) => cached.with_not_found_kept_for(time),
                None => cached,
            }
        };
        Ok(Box::new(Decorated::new(source, &platform, make)))
    }

    fn translate(policy: CachePolicy) -> Policy {
        match policy {
            CachePolicy::IfNotPresent => Policy::IfNotPresent,
            CachePolicy::Always => Policy::Always,
            CachePolicy::Never => Policy::Never,
            CachePolicy::NewerThan(age) => Policy::NewerThan(age),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "where it is not compiled in, it fails")]
    pub(crate) fn limited(source: Inner, pulls: NonZeroUsize, context: &SourceContext) -> Result<Inner> {
        let make = move |inner, _: &Platform| Limited::new(pulls.get(), inner);
        Ok(Box::new(Decorated::new(source, &context.platform, make)))
    }

    #[expect(clippy::unnecessary_wraps, reason = "where it is not compiled in, it fails")]
    pub(crate) fn observed(source: Inner, context: &SourceContext) -> Result<Inner> {
        let make = |inner, platform: &Platform| Observed::new(inner).with_platform(platform.clone());
        Ok(Box::new(Decorated::new(source, &context.platform, make)))
    }

    #[expect(clippy::unnecessary_wraps, reason = "where it is not compiled in, it fails")]
    pub(crate) fn fallback(first: Inner, second: Inner) -> Result<Inner> {
        Ok(Box::new(Fallback::new(first, second)))
    }

    #[async_trait::async_trait]
    impl Backend for Fallback<Inner, Inner> {
        async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
            let (first, second) = self.get_ref();
            match first.resolve(reference).await? {
                Some(image) => Ok(Some(image)),
                None => second.resolve(reference).await,
            }
        }

        fn for_platform(&self, platform: &Platform) -> Inner {
            let (first, second) = self.get_ref();
            Box::new(Self::new(first.for_platform(platform), second.for_platform(platform)))
        }
    }
}

#[cfg(feature = "cache")]
pub(super) use compiled_in::{cached, fallback, limited, observed};

#[cfg(not(feature = "cache"))]
pub(super) fn cached(_: Box<dyn Backend>, _: &Config, _: &SourceContext) -> Result<Box<dyn Backend>> {
    Err(super::missing("cache", "`cache.enabled`"))
}

#[cfg(not(feature = "cache"))]
pub(super) fn limited(_: Box<dyn Backend>, _: NonZeroUsize, _: &SourceContext) -> Result<Box<dyn Backend>> {
    Err(super::missing("cache", "`max-pulls`"))
}

#[cfg(not(feature = "cache"))]
pub(super) fn observed(_: Box<dyn Backend>, _: &SourceContext) -> Result<Box<dyn Backend>> {
    Err(super::missing("cache", "`observe`"))
}

#[cfg(not(feature = "cache"))]
pub(super) fn fallback(_: Box<dyn Backend>, _: Box<dyn Backend>) -> Result<Box<dyn Backend>> {
    Err(super::missing("cache", "to ask one source after another"))
}

/// Counts events, if `observe` is set and the feature `metrics` is compiled in.
pub(super) fn counted(config: &Config, events: Events) -> Events {
    #[cfg(feature = "metrics")]
    if config.observe {
        return hoist_cache::counted(events);
    }
    _ = config;
    events
}
