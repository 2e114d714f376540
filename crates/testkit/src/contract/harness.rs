//! The harness: starts a registry for the suite, and lists its abilities.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use hoist_core::{ImageRegistry, PulledImage, Result};

use super::ability::Ability;
use super::origin::Origin;
use crate::image::Publishable;

/// The platform that every registry under test must speak for.
pub const PLATFORM: &str = "linux/amd64";

/// Starts registries for the suite to run on: a backend, a decorator, or a whole stack.
#[async_trait::async_trait]
pub trait Harness: Send + Sync {
    /// The name of the tested registry, as it appears in the names of the tests.
    fn name(&self) -> String;

    /// What the registry and its origin can do. Cases that need more do not apply.
    fn abilities(&self) -> Vec<Ability>;

    /// A registry with nothing in its store, which speaks for [`PLATFORM`], on an origin of its own with
    /// nothing published yet.
    async fn start(&self) -> Subject;
}

/// A registry under test, and its origin.
pub struct Subject {
    registry: Arc<dyn ImageRegistry>,
    origin: Box<dyn Origin>,
    kept: Vec<Box<dyn Any + Send + Sync>>,
}

impl Subject {
    /// This registry, which gets its images from this origin.
    pub fn new(registry: impl ImageRegistry + 'static, origin: impl Origin + 'static) -> Self {
        Self { registry: Arc::new(registry), origin: Box::new(origin), kept: Vec::new() }
    }

    /// Keeps something alive for as long as the test runs, such as a temporary directory.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send + Sync) -> Self {
        self.kept.push(Box::new(guard));
        self
    }

    /// The registry under test.
    pub fn registry(&self) -> &Arc<dyn ImageRegistry> {
        &self.registry
    }

    /// Where it gets its images from.
    pub fn origin(&self) -> &dyn Origin {
        &*self.origin
    }

    pub(super) async fn publish(&self, repository: &str, tag: &str, what: impl Into<Publishable>) -> String {
        self.origin.publish(repository, tag, &what.into()).await
    }

    pub(super) async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.registry.pull(reference).await
    }

    pub(super) async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.registry.force_pull(reference).await
    }

    pub(super) async fn is_cached(&self, reference: &str) -> bool {
        self.registry.is_cached(reference).await
    }

    pub(super) async fn remove(&self, reference: &str) -> Result<bool> {
        self.registry.remove(reference).await
    }

    /// All that is cached; to list it must not fail.
    pub(super) async fn list(&self) -> Vec<String> {
        self.registry.list_cached().await.expect("what is cached can be listed")
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("kept", &self.kept.len()).finish_non_exhaustive()
    }
}
