//! Staging: collects everything that a manifest names.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

#[cfg(doc)]
use hoist_core::ErrorKind;
use hoist_core::{Algorithm, Descriptor, Digest, Result};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::fs::blocking::blocking;
use crate::fs::descriptors;
use crate::fs::dir::{Dir, NoLink, unless_damaged};
use crate::fs::scratch::Scratch;
use crate::image::layout::OCI_LAYOUT;
use crate::paths::{images_path, pool_file};
use crate::store::Store;

/// What a pull verifies of the content that the store has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// Takes a blob from the pool without hashing it: it was verified on arrival, and pooled files are never
    /// written again.
    #[default]
    Cached,
    /// Hashes a blob again before taking it. A damaged blob is moved to quarantine.
    Rehash,
}

/// An image being assembled in a store. Cheap to clone. If it is dropped without [`commit`](Self::commit), only
/// its complete blobs stay in the store.
///
/// Every blob of the image is linked into the staging first. From then on no collector can remove it.
#[derive(Debug, Clone)]
#[must_use = "an image is published by `commit`"]
pub struct Staging(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) verify: Verify,
    /// `Some` until the staging is dropped.
    scratch: Option<Scratch>,
    /// The layout to publish.
    pub(super) image: Dir,
    /// One per algorithm, created with the first blob of that algorithm.
    blobs: [OnceLock<Blobs>; Algorithm::ALL.len()],
    /// The directory of unfinished blobs, opened when the first blob must be fetched.
    ingests: OnceLock<Arc<Dir>>,
    /// Whether the image has the files that every layout has.
    is_begun: Mutex<bool>,
    /// The task that removes the leftovers of dead processes, if this is the first image of this process.
    pub(super) sweeping: Mutex<Option<JoinHandle<Result<()>>>>,
    /// The blobs that this staging brought into the store.
    arrived: Mutex<Vec<Digest>>,
    /// Set when there is nothing left that takes long to remove.
    pub(super) is_published: AtomicBool,
    /// Last in the drop order: the store is not idle until all other fields are cleaned up.
    store: Store,
}

/// Removes the staging's files on a blocking thread, because a staging may be dropped in asynchronous code.
impl Drop for Inner {
    fn drop(&mut self) {
        let scratch = self.scratch.take();
        if !self.is_published.load(Ordering::Relaxed)
            && let Ok(runtime) = Handle::try_current()
        {
            let busy = self.store.tracker().token();
            runtime.spawn_blocking(move || {
                drop(scratch);
                drop(busy);
            });
        }
    }
}

/// The directories for blobs of one algorithm: the image's and the pool's.
#[derive(Debug)]
struct Blobs {
    staged: Dir,
    pool: Dir,
}

impl Store {
    /// Begins an image. The first call also starts to remove the leftovers of dead processes in the background.
    pub fn stage(&self, verify: Verify) -> Result<Staging> {
        let sweeping = Mutex::new(self.begin_sweep()?);
        let scratch = Scratch::new(self.dir())?;
        let image = scratch.dir().make_unsynced("image")?;
        let (store, scratch, blobs) = (self.clone(), Some(scratch), Default::default());
        let (ingests, is_begun, is_published) = (OnceLock::new(), Mutex::default(), AtomicBool::default());
        Ok(Staging(Arc::new(Inner {
            verify,
            scratch,
            image,
            blobs,
            ingests,
            is_begun,
            sweeping,
            arrived: Mutex::default(),
            is_published,
            store,
        })))
    }
}

impl Staging {
    /// Links a blob from the pool into the image. `false`: the pool does not have it, or it was damaged and is
    /// now in quarantine.
    ///
    /// Fails with [`SizeMismatch`](ErrorKind::SizeMismatch) if its size differs from the descriptor's.
    pub async fn link(&self, blob: &Descriptor) -> Result<bool> {
        let Some(size) = self.pooled_size(blob)? else { return Ok(false) };
        if self.believes(blob, size)
            && let Some(linked) = self.try_link(blob)?
        {
            return Ok(linked);
        }
        // The blob must be hashed again, or copied.
        let permit = descriptors::check_blob().await;
        let (this, blob) = (self.clone(), blob.clone());
        blocking(move || {
            let _permit = permit;
            this.link_sound(&blob)
        })
        .await
    }

    /// Adds a document that is in memory, such as a manifest. It enters the pool as well.
    ///
    /// Fails with [`DigestMismatch`](ErrorKind::DigestMismatch) or [`SizeMismatch`](ErrorKind::SizeMismatch) if
    /// the bytes do not match the descriptor.
    pub async fn put(&self, blob: &Descriptor, bytes: Vec<u8>) -> Result<()> {
        blob.verify(&bytes)?;
        if self.link(blob).await? {
            return Ok(());
        }
        let (this, blob) = (self.clone(), blob.clone());
        blocking(move || {
            this.begin_layout(blob.digest.algorithm())?;
            let (blobs, name) = (this.blobs(&blob.digest)?, blob.digest.hex());
            blobs.write_new(name, &bytes)?;
            this.arrived(&blob.digest);
            this.share(&blob.digest)
        })
        .await
    }

