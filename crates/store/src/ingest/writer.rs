//! The one pass over a blob's bytes: written where they belong, and hashed in their order; and the end of it, where a
//! whole blob gets its names.
//!
//! A writer works where waiting is allowed, so that the network never waits for the disk or the hash. It takes pieces
//! in any order. What continues the contiguous front is hashed from memory; what came early is read back when the front
//! reaches it.

use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use hoist_core::{Descriptor, ErrorKind, Hasher, Result};
use rustix::fs::Advice;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::file::IngestFile;
use super::journal::Journal;
use super::ranges::Ranges;
use crate::fs::dir::{fail, is_damage};
use crate::fs::hash::{each_chunk, hash_range};
use crate::image::staging::Staging;

/// How many bytes are written before they are noted in the journal: what a crash costs at the most.
const NOTE_EVERY: u64 = 128 << 10;

/// How many bytes are written before the disk is told to begin with them: large enough that it writes them in
/// one go, small enough that little is left for the sync at the end.
const WRITE_BACK_EVERY: u64 = 8 << 20;

/// Writes and hashes a blob that is claimed, and owns the claim. Waits for the disk. Dropped, it leaves what it has
/// written to the next one.
#[derive(Debug)]
pub(crate) struct HashingWriter {
    file: IngestFile,
    path: PathBuf,
    journal: Journal,
    blob: Descriptor,
    staging: Staging,
    hasher: Hasher,
    /// All before this offset is hashed.
    front: u64,
    /// What is written.
    written: Ranges,
    /// What is written, but not yet noted in the journal.
    unnoted: Ranges,
    /// What is written, but the disk was not told to begin with.
    dirty: Ranges,
    /// What was there before the blob was opened again, and was not written since.
    suspected: Ranges,
    /// What was written since then, and differs from what was there.
    replaced: Ranges,
    /// What is read back goes through this.
    buffer: Vec<u8>,
    end: End,
    _held: Held,
}

/// The turn of this process at the blob, and the right to have it open.
pub(crate) type Held = (OwnedMutexGuard<()>, Option<OwnedSemaphorePermit>);

/// What becomes of what is written when the writer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The next one goes on from it.
    Leave,
    /// It is all as it should be already.
    Nothing,
    /// It is of no use to anybody.
    Discard,
    /// It has another digest than it should have, and is discarded unless it is opened again.
    Wrong,
}

impl HashingWriter {
    /// Goes on with a blob from what an earlier owner of its file left: what is `written`, as the journal says. What of
    /// that can be hashed is hashed by [`catch_up`](Self::catch_up).
    pub(crate) fn new(
        (file, journal, written): (IngestFile, Journal, Ranges),
        blob: Descriptor,
        staging: Staging,
        held: Held,
    ) -> Self {
        Self {
            path: file.path(),
            hasher: Hasher::new(blob.digest.algorithm()),
            file,
            journal,
            blob,
            staging,
            front: 0,
            written,
            unnoted: Ranges::default(),
            dirty: Ranges::default(),
            suspected: Ranges::default(),
            replaced: Ranges::default(),
            buffer: Vec::new(),
            end: End::Leave,
            _held: held,
        }
    }

    pub(crate) fn written(&self) -> &Ranges {
        &self.written
    }

    /// What was written since the blob was opened again, and differs from what was there before.
    pub(crate) fn replaced(&self) -> &Ranges {
        &self.replaced
    }

    /// Has the store's callers wait for what is done under it.
    pub(crate) fn token(&self) -> TaskTrackerToken {
        self.staging.store().tracker().token()
    }

    /// Whether the blob can be opened again.
    pub(crate) fn is_wrong(&self) -> bool {
        self.end == End::Wrong
    }

    /// Hashes what came early, as far as it reaches without a gap: at first, what an earlier owner left.
    pub(crate) fn catch_up(&mut self) -> Result<()> {
        let outcome = self.hash_written();
        self.settle(outcome)
    }

