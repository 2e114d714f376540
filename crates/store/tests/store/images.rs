//! What a store promises to those who put images in, take them out, and pull the plug half-way.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hoist_core::{Descriptor, Digest, ErrorKind};
use hoist_store::{Access, Claim, Collected, FsckOptions, GcOptions, Layout, Store, StoreOptions, Trust};
use tempfile::TempDir;

use crate::support::{
    damage, image, is_waited_for, layer_path, open, platform, pull, put, reference, tree, wait_until,
};

#[tokio::test]
async fn a_committed_image_is_a_layout_whose_blobs_are_kept_once() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let stored = pull(&store, &image, "demo:v1").await;
    assert_eq!(fs::read(layer_path(&stored.path, &image)).unwrap(), b"layer");
    assert_eq!(fs::read(stored.path.join("oci-layout")).unwrap(), br#"{"imageLayoutVersion":"1.0.0"}"#);
    let pool = fs::metadata(layer_path(store.root(), &image)).unwrap();
    assert_eq!(pool.ino(), fs::metadata(layer_path(&stored.path, &image)).unwrap().ino());
    assert_eq!(pool.permissions().mode() & 0o777, 0o444);
    assert!(fs::read_dir(store.root().join("staging")).unwrap().next().is_none(), "nothing is left behind");
    assert!(fs::read_dir(store.root().join("ingest")).unwrap().next().is_none(), "nothing is left behind");
}

#[tokio::test]
async fn an_image_is_found_by_tag_and_by_digest_in_its_own_repository_only() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let stored = pull(&store, &image, "demo:v1").await;
    let digest = image.manifest.digest.clone();
    assert_eq!(store.known(&reference("demo:v1"), &platform()).unwrap(), Some(stored.clone()));
    let by_digest = reference(&format!("demo@{digest}"));
    assert_eq!(store.hit(&by_digest, &platform()).await.unwrap().unwrap().digest, digest);
    assert_eq!(store.list(&platform()).unwrap(), [reference("demo:v1"), by_digest.clone()]);
    assert_eq!(store.known(&reference(&format!("other@{digest}")), &platform()).unwrap(), None);
    assert_eq!(store.known(&reference("demo:v1"), &"linux/arm64".parse().unwrap()).unwrap(), None);
    assert!(store.remove(&by_digest, &platform()).unwrap(), "by digest, all names in the repository go");
    assert_eq!(store.known(&reference("demo:v1"), &platform()).unwrap(), None);
}

#[tokio::test]
async fn the_index_that_an_image_was_chosen_from_is_a_name_for_it_too() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let lease = put(&store, &image, Trust::Pool).await;
    let index = b"an index";
    let top = Digest::sha256(index);
    store.name(&reference("demo:v1"), &platform(), &lease, Some((&top, index))).unwrap();
    let by_index = reference(&format!("demo@{top}"));
    let hit = store.hit(&by_index, &platform()).await.unwrap().unwrap();
    assert_eq!((hit.digest, hit.resolved), (image.manifest.digest.clone(), top));
    let kept = tree(&store.root().join("refs")).into_iter().filter(|path| path.ends_with("~index.json"));
    assert!(kept.map(|path| fs::read(path).unwrap()).all(|bytes| bytes == index));
}

#[tokio::test]
async fn an_index_that_a_crash_left_beside_an_older_ref_is_not_taken_for_its_own() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let lease = put(&store, &image, Trust::Pool).await;
    let index = b"an index";
    let top = Digest::sha256(index);
    store.name(&reference("demo:v1"), &platform(), &lease, Some((&top, index))).unwrap();
    let indexes =
        || tree(&store.root().join("refs")).into_iter().filter(|path| path.ends_with("~index.json"));
    // The tag moved, and the power failed when the new index was there, and the new ref was not.
    let file = indexes().next().unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(&file, b"a newer index").unwrap();
    assert!(store.hit(&reference(&format!("demo@{top}")), &platform()).await.unwrap().is_some());
    assert_eq!(indexes().count(), 1, "bytes that are not the index are not kept as if they were");
}

