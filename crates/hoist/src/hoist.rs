//! The stack of backends that a program uses.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hoist_core::{
    Digest, Error, ErrorKind, Events, ImageRegistry, Platform, PulledImage, Reference, Resolution, Result,
};
use hoist_store::{Layout, Lease, Store, Verify};

use crate::backend::Backend;
use crate::lookup::Lookup;

/// How many times a pull is tried, if its image is removed each time before it can be leased.
const ATTEMPTS: usize = 3;

/// A stack of backends over one store: an [`ImageRegistry`] with further methods. Cheap to clone; clones share
/// everything.
///
/// `Display` shows the stack: `cached(fallback(local(/srv/images), remote))`.
///
/// ```no_run
/// use hoist::{Hoist, ImageRegistry};
///
/// # async fn run() -> hoist::Result<()> {
/// let hoist = Hoist::builder().store("/var/lib/vms/images").local("/srv/images").build()?;
/// let image = hoist.pull("nginx:1.27").await?;
/// let arm = hoist.for_platform("linux/arm64".parse()?).pull("nginx:1.27").await?;
/// assert_ne!(image.digest, arm.digest);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Hoist {
    stack: Arc<dyn Backend>,
    store: Store,
    platform: Platform,
    lookup: Lookup,
    events: Events,
    views: Arc<Views>,
}

/// The stack for each platform that was used.
type Views = Mutex<HashMap<Platform, Arc<dyn Backend>>>;

impl Hoist {
    pub(crate) fn new(
        stack: Box<dyn Backend>,
        lookup: Lookup,
        store: Store,
        platform: Platform,
        events: Events,
    ) -> Self {
        let stack: Arc<dyn Backend> = stack.into();
        let views = Mutex::new(HashMap::from([(platform.clone(), stack.clone())]));
        Self { stack, store, platform, lookup, events, views: Arc::new(views) }
    }

    /// The same stack for another platform, say for one call. This is cheap: the store, connections and tokens are
    /// shared, and so is the view of one platform.
    #[must_use]
    pub fn for_platform(&self, platform: Platform) -> Self {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        let view = views.entry(platform.clone());
        let stack = view.or_insert_with(|| self.stack.for_platform(&platform).into()).clone();
        let lookup = self.lookup.for_platform(&platform);
        Self { stack, platform, lookup, ..self.clone() }
    }

