//! Images in memory, and what is done with them in every test.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use bytes::Bytes;
use hoist_core::{Descriptor, Platform, Reference, media_type};
use hoist_store::{Claim, Ingest, Lease, Staging, Store, StoreOptions, StoredImage, Verify};
use tempfile::TempDir;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image of one layer, in memory.
pub(crate) struct Image {
    pub(crate) manifest: Descriptor,
    pub(crate) bytes: Vec<u8>,
    pub(crate) blobs: Vec<(Descriptor, Vec<u8>)>,
}

pub(crate) fn image(layer: &[u8]) -> Image {
    image_with(b"{}", layer)
}

pub(crate) fn image_with(configuration: &[u8], layer: &[u8]) -> Image {
    let config = Descriptor::of("application/vnd.oci.image.config.v1+json", configuration);
    let layer_descriptor = Descriptor::of(LAYER, layer);
    let json = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": [layer_descriptor],
    });
    let bytes = serde_json::to_vec(&json).unwrap();
    let blobs = vec![(config, configuration.to_vec()), (layer_descriptor, layer.to_vec())];
    Image { manifest: Descriptor::of(media_type::OCI_MANIFEST, &bytes), bytes, blobs }
}

pub(crate) fn open(dir: &TempDir) -> Store {
    Store::open(dir.path().join("store"), StoreOptions::default()).unwrap()
}

pub(crate) fn platform() -> Platform {
    "linux/amd64".parse().unwrap()
}

pub(crate) fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

pub(crate) async fn fill(staging: &Staging, image: &Image) {
    for (descriptor, bytes) in &image.blobs {
        if let Claim::Fetch(ingest) = staging.claim(descriptor).await.unwrap() {
            ingest.write(0, Bytes::copy_from_slice(bytes)).await.unwrap();
            ingest.commit().await.unwrap();
        }
    }
    staging.put(&image.manifest, image.bytes.clone()).await.unwrap();
}

/// Claims a blob that nobody has brought yet.
pub(crate) async fn fetch(staging: &Staging, blob: &Descriptor) -> Ingest {
    match staging.claim(blob).await.unwrap() {
        Claim::Fetch(ingest) => ingest,
        Claim::Present => panic!("it is new"),
    }
}

pub(crate) async fn put(store: &Store, image: &Image, verify: Verify) -> Lease {
    let staging = store.stage(verify).unwrap();
    fill(&staging, image).await;
    staging.commit(image.manifest.clone()).await.unwrap()
}

pub(crate) async fn pull(store: &Store, image: &Image, name: &str) -> StoredImage {
    let lease = put(store, image, Verify::Cached).await;
    store.name(&reference(name), &platform(), &lease, None).unwrap()
}

pub(crate) fn layer_path(dir: &Path, image: &Image) -> std::path::PathBuf {
    dir.join("blobs/sha256").join(image.blobs[1].0.digest.hex())
}

/// All files and directories below, as paths.
pub(crate) fn tree(dir: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        paths.push(entry.path().display().to_string());
        if entry.file_type().unwrap().is_dir() {
            paths.extend(tree(&entry.path()));
        }
    }
    paths
}

/// Writes over a file that is not writable.
pub(crate) fn damage(path: &Path, bytes: &[u8]) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Gives others their turn until this is so.
pub(crate) fn wait_until(is_so: impl Fn() -> bool) {
    while !is_so() {
        std::thread::yield_now();
    }
}

/// Whether anybody waits for the lock of this directory, as `proc_locks(5)` has it.
pub(crate) fn is_waited_for(dir: &Path) -> bool {
    let inode = fs::metadata(dir).map_or(0, |dir| dir.ino());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|lock| lock.contains("->") && lock.contains(&format!(":{inode} ")))
}
