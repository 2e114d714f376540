//! Measuring a store, and keeping it to a size: what goes, in which order, and what stays whatever the size.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use hoist_core::{Digest, Event, Events, Reference};
use hoist_store::{FsckOptions, GcOptions, Store, StoreOptions, StoredImage, Usage, Verify};
use tempfile::TempDir;

use crate::support::{fetch, image, layer_path, open, platform, pull, put, reference, tree};

const LARGE: usize = 1 << 20;

/// A layer of a size that counts.
fn large(seed: u8) -> Vec<u8> {
    vec![seed; LARGE]
}

/// Pulls an image that was last used so many seconds after the beginning.
async fn pull_at(store: &Store, seed: u8, name: &str, seconds: u64) -> StoredImage {
    let stored = pull(store, &image(&large(seed)), name).await;
    used_at(store, name, seconds);
    stored
}

fn used_at(store: &Store, name: &str, seconds: u64) {
    let name = reference(name).name();
    for path in tree(&store.root().join("refs")).into_iter().filter(|path| path.contains(&name)) {
        if Path::new(&path).is_file() {
            let file = fs::File::open(path).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        }
    }
}

fn list(store: &Store) -> Vec<Reference> {
    store.list(&platform()).unwrap()
}

fn limit(bytes: u64) -> GcOptions {
    GcOptions::default().with_max_size(bytes)
}

fn total(store: &Store) -> u64 {
    store.usage().unwrap().total()
}

#[tokio::test]
async fn usage_counts_a_shared_blob_once_and_says_what_each_image_alone_holds() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    assert_eq!(store.usage().unwrap(), Usage::default());
    let shared = image(&large(1));
    pull(&store, &shared, "one").await;
    pull(&store, &shared, "one:again").await;
    pull_at(&store, 2, "two", 1000).await;
    let usage = store.usage().unwrap();
    let [one, two] = &usage.images[..] else { panic!("{usage:?}") };
    assert_eq!(one.references, [reference("one:again"), reference("one")]);
    assert_eq!((two.references.as_slice(), two.last_used), (&[reference("two")][..], Some(1000)));
    assert!(one.own >= LARGE as u64 && one.total > one.own, "both have the same configuration: {one:?}");
    assert!(usage.total() < 2 * LARGE as u64 + (LARGE / 2) as u64, "{usage:?}");
    assert_eq!((usage.unused, usage.ingests, usage.quarantine, usage.staging), (0, 0, 0, 0));
}

#[tokio::test]
async fn usage_tells_what_failed_and_what_is_on_its_way_from_images() {
    let dir = TempDir::new().unwrap();
    let (store, large) = (open(&dir), image(&large(1)));
    let staging = store.stage(Verify::Cached).unwrap();
    for (blob, bytes) in &large.blobs {
        let ingest = fetch(&staging, blob).await;
        ingest.write(0, Bytes::copy_from_slice(bytes)).await.unwrap();
        ingest.commit().await.unwrap();
    }
    assert_eq!(store.usage().unwrap().unused, 0, "its staging directory has it");
    drop(staging);
    store.idle().await;
    let usage = store.usage().unwrap();
    assert!(usage.unused >= LARGE as u64 && usage.unused == usage.pool, "{usage:?}");
}

/// The disk space of the files in a directory of the store and below, those that have a name elsewhere left out.
fn alone_in(store: &Store, dir: &str) -> u64 {
    let files = tree(&store.root().join(dir)).into_iter().map(|path| fs::metadata(path).unwrap());
    files.filter(|meta| meta.is_file() && meta.nlink() == 1).map(|meta| meta.blocks() * 512).sum()
}

