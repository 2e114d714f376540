//! A blob on its way: fetched by one, waited for by all others, and verified before it has a name.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use hoist_core::{Descriptor, Error, ErrorKind, Result};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::dir::{Dir, fail};
use crate::lock;
use crate::pulse::Pulse;
use crate::ranges::Ranges;
use crate::scribe::{Scribe, read_journal};
use crate::staging::Staging;
use crate::store::{Store, WRITE_BUDGET};

/// How often it is looked whether another process is done with a blob.
const POLL: Duration = Duration::from_millis(20);
/// Pieces that may queue; their bytes are bounded by the store's write budget.
const QUEUE: usize = 256;

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
    /// fails. Fails with [`SizeMismatch`](ErrorKind::SizeMismatch) where the pool's blob of this digest has
    /// another size than the descriptor says.
    pub async fn claim(&self, blob: &Descriptor) -> Result<Claim> {
        if self.link(blob).await? {
            return Ok(Claim::Present);
        }
        let ingest = Ingest::begin(self.clone(), blob.clone()).await?;
        Ok(ingest.map_or(Claim::Present, Claim::Fetch))
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
    inlet: Inlet,
    thread: JoinHandle<Result<()>>,
}

/// Where the bytes of an [`Ingest`] go in, from as many tasks as there are clones.
#[derive(Debug, Clone)]
pub struct Inlet {
    pieces: mpsc::Sender<Piece>,
    budget: Arc<Semaphore>,
    /// Why the writing thread has stopped, if it has.
    failure: Arc<OnceLock<Error>>,
}

#[derive(Debug)]
enum Piece {
    Bytes { offset: u64, bytes: Bytes, _budget: OwnedSemaphorePermit },
    Commit,
}

impl Ingest {
    /// Claims a blob. `None`: another has brought it meanwhile, and the image has it.
    pub(crate) async fn begin(staging: Staging, blob: Descriptor) -> Result<Option<Self>> {
        let mut overtaken = 0;
        let (site, turn) = loop {
            match wait(&staging, &blob, overtaken).await? {
                Waited::Mine(site, turn) => break (site, turn),
                Waited::Present => return Ok(None),
                Waited::Stalled => overtaken += 1,
            }
        };
        // Whoever had the claim before may have finished between the look and the claim.
        if staging.link(&blob).await? {
            site.discard()?;
            return Ok(None);
        }
        let (pieces, queue) = mpsc::channel(QUEUE);
        let failure = Arc::new(OnceLock::new());
        let budget = staging.store().write_budget();
        let writer = Writer { site, staging, blob, queue, failure: failure.clone(), _turn: turn };
        let missing = writer.site.written.gaps(writer.blob.size);
        let resumed = writer.site.written.end() > 0;
        let thread = tokio::task::spawn_blocking(|| writer.run());
        let inlet = Inlet { pieces, budget, failure };
        Ok(Some(Self { missing, resumed, inlet, thread }))
    }

    /// What is still to be fetched: ranges of the blob, in order.
    pub fn missing(&self) -> &[Range<u64>] {
        &self.missing
    }

    /// Whether it goes on from what an earlier one had left.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Where its bytes go in, for those who fetch it together.
    pub fn inlet(&self) -> &Inlet {
        &self.inlet
    }

    /// Hands over the bytes at this offset, as [`Inlet::write`] does.
    pub async fn write(&self, offset: u64, bytes: Bytes) -> Result<()> {
        self.inlet.write(offset, bytes).await
    }

    /// Verifies the blob and puts it into the pool, and into the image that it was claimed for.
    ///
    /// Fails with [`SizeMismatch`](ErrorKind::SizeMismatch) or [`DigestMismatch`](ErrorKind::DigestMismatch)
    /// where it is not what the descriptor says; then none of it is kept.
    pub async fn commit(self) -> Result<()> {
        let sent = self.inlet.pieces.send(Piece::Commit).await;
        let broken =
            |cause| Error::new(ErrorKind::Storage, "the writing of a blob was broken off").with_source(cause);
        self.thread.await.map_err(broken)??;
        sent.map_err(|_| Error::new(ErrorKind::Storage, "the writing of a blob was broken off"))
    }
}

impl Inlet {
    /// Hands over the bytes at this offset. Waits while too much is waiting for the disk.
    ///
    /// What is there already stays as it is: a byte is written once, and that is the one that is hashed. Fails
    /// where an earlier write did, and where the bytes do not belong to the blob.
    pub async fn write(&self, offset: u64, bytes: Bytes) -> Result<()> {
        let size = u32::try_from(bytes.len().min(WRITE_BUDGET)).unwrap_or(u32::MAX);
        let permit = self.budget.clone().acquire_many_owned(size).await.map_err(|_| self.why_stopped())?;
        let piece = Piece::Bytes { offset, bytes, _budget: permit };
        self.pieces.send(piece).await.map_err(|_| self.why_stopped())
    }

    fn why_stopped(&self) -> Error {
        let unknown = || Error::new(ErrorKind::Storage, "the writing of a blob has stopped");
        self.failure.get().cloned().unwrap_or_else(unknown)
    }
}

/// What came of waiting for a blob.
enum Waited {
    /// It is here.
    Present,
    /// It is this one's to fetch.
    Mine(Site, OwnedMutexGuard<()>),
    /// Whoever fetches it has stood still for too long.
    Stalled,
}

