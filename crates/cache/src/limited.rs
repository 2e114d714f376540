//! A bound on how many pulls there are at once.

use std::fmt;

use hoist_core::{ImageRegistry, PulledImage, Result};
use tokio::sync::{Semaphore, SemaphorePermit};

/// A registry that pulls only so many images at once. Who comes when all places are taken waits for the next one, in
/// the order of arrival; who is dropped gives up its place, or its turn.
///
/// Within a [`Cached`](crate::Cached), what is here waits for nobody: `cached(limited(4, remote))`. Around it, hits take a
/// place too. All else that a registry does is not bounded.
#[derive(Debug)]
pub struct Limited<R> {
    inner: R,
    pulls: usize,
    places: Semaphore,
}

impl<R> Limited<R> {
    /// Lets so many pulls of this registry be under way at once: at least one.
    pub fn new(pulls: usize, inner: R) -> Self {
        let pulls = pulls.clamp(1, Semaphore::MAX_PERMITS);
        Self { inner, pulls, places: Semaphore::new(pulls) }
    }

    /// The registry within.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The registry within, without the bound.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// Waits for a place.
    async fn enter(&self) -> SemaphorePermit<'_> {
        self.places.acquire().await.expect("it is never closed")
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait::async_trait]
impl<R: ImageRegistry> ImageRegistry for Limited<R> {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        let _place = self.enter().await;
        self.inner.pull(reference).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        let _place = self.enter().await;
        self.inner.force_pull(reference).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        self.inner.is_cached(reference).await
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        self.inner.remove(reference).await
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        self.inner.list_cached().await
    }
}

impl<R: fmt::Display> fmt::Display for Limited<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limited({}, {})", self.pulls, self.inner)
    }
}
