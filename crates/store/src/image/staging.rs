//! An image on its way: it gathers what a manifest names, and is published by one rename.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hoist_core::{Algorithm, Descriptor, Digest, Document, Error, ErrorKind, MAX_DOCUMENT, Result};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::fs::blocking::{blocking, broken_off};
use crate::fs::dir::{Dir, NoLink, unless_damaged};
use crate::fs::lock;
use crate::fs::scratch::Scratch;
use crate::image::layout::{OCI_LAYOUT, index_of_one};
use crate::paths::{images_path, pool_file};
use crate::store::Store;
use crate::store::integrity::is_whole;
use crate::store::lease::Lease;

/// Whether what the pool has is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// A blob was verified when it came, and nobody writes to the pool: it is taken as it is.
    #[default]
    Pool,
    /// A blob is hashed again before it is taken; one that is damaged goes into quarantine.
    Nothing,
}

/// An image on its way into a store. Cheap to clone; dropped without [`commit`](Self::commit), it leaves
/// nothing but the blobs that were whole.
///
/// Every blob that the image needs is linked here first, so that from then on no collector can take it.
#[derive(Debug, Clone)]
#[must_use = "an image is published by `commit`"]
pub struct Staging(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    trust: Trust,
    /// There until it is dropped.
    scratch: Option<Scratch>,
    /// The layout that will be published.
    image: Dir,
    /// By algorithm, and made when the first blob of it comes.
    blobs: [OnceLock<Blobs>; Algorithm::ALL.len()],
    /// Where blobs are on their way; opened when the first one has to be fetched.
    ingests: OnceLock<Arc<Dir>>,
    /// Whether the image has what every layout has.
    is_begun: Mutex<bool>,
    /// What removes what dead processes left, if this is the first image of this process.
    sweeping: Mutex<Option<JoinHandle<Result<()>>>>,
    /// Set when there is nothing left that it would take long to remove.
    is_published: AtomicBool,
    /// Last, since the store is not idle until all of this is cleaned up.
    store: Store,
}

/// What a staging leaves is removed where waiting is allowed: it may be dropped in asynchronous code.
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

/// Where the blobs of one algorithm are: the image's, and the pool's.
#[derive(Debug)]
struct Blobs {
    staged: Dir,
    pool: Dir,
}

impl Store {
    /// Begins an image. The first one has what dead processes left removed meanwhile.
    pub fn stage(&self, trust: Trust) -> Result<Staging> {
        let sweeping = Mutex::new(self.begin_sweep()?);
        let scratch = Scratch::new(self.dir())?;
        let image = scratch.dir().make_unsynced("image")?;
        let (store, scratch, blobs) = (self.clone(), Some(scratch), Default::default());
        let (ingests, is_begun, is_published) = (OnceLock::new(), Mutex::default(), AtomicBool::default());
        Ok(Staging(Arc::new(Inner {
            trust,
            scratch,
            image,
            blobs,
            ingests,
            is_begun,
            sweeping,
            is_published,
            store,
        })))
    }
}

impl Staging {
    /// Takes the blob from the pool. `false`: the pool does not have it, or it was damaged; then it is in
    /// quarantine now.
    ///
    /// Fails with [`SizeMismatch`](ErrorKind::SizeMismatch) where it has another size than the descriptor says.
    pub async fn link(&self, blob: &Descriptor) -> Result<bool> {
        let Some(size) = self.pooled_size(blob)? else { return Ok(false) };
        if self.believes(blob, size)
            && let Some(linked) = self.try_link(blob)?
        {
            return Ok(linked);
        }
        // It has to be hashed again, or copied.
        let (this, blob) = (self.clone(), blob.clone());
        blocking(move || this.link_sound(&blob)).await
    }