    /// Reads a blob that the image already has, whose descriptor gives a size of at most `limit` bytes. The
    /// content is hashed again. `None`: the image does not have the blob yet.
    ///
    /// Fails with [`DigestMismatch`](ErrorKind::DigestMismatch) or [`SizeMismatch`](ErrorKind::SizeMismatch) if
    /// the blob came from the pool and is damaged there. The pool's file is then in quarantine, and the next
    /// attempt fetches the blob.
    pub fn read(&self, blob: &Descriptor, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(bytes) = self.0.image.read(pool_file(&blob.digest), limit)? else { return Ok(None) };
        if let Err(damaged) = blob.verify(&bytes) {
            self.store().quarantine(self.pool(&blob.digest)?, &blob.digest)?;
            return Err(damaged.context("a stored blob of the image was damaged").with_help("try again"));
        }
        Ok(Some(bytes))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    /// Notes that this staging brought the blob into the store, and did not find it there.
    pub(crate) fn arrived(&self, blob: &Digest) {
        self.lock_arrived().push(blob.clone());
    }

    pub(super) fn lock_arrived(&self) -> MutexGuard<'_, Vec<Digest>> {
        self.0.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The image's directory for blobs of this digest's algorithm.
    pub(crate) fn blobs(&self, digest: &Digest) -> Result<&Dir> {
        Ok(&self.dirs(digest)?.staged)
    }

    /// The pool's directory for blobs of this digest's algorithm.
    pub(crate) fn pool(&self, digest: &Digest) -> Result<&Dir> {
        Ok(&self.dirs(digest)?.pool)
    }

    fn dirs(&self, digest: &Digest) -> Result<&Blobs> {
        let cell = &self.0.blobs[digest.algorithm() as usize];
        if let Some(dirs) = cell.get() {
            return Ok(dirs);
        }
        let pool = self.store().pool(digest)?;
        let staged = self.0.image.make_unsynced("blobs")?.make_unsynced(digest.algorithm().as_str())?;
        Ok(cell.get_or_init(|| Blobs { staged, pool }))
    }

    /// The directory of unfinished blobs.
    pub(crate) fn ingests(&self) -> Result<Arc<Dir>> {
        if let Some(dir) = self.0.ingests.get() {
            return Ok(dir.clone());
        }
        let dir = Arc::new(self.store().dir().make("ingest")?);
        Ok(self.0.ingests.get_or_init(|| dir).clone())
    }

    pub(crate) fn scratch(&self) -> &Dir {
        self.0.scratch.as_ref().expect("it is there until it is dropped").dir()
    }

    /// Adds the image's own blob to the pool. Another process may have added it there in the meantime.
    pub(crate) fn share(&self, digest: &Digest) -> Result<()> {
        // Without hard links, the pool goes without this blob: the image has its own copy.
        self.store().link(self.blobs(digest)?, digest.hex(), self.pool(digest)?, digest.hex()).map(drop)
    }

    /// Takes the blob from the pool, and hashes it again first unless it is trusted.
    pub(crate) fn link_sound(&self, blob: &Descriptor) -> Result<bool> {
        match self.pooled_size(blob)? {
            None => Ok(false),
            Some(size) => Ok((self.believes(blob, size) || self.is_sound(blob)?) && self.link_now(blob)?),
        }
    }

    /// The size of the blob in the pool.
    fn pooled_size(&self, blob: &Descriptor) -> Result<Option<u64>> {
        let stat = self.pool(&blob.digest)?.stat(blob.digest.hex())?;
        Ok(stat.map(|stat| u64::try_from(stat.st_size).unwrap_or_default()))
    }

    /// Whether to take the pool's blob, of this size, without hashing it. Never if its size differs from the
    /// descriptor's: one of the two is wrong, and only the hash tells which.
    fn believes(&self, blob: &Descriptor, size: u64) -> bool {
        self.0.verify == Verify::Cached && size == blob.size
    }

    fn link_now(&self, blob: &Descriptor) -> Result<bool> {
        match self.try_link(blob)? {
            Some(linked) => Ok(linked),
            None => self.copy_from_pool(blob),
        }
    }

    /// `None`: the blob must be copied.
    fn try_link(&self, blob: &Descriptor) -> Result<Option<bool>> {
        let (digest, name) = (&blob.digest, blob.digest.hex());
        let linked = self.store().link(self.pool(digest)?, name, self.blobs(digest)?, name)?;
        Ok(match linked {
            Ok(()) | Err(NoLink::There) => Some(true),
            Err(NoLink::Gone) => Some(false),
            Err(NoLink::Full | NoLink::Impossible) => None,
        })
    }

    /// Copies the blob, for file systems without hard links, and for files that have reached the limit on
    /// links.
    fn copy_from_pool(&self, blob: &Descriptor) -> Result<bool> {
        let Some(source) = self.store().dir().open_file(pool_file(&blob.digest))? else { return Ok(false) };
        self.copy_in(source, blob)?;
        Ok(true)
    }

    /// Whether the content of the pool's blob has the right digest. A damaged blob is moved to quarantine.
    fn is_sound(&self, blob: &Descriptor) -> Result<bool> {
        let (store, pool) = (self.store(), self.pool(&blob.digest)?);
        let Some(file) = pool.open_file(blob.digest.hex())? else { return Ok(false) };
        let path = store.root().join(pool_file(&blob.digest));
        let hashed = crate::fs::hash::hash(&file, &path, blob.digest.algorithm()).map(Some);
        match unless_damaged(hashed)? {
            Some((found, size)) if found == blob.digest => blob.expect_size(size).map(|()| true),
            _ => {
                store.quarantine(pool, &blob.digest)?;
                Ok(false)
            }
        }
    }

    /// Creates the parts of the layout that need no blob, while the blobs are still being fetched.
    pub(super) fn begin_layout(&self, algorithm: Algorithm) -> Result<()> {
        let mut is_begun = self.0.is_begun.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_begun {
            self.0.image.write_new("oci-layout", OCI_LAYOUT)?;
            self.store().dir().make(images_path(algorithm))?;
            *is_begun = true;
        }
        Ok(())
    }
}
