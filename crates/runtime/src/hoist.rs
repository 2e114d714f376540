//! The stack of backends that a program uses.

use std::fmt;

use hoist_core::{
    Digest, Error, ErrorKind, Events, ImageRegistry, Platform, PulledImage, Reference, Resolution, Result,
};
use hoist_store::{Lease, Store, StoreOptions, blocking};

use crate::config::Config;
use crate::lookup::Lookup;
use crate::source::{self, Shared, Source};

/// How often a pull is made again because its image was removed before it could be leased.
const ATTEMPTS: usize = 3;

/// A stack of backends over one store: an [`ImageRegistry`], and what that trait has no words for.
///
/// `Display` shows what is stacked: `cached(fallback(local(/srv/images), remote))`.
#[derive(Debug)]
pub struct Hoist {
    stack: Box<dyn Source>,
    store: Store,
    platform: Platform,
    lookup: Lookup,
}

/// Opens the store, and stacks what the configuration enables on it.
///
/// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) where that contradicts itself, or enables no source;
/// with [`Unsupported`](ErrorKind::Unsupported) where it asks for what is not compiled in; and as
/// [`Store::open`] does.
pub fn open(config: &Config) -> Result<Hoist> {
    open_with_events(config, Events::default())
}

/// As [`open`], with the progress of each pull reported. Where one source is asked after another, each
/// reports its own part: a [`Failed`](crate::Event::Failed) of the first may be followed by more.
pub fn open_with_events(config: &Config, events: Events) -> Result<Hoist> {
    config.check()?;
    source::check(config)?;
    let platform = config.platform.clone().unwrap_or_else(Platform::host);
    let mut options = StoreOptions::default().with_durability(config.durability);
    options.max_size = config.max_size;
    let store = Store::open(&config.root, options)?;
    let shared = Shared { store, platform, events };
    let stack = source::stack(config, &shared)?;
    let lookup = Lookup::new(config, &shared);
    let Shared { store, platform, .. } = shared;
    Ok(Hoist { stack, store, platform, lookup })
}

impl Hoist {
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
    /// Fails as a pull does; with [`InvalidConfig`](ErrorKind::InvalidConfig) where registries are not asked, and
    /// with [`Unsupported`](ErrorKind::Unsupported) where the feature `remote` is not compiled in.
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

    /// Forgets an image under every name that this stands for, and says which those were, sorted: a reference
    /// is one, as by [`remove`](ImageRegistry::remove); `name@digest` is all that lead there in its repository;
    /// a digest alone, of an image or an index, is all in the store. An image without a name is deleted by its
    /// digest, which is then what is returned. Nothing: it was not here.
    pub async fn remove_all(&self, which: &str) -> Result<Vec<String>> {
        let Ok(digest) = which.parse::<Digest>() else {
            return self.remove_reference(&which.parse()?).await;
        };
        let mut removed = Vec::new();
        for reference in self.names_of(&digest).await? {
            if self.remove(&reference.to_string()).await? {
                removed.push(reference.to_string());
            }
        }
        let store = self.store.clone();
        let (id, unnamed) = (digest.clone(), blocking(move || store.remove_unnamed(&digest)).await?);
        if removed.is_empty() && unnamed {
            removed.push(id.to_string());
        }
        Ok(removed)
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
        let (store, digest, platform) = (self.store.clone(), digest.clone(), self.platform.clone());
        blocking(move || store.names_of(&digest, &platform)).await
    }

    /// A pull whose image stays on the disk for as long as the lease is held, whoever removes it.
    pub async fn pull_leased(&self, reference: &str) -> Result<(PulledImage, Lease)> {
        for _ in 0..ATTEMPTS {
            let image = self.pull(reference).await?;
            let digest: Digest = image.digest.parse()?;
            if let Some(lease) = self.store.lease(&digest)? {
                return Ok((image, lease));
            }
        }
        let reference: Reference = reference.parse()?;
        let message = format!("{reference} was removed each of the {ATTEMPTS} times it was pulled");
        Err(Error::new(ErrorKind::Storage, message).with_help("pull it while nobody removes it"))
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait::async_trait]
impl ImageRegistry for Hoist {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.stack.pull(reference).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.stack.force_pull(reference).await
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