#[tokio::test]
async fn removing_one_of_two_names_keeps_the_image_and_the_last_one_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let stored = pull(&store, &image, "demo:v1").await;
    pull(&store, &image, "demo:v2").await;
    assert!(store.remove(&reference("demo:v1"), &platform()).unwrap());
    assert!(!store.remove(&reference("demo:v1"), &platform()).unwrap());
    assert!(layer_path(&stored.path, &image).exists());
    assert!(store.remove(&reference("demo:v2"), &platform()).unwrap());
    let left = tree(store.root()).into_iter().filter(|path| path.contains(image.manifest.digest.hex()));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new());
    assert!(!layer_path(store.root(), &image).exists());
}

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
    assert_eq!(store.known(&reference("demo"), &platform()).unwrap(), None);
    assert!(layer_path(&stored.path, &image).exists());
    drop(lease);
}

#[tokio::test]
async fn bytes_in_any_order_make_the_blob() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"0123456789"));
    let staging = store.stage(Trust::Pool).unwrap();
    let Claim::Fetch(ingest) = staging.claim(&image.blobs[1].0).await.unwrap() else { panic!("it is new") };
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
    let staging = store.stage(Trust::Pool).unwrap();
    let Claim::Fetch(ingest) = staging.claim(&image.blobs[1].0).await.unwrap() else { panic!("it is new") };
    for (offset, bytes) in [(2, &b"234"[..]), (0, b"01xx"), (1, b"yyyy56"), (6, b"z789"), (0, b"evil")] {
        ingest.inlet().write(offset, Bytes::from_static(bytes)).await.unwrap();
    }
    ingest.commit().await.unwrap();
    assert_eq!(fs::read(layer_path(store.root(), &image)).unwrap(), b"0123456789");
}

#[tokio::test]
async fn what_was_written_before_a_break_is_not_asked_for_again() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"0123456789"));
    let staging = store.stage(Trust::Pool).unwrap();
    let Claim::Fetch(ingest) = staging.claim(&image.blobs[1].0).await.unwrap() else { panic!("it is new") };
    ingest.write(0, Bytes::from_static(b"0123")).await.unwrap();
    ingest.write(6, Bytes::from_static(b"67")).await.unwrap();
    drop((ingest, staging));
    let staging = open(&dir).stage(Trust::Pool).unwrap();
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
        let staging = store.stage(Trust::Pool).unwrap();
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
    let (first, second) = (store.stage(Trust::Pool).unwrap(), other.stage(Trust::Pool).unwrap());
    let layer = image.blobs[1].0.clone();
    let Claim::Fetch(ingest) = first.claim(&layer).await.unwrap() else { panic!("it is new") };
    let waiting = tokio::spawn(async move { second.claim(&layer).await.unwrap() });
    ingest.write(0, Bytes::from_static(b"layer")).await.unwrap();
    ingest.commit().await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Claim::Present));
}

