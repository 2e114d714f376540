//! A bound on how many pulls there are at once.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use hoist_core::{ImageRegistry, PulledImage, Result};
use hoist_store::owned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A registry with a limit on concurrent pulls. Further pulls wait for a place, in the order of arrival. A pull that is
/// dropped gives up its place, or its turn.
///
/// Within a [`Cached`](crate::Cached), an image in the store never waits: `cached(limited(4, remote))`. Around it, hits
/// take a place too. All else that a registry does is not bounded.
///
/// A turn and the pull that it is for are a task: a future that is not polled does not hold a place for longer than
/// its pull takes.
#[derive(Debug)]
pub struct Limited<R> {
    inner: Arc<R>,
    pulls: usize,
    places: Arc<Semaphore>,
}

impl<R> Limited<R> {
    /// Limits this registry to `pulls` concurrent pulls: at least one.
    pub fn new(pulls: usize, inner: R) -> Self {
        let pulls = pulls.clamp(1, Semaphore::MAX_PERMITS);
        Self { inner: Arc::new(inner), pulls, places: Arc::new(Semaphore::new(pulls)) }
    }

    /// The registry within.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The registry within, without the bound. A pull that was dropped just now may still have a hold on it.
    pub fn into_inner(self) -> Arc<R> {
        self.inner
    }

    /// Waits in a task for a place, and pulls there.
    async fn enter<F>(&self, pull: impl FnOnce(Arc<R>) -> F) -> Result<PulledImage>
    where
        F: Future<Output = Result<PulledImage>> + Send + 'static,
    {
        let mut turn = Box::pin(self.places.clone().acquire_owned());
        // The turn is that of the call, whenever its task begins.
        let mut place = None;
        poll_fn(|context| {
            if let Poll::Ready(entered) = turn.as_mut().poll(context) {
                place = Some(entered);
            }
            Poll::Ready(())
        })
        .await;
        let pull = pull(self.inner.clone());
        owned(async move {
            let place = match place {
                Some(place) => place,
                None => turn.await,
            };
            let _place: OwnedSemaphorePermit = place.expect("it is never closed");
            pull.await
        })
        .await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait::async_trait]
impl<R: ImageRegistry + 'static> ImageRegistry for Limited<R> {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        let reference = reference.to_owned();
        self.enter(|inner| async move { inner.pull(&reference).await }).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        let reference = reference.to_owned();
        self.enter(|inner| async move { inner.force_pull(&reference).await }).await
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
