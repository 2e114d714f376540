//! The stack of backends that a program uses.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hoist_core::{
    Digest, Error, ErrorKind, Events, ImageRegistry, Platform, PulledImage, Reference, Resolution, Result,
};
use hoist_store::{Layout, Lease, Store, Trust};

use crate::builder::Builder;
use crate::config::Config;
use crate::lookup::Lookup;
use crate::source::Source;

/// How often a pull is made again because its image was removed before it could be leased.
const ATTEMPTS: usize = 3;

/// A stack of backends over one store: an [`ImageRegistry`], and what that trait has no words for. Cheap to
/// clone; clones share everything.
///
/// `Display` shows what is stacked: `cached(fallback(local(/srv/images), remote))`.
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
    stack: Arc<dyn Source>,
    store: Store,
    platform: Platform,
    lookup: Lookup,
    events: Events,
    views: Arc<Views>,
}

/// The same stack for each platform that was asked for.
type Views = Mutex<HashMap<Platform, Arc<dyn Source>>>;

/// Opens the store, and stacks what the configuration enables on it.
///
/// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) where that contradicts itself, or enables no source;
/// with [`Unsupported`](ErrorKind::Unsupported) where it asks for what is not compiled in; and as
/// [`Store::open`] does.
pub fn open(config: &Config) -> Result<Hoist> {
    Hoist::builder().config(config.clone()).build()
}

/// As [`open`], with the progress of each pull reported: one beginning and one end, however many sources are asked
/// in between.
pub fn open_with_events(config: &Config, events: Events) -> Result<Hoist> {
    Hoist::builder().config(config.clone()).events(events).build()
}

impl Hoist {
    /// Says piece by piece what is to be stacked.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(
        stack: Box<dyn Source>,
        lookup: Lookup,
        store: Store,
        platform: Platform,
        events: Events,
    ) -> Self {
        let stack: Arc<dyn Source> = stack.into();
        let views = Mutex::new(HashMap::from([(platform.clone(), stack.clone())]));
        Self { stack, store, platform, lookup, events, views: Arc::new(views) }
    }

    /// The same stack for another platform, say for one call. It is cheap: the store, connections and tokens are
    /// shared, and all who ask for one platform share one view.
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

    /// The image, if it is here whole. Unlike [`is_cached`](ImageRegistry::is_cached), this tells trouble
    /// from absence; no registry is asked.
    pub async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        self.stack.resolve(reference).await
    }

    /// What a reference is at its registry now, and the images that it leads to. Nothing is stored, and no layer is
    /// fetched.
    ///
    /// Fails as a pull does; with [`InvalidConfig`](ErrorKind::InvalidConfig) where registries are not asked, or
    /// with [`Unavailable`](ErrorKind::Unavailable) where that is because of [`Config::offline`]; and with
    /// [`Unsupported`](ErrorKind::Unsupported) where the feature `remote` is not compiled in.
    pub async fn resolve_remote(&self, reference: &str) -> Result<Resolution> {
        self.lookup.registry()?.resolve_remote(reference).await
    }

    /// The tags that a repository has at its registry now, in the registry's order.
    ///
    /// Fails with [`InvalidReference`](ErrorKind::InvalidReference) where a tag or a digest is named; with
    /// [`TooLarge`](ErrorKind::TooLarge) where the list does not end; and as
    /// [`resolve_remote`](Self::resolve_remote) does.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>> {
        self.lookup.registry()?.tags(repository).await
    }

    /// Logs in to registries as they are reached here, for those who look into what this user has stored.
    ///
    /// Fails where registries are not asked, as [`resolve_remote`](Self::resolve_remote) does.
    #[cfg(feature = "remote")]
    pub fn login(&self) -> Result<hoist_remote::Login> {
        let login = hoist_remote::Login::new(hoist_remote::Keychain::from_environment());
        Ok(login.with_registry(self.lookup.registry()?))
    }

    /// Forgets an image under every name that this stands for, and says which those were, sorted: a reference
    /// is one, as by [`remove`](ImageRegistry::remove); `name@digest` is all that lead there in its repository;
    /// a digest alone, of an image or an index, is all in the store. An image without a name is deleted by its
    /// digest, which is then what is returned. Nothing: it was not here.
    pub async fn remove_all(&self, which: &str) -> Result<Vec<String>> {
        let Ok(digest) = which.parse::<Digest>() else {
            return self.remove_reference(&which.parse()?).await;
        };
        let (names, mut was_here) = (self.names_of(&digest).await?, false);
        for reference in &names {
            // One that has a digest in it takes others along.
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
            Ok(parsed) => self.events.follow(&parsed, pull).await,
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

    /// A pull whose image stays on the disk for as long as the lease is held, whoever removes it.
    ///
    /// Whatever is stacked, a program's own decorators included, each image that is named or hit in the store meanwhile is
    /// leased before anybody could remove it; the one that the pull answered with is handed out.
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

    /// Leases what was pulled and was not named or hit meanwhile in this store, having brought it there where it is
    /// elsewhere. `None`: it was here and is gone.
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
            let lease = store.adopt(layout, entry, Trust::Pool).await?;
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
