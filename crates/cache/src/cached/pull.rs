//! Pulls from the inner registry, whose images the cache then adopts.

use std::time::SystemTime;

use hoist_core::{Error, ErrorKind, ImageRegistry, PulledImage, Reference, Result};
use hoist_store::Verify;

use super::answer::Cache;

/// How often a pull starts again because its image was removed meanwhile, or its name moved to a later one. If this
/// happens more often, another program does it on purpose.
const ATTEMPTS: usize = 3;

impl<R: ImageRegistry + 'static> Cache<R> {
    /// The work of a call in flight, within one call on the store. Another call may have finished just before it began,
    /// so the store is asked first.
    pub(super) async fn pull_now(self, reference: Reference) -> Result<PulledImage> {
        let (store, _call) = self.store.call();
        let this = Self { store, ..self };
        match this.answer(&reference).await? {
            Some(image) => Ok(image),
            None => this.fetch(&reference).await,
        }
    }

    pub(super) async fn pull_forced(self, reference: Reference) -> Result<PulledImage> {
        let (store, _call) = self.store.call();
        let this = Self { store, ..self };
        this.negative.forget(&reference);
        let outcome = this.ask(&reference, Verify::Rehash).await;
        this.begin_anew(&reference);
        outcome
    }

    async fn fetch(&self, reference: &Reference) -> Result<PulledImage> {
        if let Some(error) = self.negative.recall(reference) {
            return Err(self.refuse(reference, error));
        }
        let asked = self.negative.asked();
        let outcome = self.ask(reference, Verify::Cached).await;
        if let Err(error) = &outcome
            && *error.kind() == ErrorKind::NotFound
        {
            self.negative.remember(reference, error, asked);
        }
        match outcome {
            Err(error) => self.stale(reference, error).await,
            pulled => pulled,
        }
    }

    /// Asks the inner registry, and adopts its image.
    async fn ask(&self, reference: &Reference, verify: Verify) -> Result<PulledImage> {
        let name = reference.to_string();
        for _ in 0..ATTEMPTS {
            let asked = SystemTime::now();
            let pulled = match verify {
                Verify::Cached => self.inner.pull(&name).await?,
                Verify::Rehash => self.inner.force_pull(&name).await?,
            };
            let adopted = self.adopt(reference, pulled, verify, asked).await;
            if let Some(image) = adopted.inspect_err(|error| self.report_failure(reference, error))? {
                return Ok(image);
            }
        }
        let message =
            format!("{reference} was removed or replaced each of the {ATTEMPTS} times it was pulled");
        Err(Error::new(ErrorKind::Storage, message).with_help("pull it while nobody removes or replaces it"))
    }

    /// Keeps later pulls from joining an older call, or getting an older answer.
    fn begin_anew(&self, reference: &Reference) {
        self.in_flight.close(reference);
        self.negative.forget(reference);
    }
}
