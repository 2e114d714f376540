//! Blobs that turn out wrong and are opened again: only what is suspected is fetched anew, whatever breaks off meanwhile.
#![allow(
    clippy::single_range_in_vec_init,
    reason = "ranges of a blob are meant, also where there is one of them"
)]

use std::fs;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use hoist_core::ErrorKind;
use hoist_store::{GcOptions, Ingest, Store, StoreOptions, Verify};
use tempfile::TempDir;

use crate::support::{Image, fetch, image, layer_path, open, tree};

const RIGHT: &[u8] = b"0123456789";

/// Claims the layer of an image in a store, and writes to it.
async fn written(store: &Store, image: &Image, pieces: &[(u64, &'static [u8])]) -> Ingest {
    let ingest = fetch(&store.stage(Verify::Cached).unwrap(), &image.blobs[1].0).await;
    write(&ingest, pieces).await;
    ingest
}

async fn write(ingest: &Ingest, pieces: &[(u64, &'static [u8])]) {
    for (offset, bytes) in pieces {
        ingest.queue().write(*offset, Bytes::from_static(bytes)).await.unwrap();
    }
}

async fn fails_as_wrong(ingest: &Ingest) {
    assert_eq!(*ingest.commit().await.unwrap_err().kind(), ErrorKind::DigestMismatch);
}

/// What the next one who claims the layer has to fetch.
async fn missing(store: &Store, image: &Image) -> Vec<Range<u64>> {
    written(store, image, &[]).await.missing().to_vec()
}

fn is_stored(store: &Store, image: &Image) -> bool {
    fs::read(layer_path(store.root(), image)).is_ok_and(|bytes| bytes == RIGHT)
}

fn ingests(store: &Store) -> Vec<String> {
    tree(&store.root().join("ingest"))
}

/// A store as a process leaves it that is killed now.
fn killed(store: &Store, dir: &TempDir) -> Store {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let root = dir.path().join("killed");
    copy(store.root(), &root);
    Store::open(root, StoreOptions::default()).unwrap()
}

#[tokio::test]
async fn a_blob_with_a_wrong_part_is_whole_when_that_part_has_come_again() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(RIGHT));
    let ingest = written(&store, &image, &[(6, b"6789"), (0, b"01"), (2, b"xxxx")]).await;
    fails_as_wrong(&ingest).await;
    ingest.reopen(&[2..6]).await.unwrap();
    write(&ingest, &[(0, b"yyyyy"), (5, b"5")]).await; // it is the first of what is missing that counts
    fails_as_wrong(&ingest).await;
    ingest.reopen(&[2..3, 3..5]).await.unwrap();
    write(&ingest, &[(4, b"4"), (2, b"23")]).await;
    ingest.commit().await.unwrap();
    assert!(is_stored(&store, &image));
    assert!(ingests(&store).is_empty(), "nothing is left behind");
}

#[tokio::test]
async fn it_is_told_which_of_the_bytes_that_came_again_differ_from_what_was_there() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(RIGHT));
    let ingest = written(&store, &image, &[(0, b"01x3456y89")]).await;
    fails_as_wrong(&ingest).await;
    assert!(ingest.replaced().is_empty());
    ingest.reopen(&[0..5, 6..10]).await.unwrap();
    write(&ingest, &[(0, b"01"), (2, b"23"), (4, b"456"), (7, b"7"), (8, b"89"), (6, b"6")]).await;
    ingest.commit().await.unwrap();
    assert_eq!(ingest.replaced(), [2..4, 7..8]);
}

#[tokio::test]
async fn what_comes_again_as_it_was_is_told_to_be_the_same() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(RIGHT));
    let ingest = written(&store, &image, &[(0, b"x123"), (4, b"456789")]).await;
    fails_as_wrong(&ingest).await;
    ingest.reopen(&[4..10]).await.unwrap();
    write(&ingest, &[(4, b"456789")]).await;
    fails_as_wrong(&ingest).await;
    assert!(ingest.replaced().is_empty(), "so somebody else brought what is wrong");
    ingest.reopen(&[0..4]).await.unwrap();
    write(&ingest, &[(0, b"0123")]).await;
    ingest.commit().await.unwrap();
    assert_eq!(ingest.replaced(), [0..4]);
}

