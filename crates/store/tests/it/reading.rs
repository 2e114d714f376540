//! What an image has is read from the image itself, whatever becomes of the pool.

use std::fs;

use hoist_core::ErrorKind;
use hoist_store::Verify;
use tempfile::TempDir;

use crate::support::{damage, fill, image, open};

#[tokio::test]
async fn what_is_staged_and_what_is_leased_is_read_though_the_pool_does_not_have_it() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let (layer, bytes) = &image.blobs[1];
    let staging = store.stage(Verify::Cached).unwrap();
    assert_eq!(staging.read(layer, 100).unwrap(), None, "it is not there yet");
    fill(&staging, &image).await;
    fs::remove_dir_all(store.root().join("blobs")).unwrap();
    assert_eq!(staging.read(layer, 100).unwrap().as_ref(), Some(bytes));
    assert_eq!(*staging.read(layer, 4).unwrap_err().kind(), ErrorKind::TooLarge);
    let lease = staging.commit(image.manifest.clone()).await.unwrap();
    assert_eq!(lease.read(layer, 100).unwrap().as_ref(), Some(bytes));
    assert_eq!(lease.read(&crate::support::image(b"other").blobs[1].0, 100).unwrap(), None);
    damage(&store.image_path(lease.digest()).join("blobs/sha256").join(layer.digest.hex()), b"lavas");
    assert_eq!(*lease.read(layer, 100).unwrap_err().kind(), ErrorKind::DigestMismatch);
}

#[tokio::test]
async fn what_was_damaged_in_the_pool_is_not_read_from_the_image_and_the_next_try_fetches_it() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let layer = &image.blobs[1].0;
    fill(&store.stage(Verify::Cached).unwrap(), &image).await;
    damage(&crate::support::layer_path(store.root(), &image), b"lavas");
    let staging = store.stage(Verify::Cached).unwrap();
    fill(&staging, &image).await;
    assert_eq!(*staging.read(layer, 100).unwrap_err().kind(), ErrorKind::DigestMismatch);
    let staging = store.stage(Verify::Cached).unwrap();
    fill(&staging, &image).await;
    assert_eq!(staging.read(layer, 100).unwrap().unwrap(), b"layer");
}
