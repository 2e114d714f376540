//! Takes the place of the registries where `offline` is set.

use std::fmt;

use hoist_core::{Error, ErrorKind, ImageRegistry, Platform, PulledImage, Reference, Result};

use super::Backend;

/// Has no image, and answers each pull with `Unavailable`.
#[derive(Debug)]
pub(super) struct Offline;

impl Offline {
    fn ask(reference: &str) -> Result<PulledImage> {
        let reference: Reference = reference.parse()?;
        let message = format!("{reference} is not here, and no registry is asked for it: `offline` is set");
        Err(Error::new(ErrorKind::Unavailable, message).with_help("pull it once without `offline`"))
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait::async_trait]
impl ImageRegistry for Offline {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        Self::ask(reference)
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        Self::ask(reference)
    }

    async fn is_cached(&self, _: &str) -> bool {
        false
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        reference.parse::<Reference>().map(|_| false)
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

#[async_trait::async_trait]
impl Backend for Offline {
    async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        reference.parse::<Reference>().map(|_| None)
    }

    fn for_platform(&self, _: &Platform) -> Box<dyn Backend> {
        Box::new(Self)
    }
}

impl fmt::Display for Offline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("offline")
    }
}
