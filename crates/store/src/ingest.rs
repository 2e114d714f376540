//! A blob on its way: fetched by one, waited for by all others, and verified before it has a name.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use hoist_core::{Descriptor, Result};
use tokio::sync::OwnedMutexGuard;

use crate::blocking::blocking;
use crate::inlet::Inlet;
use crate::pulse::Pulse;
use crate::scribe::Scribe;
use crate::site::Site;
use crate::staging::Staging;
use crate::store::Store;
use crate::writer::Writer;

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
    /// fails. Fails with [`SizeMismatch`](hoist_core::ErrorKind::SizeMismatch) where the pool's blob of this digest has
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
}

impl Ingest {
    /// Claims a blob. `None`: another has brought it meanwhile, and the image has it.
    pub(crate) async fn begin(staging: Staging, blob: Descriptor) -> Result<Option<Self>> {
        let mut overtaken = 0;
        let (site, scribe, turn) = loop {
            match wait(&staging, &blob, overtaken).await? {
                Waited::Mine(claimed) => break *claimed,
                Waited::Present => return Ok(None),
                Waited::Stalled => overtaken += 1,
            }
        };
        // Whoever had the claim before may have finished between the look and the claim.
        if staging.link(&blob).await? {
            site.discard()?;
            return Ok(None);
        }
        let budget = staging.store().write_budget();
        let writer = Writer::new(site, scribe, staging, blob, turn);
        let written = writer.scribe().written();
        let (missing, resumed) = (written.gaps(writer.blob().size), written.end() > 0);
        Ok(Some(Self { missing, resumed, inlet: Inlet::new(writer, budget) }))
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
    /// Fails with [`SizeMismatch`](hoist_core::ErrorKind::SizeMismatch) or
    /// [`DigestMismatch`](hoist_core::ErrorKind::DigestMismatch) where it is not what the descriptor says; then
    /// none of it is kept.
    pub async fn commit(self) -> Result<()> {
        self.inlet.commit().await
    }
}

/// A blob's directory, who writes there, and the turn of this process.
type Claimed = (Site, Scribe, OwnedMutexGuard<()>);

/// What came of waiting for a blob.
enum Waited {
    /// It is here.
    Present,
    /// It is this one's to fetch.
    Mine(Box<Claimed>),
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
        if let Some((site, scribe)) = claim(store, &name, blob).await? {
            return Ok(Waited::Mine(Box::new((site, scribe, turn))));
        }
        if pulse.has_stopped(store)? {
            tracing::warn!(digest = %blob.digest, "another process hangs that fetches a blob; fetching it here");
            return Ok(Waited::Stalled);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Claims a blob's directory. `None`: another process has it.
///
/// To make files takes a file system up to a millisecond each, so that is not done where the network waits for it; and
/// for one blob after the other, so that it takes no more than one thread.
async fn claim(store: &Store, name: &str, blob: &Descriptor) -> Result<Option<(Site, Scribe)>> {
    let _turn = store.claims().lock().await;
    let (store, name, blob) = (store.clone(), name.to_owned(), blob.clone());
    blocking(move || {
        let Some(site) = Site::claim(&store, &name)? else { return Ok(None) };
        let scribe = site.scribe(&blob)?;
        Ok(Some((site, scribe)))
    })
    .await
}
