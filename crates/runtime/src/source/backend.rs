//! A backend as a source: it answers a pull as it always does, and where a lease is wanted with that as well.

use std::fmt;

use hoist_core::{ImageRegistry, Platform, PulledImage, Result};
use hoist_store::Lease;

use super::{Source, kept};

/// What the backends have in common beyond the trait.
#[async_trait::async_trait]
pub(super) trait Backend: ImageRegistry + fmt::Display + fmt::Debug + 'static {
    async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>>;

    /// A pull whose image is leased before anybody could remove it.
    async fn pull_leased(&self, reference: &str) -> Result<(PulledImage, Lease)>;

    /// The same for another platform, over the same store and connections.
    fn for_platform(&self, platform: &Platform) -> Self;
}

#[derive(Debug)]
pub(super) struct Leasing<B>(pub(super) B);

#[deny(clippy::missing_trait_methods)]
#[async_trait::async_trait]
impl<B: Backend> ImageRegistry for Leasing<B> {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        if !kept::is_wanted() {
            return self.0.pull(reference).await;
        }
        let (image, lease) = self.0.pull_leased(reference).await?;
        kept::keep(lease);
        Ok(image)
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.0.force_pull(reference).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        self.0.is_cached(reference).await
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        self.0.remove(reference).await
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        self.0.list_cached().await
    }
}

#[async_trait::async_trait]
impl<B: Backend> Source for Leasing<B> {
    async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        self.0.resolve(reference).await
    }

    fn for_platform(&self, platform: &Platform) -> Box<dyn Source> {
        Box::new(Self(self.0.for_platform(platform)))
    }
}

impl<B: fmt::Display> fmt::Display for Leasing<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
