//! A registry that a program brings along: hoist knows nothing of it but the trait.

use std::fmt;
use std::sync::Arc;

use hoist_core::{Digest, Error, ErrorKind, ImageRegistry, Platform, PulledImage, Result};
use hoist_store::{Layout, Lease, Trust, blocking};

use super::SourceContext;
use super::backend::Backend;

/// How often a pull is made again because its image was removed before it could be leased.
const ATTEMPTS: usize = 3;

/// A registry that can be shown.
pub(crate) trait Shown: ImageRegistry + fmt::Display {}

impl<R: ImageRegistry + fmt::Display> Shown for R {}

/// Makes the registry for a platform.
pub(crate) type Make = Arc<dyn Fn(&SourceContext) -> Box<dyn Shown> + Send + Sync>;

pub(super) struct Foreign {
    registry: Box<dyn Shown>,
    make: Make,
    context: SourceContext,
}

impl Foreign {
    pub(super) fn new(make: Make, context: SourceContext) -> Self {
        Self { registry: make(&context), make, context }
    }

    /// The registry's answer to a pull, if it may be handed out: the registry itself may not have asked.
    async fn admitted(
        &self,
        reference: &str,
        pull: impl Future<Output = Result<PulledImage>>,
    ) -> Result<PulledImage> {
        let SourceContext { store, platform, .. } = &self.context;
        let reference = reference.parse()?;
        store.admit_reference(&reference)?;
        let image = pull.await?;
        store.admit_pulled(&reference, platform, &image).await?;
        Ok(image)
    }

    /// Leases what was pulled, having brought it into the store where it is elsewhere. `None`: it was in the
    /// store and is gone.
    async fn lease(&self, pulled: &PulledImage) -> Result<Option<Lease>> {
        let (store, digest) = (&self.context.store, pulled.digest.parse::<Digest>()?);
        if pulled.path == store.image_path(&digest) {
            return store.lease(&digest);
        }
        let layout = Layout::open(&pulled.path)?;
        let entry = layout.entries()?.into_iter().find(|entry| entry.digest == digest);
        let entry = entry.ok_or_else(|| {
            let message = format!("{} is not a layout of {digest}", pulled.path.display());
            Error::new(ErrorKind::Malformed, message)
        })?;
        let lease = store.adopt(layout, entry, Trust::Pool).await?;
        let store = store.clone();
        blocking(move || {
            store.keep_to_limit(); // it gets no name, which would be the moment for it
            Ok(Some(lease))
        })
        .await
    }
}

#[async_trait::async_trait]
impl Backend for Foreign {
    async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        let SourceContext { store, platform, .. } = &self.context;
        Ok(store.resolve(&reference.parse()?, platform).await?.map(Into::into))
    }

    async fn pull_leased(&self, reference: &str) -> Result<(PulledImage, Lease)> {
        for _ in 0..ATTEMPTS {
            let image = self.pull(reference).await?;
            if let Some(lease) = self.lease(&image).await? {
                let path = self.context.store.image_path(lease.digest());
                return Ok((PulledImage { path, ..image }, lease));
            }
        }
        let message = format!("{reference} was removed each of the {ATTEMPTS} times it was pulled");
        Err(Error::new(ErrorKind::Storage, message).with_help("pull it while nobody removes it"))
    }

    fn for_platform(&self, platform: &Platform) -> Self {
        let context = SourceContext { platform: platform.clone(), ..self.context.clone() };
        Self::new(self.make.clone(), context)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait::async_trait]
impl ImageRegistry for Foreign {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.admitted(reference, self.registry.pull(reference)).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.admitted(reference, self.registry.force_pull(reference)).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        self.registry.is_cached(reference).await
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        self.registry.remove(reference).await
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        self.registry.list_cached().await
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.registry.fmt(f)
    }
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Foreign").field(&self.to_string()).finish()
    }
}