#[tokio::test]
async fn what_an_earlier_owner_left_can_be_opened_again_as_well() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(RIGHT));
    drop(written(&store, &image, &[(0, b"xxxx")]).await);
    let ingest = written(&store, &image, &[(4, b"456789")]).await;
    assert!(ingest.is_resumed());
    fails_as_wrong(&ingest).await;
    ingest.reopen(&[0..4]).await.unwrap();
    write(&ingest, &[(0, b"0123")]).await;
    ingest.commit().await.unwrap();
    assert!(is_stored(&store, &image));
}

#[tokio::test]
async fn a_wrong_blob_that_nobody_opens_again_is_thrown_away_when_its_owner_goes() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(RIGHT));
    let ingest = written(&store, &image, &[(0, b"012345678x")]).await;
    let queue = ingest.queue().clone();
    fails_as_wrong(&ingest).await;
    let error = queue.write(0, Bytes::from_static(b"0")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::DigestMismatch, "nothing is written to it");
    drop(ingest);
    store.idle().await;
    assert!(ingests(&store).is_empty());
    assert_eq!(missing(&store, &image).await, [0..10]);
}

#[tokio::test]
async fn only_a_blob_that_turned_out_wrong_can_be_opened_again() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(RIGHT));
    let ingest = written(&store, &image, &[(0, b"0123")]).await;
    assert_eq!(*ingest.reopen(&[0..4]).await.unwrap_err().kind(), ErrorKind::Unsupported);
    write(&ingest, &[(4, b"456789")]).await;
    ingest.commit().await.unwrap();
    ingest.reopen(&[0..4]).await.unwrap_err();
    assert!(is_stored(&store, &image));

    let other = crate::support::image(b"other");
    let ingest = written(&store, &other, &[(0, b"oth")]).await;
    assert_eq!(*ingest.commit().await.unwrap_err().kind(), ErrorKind::SizeMismatch);
    ingest.reopen(&[0..3]).await.unwrap_err();
}

#[tokio::test]
async fn a_process_that_dies_before_the_right_bytes_came_leaves_them_to_be_fetched() {
    let (dir, image) = (TempDir::new().unwrap(), image(RIGHT));
    let store = open(&dir);
    // One that came in order, and one that did not: the latter has a journal that counts it as there.
    for (nth, pieces) in
        [&[(0, &b"01xxxx6789"[..])][..], &[(6, b"6789"), (0, b"01xxxx")]].into_iter().enumerate()
    {
        let ingest = written(&store, &image, pieces).await;
        fails_as_wrong(&ingest).await;
        ingest.reopen(&[2..6]).await.unwrap();
        let crashes = TempDir::new().unwrap();
        assert_eq!(missing(&killed(&store, &crashes), &image).await, [2..6], "pieces {nth}");
        write(&ingest, &[(2, b"2")]).await;
        drop(ingest);
        let ingest = written(&store, &image, &[(3, b"345")]).await;
        assert_eq!(ingest.missing(), [3..6], "pieces {nth}");
        if nth == 1 {
            ingest.commit().await.unwrap();
            assert!(is_stored(&store, &image));
        } else {
            drop(ingest);
            while store.gc(GcOptions::default().with_all(true)).unwrap().ingests == 0 {
                tokio::task::yield_now().await; // its thread has not ended yet
            }
            assert!(ingests(&store).is_empty());
        }
    }
}

#[tokio::test]
async fn a_blob_of_which_all_is_opened_again_is_begun_anew() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(RIGHT));
    let ingest = written(&store, &image, &[(0, b"xxxxxxxxxx")]).await;
    fails_as_wrong(&ingest).await;
    ingest.reopen(&[0..u64::MAX]).await.unwrap();
    let crashes = TempDir::new().unwrap();
    assert_eq!(missing(&killed(&store, &crashes), &image).await, [0..10]);
    write(&ingest, &[(0, RIGHT)]).await;
    ingest.commit().await.unwrap();
    assert_eq!(ingest.replaced(), [0..10]);
    assert!(is_stored(&store, &image));
}