#[tokio::test]
async fn who_hangs_with_a_blob_is_overtaken_once_by_all_who_wait_and_may_still_come_in_late() {
    let dir = TempDir::new().unwrap();
    let options = StoreOptions::default().with_stall(Duration::from_millis(40));
    let stores = [0, 1, 2].map(|_| Store::open(dir.path().join("store"), options).unwrap());
    let demo = image(b"layer");
    let layer = demo.blobs[1].0.clone();
    // One in this process that never gets on, and one in what could as well be another process.
    let stagings = stores.clone().map(|store| store.stage(Trust::Pool).unwrap());
    let Claim::Fetch(hanging) = stagings[0].claim(&layer).await.unwrap() else { panic!("it is new") };
    let waiting = [&stores[0], &stores[1], &stores[2]].map(|store| {
        let (staging, layer) = (store.stage(Trust::Pool).unwrap(), layer.clone());
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
    assert_eq!(fs::metadata(layer_path(stores[0].root(), &demo)).unwrap().nlink(), 1, "it is there once");
    pull(&stores[0], &demo, "demo").await;
    assert_eq!(stores[0].fsck(FsckOptions::default()).unwrap().findings, []);
    assert!(
        fs::read_dir(stores[0].root().join("ingest")).unwrap().next().is_none(),
        "nothing is left behind"
    );
}

#[tokio::test]
async fn who_trickles_a_blob_is_overtaken_too() {
    let dir = TempDir::new().unwrap();
    let options = StoreOptions::default().with_stall(Duration::from_millis(40));
    let stores = [0, 1].map(|_| Store::open(dir.path().join("store"), options).unwrap());
    let layer = image(&vec![7; 1 << 20]).blobs[1].0.clone();
    let stagings = stores.map(|store| store.stage(Trust::Pool).unwrap());
    let Claim::Fetch(trickling) = stagings[0].claim(&layer).await.unwrap() else { panic!("it is new") };
    let trickle = async {
        let mut pace = tokio::time::interval(Duration::from_millis(5));
        for offset in 0..4000 {
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
    let claim = || async {
        let staging = store.stage(Trust::Pool).unwrap();
        let Claim::Fetch(ingest) = staging.claim(&image.blobs[1].0).await.unwrap() else {
            panic!("it is new")
        };
        ingest
    };
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
    let error = ended.recv_timeout(Duration::from_secs(60)).expect("it hangs");
    assert_eq!(*error.kind(), ErrorKind::Storage, "{}", error.report());
}

#[tokio::test]
async fn what_is_no_text_in_a_journal_is_passed_over() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"0123456789"));
    let claim = async || {
        let staging = open(&dir).stage(Trust::Pool).unwrap();
        match staging.claim(&image.blobs[1].0).await.unwrap() {
            Claim::Fetch(ingest) => ingest,
            Claim::Present => panic!("it is new"),
        }
    };
    // Twice out of order, so that the second one goes on with the journal of the first.
    for (offset, bytes) in [(4, b"45"), (8, b"89")] {
        let ingest = claim().await;
        ingest.write(offset, Bytes::from_static(bytes)).await.unwrap();
    }
    let journal =
        tree(&store.root().join("ingest")).into_iter().find(|path| path.ends_with("/journal")).unwrap();
    let ingest = claim().await;
    assert_eq!(ingest.missing(), [0..4, 6..8]);
    drop(ingest);
    let mut file = fs::OpenOptions::new().append(true).open(journal).unwrap();
    file.write_all(&[0xff]).unwrap();
    assert_eq!(claim().await.missing(), [0..4, 6..8]);
}

#[tokio::test]
async fn an_image_that_lacks_a_blob_is_not_published() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let staging = store.stage(Trust::Pool).unwrap();
    staging.put(&image.manifest, image.bytes.clone()).await.unwrap();
    assert!(staging.commit(image.manifest.clone()).await.is_err());
    assert!(store.lease(&image.manifest.digest).unwrap().is_none());
}

#[tokio::test]
async fn who_trusts_nothing_finds_the_damage_and_heals_it() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let stored = pull(&store, &image, "demo").await;
    let path = layer_path(&stored.path, &image);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, b"lay3r").unwrap();
    let lease = put(&store, &image, Trust::Nothing).await;
    assert_eq!(fs::read(&path).unwrap(), b"layer");
    assert_eq!(store.name(&reference("demo"), &platform(), &lease, None).unwrap().path, stored.path);
}

