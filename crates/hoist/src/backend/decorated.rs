//! A decorator as a backend, with a way to make the same decorator for another platform.

use std::fmt;
use std::sync::Arc;

use hoist_cache::{Cached, Limited, Observed};
use hoist_core::{ImageRegistry, Platform, PulledImage, Result};

use super::Backend;

pub(super) type Inner = Box<dyn Backend>;

/// What the decorators share beyond [`ImageRegistry`].
#[async_trait::async_trait]
pub(super) trait Decorator: ImageRegistry + fmt::Display + fmt::Debug + 'static {
    fn inner(&self) -> &Inner;

    async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        self.inner().resolve(reference).await
    }
}

#[async_trait::async_trait]
impl Decorator for Cached<Inner> {
    fn inner(&self) -> &Inner {
        self.get_ref()
    }

    async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        Self::resolve(self, reference).await
    }
}

impl Decorator for Limited<Inner> {
    fn inner(&self) -> &Inner {
        self.get_ref()
    }
}

impl Decorator for Observed<Inner> {
    fn inner(&self) -> &Inner {
        self.get_ref()
    }
}

/// Wraps a backend in the decorator, for a platform.
type Make<D> = Arc<dyn Fn(Inner, &Platform) -> D + Send + Sync>;

pub(super) struct Decorated<D> {
    decorator: D,
    make: Make<D>,
}

impl<D> Decorated<D> {
    pub(super) fn new(
        inner: Inner,
        platform: &Platform,
        make: impl Fn(Inner, &Platform) -> D + Send + Sync + 'static,
    ) -> Self {
        Self { decorator: make(inner, platform), make: Arc::new(make) }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait::async_trait]
impl<D: Decorator> ImageRegistry for Decorated<D> {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.decorator.pull(reference).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.decorator.force_pull(reference).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        self.decorator.is_cached(reference).await
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        self.decorator.remove(reference).await
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        self.decorator.list_cached().await
    }
}

#[async_trait::async_trait]
impl<D: Decorator> Backend for Decorated<D> {
    async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        self.decorator.resolve(reference).await
    }

    fn for_platform(&self, platform: &Platform) -> Inner {
        let inner = self.decorator.inner().for_platform(platform);
        Box::new(Self { decorator: (self.make)(inner, platform), make: self.make.clone() })
    }
}

impl<D: fmt::Display> fmt::Display for Decorated<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.decorator.fmt(f)
    }
}

impl<D: fmt::Debug> fmt::Debug for Decorated<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.decorator.fmt(f)
    }
}
