//! The writing end of an ingest: what came is written and hashed, and a whole blob gets its names.

use hoist_core::{Descriptor, ErrorKind, Result};
use tokio::sync::OwnedMutexGuard;

use crate::dir::{fail, is_damage};
use crate::scribe::Scribe;
use crate::site::Site;
use crate::staging::Staging;

/// Writes a blob that is claimed, and owns the claim. Waits for the disk. Dropped, it leaves what it has written
/// to the next one.
#[derive(Debug)]
pub(crate) struct Writer {
    site: Site,
    scribe: Scribe,
    staging: Staging,
    blob: Descriptor,
    /// The blob is published or given up: nothing is left to go on from.
    is_done: bool,
    _turn: OwnedMutexGuard<()>,
}

impl Writer {
    pub(crate) fn new(
        site: Site,
        scribe: Scribe,
        staging: Staging,
        blob: Descriptor,
        turn: OwnedMutexGuard<()>,
    ) -> Self {
        Self { site, scribe, staging, blob, is_done: false, _turn: turn }
    }

    pub(crate) fn scribe(&self) -> &Scribe {
        &self.scribe
    }

    pub(crate) fn blob(&self) -> &Descriptor {
        &self.blob
    }

    /// Hashes what an earlier owner left.
    pub(crate) fn catch_up(&mut self) -> Result<()> {
        let outcome = self.scribe.catch_up();
        self.settle(outcome)
    }

    /// Takes the bytes at this offset.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        let fits = if end > self.blob.size { self.blob.expect_size(end) } else { Ok(()) };
        let outcome = fits.and_then(|()| self.scribe.write(offset, bytes));
        self.settle(outcome)
    }

    /// Verifies the blob and publishes it.
    pub(crate) fn commit(&mut self) -> Result<()> {
        let outcome = self.scribe.finish().and_then(|()| self.publish());
        self.is_done = true;
        self.settle(outcome)
    }

    /// Gives the verified blob its names: in the image first, so that no collector can take it.
    fn publish(&self) -> Result<()> {
        let (dir, data) = (self.site.dir(), self.scribe.data());
        if let Err(error) = dir.seal(data, self.scribe.path()) {
            // What could not be synced may never reach the disk, though it can be read for now, and the next sync succeeds
            // (`fsync(2)`): nobody may go on from it.
            self.site.discard()?;
            return Err(error);
        }
        let (digest, name) = (&self.blob.digest, self.blob.digest.hex());
        // Whoever overtook this one has brought it.
        if self.staging.link_sound(&self.blob)? {
            return self.site.discard();
        }
        if self.staging.store().link(dir, "data", self.staging.blobs(digest)?, name)?.is_err() {
            let copy = data.try_clone().map_err(|e| fail("read", dir.path(), e))?;
            self.staging.copy_in(copy, &self.blob)?;
        }
        dir.rename("data", self.staging.pool(digest)?, name)?;
        self.site.discard()
    }

    /// After an error there is nothing more to do here. Bytes that are wrong are thrown away, and those that the disk does
    /// not give back.
    fn settle(&mut self, outcome: Result<()>) -> Result<()> {
        let outcome = outcome.map_err(|error| self.staging.store().explain_full(error, &self.blob));
        if let Err(error) = &outcome {
            self.is_done = true;
            let is_wrong = matches!(error.kind(), ErrorKind::DigestMismatch | ErrorKind::SizeMismatch);
            if is_wrong || is_damage(error) {
                self.site.discard()?;
            }
        }
        outcome
    }

    /// Leaves what is written to the next one.
    fn leave(&mut self) -> Result<()> {
        self.scribe.note()?;
        if self.scribe.written().end() == 0 { self.site.discard() } else { Ok(()) }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.is_done
            && let Err(error) = self.leave()
        {
            tracing::debug!(error = error.report(), "what was written of a blob is not noted");
        }
    }
}
