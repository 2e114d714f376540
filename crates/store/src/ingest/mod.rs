//! A blob being fetched: one owner fetches it, all others wait for it, and it is verified before it gets a
//! name.
//!
//! [`Claim`] says whether the caller must fetch a blob, and [`Ingest`] is the right to do so. Its
//! [`WriteQueue`] lets one thread at a time write with a [`HashingWriter`](writer::HashingWriter), into a
//! [`file`] for this blob. A [`journal`] beside that file records which [`ranges`] are present if they arrive
//! out of order. Others that want the blob watch for a [`stall`] while they wait.

mod file;
mod journal;
mod queue;
mod ranges;
mod stall;
mod writer;

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use hoist_core::{Descriptor, ErrorKind, Event, Events, Result};
use tokio::sync::OwnedMutexGuard;

use self::file::IngestFile;
pub use self::queue::WriteQueue;
use self::ranges::Ranges;
use self::stall::IngestStall;
use self::writer::HashingWriter;
use crate::fs::blocking::blocking;
use crate::fs::descriptors;
use crate::image::staging::Staging;

/// How often to check whether another process has finished with a blob.
const POLL: Duration = Duration::from_millis(20);

/// What the caller must do about a blob.
#[derive(Debug)]
pub enum Claim {
    /// Nothing: the image has the blob.
    Present,
    /// Fetch it. All others wait for this caller.
    Fetch(Ingest),
}

impl Staging {
    /// Takes the blob from the pool, or else claims the right to fetch it.
    ///
    /// If another task or process is fetching the blob, this waits until that ends, and takes over if it fails.
    /// It also waits while this process has [the maximum number of blobs](crate::fs::descriptors::open_blobs)
    /// open. So fetch or drop a claimed blob without waiting for further claims.
    ///
    /// Fails with [`SizeMismatch`](hoist_core::ErrorKind::SizeMismatch) if the pool's blob with this digest has
    /// another size than the descriptor's.
    pub async fn claim(&self, blob: &Descriptor) -> Result<Claim> {
        if self.link(blob).await? {
            return Ok(Claim::Present);
        }
        let ingest = Ingest::begin(self.clone(), blob.clone()).await?;
        Ok(ingest.map_or(Claim::Present, Claim::Fetch))
    }

    /// Brings a blob into the image, from the pool or else through `write`. `write` gets the queue for the
    /// blob's bytes, and the missing ranges. Writing more than those does no harm. `false`: the blob was
    /// already there. Reports whether the blob was found, or when its fetch began and that it is verified; `write`
    /// reports the progress.
    ///
    /// The part of the blob that an earlier owner left may be wrong. In that case `write` is called a second
    /// time, for that part.
    ///
    /// Fails as [`claim`](Self::claim), `write` and [`commit`](Ingest::commit) do.
    ///
    /// ```
    /// # use hoist_core::{Descriptor, ErrorKind, Events, Result};
    /// # use hoist_store::Staging;
    /// # async fn run(staging: &Staging, blob: &Descriptor, bytes: &'static [u8], events: &Events) -> Result<()> {
    /// staging.fetch(blob, events, |queue, _| async move { queue.write(0, bytes.into()).await }).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn fetch<F>(
        &self,
        blob: &Descriptor,
        events: &Events,
        mut write: impl FnMut(WriteQueue, Vec<Range<u64>>) -> F,
    ) -> Result<bool>
    where
        F: Future<Output = Result<()>>,
    {
        let Claim::Fetch(ingest) = self.claim(blob).await? else {
            events.emit(|| Event::blob_found(blob.digest.clone(), blob.size));
            return Ok(false);
        };
        events.emit(|| Event::blob_started(blob.digest.clone(), blob.size));
        write(ingest.queue.clone(), ingest.missing.clone()).await?;
        match ingest.commit().await {
            Err(error) if ingest.resumed && *error.kind() == ErrorKind::DigestMismatch => {
                tracing::warn!(digest = %blob.digest, "the resumed part of a blob is wrong; fetching it again");
                let mut left = Ranges::from(0..blob.size);
                ingest.missing.iter().for_each(|range| left.remove(range));
                let left: Vec<_> = left.iter().collect();
                ingest.reopen(&left).await?;
                write(ingest.queue.clone(), left).await?;
                ingest.commit().await?;
            }
            outcome => outcome?,
        }
        events.emit(|| Event::blob_verified(blob.digest.clone()));
        Ok(true)
    }
}

/// The right to fetch a blob, and the place to write it.
///
/// Bytes may arrive in any order and from several tasks at once. If this is dropped without
/// [`commit`](Self::commit), the written bytes stay, and the next owner continues from them.
#[derive(Debug)]
#[must_use = "a blob enters the store by `commit`"]
pub struct Ingest {
    missing: Vec<Range<u64>>,
    resumed: bool,
    queue: WriteQueue,
}

impl Ingest {
    /// Claims a blob. `None`: another owner has fetched it in the meantime, and the image has it now.
    pub(crate) async fn begin(staging: Staging, blob: Descriptor) -> Result<Option<Self>> {
        let mut overtaken = 0;
        let writer = loop {
            match wait(&staging, &blob, overtaken).await? {
                Waited::Mine(writer) => break *writer,
                Waited::Present => return Ok(None),
                Waited::Stalled => overtaken += 1,
            }
        };
        // The previous owner may have finished between the lookup and the claim.
        if staging.link(&blob).await? {
            writer.discard()?;
            return Ok(None);
        }
        let written = writer.written();
        let (missing, resumed) = (written.gaps(blob.size), written.end() > 0);
        let queue = WriteQueue::new(writer, staging.store().write_budget());
        Ok(Some(Self { missing, resumed, queue }))
    }

