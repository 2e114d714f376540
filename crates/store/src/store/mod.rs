//! The store's handle: its root directory, the state that the other modules share, and its calls and leases.

pub(crate) mod admissions;
pub(crate) mod arrival;
pub(crate) mod call;
pub(crate) mod format;
pub(crate) mod integrity;
pub(crate) mod lease;
pub(crate) mod leasing;
pub(crate) mod links;
pub(crate) mod owned;
pub(crate) mod sweep;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use hoist_core::{Descriptor, Digest, Events, Result};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use self::admissions::Admissions;
use self::call::Scope;
use self::format::{absolute, check_format, check_locks, create_root, open_to_group};
use self::leasing::Leasings;
use self::sweep::sweep;
use crate::fs::dir::{Dir, NoLink};
use crate::fs::network::refuse_network;
use crate::fs::scratch::Scratch;
use crate::options::{Access, Durability, StoreOptions};

use crate::paths::{images_path, pool_file, pool_path};

/// How many fetched bytes may wait to be written, for all blobs of a store together.
pub(crate) const WRITE_BUDGET: usize = 4 << 20;

/// An open store: a directory that holds images. Cheap to clone; clones share everything.
///
/// Any number of handles, in any number of processes, may be open on one directory at once.
///
/// ```
/// use hoist_core::{Descriptor, Platform, media_type};
/// use hoist_store::{Store, StoreOptions, Verify};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let dir = tempfile::tempdir().unwrap();
/// let store = Store::open(dir.path().join("store"), StoreOptions::default())?;
///
/// // An image enters through a staging, which verifies every byte of it.
/// let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
/// let manifest = format!(r#"{{"schemaVersion":2,"config":{},"layers":[]}}"#, serde_json::to_string(&config).unwrap());
/// let entry = Descriptor::of(media_type::OCI_MANIFEST, manifest.as_bytes());
/// let staging = store.stage(Verify::Cached)?;
/// staging.put(&config, b"{}".to_vec()).await?;
/// staging.put(&entry, manifest.into_bytes()).await?;
/// let lease = staging.commit(entry).await?;
///
/// // The image is known by a name from now on, and stays at least as long as it is leased.
/// let (reference, platform) = ("example.com/demo:v1".parse()?, "linux/amd64".parse::<Platform>()?);
/// store.name(&reference, &platform, &lease, None)?;
/// drop(lease);
/// let image = store.resolve(&reference, &platform).await?.expect("it is here");
/// assert!(image.path.join("index.json").exists());
/// # Ok::<(), hoist_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
    /// The policies of this handle and its clones. Other handles may have the same directory open without them.
    pub(crate) admissions: Admissions,
    /// The call that this handle belongs to, if any.
    pub(crate) scope: Option<Arc<Scope>>,
}

#[derive(Debug)]
struct Inner {
    root: Dir,
    /// The size limit can change while the store is open.
    options: Mutex<StoreOptions>,
    events: Mutex<Events>,
    /// Locks of the ingests in this process, by name, so that tasks wait for each other without polling.
    ingests: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    /// Held while an ingest's files are created.
    claims: tokio::sync::Mutex<()>,
    write_budget: Arc<Semaphore>,
    swept: OnceLock<()>,
    /// Whether an image was added since the last check.
    grown: AtomicBool,
    /// Set after the warning that hard links are not possible.
    copies: OnceLock<()>,
    /// Whether hard links are possible, once known.
    links: OnceLock<bool>,
    /// The callers that want leases of named and hit images.
    leasings: Leasings,
    /// Counts the running calls.
    tracker: TaskTracker,
}

impl Store {
    /// Opens the store in this directory, and creates the directory if it is missing.
    ///
    /// A store that this process cannot write to is opened as well, and hands out the images that it has.
    ///
    /// Fails with [`Unsupported`](hoist_core::ErrorKind::Unsupported) if a newer version of hoist wrote the
    /// store, the file system has no working locks or is a
    /// [network file system](StoreOptions::with_network_file_system), or the kernel does not allow `openat2(2)`. Fails with [`Storage`](hoist_core::ErrorKind::Storage)
    /// if the directory holds other files, or cannot be written.
    pub fn open(root: impl AsRef<Path>, options: StoreOptions) -> Result<Self> {
        let root = absolute(root.as_ref())?;
        let durable = options.durability == Durability::Synced;
        if !options.allow_network_file_system {
            refuse_network(&root)?;
        }
        create_root(&root, durable)?;
        let dir = Dir::open(&root, durable)?;
        check_locks(&dir)?;
        check_format(&dir)?;
        if let Access::Group(group) = options.access {
            open_to_group(&root, group)?;
        }
        let inner = Inner {
            root: dir,
            options: Mutex::new(options),
            events: Mutex::default(),
            ingests: Mutex::default(),
            claims: tokio::sync::Mutex::default(),
            write_budget: Arc::new(Semaphore::new(WRITE_BUDGET)),
            swept: OnceLock::new(),
            grown: AtomicBool::new(false),
            copies: OnceLock::new(),
            links: OnceLock::new(),
            leasings: Leasings::default(),
            tracker: call::tracker(),
        };
        Ok(Self { inner: Arc::new(inner), admissions: Admissions::default(), scope: None })
    }

