//! Blobs on their way: in any order, by anybody, broken off, held up, and wrong.

use std::fs;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use hoist_core::{Descriptor, ErrorKind, Events};
use hoist_store::{Claim, FsckOptions, GcOptions, Store, StoreOptions, Verify, WriteQueue};
use tempfile::TempDir;

use crate::support::{fetch, image, layer_path, open, pull, tree};

#[tokio::test]
async fn bytes_in_any_order_make_the_blob() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"0123456789"));
    let staging = store.stage(Verify::Cached).unwrap();
    let ingest = fetch(&staging, &image.blobs[1].0).await;
    assert_eq!(ingest.missing(), vec![0..10]);
    for range in [6..10, 0..2, 4..6, 2..4] {
        let bytes = Bytes::copy_from_slice(&image.blobs[1].1[range.clone()]);
        ingest.write(range.start as u64, bytes).await.unwrap();
    }
    ingest.commit().await.unwrap();
    assert_eq!(fs::read(layer_path(store.root(), &image)).unwrap(), b"0123456789");
}

#[tokio::test]
async fn a_byte_that_was_hashed_cannot_be_overwritten() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"0123456789"));
    let staging = store.stage(Verify::Cached).unwrap();
    let ingest = fetch(&staging, &image.blobs[1].0).await;
    for (offset, bytes) in [(2, &b"234"[..]), (0, b"01xx"), (1, b"yyyy56"), (6, b"z789"), (0, b"evil")] {
        ingest.queue().write(offset, Bytes::from_static(bytes)).await.unwrap();
    }
    ingest.commit().await.unwrap();
    assert_eq!(fs::read(layer_path(store.root(), &image)).unwrap(), b"0123456789");
}

#[tokio::test]
async fn what_was_written_before_a_break_is_not_asked_for_again() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"0123456789"));
    let staging = store.stage(Verify::Cached).unwrap();
    let ingest = fetch(&staging, &image.blobs[1].0).await;
    ingest.write(0, Bytes::from_static(b"0123")).await.unwrap();
    ingest.write(6, Bytes::from_static(b"67")).await.unwrap();
    drop((ingest, staging));
    let staging = open(&dir).stage(Verify::Cached).unwrap();
    let Claim::Fetch(ingest) = staging.claim(&image.blobs[1].0).await.unwrap() else {
        panic!("it is not whole")
    };
    assert_eq!(ingest.missing(), [4..6, 8..10]);
    ingest.write(4, Bytes::from_static(b"45")).await.unwrap();
    ingest.write(8, Bytes::from_static(b"89")).await.unwrap();
    ingest.commit().await.unwrap();
}

#[tokio::test]
async fn wrong_bytes_never_enter_and_nothing_of_them_is_kept() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"0123456789"));
    let layer = &image.blobs[1].0;
    for (bytes, kind) in [
        (&b"0123456780"[..], ErrorKind::DigestMismatch),
        (b"012345678", ErrorKind::SizeMismatch),
        (b"01234567890", ErrorKind::SizeMismatch),
    ] {
        let staging = store.stage(Verify::Cached).unwrap();
        let Claim::Fetch(ingest) = staging.claim(layer).await.unwrap() else { panic!("it is not there") };
        assert_eq!(ingest.missing(), vec![0..10], "nothing was kept");
        ingest.write(0, Bytes::from_static(bytes)).await.unwrap();
        assert_eq!(*ingest.commit().await.unwrap_err().kind(), kind);
        assert!(!layer_path(store.root(), &image).exists());
    }
}

#[tokio::test]
async fn who_waits_for_a_blob_gets_the_one_that_was_fetched() {
    let dir = TempDir::new().unwrap();
    let (store, other, image) = (open(&dir), open(&dir), image(b"layer"));
    let (first, second) = (store.stage(Verify::Cached).unwrap(), other.stage(Verify::Cached).unwrap());
    let layer = image.blobs[1].0.clone();
    let ingest = fetch(&first, &layer).await;
    let waiting = tokio::spawn(async move { second.claim(&layer).await.unwrap() });
    ingest.write(0, Bytes::from_static(b"layer")).await.unwrap();
    ingest.commit().await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Claim::Present));
}

