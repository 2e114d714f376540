//! A cache in front of any registry: it answers from the store, by reference, without a request to the registry.

mod adopt;
mod answer;
mod pull;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hoist_core::{Error, ErrorKind, Events, ImageRegistry, Platform, PulledImage, Reference, Result};
use hoist_store::{Store, owned};

use crate::negative_cache::NegativeCache;
use crate::policy::Policy;
use crate::singleflight::SingleFlight;
use answer::Cache;

/// Keeps the images of an inner registry in a store. As far as the [`Policy`] allows, the store answers a
/// [`pull`](ImageRegistry::pull), and the inner registry gets no request.
///
/// The store's images for this cache's platform are the cached ones: `is_cached`, `list_cached` and `remove` never
/// reach the inner registry. Equal pulls that overlap are one pull. If the inner registry keeps its images in the same
/// store, nothing is copied; otherwise an image is copied and hashed on the way.
///
/// Set the same platform for both: the cache does not keep an image for another platform.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use hoist_cache::{Cached, Policy};
/// use hoist_core::ImageRegistry;
/// use hoist_store::Store;
///
/// /// Asks a registry about a tag once an hour at most.
/// fn hourly<R: ImageRegistry>(registry: R, store: Store) -> Cached<R> {
///     Cached::new(registry, store).with_policy(Policy::NewerThan(Duration::from_hours(1))).with_stale(true)
/// }
/// ```
///
/// The cache does not remember failures, except with [`with_not_found_kept_for`](Self::with_not_found_kept_for). A
/// failure never removes an image.
#[derive(Debug)]
pub struct Cached<R>(Cache<R>);

impl<R> Cached<R> {
    /// Keeps the images of this registry in this store, for the host's platform.
    pub fn new(inner: R, store: Store) -> Self {
        Self(Cache {
            inner: Arc::new(inner),
            store,
            platform: Platform::host(),
            policy: Policy::default(),
            serves_stale: false,
            events: Events::default(),
            negative: Arc::default(),
            in_flight: SingleFlight::default(),
        })
    }

    /// Keeps images for this platform.
    #[must_use]
    pub fn with_platform(self, platform: Platform) -> Self {
        Self(Cache { platform, ..self.0 })
    }

    /// Sets when the store answers without a request to the inner registry; [`IfNotPresent`](Policy::IfNotPresent) by
    /// default.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self(Cache { policy, ..self.0 })
    }

    /// Answers a pull with the store's image, however old, if the inner registry cannot be reached or asks to retry
    /// later ([`Error::is_transient`]). [`Event::ServedStale`](hoist_core::Event::ServedStale) and a warning in the log
    /// report this. A [`force_pull`](ImageRegistry::force_pull) fails all the same.
    #[must_use]
    pub fn with_stale(self, serves_stale: bool) -> Self {
        Self(Cache { serves_stale, ..self.0 })
    }

    /// Remembers a [`NotFound`](ErrorKind::NotFound) of the inner registry for `time`, and answers pulls with it. By
    /// default it is not remembered, so that an image can be pulled as soon as it is pushed. A
    /// [`force_pull`](ImageRegistry::force_pull) asks the registry, and forgets it. Up to 1,000 references are kept, in
    /// memory only.
    #[must_use]
    pub fn with_not_found_kept_for(self, time: Duration) -> Self {
        Self(Cache { negative: Arc::new(NegativeCache::kept_for(time)), ..self.0 })
    }

    /// Limits the disk space of the store to `bytes`, for all pulls of this process, as [`Store::limit_to`] does. The
    /// images that were not used for the longest time are evicted first, and leased ones never.
    #[must_use]
    pub fn with_max_size(self, bytes: u64) -> Self {
        self.0.store.limit_to(Some(bytes));
        self
    }

    /// Reports the pulls that the store answers, and copies into the store. The inner registry reports the rest.
    #[must_use]
    pub fn with_events(self, events: Events) -> Self {
        Self(Cache { events, ..self.0 })
    }

    /// The inner registry.
    pub fn get_ref(&self) -> &R {
        &self.0.inner
    }

    /// The inner registry, without the cache. A pull that was dropped just now may still hold it.
    pub fn into_inner(self) -> Arc<R> {
        self.0.inner
    }

    /// The image, if all of it is in the store, whatever the policy. It sends no request to the inner registry.
    ///
    /// Fails where it is not [admitted](Store::with_admission).
    pub async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        Ok(self.0.store.resolve(&reference.parse()?, &self.0.platform).await?.map(Into::into))
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait::async_trait]
impl<R: ImageRegistry + 'static> ImageRegistry for Cached<R> {
    /// The store answers at once. Any other pull is a call in flight, which is a task.
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        let (this, reference) = (&self.0, reference.parse::<Reference>()?);
        if let Some(image) = this.answer(&reference).await? {
            return Ok(image);
        }
        this.in_flight.join(reference.clone(), || this.clone().pull_now(reference)).await
    }

    /// Asks the inner registry. It never joins a pull that began before, whose answer could be older than this call.
    /// Under [`Policy::Never`] it fails with [`Unsupported`](ErrorKind::Unsupported).
    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        let (this, reference) = (&self.0, reference.parse::<Reference>()?);
        this.admit(&reference)?;
        if this.policy == Policy::Never {
            let message =
                format!("cannot force a pull of {reference}: the policy `never` asks nobody for it");
            let error = Error::new(ErrorKind::Unsupported, message).with_help("use another policy");
            return Err(this.refuse(&reference, error));
        }
        owned(this.clone().pull_forced(reference)).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        match reference.parse().and_then(|reference| self.0.store.peek(&reference, &self.0.platform)) {
            Ok(image) => image.is_some(),
            Err(error) => {
                tracing::warn!(reference, error = error.report(), "cannot tell whether an image is cached");
                false
            }
        }
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        let (this, reference) = (&self.0, reference.parse::<Reference>()?);
        let (platform, name) = (this.platform.clone(), reference.clone());
        let found = this.store.blocking(move |store| store.remove(&name, &platform)).await;
        // A digest is removed under all its names: later pulls of any of them must not get an image that was found
        // before.
        this.in_flight.close_all();
        this.negative.forget(&reference);
        found
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        let platform = self.0.platform.clone();
        let references = self.0.store.blocking(move |store| store.list(&platform)).await?;
        Ok(references.iter().map(ToString::to_string).collect())
    }
}

/// `cached(remote)`, and with another policy than the usual one `cached(always, remote)`.
impl<R: fmt::Display> fmt::Display for Cached<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.policy {
            Policy::IfNotPresent => write!(f, "cached({})", self.0.inner),
            policy => write!(f, "cached({policy}, {})", self.0.inner),
        }
    }
}
