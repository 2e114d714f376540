//! The registry that other crates see: a directory, taken into a store.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hoist_core::{
    Error, ErrorKind, Events, ImageRegistry, Platform, PullEvents, PulledImage, Reference, Result,
};
use hoist_store::{Arrival, Fetched, Layout, Store, Verify, blocking};

use crate::catalog::{Catalog, Found, Naming, absent};
use crate::removal::{self, Directory};

/// Images from a directory that holds an OCI image layout, of one or of many images.
///
/// An entry of its index is called what `io.containerd.image.name` says, or else
/// `org.opencontainers.image.ref.name`. A bare word there is a tag of the repository that is called as the
/// directory is, in Docker's conventions: `v1` in `/srv/images/demo` is `docker.io/library/demo:v1`. An entry
/// without a name is `<repository>@<digest>`; one that cannot be named is passed over. The `+` of a tag, as in a
/// version, becomes `_`.
///
/// What is in the directory is what is cached, as far as it is made for the platform. The directory is read
/// anew in each call, since others may write it; nothing in it is trusted, and no symlink in it followed. A
/// pull takes the image into the store, whatever becomes of the directory later.
///
/// ```no_run
/// use hoist_core::ImageRegistry;
/// use hoist_local::LocalRegistry;
/// use hoist_store::{Store, StoreOptions};
///
/// # async fn run() -> hoist_core::Result<()> {
/// let store = Store::open("/var/lib/hoist", StoreOptions::default())?;
/// let registry = LocalRegistry::open("/srv/images/demo", store)?;
/// for reference in registry.list_cached().await? {
///     println!("{reference} is in {}", registry.pull(&reference).await?.path.display());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct LocalRegistry {
    source: Arc<Source>,
    store: Store,
    events: Events,
}

/// Where images come from; shared with the threads that read there.
#[derive(Debug, Clone)]
struct Source {
    path: PathBuf,
    naming: Naming,
    platform: Platform,
    writable: bool,
    is_immutable: bool,
}

impl LocalRegistry {
    /// The images of the layout in this directory, for the host's platform; pulls go to this store.
    ///
    /// Fails with [`Malformed`](ErrorKind::Malformed) where there is no layout, and with
    /// [`Unsupported`](ErrorKind::Unsupported) where it is of an unknown version.
    pub fn open(dir: impl AsRef<Path>, store: Store) -> Result<Self> {
        let path = dir.as_ref();
        let path =
            std::path::absolute(path).map_err(|e| Error::io(format!("cannot find {}", path.display()), e))?;
        Layout::open(&path)?;
        let naming = Naming::of_directory(&path);
        let source =
            Source { path, naming, platform: Platform::host(), writable: false, is_immutable: false };
        Ok(Self { source: Arc::new(source), store, events: Events::default() })
    }

    /// Chooses images for this platform.
    #[must_use]
    pub fn with_platform(self, platform: Platform) -> Self {
        self.with(|source| source.platform = platform)
    }

    /// Reports progress.
    #[must_use]
    pub fn with_events(self, events: Events) -> Self {
        Self { events, ..self }
    }

    /// Makes bare tags, and entries without a name, those of this repository. Its own tag does not matter.
    #[must_use]
    pub fn with_repository(self, repository: Reference) -> Self {
        self.with(|source| source.naming = Naming::of_repository(repository))
    }

    /// Allows [`remove`](ImageRegistry::remove) to change the directory.
    #[must_use]
    pub fn writable(self) -> Self {
        self.with(|source| source.writable = true)
    }

    /// Declares that the directory's blobs never change. Then the store links to them instead of copying them, if it is
    /// on the same file system.
    #[must_use]
    pub fn immutable(self) -> Self {
        self.with(|source| source.is_immutable = true)
    }

    fn with(mut self, change: impl FnOnce(&mut Source)) -> Self {
        change(Arc::make_mut(&mut self.source));
        self
    }