#[tokio::test(start_paused = true)]
async fn who_hangs_with_a_blob_is_overtaken_once_by_all_who_wait_and_may_still_come_in_late() {
    let dir = TempDir::new().unwrap();
    let options = StoreOptions::default().with_stall(Duration::from_secs(2));
    let stores = [0, 1, 2].map(|_| Store::open(dir.path().join("store"), options.clone()).unwrap());
    let demo = image(b"layer");
    let layer = demo.blobs[1].0.clone();
    // One in this process that never gets on, and one in what could as well be another process.
    let stagings = stores.clone().map(|store| store.stage(Verify::Cached).unwrap());
    let hanging = fetch(&stagings[0], &layer).await;
    let waiting = [&stores[0], &stores[1], &stores[2]].map(|store| {
        let (staging, layer) = (store.stage(Verify::Cached).unwrap(), layer.clone());
        tokio::spawn(async move {
            match staging.claim(&layer).await.unwrap() {
                Claim::Present => 0,
                Claim::Fetch(ingest) => {
                    ingest.write(0, Bytes::from_static(b"layer")).await.unwrap();
                    ingest.commit().await.unwrap();
                    1
                }
            }
        })
    });
    let mut fetched = 0;
    for waiting in waiting {
        fetched += waiting.await.unwrap();
    }
    assert_eq!(fetched, 1, "who waited for the one that overtook got its blob");
    hanging.write(0, Bytes::from_static(b"layer")).await.unwrap();
    hanging.commit().await.unwrap();
    drop(stagings);
    for store in &stores {
        store.idle().await;
    }
    assert_eq!(fs::metadata(layer_path(stores[0].root(), &demo)).unwrap().nlink(), 1, "it is there once");
    pull(&stores[0], &demo, "demo").await;
    assert_eq!(stores[0].fsck(&FsckOptions::default()).unwrap().findings, []);
    assert!(
        fs::read_dir(stores[0].root().join("ingest")).unwrap().next().is_none(),
        "nothing is left behind"
    );
}

#[tokio::test(start_paused = true)]
async fn who_trickles_a_blob_is_overtaken_too() {
    let dir = TempDir::new().unwrap();
    let options = StoreOptions::default().with_stall(Duration::from_secs(2));
    let stores = [0, 1].map(|_| Store::open(dir.path().join("store"), options.clone()).unwrap());
    let layer = image(&vec![7; 1 << 20]).blobs[1].0.clone();
    let stagings = stores.map(|store| store.stage(Verify::Cached).unwrap());
    let trickling = fetch(&stagings[0], &layer).await;
    let trickle = async {
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        for offset in 0..100 {
            pace.tick().await;
            trickling.write(offset, Bytes::from_static(&[7])).await.unwrap();
        }
    };
    let ingest = tokio::select! {
        claim = stagings[1].claim(&layer) => claim.unwrap(),
        () = trickle => panic!("a registry that trickles keeps a blob from all others"),
    };
    assert!(matches!(ingest, Claim::Fetch(_)));
}

#[test]
fn a_pull_whose_runtime_has_ended_fails_and_does_not_hang() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"0123456789"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let claim = || async { fetch(&store.stage(Verify::Cached).unwrap(), &image.blobs[1].0).await };
    let ingest = runtime.block_on(claim());
    let handle = runtime.handle().clone();
    runtime.shutdown_background();
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _entered = handle.enter();
        // It is polled as a task is that is just running.
        let mut context = Context::from_waker(Waker::noop());
        let written = pin!(ingest.write(0, Bytes::from_static(b"0123"))).poll(&mut context);
        assert!(written.is_ready());
        let Poll::Ready(outcome) = pin!(ingest.commit()).poll(&mut context) else {
            panic!("nobody would end it")
        };
        done.send(outcome.unwrap_err()).unwrap();
    });
    let error = ended.recv_timeout(Duration::from_mins(1)).expect("it hangs");
    assert_eq!(*error.kind(), ErrorKind::Storage, "{}", error.report());
}

#[tokio::test]
async fn what_is_no_text_in_a_journal_is_passed_over() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"0123456789"));
    let claim = async || fetch(&open(&dir).stage(Verify::Cached).unwrap(), &image.blobs[1].0).await;
    // Twice out of order, so that the second one goes on with the journal of the first.
    for (offset, bytes) in [(4, b"45"), (8, b"89")] {
        let ingest = claim().await;
        ingest.write(offset, Bytes::from_static(bytes)).await.unwrap();
    }
    let journal =
        tree(&store.root().join("ingest")).into_iter().find(|path| path.ends_with(".journal")).unwrap();
    let ingest = claim().await;
    assert_eq!(ingest.missing(), [0..4, 6..8]);
    drop(ingest);
    let mut file = fs::OpenOptions::new().append(true).open(journal).unwrap();
    file.write_all(&[0xff]).unwrap();
    let ingest = claim().await;
    assert_eq!(ingest.missing(), [0..4, 6..8]);
    ingest.write(6, Bytes::from_static(b"67")).await.unwrap();
    drop(ingest);
    assert_eq!(claim().await.missing(), vec![0..4], "what is noted after it is a line of its own");
}