#[tokio::test]
async fn a_damaged_image_is_healed_under_the_lease_that_somebody_has_on_it() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let stored = pull(&store, &image, "demo").await;
    let lease = store.lease(&stored.digest).unwrap().unwrap();
    let path = layer_path(&stored.path, &image);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, b"lay3r").unwrap();
    drop(put(&store, &image, Trust::Nothing).await);
    assert_eq!(fs::read(&path).unwrap(), b"layer");
    assert!(store.remove(&reference("demo"), &platform()).unwrap());
    store.gc(GcOptions::default().with_all(true)).unwrap();
    assert!(path.exists(), "the lease still holds");
    drop(lease);
    store.gc(GcOptions::default()).unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_moved_tag_leads_to_the_new_image_and_leaves_the_old_one_readable() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let (a, b) = (image(b"a"), image(b"b"));
    let old = pull(&store, &a, "demo").await;
    let new = pull(&store, &b, "demo").await;
    assert_eq!(store.known(&reference("demo"), &platform()).unwrap(), Some(new));
    assert!(layer_path(&old.path, &a).exists());
    let pinned = reference(&format!("demo@{}", old.digest));
    assert_eq!(store.known(&pinned, &platform()).unwrap(), None, "no name leads to it any more");
}

#[tokio::test]
async fn of_two_that_overlap_the_one_who_asked_later_has_the_last_word() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let (old, new, newest) = (image(b"old"), image(b"new"), image(b"newest"));
    let (demo, platform) = (reference("demo"), platform());
    let leases = [
        put(&store, &old, Trust::Pool).await,
        put(&store, &new, Trust::Pool).await,
        put(&store, &newest, Trust::Pool).await,
    ];
    let name = |lease: usize, seconds: u64| {
        let asked = UNIX_EPOCH + Duration::from_secs(seconds);
        store.name_as_of(&demo, &platform, &leases[lease], None, asked).unwrap()
    };
    let later = name(1, 2000);
    assert_eq!(name(0, 1000), later, "it was slow, and has what the other one found");
    assert_eq!(store.resolve(&demo, &platform).await.unwrap(), Some(later));
    assert_eq!(name(2, 3000).digest, newest.manifest.digest);

    fs::remove_file(layer_path(&store.image_path(&newest.manifest.digest), &newest)).unwrap();
    assert_eq!(name(0, 1000).digest, old.manifest.digest, "what is not whole is no answer");
    name(1, u64::from(u32::MAX) * 4);
    assert_eq!(name(0, 1000).digest, old.manifest.digest, "nobody can have asked in a time to come");
}

#[tokio::test]
async fn what_was_told_before_a_name_was_given_is_no_confirmation_and_a_confirmation_is_not_undone() {
    let dir = TempDir::new().unwrap();
    let (store, old, new) = (open(&dir), image(b"old"), image(b"new"));
    let (demo, platform) = (reference("demo"), platform());
    let leases = [put(&store, &old, Trust::Pool).await, put(&store, &new, Trust::Pool).await];
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let name = |lease: usize, seconds| {
        store.name_as_of(&demo, &platform, &leases[lease], None, at(seconds)).unwrap()
    };
    let confirm =
        |lease: usize, seconds| store.confirm(&demo, &platform, &leases[lease], at(seconds)).unwrap();
    assert_eq!(name(0, 1000).pulled, at(1000), "however long it took");
    let moved = name(1, 3000);
    assert_eq!(confirm(0, 2000), moved, "the one who asked later was told of another one");
    assert_eq!(confirm(1, 2000), moved, "and knew more");
    let confirmed = confirm(1, 5000);
    assert_eq!((&confirmed.digest, confirmed.pulled), (&moved.digest, at(5000)));
    assert_eq!(name(0, 4000), confirmed, "it was still there after that");
    assert_eq!(confirm(0, 6000).digest, old.manifest.digest, "until somebody was told of another one");
}

#[tokio::test]
async fn a_layout_from_elsewhere_is_adopted_if_it_is_what_it_says() {
    let (dir, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (store, source, image) = (open(&dir), open(&elsewhere), image(b"layer"));
    let from = pull(&source, &image, "demo").await.path;
    let layout = || Layout::open(&from).unwrap();
    let entry = layout().entries().unwrap().remove(0);
    let lease = store.adopt(layout(), entry.clone(), Trust::Pool).await.unwrap();
    assert_eq!(fs::read(layer_path(&store.image_path(lease.digest()), &image)).unwrap(), b"layer");
    assert_ne!(
        fs::metadata(layer_path(&from, &image)).unwrap().ino(),
        fs::metadata(layer_path(store.root(), &image)).unwrap().ino(),
        "a file that others could write is not linked to"
    );
    let empty = TempDir::new().unwrap();
    let path = layer_path(&from, &image);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, b"lay3r").unwrap();
    let error = open(&empty).adopt(layout(), entry, Trust::Pool).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::DigestMismatch);
}

