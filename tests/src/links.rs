//! Links of a stack as they are at times: one that is slow, and one that lacks what it should have.

use std::sync::atomic::{AtomicUsize, Ordering};

use hoist_core::{Error, ErrorKind, ImageRegistry, PulledImage, Result};

/// How often a slow registry lets all others go first.
const TURNS: usize = 50;

/// A registry that lets others go first, before and after each of its calls.
#[derive(Debug)]
pub struct Slow<R>(R);

impl<R> Slow<R> {
    /// Makes this registry slow.
    pub fn new(inner: R) -> Self {
        Self(inner)
    }

    async fn dawdle<T>(&self, call: impl Future<Output = T> + Send) -> T {
        wait().await;
        let answer = call.await;
        wait().await;
        answer
    }
}

async fn wait() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait::async_trait]
impl<R: ImageRegistry> ImageRegistry for Slow<R> {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.dawdle(self.0.pull(reference)).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.dawdle(self.0.force_pull(reference)).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        self.dawdle(self.0.is_cached(reference)).await
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        self.dawdle(self.0.remove(reference)).await
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        self.dawdle(self.0.list_cached()).await
    }
}

/// A registry that says of every third image that it has not got it, and forgets every third that it pulled.
#[derive(Debug)]
pub struct Faulty<R> {
    inner: R,
    calls: AtomicUsize,
}

impl<R> Faulty<R> {
    /// Makes this registry faulty.
    pub fn new(inner: R) -> Self {
        Self { inner, calls: AtomicUsize::new(0) }
    }

    async fn fail(
        &self,
        reference: &str,
        pull: impl Future<Output = Result<PulledImage>> + Send,
    ) -> Result<PulledImage> {
        let lost = || Err(Error::new(ErrorKind::NotFound, format!("the faulty registry has no {reference}")));
        match self.calls.fetch_add(1, Ordering::SeqCst) % 3 {
            0 => lost(),
            1 => pull.await.and_then(|_| lost()),
            _ => pull.await,
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait::async_trait]
impl<R: ImageRegistry> ImageRegistry for Faulty<R> {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.fail(reference, self.inner.pull(reference)).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.fail(reference, self.inner.force_pull(reference)).await
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
