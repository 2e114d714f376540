//! Images in a store.

use hoist_core::{Descriptor, Digest, media_type};
use hoist_store::{Lease, Store, StoreOptions, Verify};
use serde_json::json;
use tempfile::TempDir;

/// A store in a temporary directory.
pub(crate) fn store() -> (TempDir, Store) {
    let temp = TempDir::new().unwrap();
    let store = Store::open(temp.path().join("store"), StoreOptions::default()).unwrap();
    (temp, store)
}

/// Puts an image of these blobs into the store, which says that its layers have these digests.
pub(crate) async fn put_as(store: &Store, layers: &[Vec<u8>], diff_ids: &[Digest]) -> Lease {
    let config =
        json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = config.to_string().into_bytes();
    let described: Vec<_> =
        layers.iter().map(|layer| Descriptor::of("application/octet-stream", layer)).collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": Descriptor::of(media_type::OCI_CONFIG, &config), "layers": described});
    let manifest = manifest.to_string().into_bytes();
    let staging = store.stage(Verify::Cached).unwrap();
    for (blob, bytes) in described.iter().zip(layers) {
        staging.put(blob, bytes.clone()).await.unwrap();
    }
    staging.put(&Descriptor::of(media_type::OCI_CONFIG, &config), config).await.unwrap();
    let entry = Descriptor::of(media_type::OCI_MANIFEST, &manifest);
    staging.put(&entry, manifest).await.unwrap();
    staging.commit(entry).await.unwrap()
}

/// Puts an image of these archives into the store.
pub(crate) async fn put(store: &Store, layers: &[Vec<u8>]) -> Lease {
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::sha256(layer)).collect();
    put_as(store, layers, &diff_ids).await
}