#[tokio::test]
async fn usage_is_what_the_disk_says_of_each_place() {
    let dir = TempDir::new().unwrap();
    let (store, kept) = (open(&dir), image(&large(1)));
    let coming = [image(&large(2)), image(&large(3))];
    pull(&store, &kept, "demo").await;
    // As where links cannot be had: the image alone has its layer.
    fs::remove_file(layer_path(store.root(), &kept)).unwrap();
    // Two images and two blobs on their way, and what was damaged, in a directory and beside it.
    let stagings = [store.stage(Verify::Cached).unwrap(), store.stage(Verify::Cached).unwrap()];
    for (staging, image) in stagings.iter().zip(&coming) {
        staging.put(&image.manifest, image.bytes.clone()).await.unwrap();
    }
    let files = coming.each_ref().map(|image| format!("ingest/{}", image.blobs[1].0.digest.hex()));
    let quarantined = ["quarantine/one", "quarantine/two", "quarantine/stray-0/three"].map(String::from);
    for file in files.iter().chain(&quarantined) {
        let path = store.root().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, large(4)).unwrap();
        fs::File::open(&path).unwrap().sync_all().unwrap();
    }
    let usage = store.usage().unwrap();
    let places = ["images", "ingest", "staging", "quarantine"].map(|place| alone_in(&store, place));
    assert_eq!([usage.beside_pool, usage.ingests, usage.staging, usage.quarantine], places);
    assert!(places.iter().all(|space| *space > 0), "{places:?}");
    assert_eq!(usage.total(), usage.pool + places.iter().sum::<u64>());
    drop(stagings);
}

#[tokio::test]
async fn the_image_that_was_not_used_for_longest_goes_first_and_only_as_many_as_must() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for (seed, name) in [(1, "a"), (2, "b"), (3, "c")] {
        pull_at(&store, seed, name, u64::from(seed)).await;
    }
    store.get_and_touch(&reference("a"), &platform()).await.unwrap().unwrap();
    let options = limit(total(&store) - 1);
    let would = store.gc(options.clone().with_dry_run(true)).unwrap();
    assert_eq!(list(&store).len(), 3, "a dry run takes nothing");
    let did = store.gc(options.clone()).unwrap();
    assert_eq!(did, would);
    assert_eq!(did.evicted.len(), 1);
    assert_eq!(did.evicted[0].references, [reference("b")], "a was used since");
    assert_eq!(list(&store), [reference("a"), reference("c")]);
    assert_eq!(did.held, Some(total(&store)));
    assert!(did.bytes >= LARGE as u64);
    assert_eq!(did.blobs, 2, "its layer and its manifest; the configuration is the others' too");
    assert_eq!(store.fsck(&FsckOptions::default()).unwrap().findings, [], "nothing leads there any more");
    assert_eq!(store.gc(options).unwrap().evicted, [], "it is small enough now");
}

#[tokio::test]
async fn what_is_evicted_is_told_and_what_would_be_is_not() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let stored = pull_at(&store, 1, "a", 1).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = told.clone();
    store.report_to(Events::to(move |event| sink.lock().unwrap().push(event)));
    let would = store.gc(limit(0).with_dry_run(true)).unwrap();
    assert_eq!(told.lock().unwrap().len(), 0);
    let did = store.gc(limit(0)).unwrap();
    assert_eq!(did, would);
    let told = told.lock().unwrap();
    assert!(
        matches!(&told[..], [Event::Evicted { digest, bytes, .. }] if *digest == stored.digest && *bytes == did.bytes)
    );
}

