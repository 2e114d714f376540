//! What the store has, and what of it may be served.
//!
//! A [`Snapshot`] in memory says which names lead to a digest, and whether that is public. It is a hint only: a name is
//! looked up in the store once more before its content is served, and what the snapshot does not have is looked for in a
//! new one. So what other processes pull and remove is seen at once.

mod scan;
mod snapshot;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use hoist_core::{Digest, MAX_DOCUMENT, Reference, Result};
use hoist_store::{Entry, Store, blocking};

use crate::options::ServeOptions;
use scan::Scanner;
use snapshot::Snapshot;

pub(crate) use snapshot::Referrer;

/// After a scan, the next one waits this many times as long as it took, so that requests for what is not there do not
/// keep the disk busy.
const REST: u32 = 4;
/// No scan waits longer than this.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// The images of a store that may be served.
#[derive(Debug)]
pub(crate) struct Catalog {
    store: Store,
    shared: Arc<Shared>,
    /// The number of scans that have begun.
    begun: AtomicU64,
    turn: tokio::sync::Mutex<Turn>,
}

/// What a scan works with on its own thread.
#[derive(Debug)]
struct Shared {
    options: ServeOptions,
    snapshot: RwLock<Arc<Snapshot>>,
    scanner: Mutex<Scanner>,
}

#[derive(Debug, Default)]
struct Turn {
    /// The last scan that has ended.
    ended: u64,
    /// When the next one may begin.
    next: Option<Instant>,
}

impl Catalog {
    pub(crate) fn new(store: Store, options: ServeOptions) -> Self {
        let shared = Shared { options, snapshot: RwLock::default(), scanner: Mutex::default() };
        let (begun, turn) = (AtomicU64::new(0), tokio::sync::Mutex::default());
        Self { store, shared: Arc::new(shared), begun, turn }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// A name that leads to this digest, if it may be served.
    pub(crate) async fn find(&self, digest: &Digest) -> Result<Option<Arc<Entry>>> {
        if let Some(entry) = self.find_known(digest)? {
            return self.admitted(entry).await.map(Some);
        }
        self.refresh().await?;
        match self.find_known(digest)? {
            Some(entry) => self.admitted(entry).await.map(Some),
            None => Ok(None),
        }
    }

    /// The name itself, if what it leads to may be served.
    pub(crate) async fn find_tag(&self, name: &Reference) -> Result<Option<Arc<Entry>>> {
        for entry in self.store.entries_of(name)? {
            if self.may_be_served(&entry).await? {
                return self.admitted(Arc::new(entry)).await.map(Some);
            }
        }
        Ok(None)
    }

    /// The tags of a repository that may be served.
    pub(crate) async fn tags(&self, repository: &Reference) -> Result<Vec<String>> {
        let mut tags = Vec::new();
        for tag in self.store.tags_of(repository)? {
            let Ok(name) = format!("{}:{tag}", repository.name()).parse() else { continue };
            if self.find_tag(&name).await.is_ok_and(|found| found.is_some()) {
                tags.push(tag);
            }
        }
        Ok(tags)
    }

    /// The manifests and indexes that refer to this digest.
    pub(crate) async fn referrers(&self, subject: &Digest) -> Result<Vec<Referrer>> {
        self.refresh().await?;
        let all = self.snapshot().referrers(subject).to_vec();
        let mut found = Vec::new();
        for one in all {
            if self.find_known(&one.digest)?.is_some() {
                found.push(one);
            }
        }
        Ok(found)
    }

    /// The bytes of a manifest or an index that an entry leads to. `None`: it is not here, is damaged, or is a layer.
    pub(crate) fn document(&self, entry: &Entry, digest: &Digest) -> Result<Option<Vec<u8>>> {
        if entry.indexes.contains(digest) {
            return self.store.index_bytes(entry, digest);
        }
        if *digest != entry.image {
            return Ok(None);
        }
        scan::read(&self.store, digest, &entry.image, MAX_DOCUMENT)
    }

    /// How many images are not served, of all.
    pub(crate) async fn withheld(&self) -> Result<(usize, usize)> {
        self.refresh().await?;
        Ok(self.snapshot().withheld())
    }

    async fn may_be_served(&self, entry: &Entry) -> Result<bool> {
        if !self.shared.options.may_share(&entry.reference) {
            return Ok(false);
        }
        if !self.snapshot().is_public(&entry.resolved) {
            self.refresh().await?;
        }
        Ok(self.snapshot().is_public(&entry.resolved))
    }

    /// Looks into the snapshot, and makes sure of it in the store.
    fn find_known(&self, digest: &Digest) -> Result<Option<Arc<Entry>>> {
        let snapshot = self.snapshot();
        for entry in snapshot.entries(digest) {
            if self.store.still_leads(entry)? {
                return Ok(Some(entry.clone()));
            }
        }
        Ok(None)
    }

    /// Fails if a policy of the store does not admit the image.
    async fn admitted(&self, entry: Arc<Entry>) -> Result<Arc<Entry>> {
        if !self.store.has_admission() {
            return Ok(entry);
        }
        let store = self.store.clone();
        blocking(move || store.admit_entry(&entry).map(|()| entry)).await
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a new snapshot, of the store as it is now or later. All that ask for one at once get the same.
    pub(crate) async fn refresh(&self) -> Result<()> {
        let begun = self.begun.load(Ordering::SeqCst);
        let mut turn = self.turn.lock().await;
        if turn.ended > begun {
            return Ok(());
        }
        if let Some(next) = turn.next {
            tokio::time::sleep_until(next.into()).await;
        }
        let (number, start) = (self.begun.fetch_add(1, Ordering::SeqCst) + 1, Instant::now());
        let (shared, store) = (self.shared.clone(), self.store.clone());
        blocking(move || {
            let mut scanner = shared.scanner.lock().unwrap_or_else(PoisonError::into_inner);
            let snapshot = Arc::new(scanner.scan(&store, &shared.options)?);
            *shared.snapshot.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
            Ok(())
        })
        .await?;
        turn.next = Some(Instant::now() + (start.elapsed() * REST).min(LONGEST_REST));
        turn.ended = number;
        Ok(())
    }
}
