//! What is deleted, by whom, and what is spared.

use std::fs;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hoist_core::Digest;
use hoist_store::{Claim, Collected, GcOptions, Verify};
use tempfile::TempDir;

use crate::support::{fetch, image, is_waited_for, layer_path, open, platform, pull, reference, wait_until};

#[tokio::test]
async fn a_blob_that_another_image_needs_survives() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let (a, b) = (image(b"a"), image(b"b"));
    pull(&store, &a, "a").await;
    let kept = pull(&store, &b, "b").await;
    store.remove(&reference("a"), &platform()).unwrap();
    let config = b.blobs[0].0.digest.hex();
    assert_eq!(fs::read(kept.path.join("blobs/sha256").join(config)).unwrap(), b"{}");
    assert!(store.root().join("blobs/sha256").join(config).exists());
}

#[tokio::test]
async fn a_leased_image_outlives_its_last_name() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let stored = pull(&store, &image, "demo").await;
    let lease = store.lease(&stored.digest).unwrap().unwrap();
    assert!(store.remove(&reference("demo"), &platform()).unwrap());
    assert_eq!(store.peek(&reference("demo"), &platform()).unwrap(), None);
    assert!(layer_path(&stored.path, &image).exists());
    drop(lease);
}

#[tokio::test]
async fn what_a_moved_tag_leaves_is_collected_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let (old, new) = (image(b"old"), image(b"new"));
    let left = pull(&store, &old, "demo").await;
    let kept = pull(&store, &new, "demo").await;
    let would = store.gc(GcOptions::default().with_dry_run(true)).unwrap();
    assert!(layer_path(&left.path, &old).exists(), "a dry run takes nothing");
    let lease = store.lease(&left.digest).unwrap().unwrap();
    assert_eq!(store.gc(GcOptions::default()).unwrap().images, [], "it is leased");
    drop(lease);
    let did = store.gc(GcOptions::default()).unwrap();
    assert_eq!(did, would);
    assert_eq!(did.images, [left.digest]);
    assert!(did.bytes > 0 && did.blobs == 2, "{did:?}");
    assert!(!left.path.exists() && !layer_path(store.root(), &old).exists());
    assert_eq!(fs::read(layer_path(&kept.path, &new)).unwrap(), b"new");
    assert!(kept.path.join("blobs/sha256").join(new.blobs[0].0.digest.hex()).exists(), "both had this blob");
}

#[tokio::test]
async fn what_a_failed_pull_left_is_kept_for_a_day_or_taken_with_all_the_rest() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"0123456789"));
    let staging = store.stage(Verify::Cached).unwrap();
    let config = fetch(&staging, &image.blobs[0].0).await;
    config.write(0, Bytes::from_static(b"{}")).await.unwrap();
    config.commit().await.unwrap();
    let layer = fetch(&staging, &image.blobs[1].0).await;
    layer.write(0, Bytes::from_static(b"0123")).await.unwrap();
    assert_eq!(store.gc(GcOptions::default().with_all(true)).unwrap(), Collected::default(), "it is in use");
    drop((layer, staging));
    // The lock of the abandoned ingest is free when another can claim it.
    let staging = store.stage(Verify::Cached).unwrap();
    assert!(
        matches!(staging.claim(&image.blobs[1].0).await.unwrap(), Claim::Fetch(next) if next.is_resumed())
    );
    drop(staging);
    store.idle().await;
    assert_eq!(store.gc(GcOptions::default()).unwrap(), Collected::default(), "the next try goes on from it");
    while store.gc(GcOptions::default().with_all(true)).unwrap().ingests == 0 {
        tokio::task::yield_now().await; // its thread has not ended yet
    }
    assert!(!store.root().join("blobs/sha256").join(image.blobs[0].0.digest.hex()).exists());
    assert!(fs::read_dir(store.root().join("ingest")).unwrap().next().is_none());
}

#[test]
fn what_broke_off_is_kept_for_a_day_and_what_a_dead_process_staged_not_at_all() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let ingest = store.root().join("ingest").join(Digest::sha256(b"blob").hex());
    let staging = store.root().join("staging/1-0");
    fs::create_dir_all(&staging).unwrap();
    fs::create_dir_all(ingest.parent().unwrap()).unwrap();
    let journal = ingest.with_extension("journal");
    for file in [&ingest, &journal, &staging.join("data")] {
        fs::write(file, "data").unwrap();
    }
    // One whose blob is in the pool: its owner died after that.
    let done = store.root().join("ingest").join(Digest::sha256(b"done").hex());
    let pooled = store.root().join("blobs/sha256").join(Digest::sha256(b"done").hex());
    let orphan = store.root().join("ingest").join(Digest::sha256(b"orphan").hex()).with_extension("journal");
    for file in [&done, &done.with_extension("journal"), &orphan] {
        fs::write(file, "").unwrap();
    }
    fs::create_dir_all(pooled.parent().unwrap()).unwrap();
    fs::write(pooled, "done").unwrap();
    let gc = |dry_run| store.gc(GcOptions::default().with_dry_run(dry_run)).unwrap();
    assert_eq!(gc(true).ingests, 0);
    assert!(staging.exists() && done.exists(), "a dry run takes nothing");
    assert_eq!(gc(false).ingests, 0);
    assert!(!staging.exists() && ingest.exists() && journal.exists());
    assert_eq!(fs::read_dir(ingest.parent().unwrap()).unwrap().count(), 2, "the others are gone");
    let data = fs::File::options().write(true).open(&ingest).unwrap();
    data.set_modified(SystemTime::now() - Duration::from_hours(25)).unwrap();
    assert_eq!((gc(true).ingests, gc(false).ingests), (1, 1));
    assert!(!ingest.exists() && !journal.exists());
}

#[tokio::test]
async fn an_image_that_is_removed_as_unnamed_has_neither_a_name_nor_a_lease() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let stored = pull(&store, &image, "demo:v1").await;
    assert!(!store.remove_unnamed(&stored.digest).unwrap(), "it has a name");
    let lease = store.lease(&stored.digest).unwrap().unwrap();
    assert!(store.remove(&reference("demo:v1"), &platform()).unwrap());
    assert!(!store.remove_unnamed(&stored.digest).unwrap(), "it is leased");
    assert_eq!(store.unnamed().unwrap(), std::slice::from_ref(&stored.digest));
    drop(lease);
    assert!(store.remove_unnamed(&stored.digest).unwrap());
    assert!(!stored.path.exists());
    assert!(!store.remove_unnamed(&stored.digest).unwrap(), "it has gone");
}

#[tokio::test]
async fn an_image_that_somebody_has_alone_is_waited_for_and_nobody_else_is_held_up() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let stored = pull(&store, &image, "demo").await;
    let alone = fs::File::open(&stored.path).unwrap();
    alone.lock().unwrap();
    let let_go = async {
        wait_until(|| is_waited_for(&stored.path));
        drop(alone);
    };
    let (lease, ()) = tokio::join!(store.lease_async(&stored.digest), let_go);
    assert_eq!(*lease.unwrap().unwrap().digest(), stored.digest);
}

#[tokio::test]
async fn what_dead_processes_left_is_gone_when_the_first_image_is_there() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    fs::create_dir_all(store.root().join("staging/1-0/image")).unwrap();
    pull(&store, &image, "demo").await;
    assert!(fs::read_dir(store.root().join("staging")).unwrap().next().is_none());
}