    /// Takes the bytes at this offset; those that are there already stay as they are.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        let fits = if end > self.blob.size { self.blob.expect_size(end) } else { Ok(()) };
        let outcome = fits.and_then(|()| self.write_missing(offset, bytes));
        self.settle(outcome)
    }

    /// Verifies the blob and publishes it.
    pub(crate) fn commit(&mut self) -> Result<()> {
        let verified = self.verify();
        let is_wrong = verified.as_ref().is_err_and(|error| *error.kind() == ErrorKind::DigestMismatch);
        let published = verified.and_then(|()| self.publish());
        let outcome = self.settle(published);
        self.end = match (&outcome, is_wrong) {
            (Ok(()), _) => End::Nothing,
            (Err(_), true) => End::Wrong,
            (Err(_), false) => self.end,
        };
        outcome
    }

    /// Goes on with a blob that is wrong: these ranges of it are missing, and all else is hashed anew.
    pub(crate) fn reopen(&mut self, ranges: &[Range<u64>]) -> Result<()> {
        let outcome = self.mark_missing(ranges).and_then(|()| self.hash_written());
        self.settle(outcome)
    }

    fn mark_missing(&mut self, ranges: &[Range<u64>]) -> Result<()> {
        self.replaced = Ranges::default();
        for range in ranges {
            self.written.overlap(range).into_iter().for_each(|part| self.suspected.insert(part));
            self.written.remove(range);
        }
        self.journal.begin_anew(&self.written)?;
        self.unnoted = Ranges::default();
        self.hasher = Hasher::new(self.blob.digest.algorithm());
        self.front = 0;
        self.end = End::Leave;
        Ok(())
    }

    /// Gives up the claim, and leaves nothing to the next one.
    pub(crate) fn discard(mut self) -> Result<()> {
        self.end = End::Nothing;
        self.file.discard(&mut self.journal)
    }

    fn write_missing(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset + bytes.len() as u64;
        for gap in self.written.gaps_in(offset..end) {
            let part = |at: u64| usize::try_from(at - offset).expect("an offset in a buffer");
            self.write_new(gap.start, &bytes[part(gap.start)..part(gap.end)])?;
        }
        Ok(())
    }

    fn write_new(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset + bytes.len() as u64;
        self.compare(offset, bytes)?;
        self.journal.expect(offset, &self.written)?;
        self.file.data().write_all_at(bytes, offset).map_err(|e| fail("write", &self.path, e))?;
        self.written.insert(offset..end);
        self.unnoted.insert(offset..end);
        self.dirty.insert(offset..end);
        if self.unnoted.total() >= NOTE_EVERY {
            self.note()?;
        }
        if self.file.is_durable() && self.dirty.total() >= WRITE_BACK_EVERY {
            self.write_back();
        }
        if offset == self.front {
            self.hasher.update(bytes);
            self.front = end;
        }
        self.hash_written()
    }

    /// Looks where bytes that are to be written differ from those that were there before the blob was opened again.
    fn compare(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let part = |at: u64| usize::try_from(at - offset).expect("an offset in a buffer");
        for old in self.suspected.overlap(&(offset..offset + bytes.len() as u64)) {
            let mut differs = false;
            let compare = |at: u64, there: &[u8]| differs |= *there != bytes[part(at)..][..there.len()];
            each_chunk(self.file.data(), &self.path, old.clone(), &mut self.buffer, compare)?;
            self.suspected.remove(&old);
            if differs {
                self.replaced.insert(old);
            }
        }
        Ok(())
    }

    fn hash_written(&mut self) -> Result<()> {
        let end = self.written.end_of_run(self.front).min(self.blob.size);
        hash_range(self.file.data(), &self.path, self.front..end, &mut self.hasher, &mut self.buffer)?;
        self.front = self.front.max(end);
        Ok(())
    }

    /// Notes what is written, after it was written: so a process that takes over need not fetch it again.
    fn note(&mut self) -> Result<()> {
        self.journal.note(&std::mem::take(&mut self.unnoted))
    }

    /// Tells the disk to begin with what was written, without waiting for it.
    fn write_back(&mut self) {
        for range in std::mem::take(&mut self.dirty).iter() {
            // Linux starts to write what is dirty of such a range, and then forgets what is clean (`mm/fadvise.c`).
            // What it says to it does not matter: all is synced in the end.
            let length = NonZeroU64::new(range.end - range.start);
            _ = rustix::fs::fadvise(self.file.data(), range.start, length, Advice::DontNeed);
        }
    }

    /// Fails unless all bytes are there and hash to the digest.
    fn verify(&mut self) -> Result<()> {
        self.blob.expect_size(self.front)?;
        let hasher = std::mem::replace(&mut self.hasher, Hasher::new(self.blob.digest.algorithm()));
        self.blob.digest.expect(&hasher.finish())
    }

    /// Gives the verified blob its names: in the image first, so that no collector can take it.
    fn publish(&mut self) -> Result<()> {
        if let Err(error) = self.file.seal() {
            // What could not be synced may never reach the disk, though it can be read for now, and the next sync succeeds
            // (`fsync(2)`): nobody may go on from it.
            self.file.discard(&mut self.journal)?;
            return Err(error);
        }
        // All of it is there now, as its length says.
        self.journal.remove()?;
        let digest = &self.blob.digest;
        loop {
            if !self.file.link_to(&self.staging, digest)? {
                let copy = self.file.data().try_clone().map_err(|e| fail("read", &self.path, e))?;
                self.staging.copy_in(copy, &self.blob)?;
            }
            if self.file.move_to(self.staging.pool(digest)?, digest)? {
                return Ok(());
            }
            // Another owner, who overtook this one, has brought it: the image takes that, so that it is there once.
            self.staging.blobs(digest)?.unlink(digest.hex())?;
            if self.staging.link_sound(&self.blob)? {
                return self.file.discard(&mut self.journal);
            }
        }
    }

    /// After an error there is nothing more to do here. Bytes that are wrong are thrown away, and those that the disk does
    /// not give back.
    fn settle(&mut self, outcome: Result<()>) -> Result<()> {
        let outcome = outcome.map_err(|error| self.staging.store().explain_full(error, &self.blob));
        if let Err(error) = &outcome {
            let is_wrong = matches!(error.kind(), ErrorKind::DigestMismatch | ErrorKind::SizeMismatch);
            let is_useless = is_wrong || is_damage(error) || self.is_wrong();
            self.end = if is_useless { End::Discard } else { End::Nothing };
        }
        outcome
    }

    /// Leaves what is written to the next one.
    fn leave(&mut self) -> Result<()> {
        self.note()?;
        if self.written.end() == 0 { self.file.discard(&mut self.journal) } else { Ok(()) }
    }
}

impl Drop for HashingWriter {
    fn drop(&mut self) {
        let outcome = match self.end {
            End::Leave => self.leave(),
            End::Nothing => Ok(()),
            End::Discard | End::Wrong => self.file.discard(&mut self.journal),
        };
        if let Err(error) = outcome {
            tracing::debug!(
                error = error.report(),
                "what was written of a blob is not as the next one should find it"
            );
        }
    }
}
