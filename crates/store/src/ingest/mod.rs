//! A blob on its way: fetched by one owner, waited for by all others, and verified before it has a name.
//!
//! [`Claim`] says whether a blob is to be fetched, and [`Ingest`] is the right to do so. Behind it, a
//! [`WriteQueue`] has one thread at a time write with a [`HashingWriter`](writer::HashingWriter), in a
//! [`file`] of the blob's own; beside it, a [`journal`] notes which [`ranges`] are there, where they come out of order.
//! Others who want the blob look for a [`stall`] while they wait.

mod file;
mod journal;
mod queue;
mod ranges;
mod stall;
mod writer;

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use hoist_core::{Descriptor, ErrorKind, Result};
use tokio::sync::OwnedMutexGuard;

use self::file::IngestFile;
pub use self::queue::WriteQueue;
use self::ranges::Ranges;
use self::stall::IngestStall;
use self::writer::HashingWriter;
use crate::fs::blocking::blocking;
use crate::fs::descriptors;
use crate::image::staging::Staging;

/// How often it is looked whether another process is done with a blob.
const POLL: Duration = Duration::from_millis(20);

/// What is to be done about a blob.
#[derive(Debug)]
pub enum Claim {
    /// Nothing: the image has it now.
    Present,
    /// It is to be fetched, by this caller; all others wait for it.
    Fetch(Ingest),
}

impl Staging {
    /// Takes the blob from the pool, or else claims the fetching of it.
    ///
    /// Where another task or process is fetching it, this waits until that is done, and takes over if it
    /// fails. It waits as well while this process has as many blobs open as [it may](crate::fs::descriptors::open_blobs): so
    /// what is claimed is to be fetched, or dropped, without waiting for further claims. Fails with [`SizeMismatch`](hoist_core::ErrorKind::SizeMismatch) where the pool's blob of this digest has
    /// another size than the descriptor says.
    pub async fn claim(&self, blob: &Descriptor) -> Result<Claim> {
        if self.link(blob).await? {
            return Ok(Claim::Present);
        }
        let ingest = Ingest::begin(self.clone(), blob.clone()).await?;
        Ok(ingest.map_or(Claim::Present, Claim::Fetch))
    }

    /// Brings a blob into the image: from the pool, or else as `write` brings it, which is called with the queue that its
    /// bytes go into, and with the ranges that are missing of it. Writing more than those does no harm. `false`: nothing
    /// had to be written.
    ///
    /// What an earlier owner of the blob had left may be wrong. Where it is, `write` is called once more, for that part.
    ///
    /// Fails as [`claim`](Self::claim), `write` and [`commit`](Ingest::commit) do.
    ///
    /// ```
    /// # use hoist_core::{Descriptor, ErrorKind, Result};
    /// # use hoist_store::Staging;
    /// # async fn run(staging: &Staging, blob: &Descriptor, bytes: &'static [u8]) -> Result<()> {
    /// staging.fetch(blob, |queue, _| async move { queue.write(0, bytes.into()).await }).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn fetch<F>(
        &self,
        blob: &Descriptor,
        mut write: impl FnMut(WriteQueue, Vec<Range<u64>>) -> F,
    ) -> Result<bool>
    where
        F: Future<Output = Result<()>>,
    {
        let Claim::Fetch(ingest) = self.claim(blob).await? else { return Ok(false) };
        write(ingest.queue.clone(), ingest.missing.clone()).await?;
        match ingest.commit().await {
            Err(error) if ingest.resumed && *error.kind() == ErrorKind::DigestMismatch => {
                tracing::warn!(digest = %blob.digest, "what was left of a blob is wrong; fetching it again");
                let mut left = Ranges::from(0..blob.size);
                ingest.missing.iter().for_each(|range| left.remove(range));
                let left: Vec<_> = left.iter().collect();
                ingest.reopen(&left).await?;
                write(ingest.queue.clone(), left).await?;
                ingest.commit().await?;
            }
            outcome => outcome?,
        }
        Ok(true)
    }
}

/// The right to fetch a blob, and the place to put it.
///
/// Bytes may come in any order and from several tasks at once. Dropped without [`commit`](Self::commit),
/// what was written stays for the next to go on from.
#[derive(Debug)]
#[must_use = "a blob enters the store by `commit`"]
pub struct Ingest {
    missing: Vec<Range<u64>>,
    resumed: bool,
    queue: WriteQueue,
}

