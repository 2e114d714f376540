//! The part of a pull that is the same for every backend, and the methods of an `ImageRegistry` that need the store only.

use std::time::SystemTime;

use hoist_core::{Digest, Error, Events, Platform, PullEvents, PulledImage, Reference, Result};

use super::StoredImage;
use crate::image::staging::Verify;
use crate::store::Store;
use crate::store::lease::Lease;

/// What a backend's fetch ended with.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fetched {
    /// The store has what the name leads to, under this name.
    Here(StoredImage),
    /// The store has the image now. It gets its name from [`Store::pull`].
    New {
        /// The lease of [`Staging::commit`](crate::Staging::commit).
        lease: Lease,
        /// The index that the image was chosen from, if there was one: its digest and its bytes.
        index: Option<(Digest, Vec<u8>)>,
    },
}

impl Store {
    /// Pulls an image for a backend, which brings it into the store by `fetch`.
    ///
    /// This reports the pull's beginning and end, and asks whether the reference is
    /// [admitted](Self::with_admission). A digest that the store has is answered at once, unless `verify` is
    /// [`Rehash`](Verify::Rehash). Everything else runs in a task of its own, as [`owned`](Self::owned) says:
    /// `fetch`, with a handle of the store for this call and the pull's events, and the naming of its image. Where a
    /// pull that asked later has given the name to another image by then, `fetch` is called again.
    ///
    /// Fails as `fetch` and [`name_as_of`](Self::name_as_of) do, with the reference in the message.
    pub async fn pull<F>(
        &self,
        reference: &Reference,
        platform: &Platform,
        verify: Verify,
        events: &Events,
        fetch: impl Fn(Self, PullEvents) -> F + Send + 'static,
    ) -> Result<PulledImage>
    where
        F: Future<Output = Result<Fetched>> + Send + 'static,
    {
        let events = events.for_pull(reference, platform);
        let pull = async {
            self.admit_reference(reference)?;
            if verify == Verify::Cached
                && reference.digest().is_some()
                && let Some(image) = self.get_and_touch(reference, platform).await?
            {
                return Ok(image);
            }
            let (reference, platform, events) = (reference.clone(), platform.clone(), events.clone());
            let fetch = move |store| fetch(store, events.clone());
            self.owned(|store| async move { store.fetch_and_name(&reference, &platform, fetch).await }).await
        };
        Ok(events.observe(pull, |image| image.digest.clone()).await?.into())
    }

    /// The heart of [`pull`](Self::pull), for a backend that does the rest in another way: calls `fetch` and names its
    /// image, and calls it again where a pull that asked later has given the name to another image by then.
    ///
    /// Fails as `fetch` and [`name_as_of`](Self::name_as_of) do.
    pub async fn fetch_and_name<F>(
        &self,
        reference: &Reference,
        platform: &Platform,
        fetch: impl Fn(Self) -> F,
    ) -> Result<StoredImage>
    where
        F: Future<Output = Result<Fetched>>,
    {
        loop {
            let asked = SystemTime::now();
            let (lease, index) = match fetch(self.clone()).await? {
                Fetched::Here(image) => return Ok(image),
                Fetched::New { lease, index } => (lease, index),
            };
            let (name, platform) = (reference.clone(), platform.clone());
            let name = move |store: &Self| {
                let index = index.as_ref().map(|(digest, bytes)| (digest, &bytes[..]));
                Ok((store.name_as_of(&name, &platform, &lease, index, asked)?, lease))
            };
            let (image, lease) = self.blocking(name).await?;
            if image.digest == *lease.digest() {
                return Ok(image);
            }
            tracing::debug!(%reference, "another pull gave the name to another image; fetching again");
        }
    }

    /// Whether the store has an image under this name: an `ImageRegistry`'s `is_cached`, where the store is the cache.
    pub fn is_cached(&self, reference: &str, platform: &Platform) -> bool {
        let image = reference.parse().and_then(|reference| self.peek(&reference, platform));
        let trouble = |error: &Error| {
            tracing::warn!(reference, error = error.report(), "cannot tell whether an image is cached");
        };
        image.inspect_err(trouble).is_ok_and(|image| image.is_some())
    }

    /// The names of the store's images: an `ImageRegistry`'s `list_cached`. It waits for the disk on a thread.
    pub async fn list_cached(&self, platform: &Platform) -> Result<Vec<String>> {
        let platform = platform.clone();
        let references = self.blocking(move |store| store.list(&platform)).await?;
        Ok(references.iter().map(ToString::to_string).collect())
    }

    /// [Removes](Self::remove) a name: an `ImageRegistry`'s `remove`. It waits for the disk on a thread.
    pub async fn remove_cached(&self, reference: &str, platform: &Platform) -> Result<bool> {
        let (platform, reference) = (platform.clone(), reference.parse()?);
        self.blocking(move |store| store.remove(&reference, &platform)).await
    }
}