/// Waits until the blob is there, or can be claimed, so many having been overtaken on the way: each that hangs
/// keeps its directory, and who overtakes it has one beside that, where others wait for it in turn.
async fn wait(staging: &Staging, blob: &Descriptor, overtaken: usize) -> Result<Waited> {
    let (store, name) = (staging.store(), Site::name(blob, overtaken));
    let mut pulse = Pulse::of(&name);
    let turn = store.turn(&name);
    let turn = loop {
        match tokio::time::timeout(Pulse::interval(store), turn.clone().lock_owned()).await {
            Ok(turn) => break turn,
            Err(_) if pulse.has_stopped(store)? => return Ok(Waited::Stalled),
            Err(_) => {}
        }
    };
    loop {
        if staging.link(blob).await? {
            return Ok(Waited::Present);
        }
        if let Some(site) = Site::claim(store, &name, blob)? {
            return Ok(Waited::Mine(site, turn));
        }
        if pulse.has_stopped(store)? {
            tracing::warn!(digest = %blob.digest, "another process hangs that fetches a blob; fetching it here");
            return Ok(Waited::Stalled);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What there is of a blob when no more comes.
enum End {
    Whole,
    Part,
    Nothing,
}

/// The writing end of an ingest, on a thread of its own.
#[derive(Debug)]
struct Writer {
    site: Site,
    staging: Staging,
    blob: Descriptor,
    queue: mpsc::Receiver<Piece>,
    failure: Arc<OnceLock<Error>>,
    _turn: OwnedMutexGuard<()>,
}

impl Writer {
    fn run(mut self) -> Result<()> {
        let outcome = self.write_all().and_then(|end| match end {
            End::Whole => self.publish(),
            End::Nothing => self.site.discard(),
            End::Part => Ok(()),
        });
        let outcome = outcome.map_err(|error| self.staging.store().explain_full(error, &self.blob));
        if let Err(error) = &outcome {
            if matches!(error.kind(), ErrorKind::DigestMismatch | ErrorKind::SizeMismatch) {
                self.site.discard()?;
            }
            _ = self.failure.set(error.clone());
        }
        outcome
    }

    /// Writes what comes until it is to be committed, or is abandoned.
    fn write_all(&mut self) -> Result<End> {
        let Site { dir, data, journal, written, .. } = &self.site;
        let path = dir.path().join("data");
        let mut scribe = Scribe::resume(&self.blob, data, journal, &path, written.clone())?;
        while let Some(piece) = self.queue.blocking_recv() {
            match piece {
                Piece::Bytes { offset, bytes, _budget } => {
                    let end = offset.saturating_add(bytes.len() as u64);
                    if end > self.blob.size {
                        self.blob.expect_size(end)?;
                    }
                    scribe.write(offset, &bytes)?;
                }
                Piece::Commit => return scribe.finish().map(|()| End::Whole),
            }
        }
        scribe.note()?;
        Ok(if scribe.is_empty() { End::Nothing } else { End::Part })
    }

    /// Gives the verified blob its names: in the image first, so that no collector can take it.
    fn publish(&self) -> Result<()> {
        let Site { dir, data, .. } = &self.site;
        dir.seal(data, &dir.path().join("data"))?;
        let (digest, name) = (&self.blob.digest, self.blob.digest.hex());
        // Whoever overtook this one has brought it.
        if self.staging.link_sound(&self.blob)? {
            return self.site.discard();
        }
        if self.staging.store().link(dir, "data", &self.staging.blobs(digest)?, name)?.is_err() {
            let copy = data.try_clone().map_err(|e| fail("read", dir.path(), e))?;
            self.staging.copy_in(copy, &self.blob)?;
        }
        dir.rename("data", &self.staging.store().pool(digest)?, name)?;
        self.site.discard()
    }
}

/// A blob's directory below `ingest/`: its data, and the journal of what of it is there. It is its
/// owner's for as long as it is locked.
#[derive(Debug)]
struct Site {
    ingests: Dir,
    dir: Dir,
    data: File,
    journal: File,
    written: Ranges,
}

impl Site {
    /// The name of the directory for a blob, when so many have been overtaken.
    fn name(blob: &Descriptor, overtaken: usize) -> String {
        match overtaken {
            0 => blob.digest.hex().to_owned(),
            number => format!("{}+{number}", blob.digest.hex()),
        }
    }

    /// Claims the directory of this name. `None`: another process has it.
    fn claim(store: &Store, name: &str, blob: &Descriptor) -> Result<Option<Self>> {
        let ingests = store.dir().make("ingest")?;
        let Some(dir) = lock::own(&ingests, name)? else { return Ok(None) };
        let data = dir.open_or_create("data")?;
        let journal = dir.open_or_create("journal")?;
        let written = recover(&data, &journal, blob.size).map_err(|e| fail("resume", dir.path(), e))?;
        Ok(Some(Self { ingests, dir, data, journal, written }))
    }

    /// Removes the directory with all that is left in it.
    fn discard(&self) -> Result<()> {
        self.dir.unlink("data")?;
        self.dir.unlink("journal")?;
        self.ingests.remove_empty(self.dir.path().file_name().unwrap_or_default()).map(drop)
    }
}

/// What an earlier owner wrote. A journal that claims more than there is, as after a power cut, is not
/// believed at all.
fn recover(data: &File, mut journal: &File, size: u64) -> std::io::Result<Ranges> {
    let mut text = String::new();
    journal.read_to_string(&mut text)?;
    let written = read_journal(&text);
    if written.end() > data.metadata()?.len().min(size) {
        data.set_len(0)?;
        journal.set_len(0)?;
        journal.rewind()?;
        return Ok(Ranges::default());
    }
    if !text.is_empty() && !text.ends_with('\n') {
        journal.write_all(b"\n")?; // a crash tore the last line; the next one must not continue it
    }
    Ok(written)
}