#[tokio::test]
async fn a_layout_that_is_vouched_for_is_linked_to_if_it_is_what_it_says() {
    let dir = TempDir::new().unwrap();
    let (source, demo) =
        (Store::open(dir.path().join("source"), StoreOptions::default()).unwrap(), image(b"layer"));
    let from = pull(&source, &demo, "demo").await.path;
    fs::set_permissions(layer_path(&from, &demo), fs::Permissions::from_mode(0o644)).unwrap();
    let layout = || Layout::open(&from).unwrap().vouched();
    let entry = layout().entries().unwrap().remove(0);
    let store = open(&dir);
    let lease = store.adopt(layout(), entry.clone(), Trust::Pool).await.unwrap();
    let adopted = layer_path(&store.image_path(lease.digest()), &demo);
    let [theirs, ours] = [layer_path(&from, &demo), adopted].map(|path| fs::metadata(path).unwrap());
    assert_eq!(theirs.ino(), ours.ino());
    assert_eq!(ours.permissions().mode() & 0o777, 0o444, "nobody is to write to it any more");
    assert_eq!(store.fsck(FsckOptions::default()).unwrap().findings, []);

    damage(&layer_path(&from, &demo), b"lay3r");
    let other = Store::open(dir.path().join("other"), StoreOptions::default()).unwrap();
    let error = other.adopt(layout(), entry, Trust::Pool).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::DigestMismatch, "it is hashed whoever vouches");
}

#[tokio::test]
async fn a_symlink_at_a_blob_is_not_followed() {
    let (dir, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (source, image) = (open(&elsewhere), image(b"layer"));
    let from = pull(&source, &image, "demo").await.path;
    let (path, secret) = (layer_path(&from, &image), elsewhere.path().join("secret"));
    fs::write(&secret, b"layer").unwrap();
    fs::remove_file(&path).unwrap();
    symlink(&secret, &path).unwrap();
    let layout = Layout::open(&from).unwrap();
    let entry = layout.entries().unwrap().remove(0);
    let error = open(&dir).adopt(layout, entry, Trust::Pool).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Storage, "{}", error.report());
}

#[tokio::test]
async fn a_directory_that_was_moved_is_not_found_by_a_symlink() {
    for is_inside in [true, false] {
        for moved in ["blobs", "images", "refs", "names", "ingest", "staging", "quarantine"] {
            let (dir, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
            let store = open(&dir);
            pull(&store, &image(b"layer"), "demo").await;
            let from = store.root().join(moved);
            let to = if is_inside { store.root().join("moved") } else { outside.path().join("moved") };
            fs::create_dir_all(&from).unwrap();
            fs::rename(&from, &to).unwrap();
            symlink(if is_inside { Path::new("moved") } else { &to }, &from).unwrap();
            let error = store.usage().unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::Storage, "{moved}: {}", error.report());
        }
    }
}

