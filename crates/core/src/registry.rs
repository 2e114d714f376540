//! The one trait that backends implement and decorators wrap.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Metadata about a successfully pulled image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PulledImage {
    /// An OCI image layout directory of one image: `oci-layout`, `index.json`, `blobs/sha256/...`
    /// ([image-layout](https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md)).
    pub path: PathBuf,
    /// The digest of the platform's manifest, `sha256:abc123...`; the one entry of the layout's index.
    pub digest: String,
    /// The fully-qualified reference that was resolved, `docker.io/library/nginx:latest`.
    pub reference: String,
}

/// A place that images come from.
///
/// A reference is a string in Docker's conventions: `nginx` means `docker.io/library/nginx:latest`, see
/// [`Reference`](crate::Reference). Every registry speaks for one platform.
///
/// # Contract
///
/// Whatever implements this trait keeps these promises, alone and in any composition:
///
/// - *verified*: every byte reachable from [`PulledImage::path`] matched its digest and its size, hashed
///   on this machine, whoever served it.
/// - *pinned*: a digest reference yields exactly that content or an error.
/// - *atomic*: a reader sees a whole image or none; a failure publishes nothing, and a
///   [`force_pull`](Self::force_pull) that fails leaves the old image as it was.
/// - *cancel-safe*: to drop a future is a failure like any other; verified blobs stay for the next try.
/// - *concurrent*: calls overlap, in one process and across processes; equal pulls share one download.
/// - *stable*: a result stays readable until someone removes it.
/// - *honest*: an origin that cannot be reached is [`Unavailable`](crate::ErrorKind::Unavailable), never
///   [`NotFound`](crate::ErrorKind::NotFound); no secret is in an error, a log line or a `Debug`.
///
/// [`is_cached`](Self::is_cached), [`list_cached`](Self::list_cached) and [`remove`](Self::remove) see the
/// same images. The testkit's behavioural suite checks all of this on every implementation.
#[async_trait::async_trait]
pub trait ImageRegistry: Send + Sync {
    /// Puts the image on disk, answering from a local cache first, where there is one.
    async fn pull(&self, reference: &str) -> Result<PulledImage>;

    /// Puts the image on disk, asking the origin again whatever a cache says. What is stored already is
    /// hashed again, and only what is missing or damaged is fetched. The old image is replaced only by
    /// success.
    async fn force_pull(&self, reference: &str) -> Result<PulledImage>;

    /// Whether the image is cached. Its bytes, which were checked when they came, are not read again. Trouble in
    /// finding out is logged, and answered `false`.
    async fn is_cached(&self, reference: &str) -> bool;

    /// Forgets the image under this name. `true`: it was found and removed.
    async fn remove(&self, reference: &str) -> Result<bool>;

    /// The references of all cached images of this registry's platform: sorted, fully qualified.
    async fn list_cached(&self) -> Result<Vec<String>>;
}

/// Forwards the whole trait through a pointer, so that `Arc<dyn ImageRegistry>` is one as well.
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
