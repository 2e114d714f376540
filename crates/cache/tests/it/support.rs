//! A registry that counts what it is asked, and the cache in front of it.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use hoist_cache::Cached;
use hoist_core::{
    Descriptor, Digest, Error, ErrorKind, ImageRegistry, Platform, PulledImage, Result, media_type,
};
use hoist_store::{Layout, Store, StoreOptions, Verify};
use tempfile::TempDir;
use tokio::sync::Semaphore;

pub(crate) const REFERENCE: &str = "docker.io/library/demo:v1";

/// A registry with one image, which it has in a store of its own or in that of the cache.
pub(crate) struct Fake {
    store: Store,
    pub(crate) image: Mutex<Image>,
    /// What it says in place of an image.
    pub(crate) error: Mutex<Option<Error>>,
    pulls: AtomicUsize,
    /// How many of its answers are removed before anybody looks at them.
    pub(crate) vanishing: AtomicUsize,
    /// Whoever pulls waits for a permit, unless it is forced.
    pub(crate) open: Semaphore,
}

#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) source: PathBuf,
    pub(crate) manifest: Descriptor,
    pub(crate) index: Option<Vec<u8>>,
}

impl Fake {
    fn new(store: Store, image: Image) -> Self {
        Self {
            store,
            image: Mutex::new(image),
            error: Mutex::default(),
            pulls: AtomicUsize::new(0),
            vanishing: AtomicUsize::new(0),
            open: Semaphore::new(100),
        }
    }

    /// Says this from now on; `None`: gives its image again.
    pub(crate) fn say(&self, kind: impl Into<Option<ErrorKind>>) {
        *self.error.lock().unwrap() = kind.into().map(|kind| Error::new(kind, "the registry said so"));
    }

    /// How often it was asked.
    pub(crate) fn pulls(&self) -> usize {
        self.pulls.load(Ordering::SeqCst)
    }

    /// Gives others their turn until it was asked so often.
    pub(crate) async fn until_asked(&self, times: usize) {
        while self.pulls() < times {
            tokio::task::yield_now().await;
        }
    }

    async fn answer(&self, reference: &str, verify: Verify) -> Result<PulledImage> {
        self.pulls.fetch_add(1, Ordering::SeqCst);
        let error = self.error.lock().unwrap().clone();
        if verify == Verify::Cached {
            self.open.acquire().await.unwrap().forget();
        }
        if let Some(error) = error {
            return Err(error);
        }
        let Image { source, manifest, index } = self.image.lock().unwrap().clone();
        let lease = self.store.adopt(Layout::open(&source)?, manifest, verify).await?;
        let index = index.as_ref().map(|bytes| (Digest::sha256(bytes), bytes));
        let index = index.as_ref().map(|(digest, bytes)| (digest, &bytes[..]));
        let reference = reference.parse()?;
        let image = self.store.name(&reference, &platform(), &lease, index)?;
        drop(lease);
        let less = |count: usize| count.checked_sub(1);
        if self.vanishing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            self.store.remove(&reference, &platform())?;
        }
        Ok(image.into())
    }
}

#[async_trait::async_trait]
impl ImageRegistry for Fake {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.answer(reference, Verify::Cached).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.answer(reference, Verify::Rehash).await
    }

    async fn is_cached(&self, _: &str) -> bool {
        panic!("the cache speaks for its own store only")
    }

    async fn remove(&self, _: &str) -> Result<bool> {
        panic!("the cache speaks for its own store only")
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        panic!("the cache speaks for its own store only")
    }
}

pub(crate) fn platform() -> Platform {
    "linux/amd64".parse().unwrap()
}

pub(crate) fn store(dir: &TempDir, name: &str) -> Store {
    Store::open(dir.path().join(name), StoreOptions::default()).unwrap()
}

/// Writes a layout with one image, as another program would have left it.
pub(crate) fn image(dir: &TempDir, layer: &str) -> Image {
    let source = dir.path().join(format!("image-{layer}"));
    let put = |media_type: &str, bytes: &[u8]| {
        let descriptor = Descriptor::of(media_type, bytes);
        fs::create_dir_all(source.join("blobs/sha256")).unwrap();
        fs::write(source.join("blobs/sha256").join(descriptor.digest.hex()), bytes).unwrap();
        descriptor
    };
    let config = put("application/vnd.oci.image.config.v1+json", b"{}");
    let layer = put("application/vnd.oci.image.layer.v1.tar", layer.as_bytes());
    let json = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
    let manifest = put(media_type::OCI_MANIFEST, json.to_string().as_bytes());
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(source.join("index.json"), index.to_string()).unwrap();
    fs::write(source.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let mut manifest = manifest;
    manifest.platform = Some(platform());
    Image { source, manifest, index: None }
}

pub(crate) fn cached(dir: &TempDir, inner_store: &str, image: Image) -> Cached<Fake> {
    let fake = Fake::new(store(dir, inner_store), image);
    Cached::new(fake, store(dir, "store")).with_platform(platform())
}