#[tokio::test]
async fn a_symlink_in_the_store_leads_nowhere() {
    let (dir, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for planted in ["blobs", "images", "refs", "names", "ingest", "staging"] {
        let root = dir.path().join(planted);
        let store = Store::open(&root, StoreOptions::default()).unwrap();
        _ = fs::remove_dir(root.join(planted));
        symlink(outside.path(), root.join(planted)).unwrap();
        let image = image(b"layer");
        let outcome = async {
            let staging = store.stage(Trust::Pool)?;
            for (descriptor, bytes) in &image.blobs {
                if let Claim::Fetch(ingest) = staging.claim(descriptor).await? {
                    ingest.write(0, Bytes::copy_from_slice(bytes)).await?;
                    ingest.commit().await?;
                }
            }
            staging.put(&image.manifest, image.bytes.clone()).await?;
            let lease = staging.commit(image.manifest.clone()).await?;
            store.name(&reference("demo"), &platform(), &lease, None)
        };
        assert_eq!(*outcome.await.unwrap_err().kind(), ErrorKind::Storage, "{planted}");
        assert_eq!(tree(outside.path()), Vec::<String>::new(), "{planted}");
    }
}

#[test]
fn a_store_is_private_and_is_only_made_of_an_empty_directory() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    assert_eq!(fs::metadata(store.root()).unwrap().permissions().mode() & 0o777, 0o700);
    let home = dir.path().join("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("letter"), "dear").unwrap();
    let error = Store::open(&home, StoreOptions::default()).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Storage);
    assert_eq!(tree(&home).len(), 1, "it was left as it was");
}

#[test]
fn a_store_of_a_newer_format_is_refused() {
    let dir = TempDir::new().unwrap();
    let root = open(&dir).root().to_owned();
    let file = root.join("store.json");
    fs::remove_file(&file).unwrap();
    fs::write(&file, r#"{"format":2}"#).unwrap();
    let error = Store::open(&root, StoreOptions::default()).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unsupported);
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

#[test]
fn a_group_is_let_in_to_read_and_stays_so() {
    let dir = TempDir::new().unwrap();
    let group = fs::metadata(dir.path()).unwrap().gid();
    let root = dir.path().join("store");
    let mode = || fs::metadata(&root).unwrap().permissions().mode() & 0o777;
    Store::open(&root, StoreOptions::default()).unwrap();
    assert_eq!(mode(), 0o700);
    Store::open(&root, StoreOptions::default().with_access(Access::Group(group))).unwrap();
    assert_eq!((mode(), fs::metadata(&root).unwrap().gid()), (0o750, group));
    Store::open(&root, StoreOptions::default()).unwrap();
    assert_eq!(mode(), 0o750, "who opens it without saying so takes nothing from others");
}

#[tokio::test]
async fn what_a_failed_pull_left_is_kept_for_a_day_or_taken_with_all_the_rest() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"0123456789"));
    let staging = store.stage(Trust::Pool).unwrap();
    let Claim::Fetch(config) = staging.claim(&image.blobs[0].0).await.unwrap() else { panic!("it is new") };
    config.write(0, Bytes::from_static(b"{}")).await.unwrap();
    config.commit().await.unwrap();
    let Claim::Fetch(layer) = staging.claim(&image.blobs[1].0).await.unwrap() else { panic!("it is new") };
    layer.write(0, Bytes::from_static(b"0123")).await.unwrap();
    assert_eq!(store.gc(GcOptions::default().with_all(true)).unwrap(), Collected::default(), "it is in use");
    drop((layer, staging));
    // The lock of the abandoned ingest is free when another can claim it.
    let staging = store.stage(Trust::Pool).unwrap();
    assert!(
        matches!(staging.claim(&image.blobs[1].0).await.unwrap(), Claim::Fetch(next) if next.is_resumed())
    );
    drop(staging);
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
    for place in [&ingest, &staging] {
        fs::create_dir_all(place).unwrap();
        fs::write(place.join("data"), "data").unwrap();
    }
    let gc = |dry_run| store.gc(GcOptions::default().with_dry_run(dry_run)).unwrap();
    assert_eq!(gc(true).ingests, 0);
    assert!(staging.exists(), "a dry run takes nothing");
    assert_eq!(gc(false).ingests, 0);
    assert!(!staging.exists() && ingest.exists());
    let data = fs::File::options().write(true).open(ingest.join("data")).unwrap();
    data.set_modified(SystemTime::now() - Duration::from_hours(25)).unwrap();
    assert_eq!((gc(true).ingests, gc(false).ingests), (1, 1));
    assert!(!ingest.exists());
}