    /// The store that all images are in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The platform that images are chosen for.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// The image, if all of it is on the disk. Unlike [`is_cached`](ImageRegistry::is_cached), this reports errors. It
    /// sends no request to a registry.
    pub async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        self.stack.resolve(reference).await
    }

    /// Resolves a reference at its registry, and lists the images that it leads to. This stores nothing, and fetches no
    /// layer.
    ///
    /// Fails as a pull does; with [`InvalidConfig`](ErrorKind::InvalidConfig) where registries are disabled, or
    /// with [`Unavailable`](ErrorKind::Unavailable) where that is because of [X; and with
    /// [`Unsupported`](ErrorKind::Unsupported) where the feature `remote` is not compiled in.
    pub async fn resolve_remote(&self, reference: &str) -> Result<Resolution> {
        self.lookup.registry()?.resolve_remote(reference).await
    }

    #[cfg(feature = "remote")]
    pub(crate) fn lookup(&self) -> &Lookup {
        &self.lookup
    }

    /// Lists the tags of a repository at its registry, in the registry's order.
    ///
    /// Fails with [`InvalidReference`](ErrorKind::InvalidReference) where a tag or a digest is named; with
    /// [`TooLarge`](ErrorKind::TooLarge) where the list does not end; and as
    /// [`resolve_remote`](Self::resolve_remote) does.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>> {
        self.lookup.registry()?.tags(repository).await
    }

    /// Logs in to registries with this stack's connections, and stores the credentials for this user.
    ///
    /// Fails where registries are disabled, as [`resolve_remote`](Self::resolve_remote) does.
    #[cfg(feature = "remote")]
    pub fn login(&self) -> Result<hoist_remote::Login> {
        let login = hoist_remote::Login::new(hoist_remote::Keychain::from_environment());
        Ok(login.with_registry(self.lookup.registry()?))
    }

    /// Removes every name of an image that `which` stands for, and returns these names, sorted. A reference stands for
    /// itself, as in [`remove`](ImageRegistry::remove); `name@digest` for all names of that digest in its repository; a
    /// digest alone, of an image or an index, for all names in the store. An image without a name is deleted by its
    /// digest, and the digest is returned. The list is empty if the store had no such image.
    pub async fn remove_all(&self, which: &str) -> Result<Vec<String>> {
        let Ok(digest) = which.parse::<Digest>() else {
            return self.remove_reference(&which.parse()?).await;
        };
        let (names, mut was_here) = (self.names_of(&digest).await?, false);
        for reference in &names {
            // Removing a reference with a digest removes others too.
            was_here |= self.remove(&reference.to_string()).await?;
        }
        let left = if was_here { self.names_of(&digest).await? } else { names.clone() };
        let removed = names.iter().filter(|name| !left.contains(name));
        let mut removed: Vec<_> = removed.map(ToString::to_string).collect();
        let (id, remove) = (digest.clone(), move |store: &Store| store.remove_unnamed(&digest));
        let unnamed = self.store.blocking(remove).await?;
        if removed.is_empty() && unnamed {
            removed.push(id.to_string());
        }
        Ok(removed)
    }

    /// Reports the beginning and the end of a pull.
    async fn follow(
        &self,
        reference: &str,
        pull: impl Future<Output = Result<PulledImage>>,
    ) -> Result<PulledImage> {
        match reference.parse() {
            Ok(parsed) => self.events.for_pull(&parsed, &self.platform).follow(pull).await,
            Err(_) => pull.await, // and fails
        }
    }

    async fn remove_reference(&self, reference: &Reference) -> Result<Vec<String>> {
        let mut names = match reference.digest() {
            Some(digest) => self.names_of(digest).await?,
            None => Vec::new(),
        };
        names.retain(|name| name.same_repository(reference));
        if !self.remove(&reference.to_string()).await? {
            return Ok(Vec::new());
        }
        if names.is_empty() {
            names.push(reference.clone());
        }
        Ok(names.iter().map(ToString::to_string).collect())
    }

    async fn names_of(&self, digest: &Digest) -> Result<Vec<Reference>> {
        let (digest, platform) = (digest.clone(), self.platform.clone());
        self.store.blocking(move |store| store.names_of(&digest, &platform)).await
    }

    /// Pulls an image, and leases it: it stays on the disk until the lease is dropped, even if it is removed.
    ///
    /// During the pull, the store leases each image that is named or found in it before it could be removed. This works
    /// for any stack, a program's own decorators included. The lease of the pulled image is returned.
    pub async fn pull_leased(&self, reference: &str) -> Result<(PulledImage, Lease)> {
        for _ in 0..ATTEMPTS {
            let leasing = self.store.leasing();
            let image = self.pull(reference).await?;
            let digest: Digest = image.digest.parse()?;
            let lease = match leasing.take(&digest) {
                Some(lease) => Some(lease),
                None => self.lease(&image, &digest).await?,
            };
            if let Some(lease) = lease {
                let path = self.store.image_path(&digest);
                return Ok((PulledImage { path, ..image }, lease));
            }
        }
        let reference: Reference = reference.parse()?;
        let message = format!("{reference} was removed each of the {ATTEMPTS} times it was found here");
        Err(Error::new(ErrorKind::Storage, message).with_help("pull it while nobody removes it"))
    }

    /// Leases an image that the store did not name or find during the pull. An image from elsewhere is adopted into the
    /// store first. `None`: the image was in the store, and is gone.
    async fn lease(&self, pulled: &PulledImage, digest: &Digest) -> Result<Option<Lease>> {
        let (digest, is_ours) = (digest.clone(), pulled.path == self.store.image_path(digest));
        if is_ours {
            return self.store.blocking(move |store| store.lease(&digest)).await;
        }
        let path = pulled.path.clone();
        let adopt = |store: Store| async move {
            let layout = Layout::open(&path)?;
            let entry = layout.entries()?.into_iter().find(|entry| entry.digest == digest);
            let entry = entry.ok_or_else(|| {
                let message = format!("{} is not a layout of {digest}", path.display());
                Error::new(ErrorKind::Malformed, message)
            })?;
            let lease = store.adopt(layout, entry, Verify::Cached).await?;
            store
                .blocking(move |store| {
                    store.keep_to_limit(); // it gets no name, which would be the moment for it
                    Ok(Some(lease))
                })
                .await
        };
        self.store.owned(adopt).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait::async_trait]
impl ImageRegistry for Hoist {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.follow(reference, self.stack.pull(reference)).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.follow(reference, self.stack.force_pull(reference)).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        self.stack.is_cached(reference).await
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        self.stack.remove(reference).await
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        self.stack.list_cached().await
    }
}

impl fmt::Display for Hoist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.stack, f)
    }
}
