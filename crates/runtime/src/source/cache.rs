//! The decorators: a cache in front of a source, and a second source behind the first.

use hoist_core::Result;

use super::{Shared, Source};

#[cfg(feature = "cache")]
mod compiled_in {
    use hoist_cache::{Cached, Fallback};
    use hoist_core::PulledImage;

    use super::{Result, Shared, Source};

    type Inner = Box<dyn Source>;

    #[expect(clippy::unnecessary_wraps, reason = "where it is not compiled in, it fails")]
    pub(crate) fn cached(source: Inner, shared: &Shared) -> Result<Inner> {
        let Shared { store, platform, events } = shared.clone();
        Ok(Box::new(Cached::new(source, store).with_platform(platform).with_events(events)))
    }

    #[expect(clippy::unnecessary_wraps, reason = "where it is not compiled in, it fails")]
    pub(crate) fn fallback(first: Inner, second: Inner) -> Result<Inner> {
        Ok(Box::new(Fallback::new(first, second)))
    }

    #[async_trait::async_trait]
    impl Source for Cached<Inner> {
        async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
            Self::resolve(self, reference)
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
    }
}

#[cfg(feature = "cache")]
pub(super) use compiled_in::{cached, fallback};

#[cfg(not(feature = "cache"))]
pub(super) fn cached(_: Box<dyn Source>, _: &Shared) -> Result<Box<dyn Source>> {
    Err(super::missing("cache", "`cache.enabled`"))
}

#[cfg(not(feature = "cache"))]
pub(super) fn fallback(_: Box<dyn Source>, _: Box<dyn Source>) -> Result<Box<dyn Source>> {
    Err(super::missing("cache", "to ask one source after another"))
}
