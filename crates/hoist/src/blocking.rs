//! The same for programs that have no async runtime: each call returns when its work is done.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hoist_core::{Error, ErrorKind, ImageRegistry, Platform, PulledImage, Resolution, Result};
use hoist_store::{Lease, Store};
use tokio::runtime::{Handle, Runtime};
use tokio::time::timeout;

use crate::builder::Builder;
use crate::config::Config;

/// How long the last front waits for work on the disk that was begun and is not wanted any more.
const CLEAN_UP: Duration = Duration::from_secs(5);

/// A [`hoist::Hoist`](crate::Hoist) whose calls wait, on threads of its own that do the work. It can be called
/// from any thread, and from many at once. Cheap to clone; clones share everything.
///
/// Not from within an async runtime, where to wait would keep others from their work: there, each call fails
/// with [`Unsupported`](ErrorKind::Unsupported), and [`hoist::Hoist`](crate::Hoist) is what to use.
///
/// ```no_run
/// fn main() -> hoist::Result<()> {
///     let hoist = hoist::Hoist::builder().store("/var/lib/vms/images").build_blocking()?;
///     let (image, lease) = hoist.pull_leased("nginx:1.27")?;
///     println!("{} is in {}", image.digest, image.path.display());
///     drop(lease);
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Hoist {
    hoist: crate::Hoist,
    engine: Arc<Engine>,
}

/// Opens what this configuration says, as [`hoist::open`](crate::open) does.
pub fn open(config: &Config) -> Result<Hoist> {
    Hoist::new(crate::open(config)?)
}

impl Builder {
    /// As [`build`](Self::build), for a program that has no async runtime.
    pub fn build_blocking(self) -> Result<Hoist> {
        Hoist::new(self.build()?)
    }
}

impl Hoist {
    /// Waits for what this stack does.
    ///
    /// Fails with [`Storage`](ErrorKind::Storage) where no threads can be had.
    pub fn new(hoist: crate::Hoist) -> Result<Self> {
        let engine = Arc::new(Engine::start(hoist.store().clone())?);
        Ok(Self { hoist, engine })
    }

    /// The stack itself, for asynchronous code.
    pub fn get_ref(&self) -> &crate::Hoist {
        &self.hoist
    }

    /// The store that all images are in.
    pub fn store(&self) -> &Store {
        self.hoist.store()
    }

    /// The platform that images are chosen for.
    pub fn platform(&self) -> &Platform {
        self.hoist.platform()
    }

    /// The same for another platform, as [`hoist::Hoist::for_platform`](crate::Hoist::for_platform).
    #[must_use]
    pub fn for_platform(&self, platform: Platform) -> Self {
        Self { hoist: self.hoist.for_platform(platform), engine: self.engine.clone() }
    }

    /// As [`ImageRegistry::pull`].
    pub fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.engine.wait(self.hoist.pull(reference))
    }

    /// As [`hoist::Hoist::pull_leased`](crate::Hoist::pull_leased).
    pub fn pull_leased(&self, reference: &str) -> Result<(PulledImage, Lease)> {
        self.engine.wait(self.hoist.pull_leased(reference))
    }

    /// As [`ImageRegistry::force_pull`].
    pub fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.engine.wait(self.hoist.force_pull(reference))
    }

    /// As [`ImageRegistry::is_cached`]: trouble in finding out is logged, and answered `false`.
    pub fn is_cached(&self, reference: &str) -> bool {
        let answer = self.engine.wait(async { Ok(self.hoist.is_cached(reference).await) });
        answer.unwrap_or_else(|error| {
            tracing::warn!(reference, error = error.report(), "cannot tell whether an image is cached");
            false
        })
    }

    /// As [`hoist::Hoist::resolve`](crate::Hoist::resolve).
    pub fn resolve(&self, reference: &str) -> Result<Option<PulledImage>> {
        self.engine.wait(self.hoist.resolve(reference))
    }

    /// As [`hoist::Hoist::resolve_remote`](crate::Hoist::resolve_remote).
    pub fn resolve_remote(&self, reference: &str) -> Result<Resolution> {
        self.engine.wait(self.hoist.resolve_remote(reference))
    }

    /// As [`hoist::Hoist::tags`](crate::Hoist::tags).
    pub fn tags(&self, repository: &str) -> Result<Vec<String>> {
        self.engine.wait(self.hoist.tags(repository))
    }

    /// As [`ImageRegistry::remove`].
    pub fn remove(&self, reference: &str) -> Result<bool> {
        self.engine.wait(self.hoist.remove(reference))
    }

    /// As [`hoist::Hoist::remove_all`](crate::Hoist::remove_all).
    pub fn remove_all(&self, which: &str) -> Result<Vec<String>> {
        self.engine.wait(self.hoist.remove_all(which))
    }

    /// As [`ImageRegistry::list_cached`].
    pub fn list_cached(&self) -> Result<Vec<String>> {
        self.engine.wait(self.hoist.list_cached())
    }
}

impl fmt::Display for Hoist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hoist.fmt(f)
    }
}

/// The threads that do the work on a store; there until they are dropped.
#[derive(Debug)]
struct Engine {
    runtime: Option<Runtime>,
    store: Store,
}

impl Engine {
    fn start(store: Store) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("hoist").enable_all().build();
        let runtime = Some(runtime.map_err(|cause| Error::io("cannot start threads", cause))?);
        Ok(Self { runtime, store })
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        // tokio would panic.
        if is_async() {
            let message = "the blocking front of hoist was called on a thread of an async runtime";
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_help("use `hoist::Hoist` there, and await its calls"));
        }
        self.runtime.as_ref().expect("it is there until it is dropped").block_on(work)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        match self.runtime.take() {
            Some(runtime) if is_async() => runtime.shutdown_background(),
            Some(runtime) => {
                _ = runtime.block_on(async { timeout(CLEAN_UP, self.store.idle()).await });
                runtime.shutdown_timeout(CLEAN_UP);
            }
            None => {}
        }
    }
}

/// Whether this thread is one of an async runtime's.
fn is_async() -> bool {
    Handle::try_current().is_ok()
}
