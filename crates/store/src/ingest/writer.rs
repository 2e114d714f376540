//! The single pass over a blob's bytes, which are written at their offsets and hashed in order. At its end, a
//! complete blob gets its names.
//!
//! A writer runs on a blocking thread, so that the network never waits for the disk or the hash. It accepts
//! pieces in any order. A piece that continues the contiguous front is hashed from memory. A piece that arrived
//! early is read back when the front reaches it.

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

/// How many bytes to write before recording them in the journal: the maximum loss in a crash.
const NOTE_EVERY: u64 = 128 << 10;

/// How many bytes to write before telling the disk to start on them. Large enough for the disk to write them in
/// one go, and small enough to leave little for the final sync.
const WRITE_BACK_EVERY: u64 = 8 << 20;

/// Writes and hashes a claimed blob, and owns the claim. It blocks on the disk. When dropped, it leaves its
/// written bytes to the next owner.
#[derive(Debug)]
pub(crate) struct HashingWriter {
    file: IngestFile,
    path: PathBuf,
    journal: Journal,
    blob: Descriptor,
    staging: Staging,
    hasher: Hasher,
    /// All bytes before this offset are hashed.
    front: u64,
    /// The written ranges.
    written: Ranges,
    /// Written, but not recorded in the journal yet.
    unnoted: Ranges,
    /// Written, but the disk was not told to start on them.
    dirty: Ranges,
    /// Present when the blob was opened again, and not written since.
    suspected: Ranges,
    /// Written since then, with bytes that differ from the previous ones.
    replaced: Ranges,
    /// Buffer for reading back.
    buffer: Vec<u8>,
    end: End,
    _held: Held,
}

/// This process's turn at the blob, and the permission to have it open.
pub(crate) type Held = (OwnedMutexGuard<()>, Option<OwnedSemaphorePermit>);

/// What happens to the written bytes when the writer is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// They stay, and the next owner continues from them.
    Leave,
    /// Nothing is left to do.
    Nothing,
    /// They are useless, and are discarded.
    Discard,
    /// They have the wrong digest, and are discarded unless the blob is opened again.
    Wrong,
}

impl HashingWriter {
    /// Continues with a blob from what an earlier owner of its file left: the `written` ranges, according to
    /// the journal. [`catch_up`](Self::catch_up) hashes them, as far as they reach without a gap.
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

    /// The ranges written since the blob was opened again whose bytes differ from the previous ones.
    pub(crate) fn replaced(&self) -> &Ranges {
        &self.replaced
    }

    /// Makes callers that wait for the store to be idle wait for work done under this token.
    pub(crate) fn token(&self) -> TaskTrackerToken {
        self.staging.store().tracker().token()
    }

    /// Whether the blob can be opened again.
    pub(crate) fn is_wrong(&self) -> bool {
        self.end == End::Wrong
    }

    /// Hashes bytes that arrived early, up to the first gap. The first call hashes what an earlier owner left.
    pub(crate) fn catch_up(&mut self) -> Result<()> {
        let outcome = self.hash_written();
        self.settle(outcome)
    }

    /// Writes the bytes at this offset. Bytes that are already present stay as they are.
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

    /// Continues with a wrong blob: these ranges count as missing, and all others are hashed again.
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

    /// Gives up the claim, and leaves nothing to the next owner.
    pub(crate) fn discard(mut self) -> Result<()> {
        self.end = End::Nothing;
        self.file.discard(&mut self.journal)
    }

    fn write_missing(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset + bytes.len() as u64;
        for gap in self.written.gaps_in(&(offset..end)) {
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

    /// Finds the ranges where the new bytes differ from those that were present before the blob was opened
    /// again.
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

    /// Records the written ranges, after they were written, so that a process that takes over does not fetch
    /// them again.
    fn note(&mut self) -> Result<()> {
        self.journal.note(&std::mem::take(&mut self.unnoted))
    }

    /// Tells the disk to start on the written ranges, without waiting for it.
    fn write_back(&mut self) {
        for range in std::mem::take(&mut self.dirty).iter() {
            // Linux starts to write the dirty pages of such a range, and drops the clean ones (`mm/fadvise.c`).
            // The result does not matter, because everything is synced at the end.
            let length = NonZeroU64::new(range.end - range.start);
            _ = rustix::fs::fadvise(self.file.data(), range.start, length, Advice::DontNeed);
        }
    }

    /// Fails unless all bytes are present and hash to the digest.
    fn verify(&mut self) -> Result<()> {
        self.blob.expect_size(self.front)?;
        let hasher = std::mem::replace(&mut self.hasher, Hasher::new(self.blob.digest.algorithm()));
        self.blob.digest.expect(&hasher.finish())
    }

    /// Gives the verified blob its names: in the image first, so that no collector can remove it.
    fn publish(&mut self) -> Result<()> {
        if let Err(error) = self.file.seal() {
            // Data whose sync failed may never reach the disk, even though it can be read for now and the next
            // sync succeeds (`fsync(2)`). So no other owner may continue from it.
            self.file.discard(&mut self.journal)?;
            return Err(error);
        }
        // The data is complete now, as its length says.
        self.journal.remove()?;
        let digest = &self.blob.digest;
        loop {
            if !self.file.link_to(&self.staging, digest)? {
                let copy = self.file.data().try_clone().map_err(|e| fail("read", &self.path, e))?;
                self.staging.copy_in(copy, &self.blob)?;
            }
            if self.file.move_to(self.staging.pool(digest)?, digest)? {
                self.staging.arrived(digest);
                return Ok(());
            }
            // Another owner, which overtook this one, has already added the blob. The image uses that file, so
            // that the blob is stored once.
            self.staging.blobs(digest)?.unlink(digest.hex())?;
            if self.staging.link_sound(&self.blob)? {
                return self.file.discard(&mut self.journal);
            }
        }
    }

    /// After an error, the writer has nothing more to do. Wrong bytes are discarded, and so are bytes that the
    /// disk cannot return.
    fn settle(&mut self, outcome: Result<()>) -> Result<()> {
        let outcome = outcome.map_err(|error| self.staging.store().explain_full(error, &self.blob));
        if let Err(error) = &outcome {
            let is_wrong = matches!(error.kind(), ErrorKind::DigestMismatch | ErrorKind::SizeMismatch);
            let is_useless = is_wrong || is_damage(error) || self.is_wrong();
            self.end = if is_useless { End::Discard } else { End::Nothing };
        }
        outcome
    }

    /// Leaves the written bytes to the next owner.
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
                "cannot clean up the partly written blob for the next fetch"
            );
        }
    }
}
