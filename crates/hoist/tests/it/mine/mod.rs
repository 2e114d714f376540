//! A registry of a program's own, which has nothing.

use std::fmt;

use hoist::{Error, ErrorKind, ImageRegistry, Platform, PulledImage, Result};

/// Says for which platform it was asked.
pub(crate) struct Mine(pub(crate) Platform);

#[async_trait::async_trait]
impl ImageRegistry for Mine {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        Err(Error::new(ErrorKind::NotFound, format!("no {reference} for {}", self.0)))
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.pull(reference).await
    }

    async fn is_cached(&self, _: &str) -> bool {
        false
    }

    async fn remove(&self, _: &str) -> Result<bool> {
        Ok(false)
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

impl fmt::Display for Mine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mine")
    }
}
