//! A registry that the program implements: hoist knows nothing of it but the trait.

use std::fmt;
use std::sync::Arc;

use hoist_core::{ImageRegistry, Platform, PulledImage, Result};
use hoist_store::owned;

use super::{Backend, SourceContext};

/// A registry that can be displayed.
pub(crate) trait Shown: ImageRegistry + fmt::Display {}

impl<R: ImageRegistry + fmt::Display> Shown for R {}

/// Makes the registry for a platform.
pub(crate) type Make = Arc<dyn Fn(&SourceContext) -> Box<dyn Shown> + Send + Sync>;

pub(super) struct Custom {
    registry: Arc<dyn Shown>,
    make: Make,
    context: SourceContext,
}

impl Custom {
    pub(super) fn new(make: Make, context: SourceContext) -> Self {
        Self { registry: make(&context).into(), make, context }
    }

    /// Pulls in a task of its own, and returns the image if the store admits it: the registry itself may not have
    /// checked that.
    async fn admitted<F>(
        &self,
        reference: &str,
        pull: impl FnOnce(Arc<dyn Shown>, String) -> F,
    ) -> Result<PulledImage>
    where
        F: Future<Output = Result<PulledImage>> + Send + 'static,
    {
        let SourceContext { store, platform, .. } = &self.context;
        let parsed = reference.parse()?;
        store.admit_reference(&parsed)?;
        let image = owned(pull(self.registry.clone(), reference.to_owned())).await?;
        store.admit_pulled(&parsed, platform, &image).await?;
        Ok(image)
    }
}

#[async_trait::async_trait]
impl Backend for Custom {
    async fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        let SourceContext { store, platform, .. } = &self.context;
        Ok(store.resolve(&reference.parse()?, platform).await?.map(Into::into))
    }

    fn for_platform(&self, platform: &Platform) -> Box<dyn Backend> {
        let context = SourceContext { platform: platform.clone(), ..self.context.clone() };
        Box::new(Self::new(self.make.clone(), context))
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait::async_trait]
impl ImageRegistry for Custom {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        let pull = |registry: Arc<dyn Shown>, name: String| async move { registry.pull(&name).await };
        self.admitted(reference, pull).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        let pull = |registry: Arc<dyn Shown>, name: String| async move { registry.force_pull(&name).await };
        self.admitted(reference, pull).await
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

impl fmt::Display for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.registry.fmt(f)
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Custom").field(&self.to_string()).finish()
    }
}
