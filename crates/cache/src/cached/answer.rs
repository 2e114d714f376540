//! Answers from the store: a hit, a stale image, or a refusal.

use std::sync::Arc;

use hoist_core::{Error, ErrorKind, Events, Platform, PullEvents, PulledImage, Reference, Result};
use hoist_store::{Store, StoredImage};

use crate::negative_cache::NegativeCache;
use crate::policy::Policy;
use crate::singleflight::SingleFlight;

/// The parts of a cache, which each call in flight has a clone of. Clones share everything but the options.
#[derive(Debug)]
pub(super) struct Cache<R> {
    pub(super) inner: Arc<R>,
    pub(super) store: Store,
    pub(super) platform: Platform,
    pub(super) policy: Policy,
    pub(super) serves_stale: bool,
    pub(super) events: Events,
    pub(super) negative: Arc<NegativeCache>,
    /// Of this cache alone: pulls that share a call have the same credentials and the same platform.
    pub(super) in_flight: SingleFlight<Reference, PulledImage>,
}

impl<R> Clone for Cache<R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            store: self.store.clone(),
            platform: self.platform.clone(),
            policy: self.policy,
            serves_stale: self.serves_stale,
            events: self.events.clone(),
            negative: self.negative.clone(),
            in_flight: self.in_flight.clone(),
        }
    }
}

impl<R> Cache<R> {
    /// The store's image of this name, if the policy lets the store answer. It is noted as used, and reported.
    pub(super) async fn hit(&self, reference: &Reference) -> Result<Option<PulledImage>> {
        if !self.may_answer(reference)? {
            return Ok(None);
        }
        let Some(image) = self.store.get_and_touch(reference, &self.platform).await? else { return Ok(None) };
        self.report(&image, |events| events.hit(&image.digest));
        Ok(Some(image.into()))
    }

    fn may_answer(&self, reference: &Reference) -> Result<bool> {
        match self.policy {
            Policy::Always => Ok(reference.digest().is_some()),
            Policy::NewerThan(_) if reference.digest().is_none() => {
                let image = self.store.peek(reference, &self.platform)?;
                Ok(image.is_some_and(|image| self.policy.trusts(image.pulled)))
            }
            _ => Ok(true),
        }
    }

    /// The store's image, in place of one that the inner registry failed to deliver.
    pub(super) async fn stale(&self, reference: &Reference, error: Error) -> Result<PulledImage> {
        if !self.serves_stale || !error.is_transient() {
            return Err(error);
        }
        let here = match self.store.get_and_touch(reference, &self.platform).await {
            Err(refusal) if *refusal.kind() == ErrorKind::Refused => {
                tracing::warn!(%reference, error = refusal.report(), "what is here may not be served in its place");
                None
            }
            here => here?,
        };
        let Some(image) = here else { return Err(error) };
        tracing::warn!(%reference, digest = %image.digest, error = error.report(), "served what may be out of date");
        self.report(&image, |events| events.served_stale(&image.digest, &error));
        Ok(image.into())
    }

    /// Reports a pull that the store answers, with the reason.
    fn report(&self, image: &StoredImage, how: impl FnOnce(&PullEvents)) {
        let StoredImage { reference, digest, .. } = image;
        let events = self.events.for_pull(reference, &self.platform);
        events.started();
        events.resolved(digest);
        how(&events);
        events.committed(digest);
    }

    /// Fails if no image of this name may be handed out.
    pub(super) fn admit(&self, reference: &Reference) -> Result<()> {
        self.store.admit_reference(reference).map_err(|error| self.refuse(reference, error))
    }

    /// Reports a pull that fails without a request to the inner registry.
    pub(super) fn refuse(&self, reference: &Reference, error: Error) -> Error {
        let events = self.events.for_pull(reference, &self.platform);
        events.started();
        events.failed(&error);
        error
    }

    pub(super) fn report_failure(&self, reference: &Reference, error: &Error) {
        self.events.for_pull(reference, &self.platform).failed(error);
    }

    /// The answer of the store. `None`: the inner registry has to be asked.
    pub(super) async fn answer(&self, reference: &Reference) -> Result<Option<PulledImage>> {
        self.admit(reference)?;
        if let Some(image) = self.hit(reference).await.map_err(|error| self.refuse(reference, error))? {
            return Ok(Some(image));
        }
        if self.policy == Policy::Never {
            let message =
                format!("{reference} is not in the store, and the policy `never` asks nobody for it");
            let error = Error::new(ErrorKind::NotFound, message);
            return Err(self.refuse(reference, error.with_help("pull it with another policy")));
        }
        Ok(None)
    }
}