    /// The directory of the store.
    pub fn root(&self) -> &Path {
        self.inner.root.path()
    }

    /// The options with which the store was opened, with the current size limit.
    pub fn options(&self) -> StoreOptions {
        self.inner.options.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Limits the store to `max_size` bytes of disk space from now on, in all clones, as
    /// [`StoreOptions::with_max_size`] does on opening. `None` removes the limit. Nothing is evicted yet.
    pub fn limit_to(&self, max_size: Option<u64>) {
        self.inner.options.lock().unwrap_or_else(PoisonError::into_inner).max_size = max_size;
    }

    /// Reports evictions of this store, in all clones, to these events from now on:
    /// [`Event::Evicted`](hoist_core::Event::Evicted).
    pub fn report_to(&self, events: Events) {
        *self.inner.events.lock().unwrap_or_else(PoisonError::into_inner) = events;
    }

    pub(crate) fn events(&self) -> Events {
        self.inner.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The layout directory of the image with this manifest, whether or not the image exists.
    pub fn image_path(&self, digest: &Digest) -> PathBuf {
        self.root().join(images_path(digest.algorithm())).join(digest.hex())
    }

    /// Reads a blob of the pool, whose descriptor gives a size of at most `limit` bytes. The content is hashed
    /// again. `None`: the pool does not have the blob, or it was damaged and is now in quarantine.
    pub fn read_blob(&self, blob: &Descriptor, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(bytes) = self.dir().read(pool_file(&blob.digest), limit)? else { return Ok(None) };
        if blob.digest.verify(&bytes).is_err() {
            self.quarantine(&self.pool(&blob.digest)?, &blob.digest)?;
            return Ok(None);
        }
        blob.expect_size(bytes.len() as u64)?;
        Ok(Some(bytes))
    }

    pub(crate) fn dir(&self) -> &Dir {
        &self.inner.root
    }

    /// The pool's directory for blobs of this digest's algorithm.
    pub(crate) fn pool(&self, digest: &Digest) -> Result<Dir> {
        self.dir().make(pool_path(digest.algorithm()))
    }

    /// Creates a directory for preparing files. The first call removes the leftovers of dead processes.
    pub(crate) fn scratch(&self) -> Result<Scratch> {
        if self.inner.swept.set(()).is_ok() {
            sweep(self.dir())?;
        }
        Scratch::new(self.dir())
    }

    /// Removes the leftovers of dead processes, unless that was done before: on a blocking thread if there is a
    /// runtime.
    pub(crate) fn begin_sweep(&self) -> Result<Option<JoinHandle<Result<()>>>> {
        if self.inner.swept.set(()).is_err() {
            return Ok(None);
        }
        let Ok(runtime) = Handle::try_current() else { return sweep(self.dir()).map(|()| None) };
        let (store, busy) = (self.clone(), self.tracker().token());
        Ok(Some(runtime.spawn_blocking(move || {
            let swept = sweep(store.dir());
            drop(busy);
            swept
        })))
    }

    /// The lock of this process for the ingest of this name.
    pub(crate) fn local_claim(&self, ingest: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut ingests = self.inner.ingests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = ingests.get(ingest).and_then(Weak::upgrade) {
            return turn;
        }
        ingests.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        ingests.insert(ingest.to_owned(), Arc::downgrade(&turn));
        turn
    }

    /// Like [`Dir::link`]. If hard links are not possible at all, logs one warning that images will be copied.
    pub(crate) fn link(
        &self,
        from: &Dir,
        name: &str,
        to: &Dir,
        new: &str,
    ) -> Result<std::result::Result<(), NoLink>> {
        let linked = from.link(name, to, new)?;
        if linked == Err(NoLink::Impossible) && self.inner.copies.set(()).is_ok() {
            let (from, to) = (from.path().display(), to.path().display());
            tracing::warn!(
                "files in {from} cannot be linked to {to}, so images are copied and take more disk space"
            );
        }
        Ok(linked)
    }

    pub(crate) fn links(&self) -> &OnceLock<bool> {
        &self.inner.links
    }

    /// Records that an image was added.
    pub(crate) fn grow(&self) {
        self.inner.grown.store(true, Ordering::Relaxed);
    }

    /// Whether an image was added since the last call.
    pub(crate) fn has_grown(&self) -> bool {
        self.inner.grown.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn leasings(&self) -> &Leasings {
        &self.inner.leasings
    }

    pub(crate) fn tracker(&self) -> &TaskTracker {
        &self.inner.tracker
    }

    pub(crate) fn claims(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.claims
    }

    pub(crate) fn write_budget(&self) -> Arc<Semaphore> {
        self.inner.write_budget.clone()
    }
}
