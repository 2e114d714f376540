//! The decorators: a cache in front of a source, and a second source behind the first.

use hoist_core::Result;

use super::{Source, SourceContext};
use crate::config::Config;

#[cfg(feature = "cache")]
mod compiled_in {
    use std::fmt;

    use hoist_cache::{Cached, Fallback, Policy};
    use hoist_core::{ImageRegistry, Platform, PulledImage};

    use super::{Config, Result, Source, SourceContext};
    use crate::config::{CacheConfig, CachePolicy};

    type Inner = Box<dyn Source>;

    #[expect(clippy::unnecessary_wraps, reason = "where it is not compiled in, it fails")]
    pub(crate) fn cached(source: Inner, config: &Config, context: &SourceContext) -> Result<Inner> {
        let mut cache = config.cache.clone();
        if config.offline {
            // There is nobody to confirm anything: what is here is what is had.
            cache.policy = Some(CachePolicy::IfNotPresent);
        }
        Ok(Box::new(Cache::new(source, cache, context.clone())))
    }

    #[expect(clippy::unnecessary_wraps, reason = "where it is not compiled in, it fails")]
    pub(crate) fn fallback(first: Inner, second: Inner) -> Result<Inner> {
        Ok(Box::new(Fallback::new(first, second)))
    }

    /// A cache, with what it takes to make the same for another platform.
    #[derive(Debug)]
    struct Cache {
        cached: Cached<Inner>,
        config: CacheConfig,
        context: SourceContext,
    }

    impl Cache {
        fn new(source: Inner, config: CacheConfig, context: SourceContext) -> Self {
            let SourceContext { store, platform, events } = context.clone();
            let cached = Cached::new(source, store)
                .with_platform(platform)
                .with_events(events)
                .with_policy(policy(config.policy.unwrap_or_default()))
                .with_stale(config.serve_stale);
            let cached = match config.remember_not_found {
                Some(time) => cached.with_not_found_kept_for(time),
                None => cached,
            };
            Self { cached, config, context }
        }
    }

    fn policy(policy: CachePolicy) -> Policy {
        match policy {
            CachePolicy::IfNotPresent => Policy::IfNotPresent,
            CachePolicy::Always => Policy::Always,
            CachePolicy::Never => Policy::Never,
            CachePolicy::NewerThan(age) => Policy::NewerThan(age),
        }
    }

    #[deny(clippy::missing_trait_methods)]
    #[async_trait::async_trait]
    impl ImageRegistry for Cache {
        async fn pull(&self, reference: &str) -> Result<PulledImage> {
            self.cached.pull(reference).await
        }

        async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
            self.cached.force_pull(reference).await
        }

        async fn is_cached(&self, reference: &str) -> bool {
            self.cached.is_cached(reference).await
        }

        async fn remove(&self, reference: &str) -> Result<bool> {
            self.cached.remove(reference).await
        }

        async fn list_cached(&self) -> Result<Vec<String>> {
            self.cached.list_cached().await
        }
    }

    #[async_trait::async_trait]
    impl Source for Cache {
        async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
            self.cached.resolve(reference)
        }

        fn for_platform(&self, platform: &Platform) -> Inner {
            let context = SourceContext { platform: platform.clone(), ..self.context.clone() };
            Box::new(Self::new(self.cached.get_ref().for_platform(platform), self.config.clone(), context))
        }
    }

    impl fmt::Display for Cache {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.cached.fmt(f)
        }
    }

    #[async_trait::async_trait]
    impl Source for Fallback<Inner, Inner> {
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
pub(super) use compiled_in::{cached, fallback};

#[cfg(not(feature = "cache"))]
pub(super) fn cached(_: Box<dyn Source>, _: &Config, _: &SourceContext) -> Result<Box<dyn Source>> {
    Err(super::missing("cache", "`cache.enabled`"))
}

#[cfg(not(feature = "cache"))]
pub(super) fn fallback(_: Box<dyn Source>, _: Box<dyn Source>) -> Result<Box<dyn Source>> {
    Err(super::missing("cache", "to ask one source after another"))
}