    /// The ranges that were missing when the blob was claimed, in order.
    pub fn missing(&self) -> &[Range<u64>] {
        &self.missing
    }

    /// Whether this continues from bytes that an earlier owner left.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// The queue for the blob's bytes, shared by the tasks that fetch it together.
    pub fn queue(&self) -> &WriteQueue {
        &self.queue
    }

    /// Queues bytes to be written at this offset, like [`WriteQueue::write`].
    pub async fn write(&self, offset: u64, bytes: Bytes) -> Result<()> {
        self.queue.write(offset, bytes).await
    }

    /// Verifies the blob and puts it into the pool, and into the image that it was claimed for.
    ///
    /// Fails with [`SizeMismatch`](hoist_core::ErrorKind::SizeMismatch) or
    /// [`DigestMismatch`](hoist_core::ErrorKind::DigestMismatch) if the bytes do not match the descriptor.
    /// Mismatched bytes are discarded. On a digest mismatch they stay until this is dropped, because the blob
    /// can be [opened again](Self::reopen).
    pub async fn commit(&self) -> Result<()> {
        self.queue.commit().await
    }

    /// Continues with a blob whose [`commit`](Self::commit) failed with
    /// [`DigestMismatch`](hoist_core::ErrorKind::DigestMismatch). These ranges count as missing again, and
    /// bytes written there replace the old ones. The whole blob is hashed again. The [`queue`](Self::queue)
    /// accepts writes again.
    ///
    /// The journal records the ranges as missing before anything is overwritten. So if this process dies, the
    /// next owner of the blob fetches them. Fails with [`Unsupported`](hoist_core::ErrorKind::Unsupported) in
    /// any other state.
    pub async fn reopen(&self, ranges: &[Range<u64>]) -> Result<()> {
        self.queue.reopen(ranges.to_vec()).await
    }

    /// The ranges written since the last [`reopen`](Self::reopen) whose bytes differ from the previous ones: in
    /// order, and as coarse as the pieces that were written. Complete when [`commit`](Self::commit) has
    /// returned.
    pub fn replaced(&self) -> Vec<Range<u64>> {
        self.queue.replaced()
    }
}

/// Discards a blob that is wrong and was not opened again.
impl Drop for Ingest {
    fn drop(&mut self) {
        self.queue.give_up();
    }
}

/// The outcome of waiting for a blob.
enum Waited {
    /// The image has the blob.
    Present,
    /// This caller must fetch it.
    Mine(Box<HashingWriter>),
    /// The current owner has stalled for too long.
    Stalled,
}

/// Waits until the blob is there or can be claimed, after `overtaken` stalled owners were overtaken. Each
/// stalled owner keeps its file. The caller that overtakes it uses a second file beside that one, where others
/// wait in turn.
async fn wait(staging: &Staging, blob: &Descriptor, overtaken: usize) -> Result<Waited> {
    let (store, name) = (staging.store(), IngestFile::name(blob, overtaken));
    let mut stall = IngestStall::of(&name);
    let in_turn = store.local_claim(&name);
    let (mut turn, mut has_waited) = match in_turn.clone().try_lock_owned() {
        Ok(turn) => (turn, false),
        Err(_) => loop {
            match tokio::time::timeout(IngestStall::interval(store), in_turn.clone().lock_owned()).await {
                Ok(turn) => break (turn, true),
                Err(_) if stall.has_stopped(store)? => return Ok(Waited::Stalled),
                Err(_) => {}
            }
        },
    };
    loop {
        if has_waited && staging.link(blob).await? {
            return Ok(Waited::Present);
        }
        turn = match claim(staging, &name, blob, turn).await? {
            Ok(writer) => return Ok(Waited::Mine(writer)),
            Err(turn) => turn,
        };
        if stall.has_stopped(store)? {
            tracing::warn!(digest = %blob.digest, "another process stalled on this blob; fetching it ourselves");
            return Ok(Waited::Stalled);
        }
        if has_waited {
            tokio::time::sleep(POLL).await;
        }
        has_waited = true;
    }
}

/// Claims a blob's file for writing. `Err`: another process holds it; returns the turn.
///
/// Creating files can take a file system up to a millisecond each. So a blocking thread does it rather than the
/// task that the network waits for, and for one blob after another, so that it occupies only one thread.
async fn claim(
    staging: &Staging,
    name: &str,
    blob: &Descriptor,
    turn: OwnedMutexGuard<()>,
) -> Result<std::result::Result<Box<HashingWriter>, OwnedMutexGuard<()>>> {
    let permit = descriptors::open_blob().await;
    let _turn = staging.store().claims().lock().await;
    let (staging, name, blob) = (staging.clone(), name.to_owned(), blob.clone());
    blocking(move || {
        let (ingests, root) = (staging.ingests()?, staging.store().dir());
        Ok(match IngestFile::claim(ingests, root, &name, &blob)? {
            Some(claimed) => Ok(Box::new(HashingWriter::new(claimed, blob, staging, (turn, permit)))),
            None => Err(turn),
        })
    })
    .await
}