impl Ingest {
    /// Claims a blob. `None`: another has brought it meanwhile, and the image has it.
    pub(crate) async fn begin(staging: Staging, blob: Descriptor) -> Result<Option<Self>> {
        let mut overtaken = 0;
        let writer = loop {
            match wait(&staging, &blob, overtaken).await? {
                Waited::Mine(writer) => break *writer,
                Waited::Present => return Ok(None),
                Waited::Stalled => overtaken += 1,
            }
        };
        // Whoever had the claim before may have finished between the look and the claim.
        if staging.link(&blob).await? {
            writer.discard()?;
            return Ok(None);
        }
        let written = writer.written();
        let (missing, resumed) = (written.gaps(blob.size), written.end() > 0);
        let queue = WriteQueue::new(writer, staging.store().write_budget());
        Ok(Some(Self { missing, resumed, queue }))
    }

    /// What was still to be fetched when the blob was claimed: ranges of it, in order.
    pub fn missing(&self) -> &[Range<u64>] {
        &self.missing
    }

    /// Whether it goes on from what an earlier one had left.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Where its bytes go in, for those who fetch it together.
    pub fn queue(&self) -> &WriteQueue {
        &self.queue
    }

    /// Hands over the bytes at this offset, as [`WriteQueue::write`] does.
    pub async fn write(&self, offset: u64, bytes: Bytes) -> Result<()> {
        self.queue.write(offset, bytes).await
    }

    /// Verifies the blob and puts it into the pool, and into the image that it was claimed for.
    ///
    /// Fails with [`SizeMismatch`](hoist_core::ErrorKind::SizeMismatch) or
    /// [`DigestMismatch`](hoist_core::ErrorKind::DigestMismatch) where it is not what the descriptor says; then
    /// none of it is kept, but that of another digest it is until this is dropped, for it can be
    /// [opened again](Self::reopen).
    pub async fn commit(&self) -> Result<()> {
        self.queue.commit().await
    }

    /// Goes on with a blob whose [`commit`](Self::commit) failed with
    /// [`DigestMismatch`](hoist_core::ErrorKind::DigestMismatch): these ranges of it are missing again, and what is written
    /// there replaces what was. All of it is hashed anew. Writing to the [`queue`](Self::queue) works again.
    ///
    /// The journal says that they are missing before anything is overwritten, so that the next to claim the blob fetches
    /// them, if this process dies. Fails with [`Unsupported`](hoist_core::ErrorKind::Unsupported) in any other state.
    pub async fn reopen(&self, ranges: &[Range<u64>]) -> Result<()> {
        self.queue.reopen(ranges.to_vec()).await
    }

    /// Which of the bytes that were written since the last [`reopen`](Self::reopen) differ from what was there before: in
    /// order, and as coarse as the pieces that were written. Complete when [`commit`](Self::commit) has returned.
    pub fn replaced(&self) -> Vec<Range<u64>> {
        self.queue.replaced()
    }
}

/// A blob that is wrong, and that nobody opens again, is of no use.
impl Drop for Ingest {
    fn drop(&mut self) {
        self.queue.give_up();
    }
}

/// What came of waiting for a blob.
enum Waited {
    /// It is here.
    Present,
    /// It is this one's to fetch.
    Mine(Box<HashingWriter>),
    /// Whoever fetches it has stood still for too long.
    Stalled,
}

/// Waits until the blob is there, or can be claimed, so many having been overtaken on the way: each that hangs
/// keeps its file, and who overtakes it has one beside that, where others wait for it in turn.
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
            tracing::warn!(digest = %blob.digest, "another process hangs that fetches a blob; fetching it here");
            return Ok(Waited::Stalled);
        }
        if has_waited {
            tokio::time::sleep(POLL).await;
        }
        has_waited = true;
    }
}

/// Claims a blob's file, to write there. `Err`: another process has it, and the turn is given back.
///
/// To make files takes a file system up to a millisecond each, so that is not done where the network waits for it; and
/// for one blob after the other, so that it takes no more than one thread.
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