    /// The image, if the directory has it whole and it was pulled into the store, since it needs a path. Nothing is
    /// copied, and nothing reported.
    ///
    /// Fails where it is not [admitted](Store::with_admission).
    pub async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        let reference: Reference = reference.parse()?;
        let name = reference.clone();
        let find = move |catalog: &Catalog<Layout>| {
            let image = catalog.find(&name)?;
            catalog.check_whole(&image)?;
            Ok(image.manifest.digest)
        };
        let Some(digest) = self.reading(move |catalog| absent(find(&catalog))).await? else {
            return Ok(None);
        };
        self.store.admit_reference(&reference)?;
        let image = self.store.resolve(&reference, &self.source.platform).await?;
        Ok(image.filter(|image| image.digest == digest).map(Into::into))
    }

    async fn has(&self, reference: Reference) -> Result<bool> {
        self.reading(move |catalog| {
            let whole = catalog.find(&reference).and_then(|image| catalog.check_whole(&image));
            Ok(absent(whole)?.is_some())
        })
        .await
    }

    /// Pulls in a task, and reports the pull's beginning and end. The directory decides what there is, also of a digest
    /// that the store has: so this is not [`Store::pull`].
    async fn pull_observed(&self, reference: &str, verify: Verify) -> Result<PulledImage> {
        let reference: Reference = reference.parse()?;
        let events = self.events.for_pull(&reference, &self.source.platform);
        let (this, of) = (self.clone(), events.clone());
        let pull = self.store.owned(|store| async move {
            store.admit_reference(&reference)?;
            let fetch = |store| {
                let (this, reference, events) = (Self { store, ..this.clone() }, &reference, &of);
                async move { this.fetch(reference, verify, events).await }
            };
            store.fetch_and_name(&reference, &this.source.platform, fetch).await
        });
        Ok(events.observe(pull, |image| image.digest.clone()).await?.into())
    }

    /// Brings the image into the store.
    async fn fetch(&self, reference: &Reference, verify: Verify, events: &PullEvents) -> Result<Fetched> {
        let (layout, image) = self.find(reference, verify).await?;
        events.resolved(&image.manifest.digest);
        events.manifest(&image.document);
        let layout = if self.source.is_immutable { layout.immutable() } else { layout };
        let entry = image.manifest.tagged(reference);
        let lease = self.store.adopt_reporting(layout, entry, verify, self.events.clone()).await?;
        Ok(Fetched::New { lease: lease.arrived_by(Arrival::Loaded), index: image.index })
    }

    /// The image in the directory; read and hashed there as a whole where nothing is to be trusted, also what
    /// the store has.
    async fn find(&self, reference: &Reference, verify: Verify) -> Result<(Layout, Found)> {
        let reference = reference.clone();
        self.reading(move |catalog| {
            let image = catalog.find(&reference)?;
            if verify == Verify::Rehash {
                catalog.verify(&image)?;
            }
            Ok((catalog.content, image))
        })
        .await
    }

    /// Does something with what the directory has now.
    async fn reading<T: Send + 'static>(
        &self,
        work: impl FnOnce(Catalog<Layout>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let source = self.source.clone();
        blocking(move || work(source.catalog()?)).await
    }

    fn remove_now(&self, reference: &Reference) -> Result<bool> {
        let source = &self.source;
        if source.catalog()?.entries_of(reference).is_empty() {
            return Ok(false);
        }
        if !source.writable {
            return Err(source.read_only());
        }
        let directory = Directory::lock(&source.path)?;
        let catalog = source.catalog()?;
        let doomed = catalog.entries_of(reference);
        removal::remove(&directory, &catalog.content, &doomed)?;
        self.store.remove(reference, &source.platform)?;
        Ok(!doomed.is_empty())
    }
}

impl Source {
    fn catalog(&self) -> Result<Catalog<Layout>> {
        Catalog::read(&self.path, &self.naming, &self.platform)
    }

    fn read_only(&self) -> Error {
        let path = self.path.display();
        Error::new(ErrorKind::Unsupported, format!("the directory {path} was opened read-only"))
            .with_help("open it with `LocalRegistry::writable`, or with `writable = true` in [local]")
    }
}

#[async_trait::async_trait]
impl ImageRegistry for LocalRegistry {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.pull_observed(reference, Verify::Cached).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.pull_observed(reference, Verify::Rehash).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        let answer = async { self.has(reference.parse()?).await };
        answer.await.unwrap_or_else(|error| {
            tracing::warn!(reference, error = error.report(), "cannot tell whether an image is cached");
            false
        })
    }

    /// Removes an entry with the images of all its platforms, if the registry was opened
    /// [`writable`](LocalRegistry::writable); fails with [`Unsupported`](ErrorKind::Unsupported) otherwise.
    async fn remove(&self, reference: &str) -> Result<bool> {
        let (this, reference) = (self.clone(), reference.parse::<Reference>()?);
        blocking(move || {
            this.remove_now(&reference).map_err(|e| e.context(format!("cannot remove {reference}")))
        })
        .await
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        let names = |catalog: Catalog<Layout>| Ok(catalog.names().iter().map(ToString::to_string).collect());
        let mut names: Vec<String> = self.reading(names).await?;
        names.sort();
        names.dedup();
        Ok(names)
    }
}

impl fmt::Display for LocalRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "local({})", self.source.path.display())
    }
}
