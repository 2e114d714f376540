//! The trait that backends implement and decorators wrap.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Result;

/// The result of a successful pull.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PulledImage {
    /// The OCI image layout directory of this one image: `oci-layout`, `index.json`, `blobs/sha256/...`
    /// ([image-layout](https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md)).
    pub path: PathBuf,
    /// The digest of the platform's manifest, `sha256:abc123...`. It is the only entry of the layout's index.
    pub digest: String,
    /// The fully-qualified reference that was resolved, `docker.io/library/nginx:latest`.
    pub reference: String,
}

/// A source of images.
///
/// References are strings in Docker's conventions: `nginx` means `docker.io/library/nginx:latest`, see
/// [`Reference`](crate::Reference). Every registry serves images for one platform.
///
/// # Contract
///
/// Every implementation of this trait keeps these promises, alone and in any composition:
///
/// - *verified*: every byte reachable from [`PulledImage::path`] was hashed on this machine and matched its
///   digest and size, whatever server sent it.
/// - *pinned*: a reference with a digest yields exactly that content, or an error.
/// - *atomic*: a reader sees a whole image or none. A failure publishes nothing, and a failed
///   [`force_pull`](Self::force_pull) leaves the old image as it was.
/// - *cancel-safe*: dropping a future counts as a failure like any other. Verified blobs stay for the next
///   attempt.
/// - *concurrent*: calls may overlap, in one process and across processes. Equal pulls share one download.
/// - *stable*: a result stays readable until it is removed.
/// - *honest*: an unreachable origin is [`Unavailable`](crate::ErrorKind::Unavailable), never
///   [`NotFound`](crate::ErrorKind::NotFound). Errors, log lines and `Debug` output contain no secrets.
///
/// [`is_cached`](Self::is_cached), [`list_cached`](Self::list_cached) and [`remove`](Self::remove) see the same
/// images. The testkit's behavioural suite checks all of this on every implementation.
#[async_trait::async_trait]
pub trait ImageRegistry: Send + Sync {
    /// Puts the image on the local disk. A local cache, if there is one, answers first.
    async fn pull(&self, reference: &str) -> Result<PulledImage>;

    /// Puts the image on the local disk, and asks the origin again even if the image is cached. Stored content
    /// is hashed again, and only missing or damaged parts are fetched. The old image is replaced only on
    /// success.
    async fn force_pull(&self, reference: &str) -> Result<PulledImage>;

    /// Whether the image is cached. Does not read the image's content again, which was verified when it was
    /// pulled. A failure to find out is logged, and returns `false`.
    async fn is_cached(&self, reference: &str) -> bool;

    /// Removes the image's name. `true`: the name was found and removed.
    async fn remove(&self, reference: &str) -> Result<bool>;

    /// The references of all cached images for this registry's platform, sorted and fully qualified.
    async fn list_cached(&self) -> Result<Vec<String>>;
}

/// Implements the trait for a pointer type, so that `Arc<dyn ImageRegistry>` is a registry as well.
macro_rules! forward {
    ($($pointer:ty),+) => {$(
        #[async_trait::async_trait]
        impl<T: ImageRegistry + ?Sized> ImageRegistry for $pointer {
            async fn pull(&self, reference: &str) -> Result<PulledImage> {
                (**self).pull(reference).await
            }
            async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
                (**self).force_pull(reference).await
            }
            async fn is_cached(&self, reference: &str) -> bool {
                (**self).is_cached(reference).await
            }
            async fn remove(&self, reference: &str) -> Result<bool> {
                (**self).remove(reference).await
            }
            async fn list_cached(&self) -> Result<Vec<String>> {
                (**self).list_cached().await
            }
        }
    )+};
}

forward!(Arc<T>, Box<T>, &T);