#[tokio::test]
async fn what_is_collected_is_counted_to_the_byte() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for (seed, name) in [(1, "demo"), (2, "other"), (3, "demo"), (4, "other")] {
        pull(&store, &image(&large(seed)), name).await;
    }
    // Two of each kind: blobs of failed pulls, ingests that broke off, and what was damaged, one of it in use elsewhere.
    for image in [image(&large(5)), image(&large(6))] {
        drop(put(&store, &image, Verify::Cached).await);
        fs::remove_dir_all(store.image_path(&image.manifest.digest)).unwrap();
    }
    for file in [
        format!("ingest/{}", Digest::sha256(b"one").hex()),
        format!("ingest/{}", Digest::sha256(b"two").hex()),
        "quarantine/one".to_owned(),
        "quarantine/two".to_owned(),
        "quarantine/stray-0/three".to_owned(),
    ] {
        let path = store.root().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, large(7)).unwrap();
        fs::File::open(&path).unwrap().sync_all().unwrap();
    }
    let shared = store.root().join("quarantine/two");
    fs::hard_link(&shared, dir.path().join("elsewhere")).unwrap();
    fs::write(&shared, vec![7; 2 * LARGE]).unwrap();
    let before = total(&store);
    let would = store.gc(limit(u64::MAX).with_dry_run(true)).unwrap();
    assert_eq!(would.held, Some(before - would.bytes), "there is room for what failed");
    let options = GcOptions::default().with_all(true);
    let would = store.gc(options.clone().with_dry_run(true)).unwrap();
    let did = store.gc(options).unwrap();
    assert_eq!(did, would);
    assert_eq!(did.bytes, before - total(&store), "{did:?}");
    assert_eq!((did.images.len(), did.blobs, did.ingests, did.quarantined), (2, 8, 2, 3));
}

#[tokio::test]
async fn blobs_that_images_share_are_freed_with_the_last_of_them() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    pull_at(&store, 1, "a", 1).await;
    pull_at(&store, 2, "b", 2).await;
    let one_image = store.usage().unwrap().images[0].total;
    let would = store.gc(limit(0).with_dry_run(true)).unwrap();
    let did = store.gc(limit(one_image)).unwrap();
    assert_eq!((did.evicted.len(), did.held), (1, Some(one_image)), "the configuration stays with b");
    let rest = store.gc(limit(0)).unwrap();
    assert_eq!((rest.held, did.bytes + rest.bytes), (Some(0), would.bytes));
    assert_eq!(total(&store), 0);
}

#[tokio::test]
async fn a_leased_image_is_passed_over() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let leased = pull_at(&store, 1, "a", 1).await;
    pull_at(&store, 2, "b", 2).await;
    let lease = store.lease(&leased.digest).unwrap().unwrap();
    let did = store.gc(limit(0)).unwrap();
    assert_eq!(list(&store), [reference("a")]);
    assert!(did.held.unwrap() >= LARGE as u64, "and it says so: {did:?}");
    drop(lease);
    store.gc(limit(0)).unwrap();
    assert_eq!(list(&store), []);
}

#[tokio::test]
async fn what_failed_pulls_left_goes_before_any_image_does() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    pull_at(&store, 1, "a", 1).await;
    let small_enough = total(&store);
    let unfinished = image(&large(2));
    let staging = store.stage(Verify::Cached).unwrap();
    let (blob, bytes) = &unfinished.blobs[1];
    let ingest = fetch(&staging, blob).await;
    ingest.write(0, Bytes::copy_from_slice(bytes)).await.unwrap();
    ingest.commit().await.unwrap();
    drop(staging);
    store.idle().await;
    assert_eq!(store.gc(limit(total(&store))).unwrap().blobs, 0, "there is room for it");
    let did = store.gc(limit(small_enough)).unwrap();
    assert_eq!((did.blobs, did.evicted.len()), (1, 0));
    assert_eq!(list(&store), [reference("a")]);
}

#[tokio::test]
async fn a_store_with_a_limit_keeps_to_it_and_never_evicts_what_was_just_pulled() {
    let dir = TempDir::new().unwrap();
    let options = StoreOptions::default().with_max_size((LARGE + LARGE / 2) as u64);
    let store = Store::open(dir.path().join("store"), options).unwrap();
    pull_at(&store, 1, "a", 1).await;
    pull(&store, &image(&large(2)), "b").await;
    assert_eq!(list(&store), [reference("b")]);
    // Larger than the limit by itself.
    pull(&store, &image(&vec![3; 3 * LARGE]), "c").await;
    assert_eq!(list(&store), [reference("c")]);
}
