//! Stores that an older version wrote: they are taken over, with the blobs that were on their way.

use std::fs;

use bytes::Bytes;
use hoist_core::Digest;
use hoist_store::{FsckOptions, Store, StoreOptions, Verify};
use tempfile::TempDir;

use crate::support::{Image, fetch, image, layer_path, open, platform, pull, reference, tree};

/// Makes a store one of format 1, where each blob on its way has a directory.
fn age(store: &Store, ingests: &[(&Digest, &str, Option<&str>)]) {
    for (digest, data, journal) in ingests {
        let dir = store.root().join("ingest").join(digest.hex());
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("data"), data).unwrap();
        if let Some(journal) = journal {
            fs::write(dir.join("journal"), journal).unwrap();
        }
    }
    let file = store.root().join("store.json");
    fs::remove_file(&file).unwrap();
    fs::write(file, "{\"format\":1}\n").unwrap();
}

fn format(store: &Store) -> String {
    fs::read_to_string(store.root().join("store.json")).unwrap()
}

fn layer(image: &Image) -> &Digest {
    &image.blobs[1].0.digest
}

#[tokio::test]
async fn a_store_of_format_1_is_taken_over_with_what_was_on_its_way() {
    let dir = TempDir::new().unwrap();
    let [stored, in_order, out_of_order] = [&b"layer"[..], b"0123456789", b"9876543210"].map(image);
    let old = open(&dir);
    pull(&old, &stored, "demo").await;
    age(
        &old,
        &[(layer(&in_order), "0123", None), (layer(&out_of_order), "98\0\0\u{0}43", Some("0 2\n5 7\n"))],
    );
    let store = open(&dir);
    assert_eq!(format(&store), "{\"format\":2}\n");
    assert!(store.resolve(&reference("demo"), &platform()).await.unwrap().is_some());
    assert_eq!(store.fsck(&FsckOptions::default()).unwrap().findings, []);
    let staging = store.stage(Verify::Cached).unwrap();
    for (image, missing) in [(&in_order, vec![4..10]), (&out_of_order, vec![2..5, 7..10])] {
        let ingest = fetch(&staging, &image.blobs[1].0).await;
        assert_eq!(ingest.missing(), missing);
        ingest.write(0, Bytes::copy_from_slice(&image.blobs[1].1)).await.unwrap();
        ingest.commit().await.unwrap();
        assert!(layer_path(store.root(), image).exists());
    }
    drop(staging);
    store.idle().await;
    assert!(tree(&store.root().join("ingest")).is_empty(), "nothing is left behind");
    assert!(tree(&store.root().join("staging")).is_empty());
}

#[tokio::test]
async fn what_a_process_of_an_older_version_fetches_while_the_store_is_taken_over_stays_its_own() {
    let dir = TempDir::new().unwrap();
    let image = image(b"0123456789");
    age(&open(&dir), &[(layer(&image), "0123", None)]);
    let path = dir.path().join("store/ingest").join(layer(&image).hex());
    let older = fs::File::open(&path).unwrap();
    older.lock().unwrap();
    let store = open(&dir);
    assert_eq!(format(&store), "{\"format\":2}\n");
    assert!(path.is_dir());
    let staging = store.stage(Verify::Cached).unwrap();
    assert!(path.is_dir(), "it is not swept");
    assert_eq!(store.fsck(&FsckOptions::default()).unwrap().findings, []);
    let (there, layer) = (staging.clone(), image.blobs[1].0.clone());
    let claiming = tokio::spawn(async move { fetch(&there, &layer).await });
    tokio::task::yield_now().await;
    assert!(!claiming.is_finished(), "it is waited for");
    drop(older);
    assert_eq!(claiming.await.unwrap().missing(), vec![4..10], "and gone on from when it has died");
}

#[tokio::test]
async fn a_store_that_is_taken_over_by_many_at_once_is_taken_over() {
    let dir = TempDir::new().unwrap();
    let images: Vec<_> = (0..20u8).map(|seed| image(&[seed; 10])).collect();
    let ingests: Vec<_> = images.iter().map(|image| (layer(image), "", None)).collect();
    age(&open(&dir), &ingests);
    let barrier = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                Store::open(dir.path().join("store"), StoreOptions::default()).unwrap();
            });
        }
    });
    let store = open(&dir);
    assert_eq!(format(&store), "{\"format\":2}\n");
    let left = fs::read_dir(store.root().join("ingest")).unwrap().map(Result::unwrap);
    assert!(left.into_iter().all(|entry| entry.file_type().unwrap().is_file()));
}