#[tokio::test]
async fn a_blob_of_which_all_was_left_needs_only_to_be_committed() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"0123456789"));
    let claim = async || fetch(&store.stage(Verify::Cached).unwrap(), &image.blobs[1].0).await;
    claim().await.write(0, Bytes::from_static(b"0123456789")).await.unwrap();
    let ingest = claim().await;
    assert!(ingest.is_resumed() && ingest.missing().is_empty());
    ingest.commit().await.unwrap();
    assert_eq!(fs::read(layer_path(store.root(), &image)).unwrap(), b"0123456789");
}

#[tokio::test]
async fn of_what_was_left_only_what_is_wrong_is_fetched_again() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"0123456789"));
    let layer = &image.blobs[1].0;
    for (left, wanted) in [(&b""[..], vec![0..10]), (b"0123", vec![4..10]), (b"01x3", vec![4..10, 0..4])] {
        let staging = store.stage(Verify::Cached).unwrap();
        fetch(&staging, layer).await.write(0, Bytes::from_static(left)).await.unwrap();
        let asked = Mutex::new(Vec::new());
        let write = |queue: WriteQueue, missing: Vec<Range<u64>>| {
            asked.lock().unwrap().extend(missing);
            async move { queue.write(0, Bytes::from_static(b"0123456789")).await }
        };
        assert!(staging.fetch(layer, &Events::default(), write).await.unwrap());
        assert_eq!(*asked.lock().unwrap(), wanted);
        assert!(!staging.fetch(layer, &Events::default(), write).await.unwrap(), "it is here");
        assert_eq!(fs::read(layer_path(store.root(), &image)).unwrap(), b"0123456789");
        drop(staging);
        store.idle().await;
        store.gc(GcOptions::default().with_all(true)).unwrap();
    }
}

#[tokio::test]
async fn a_source_that_is_wrong_itself_is_not_asked_for_ever() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"0123456789"));
    let (staging, layer) = (store.stage(Verify::Cached).unwrap(), &image.blobs[1].0);
    for left in [&b""[..], b"0123"] {
        fetch(&staging, layer).await.write(0, Bytes::from_static(left)).await.unwrap();
        let write =
            |queue: WriteQueue, _| async move { queue.write(0, Bytes::from_static(b"012345678x")).await };
        let error = staging.fetch(layer, &Events::default(), write).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::DigestMismatch);
    }
}

#[tokio::test]
async fn bytes_behind_the_end_of_a_blob_never_enter() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"0123456789"));
    let staging = store.stage(Verify::Cached).unwrap();
    let ingest = fetch(&staging, &image.blobs[1].0).await;
    _ = ingest.write(12, Bytes::from_static(b"x")).await;
    _ = ingest.write(0, Bytes::from_static(b"0123456789")).await;
    let error = ingest.commit().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::SizeMismatch, "{}", error.report());
    assert!(!layer_path(store.root(), &image).exists());
}

#[tokio::test(start_paused = true)]
async fn who_fetches_a_blob_has_as_long_as_the_store_allows() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let layer = &image.blobs[1].0;
    let staging = store.stage(Verify::Cached).unwrap();
    let ingest = fetch(&staging, layer).await;
    assert!(!ingest.is_resumed());
    let others = [store.clone(), open(&dir)].map(|store| store.stage(Verify::Cached).unwrap());
    let mut waiting = others.each_ref().map(|other| Box::pin(other.claim(layer)));
    for waiting in &mut waiting {
        let waited = tokio::time::timeout(Duration::from_secs(50), waiting).await;
        assert!(waited.is_err(), "nobody is overtaken within two minutes");
    }
    ingest.write(0, Bytes::from_static(b"layer")).await.unwrap();
    ingest.commit().await.unwrap();
    for waiting in waiting {
        assert!(matches!(waiting.await.unwrap(), Claim::Present));
    }
}

#[tokio::test]
async fn what_the_disk_has_no_space_for_is_known_before_it_is_fetched() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let staging = store.stage(Verify::Cached).unwrap();
    let (small, _) = &image.blobs[1];
    staging.check_space([small]).unwrap();
    let mut huge = Descriptor::of("application/octet-stream", b"huge");
    huge.size = 1 << 60;
    let error = staging.check_space([small, &huge]).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NoSpace);
    let message = error.report();
    assert!(
        message.contains("the image needs 1.0 EiB more") && message.contains("available for"),
        "{message}"
    );
    assert!(message.contains(&store.root().display().to_string()), "{message}");
}