    /// Adds a document that is in memory, a manifest; it enters the pool as well.
    ///
    /// Fails with [`DigestMismatch`](ErrorKind::DigestMismatch) or
    /// [`SizeMismatch`](ErrorKind::SizeMismatch) where it is not what the descriptor says.
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
            this.share(&blob.digest)
        })
        .await
    }

    /// The content of a blob that the image has by now, whose descriptor says that it is no larger than `limit` bytes. It is
    /// hashed again. `None`: the image does not have it yet.
    ///
    /// Fails with [`DigestMismatch`](ErrorKind::DigestMismatch) or [`SizeMismatch`](ErrorKind::SizeMismatch) where it was
    /// taken from the pool, and is damaged there; then that is in quarantine, and a next try fetches it.
    pub fn read(&self, blob: &Descriptor, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(bytes) = self.0.image.read(pool_file(&blob.digest), limit)? else { return Ok(None) };
        if let Err(damaged) = blob.verify(&bytes) {
            self.store().quarantine(self.pool(&blob.digest)?, &blob.digest)?;
            return Err(damaged
                .context("what the store had of the image was damaged")
                .with_help("try again"));
        }
        Ok(Some(bytes))
    }

    /// Publishes the image, and leases it before anybody could collect it.
    ///
    /// `manifest` becomes the one entry of the layout's index, with its platform and annotations. All that it
    /// names must have been added. Where the image is here already, that is leased instead; if it turns out
    /// damaged, it is replaced, in one step.
    pub async fn commit(self, manifest: Descriptor) -> Result<Lease> {
        let sweeping = self.0.sweeping.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sweeping) = sweeping {
            sweeping.await.unwrap_or_else(|cause| Err(broken_off(cause)))?;
        }
        let store = self.store().clone();
        let commit = move |_: &Store| {
            let lease = self.commit_now(&manifest)?;
            self.0.is_published.store(true, Ordering::Relaxed);
            Ok(lease)
        };
        store.blocking(commit).await
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
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

    /// The directory of blobs on their way.
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

    /// Adds the image's own blob to the pool, which may have got one meanwhile.
    pub(crate) fn share(&self, digest: &Digest) -> Result<()> {
        // Without links, the pool goes without this blob: the image has its own copy.
        self.store().link(self.blobs(digest)?, digest.hex(), self.pool(digest)?, digest.hex()).map(drop)
    }

    /// Takes the blob from the pool, having hashed it again where it is not to be believed.
    pub(crate) fn link_sound(&self, blob: &Descriptor) -> Result<bool> {
        match self.pooled_size(blob)? {
            None => Ok(false),
            Some(size) => Ok((self.believes(blob, size) || self.is_sound(blob)?) && self.link_now(blob)?),
        }
    }

    /// The size of the pool's blob.
    fn pooled_size(&self, blob: &Descriptor) -> Result<Option<u64>> {
        let stat = self.pool(&blob.digest)?.stat(blob.digest.hex())?;
        Ok(stat.map(|stat| u64::try_from(stat.st_size).unwrap_or_default()))
    }

    /// Whether the pool's blob, of this size, is taken as it is. One of another size than the descriptor says
    /// never is: either of them is wrong, and only its hash tells which.
    fn believes(&self, blob: &Descriptor, size: u64) -> bool {
        self.0.trust == Trust::Pool && size == blob.size
    }

    fn link_now(&self, blob: &Descriptor) -> Result<bool> {
        match self.try_link(blob)? {
            Some(linked) => Ok(linked),
            None => self.copy_from_pool(blob),
        }
    }

    /// `None`: it takes a copy.
    fn try_link(&self, blob: &Descriptor) -> Result<Option<bool>> {
        let (digest, name) = (&blob.digest, blob.digest.hex());
        let linked = self.store().link(self.pool(digest)?, name, self.blobs(digest)?, name)?;
        Ok(match linked {
            Ok(()) | Err(NoLink::There) => Some(true),
            Err(NoLink::Gone) => Some(false),
            Err(NoLink::Full | NoLink::Impossible) => None,
        })
    }

    /// A copy, where the file system has no links, or no more of this blob.
    fn copy_from_pool(&self, blob: &Descriptor) -> Result<bool> {
        let Some(source) = self.store().dir().open_file(pool_file(&blob.digest))? else { return Ok(false) };
        self.copy_in(source, blob)?;
        Ok(true)
    }

    /// Whether the pool's blob is what it should be. One that is damaged goes into quarantine.
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

    /// What needs no blob: done while those are still on their way.
    fn begin_layout(&self, algorithm: Algorithm) -> Result<()> {
        let mut is_begun = self.0.is_begun.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_begun {
            self.0.image.write_new("oci-layout", OCI_LAYOUT)?;
            self.store().dir().make(images_path(algorithm))?;
            *is_begun = true;
        }
        Ok(())
    }

    fn commit_now(&self, manifest: &Descriptor) -> Result<Lease> {
        self.check_complete(manifest)?;
        self.begin_layout(manifest.digest.algorithm())?;
        self.0.image.write_new("index.json", &index_of_one(manifest))?;
        self.sync_all()?;
        loop {
            if let Some(lease) = self.publish(&manifest.digest)? {
                return Ok(lease);
            }
        }
    }

    /// Fails unless the manifest and all that it names are here, in their size. Their digests were checked as
    /// they were added.
    fn check_complete(&self, manifest: &Descriptor) -> Result<()> {
        let missing = |blob: &Descriptor| {
            Error::new(ErrorKind::Storage, format!("the image lacks its blob {}", blob.digest))
        };
        let bytes = self.0.image.read(pool_file(&manifest.digest), MAX_DOCUMENT)?;
        let bytes = bytes.ok_or_else(|| missing(manifest))?;
        let Document::Manifest(document) = Document::parse(&bytes, Some(&manifest.media_type))? else {
            return Err(Error::new(ErrorKind::Malformed, "an image's manifest is not a manifest"));
        };
        for blob in document.blobs() {
            let stat = self.blobs(&blob.digest)?.stat(blob.digest.hex())?.ok_or_else(|| missing(blob))?;
            blob.expect_size(u64::try_from(stat.st_size).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Makes the layout's names durable, from the innermost outwards, and the pool's new ones.
    fn sync_all(&self) -> Result<()> {
        let blobs = self.0.image.make_unsynced("blobs")?;
        for entry in blobs.entries()? {
            let entry = entry?;
            if let Some(dir) = blobs.sub(&entry.name)? {
                dir.sync()?;
            }
            if let Some(pool) = self.store().dir().sub(format!("blobs/{}", entry.name))? {
                pool.sync()?;
            }
        }
        blobs.sync()?;
        self.0.image.sync()
    }

    /// Moves the image to its place, or leases what is there. `None`: that has gone just now; try again.
    fn publish(&self, digest: &Digest) -> Result<Option<Lease>> {
        let images = self.store().dir().make(images_path(digest.algorithm()))?;
        let staged = lock::share(self.scratch(), "image")?;
        let staged = staged.ok_or_else(|| Error::new(ErrorKind::Storage, "the staged image has gone"))?;
        if self.scratch().rename_new("image", &images, digest.hex())? {
            images.sync()?;
            self.store().grow();
            return Ok(Some(Lease::new(staged, digest.clone())));
        }
        let Some(there) = lock::share(&images, digest.hex())? else { return Ok(None) };
        if self.is_as_good(&there, digest)? {
            return Ok(Some(Lease::new(there, digest.clone())));
        }
        drop(there);
        self.replace(&images, staged, digest)
    }

    /// Whether the image that is there need not be replaced by this one.
    fn is_as_good(&self, there: &Dir, digest: &Digest) -> Result<bool> {
        match self.0.trust {
            Trust::Pool => is_whole(there, digest),
            Trust::Nothing => self.is_same(there, digest),
        }
    }

    /// Puts the staged image in the place of one that is damaged. `None`: that has gone just now.
    fn replace(&self, images: &Dir, staged: Dir, digest: &Digest) -> Result<Option<Lease>> {
        let Some(_owned) = lock::try_own(images, digest.hex())? else { return self.mend(images, digest) };
        if !self.scratch().exchange("image", images, digest.hex())? {
            return Ok(None);
        }
        images.sync()?;
        Ok(Some(Lease::new(staged, digest.clone())))
    }

    /// Moves each staged file to its place in a damaged image that is leased. The directory stays the same, since
    /// it is what leases are held on.
    fn mend(&self, images: &Dir, digest: &Digest) -> Result<Option<Lease>> {
        let Some(damaged) = lock::share(images, digest.hex())? else { return Ok(None) };
        self.0.image.move_all(&damaged)?;
        Ok(Some(Lease::new(damaged, digest.clone())))
    }

    /// Whether the image that is there has the very files that were verified for this one.
    fn is_same(&self, there: &Dir, digest: &Digest) -> Result<bool> {
        if there.read("oci-layout", MAX_DOCUMENT)?.as_deref() != Some(OCI_LAYOUT) {
            return Ok(false);
        }
        if !names_only(there, digest)? {
            return Ok(false);
        }
        let blobs = self.0.image.make_unsynced("blobs")?;
        for algorithm in blobs.entries()? {
            let algorithm = algorithm?;
            let Some(ours) = blobs.sub(&algorithm.name)? else { return Ok(false) };
            for blob in ours.entries()? {
                let blob = blob?;
                let theirs = there.stat(format!("blobs/{}/{}", algorithm.name, blob.name))?;
                if ours.stat(&blob.name)?.map(|s| s.st_ino) != theirs.map(|s| s.st_ino) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Whether a layout's index has this one entry.
pub(crate) fn names_only(layout: &Dir, digest: &Digest) -> Result<bool> {
    let bytes = unless_damaged(layout.read("index.json", MAX_DOCUMENT))?.unwrap_or_default();
    Ok(match Document::parse(&bytes, None) {
        Ok(Document::Index(index)) => matches!(&index.manifests[..], [only] if only.digest == *digest),
        _ => false,
    })
}