#[tokio::test]
async fn who_trusts_the_pool_takes_a_blob_as_it_is() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let (layer, _) = &image.blobs[1];
    drop(put(&store, &image, Trust::Pool).await);
    // Somebody who writes to the pool is not found out, since nothing is hashed.
    damage(&layer_path(store.root(), &image), b"lay3r");
    assert!(store.stage(Trust::Pool).unwrap().link(layer).await.unwrap());
    assert!(!store.stage(Trust::Nothing).unwrap().link(layer).await.unwrap());
}

#[tokio::test]
async fn an_image_that_is_here_whole_stays_the_one_it_is() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let inode = |_lease| fs::metadata(store.image_path(&image.manifest.digest)).unwrap().ino();
    let first = inode(put(&store, &image, Trust::Pool).await);
    for trust in [Trust::Pool, Trust::Nothing] {
        assert_eq!(inode(put(&store, &image, trust).await), first, "{trust:?}");
    }
}

#[tokio::test]
async fn a_blob_of_the_pool_is_read_whole_and_sound_or_not_at_all() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for size in [4095, 4096, 4097, 100_000] {
        let image = image(&vec![7; size]);
        let (layer, bytes) = &image.blobs[1];
        assert_eq!(store.read_blob(layer, 1 << 20).unwrap(), None);
        drop(put(&store, &image, Trust::Pool).await);
        assert_eq!(store.read_blob(layer, size as u64).unwrap().as_ref(), Some(bytes));
        let error = store.read_blob(layer, size as u64 - 1).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::TooLarge);
        damage(&layer_path(store.root(), &image), b"damaged");
        assert_eq!(store.read_blob(layer, 1 << 20).unwrap(), None);
        assert!(!layer_path(store.root(), &image).exists(), "it is in quarantine");
    }
}

#[tokio::test]
async fn no_program_that_is_started_inherits_a_lease() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let stored = pull(&store, &image, "demo").await;
    let lease = store.lease(&stored.digest).unwrap().unwrap();
    assert!(rustix::io::fcntl_getfd(&lease).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn a_new_store_is_opened_by_many_at_once_and_only_its_own_directory_is_private() {
    let dir = TempDir::new().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    fs::create_dir(dir.path().join("usual")).unwrap();
    for round in 0..20 {
        let parent = dir.path().join(round.to_string()).join("parent");
        let barrier = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    Store::open(parent.join("store"), StoreOptions::default()).unwrap();
                });
            }
        });
        assert_eq!(mode(&parent), mode(&dir.path().join("usual")));
        assert_eq!(mode(&parent.join("store")), 0o700);
    }
}

#[test]
fn a_store_is_made_of_a_directory_that_is_there_and_of_one_that_was_begun() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("store");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(root.join("staging")).unwrap(); // a process died here
    let store = open(&dir);
    assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
    store.limit_to(Some(1));
    assert_eq!(store.options().max_size, Some(1));
    let error = Store::open(root.join("store.json/store"), StoreOptions::default()).unwrap_err();
    assert!(error.to_string().contains("cannot create"), "{error}");
}

#[tokio::test]
async fn a_name_that_is_given_while_it_is_taken_away_is_known_to_its_index() {
    let dir = TempDir::new().unwrap();
    let (store, old, new) = (open(&dir), image(b"old"), image(b"new"));
    let leases = [put(&store, &old, Trust::Pool).await, put(&store, &new, Trust::Pool).await];
    let (demo, index) = (reference("demo:v1"), Digest::sha256(b"an index"));
    let name = |lease| store.name(&demo, &platform(), lease, Some((&index, b"an index"))).unwrap();
    name(&leases[0]);
    // Whoever takes the name away is held up when the ref has gone, and the old image is to be told.
    let names = store.root().join("names/sha256").join(old.manifest.digest.hex());
    let held = fs::File::open(&names).unwrap();
    held.lock().unwrap();
    let place = tree(&store.root().join("refs")).into_iter().find(|path| path.ends_with("/_tag/v1")).unwrap();
    std::thread::scope(|scope| {
        let removing = scope.spawn(|| store.remove(&demo, &platform()).unwrap());
        wait_until(|| removing.is_finished() || is_waited_for(&names));
        assert!(!removing.is_finished(), "it is held up");
        let naming = scope.spawn(|| name(&leases[1]));
        wait_until(|| naming.is_finished() || is_waited_for(place.as_ref()));
        drop(held);
    });
    assert_eq!(store.known(&demo, &platform()).unwrap().unwrap().digest, new.manifest.digest);
    assert_eq!(store.names_of(&index, &platform()).unwrap(), [demo]);
    assert_eq!(store.fsck(FsckOptions::default()).unwrap().findings, []);
}

#[tokio::test]
async fn a_name_that_is_confirmed_counts_as_pulled_now_and_stays_what_it_was() {
    let dir = TempDir::new().unwrap();
    let (store, old, new) = (open(&dir), image(b"old"), image(b"new"));
    let leases = [put(&store, &old, Trust::Pool).await, put(&store, &new, Trust::Pool).await];
    let (demo, index) = (reference("demo:v1"), Digest::sha256(b"an index"));
    let before = SystemTime::now();
    let stored = store.name(&demo, &platform(), &leases[0], Some((&index, b"an index"))).unwrap();
    assert!(stored.pulled + Duration::from_secs(1) > before, "it is told to the second");
    // As if that had been long ago.
    let mut files = tree(&store.root().join("refs")).into_iter();
    let file = files.find(|path| path.ends_with("/_tag/v1/linux-amd64")).unwrap();
    let record = fs::read_to_string(&file).unwrap();
    let pulled = stored.pulled.duration_since(UNIX_EPOCH).unwrap().as_secs();
    fs::remove_file(&file).unwrap();
    fs::write(&file, record.replace(&format!(r#""pulled":{pulled}"#), r#""pulled":1"#)).unwrap();
    let known = || store.known(&demo, &platform()).unwrap().unwrap();
    assert_eq!(known().pulled, UNIX_EPOCH + Duration::from_secs(1));

    let confirmed = store.confirm(&demo, &platform(), &leases[0], SystemTime::now()).unwrap();
    assert!(confirmed.pulled >= stored.pulled);
    assert_eq!((&confirmed.digest, &confirmed.resolved), (&old.manifest.digest, &index));
    assert_eq!(known(), confirmed);

    let renamed = store.confirm(&demo, &platform(), &leases[1], SystemTime::now()).unwrap();
    assert_eq!((&renamed.digest, &renamed.resolved), (&new.manifest.digest, &new.manifest.digest));
    assert_eq!(known(), renamed);
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
async fn the_last_name_of_a_host_leaves_no_directory_behind() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    pull(&store, &image, "registry.example/team/demo:v1").await;
    pull(&store, &image, "registry.example/team/demo:v2").await;
    let refs = || tree(&store.root().join("refs"));
    assert!(store.remove(&reference("registry.example/team/demo:v1"), &platform()).unwrap());
    assert!(!refs().iter().any(|path| path.ends_with("/v1")), "{:?}", refs());
    assert!(store.remove(&reference("registry.example/team/demo:v2"), &platform()).unwrap());
    assert_eq!(refs(), <[String; 0]>::default());
}

#[tokio::test]
async fn what_the_disk_has_no_space_for_is_known_before_it_is_fetched() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let staging = store.stage(Trust::Pool).unwrap();
    let (small, _) = &image.blobs[1];
    staging.check_space([small]).unwrap();
    let huge = Descriptor { size: 1 << 60, ..Descriptor::of("application/octet-stream", b"huge") };
    let error = staging.check_space([small, &huge]).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NoSpace);
    let message = error.report();
    assert!(
        message.contains("the image needs 1.0 EiB more") && message.contains("available for"),
        "{message}"
    );
    assert!(message.contains(&store.root().display().to_string()), "{message}");
}
