//! Content made from images, such as root file systems: it is counted, and it goes with its image or before it.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use hoist_core::Digest;
use hoist_store::{Checked, FsckOptions, GcOptions, Problem, Store};
use tempfile::TempDir;

use crate::support::{image, open, platform, pull, reference, tree};

const SIZE: usize = 1 << 20;

/// Makes content from this image, as a program would.
fn derive(store: &Store, kind: &str, image: &Digest) -> PathBuf {
    let dir = store.root().join("derived").join(kind).join("sha256").join(image.hex());
    fs::create_dir_all(dir.join("key")).unwrap();
    let file = dir.join("key/root.erofs");
    fs::write(&file, vec![1; SIZE]).unwrap();
    fs::File::open(&file).unwrap().sync_all().unwrap();
    dir
}

fn gc(store: &Store, options: GcOptions) -> hoist_store::Collected {
    store.gc(options).unwrap()
}

fn check(store: &Store, repair: bool) -> Checked {
    store.fsck(&FsckOptions::default().with_repair(repair)).unwrap()
}

#[tokio::test]
async fn usage_has_derived_content_on_a_line_of_its_own_and_in_its_images_space() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let stored = pull(&store, &image(b"layer"), "demo").await;
    let before = store.usage().unwrap();
    derive(&store, "rootfs", &stored.digest);
    derive(&store, "verity", &stored.digest);
    let usage = store.usage().unwrap();
    assert!(usage.derived >= 2 * SIZE as u64, "{usage:?}");
    assert_eq!(usage.total(), before.total() + usage.derived);
    let [before, now] = [&before.images[0], &usage.images[0]];
    assert_eq!((before.derived, now.derived), (0, usage.derived));
    assert_eq!((now.total, now.own), (before.total + usage.derived, before.own + usage.derived));
}

#[tokio::test]
async fn derived_content_goes_with_its_image_and_only_its() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let [one, two, moved] = [(b"one", "one"), (b"two", "two"), (b"old", "moved")];
    let (one, two, old) = (
        pull(&store, &image(one.0), one.1).await,
        pull(&store, &image(two.0), two.1).await,
        pull(&store, &image(moved.0), moved.1).await,
    );
    pull(&store, &image(b"new"), "moved").await;
    let paths = [&one, &two, &old].map(|stored| derive(&store, "rootfs", &stored.digest));
    assert!(store.remove(&reference("one"), &platform()).unwrap());
    assert_eq!(paths.each_ref().map(|path| path.exists()), [false, true, true]);
    let would = gc(&store, GcOptions::default().with_dry_run(true));
    assert!(paths[2].exists(), "a dry run deletes nothing");
    let before = store.usage().unwrap().total();
    let did = gc(&store, GcOptions::default());
    assert_eq!((&did, did.bytes), (&would, before - store.usage().unwrap().total()));
    assert_eq!(paths.each_ref().map(|path| path.exists()), [false, true, false]);
    assert_eq!(check(&store, false).findings, []);
}

#[tokio::test]
async fn gc_deletes_derived_content_whose_image_is_gone() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let kept = derive(&store, "rootfs", &pull(&store, &image(b"kept"), "demo").await.digest);
    let orphan = derive(&store, "rootfs", &Digest::sha256(b"gone"));
    let would = gc(&store, GcOptions::default().with_dry_run(true));
    assert!(orphan.exists(), "a dry run deletes nothing");
    // A program that writes there holds a shared lock.
    let writer = fs::File::open(&orphan).unwrap();
    writer.lock_shared().unwrap();
    assert_eq!(gc(&store, GcOptions::default()).derived, 0, "it is in use");
    drop(writer);
    let did = gc(&store, GcOptions::default());
    assert_eq!(did, would);
    assert_eq!((did.derived, kept.exists(), orphan.exists()), (1, true, false));
    assert!(did.bytes >= SIZE as u64);
}

#[tokio::test]
async fn eviction_counts_derived_content_and_deletes_it_before_any_image() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let (a, b) = (pull(&store, &image(b"a"), "a").await, pull(&store, &image(b"b"), "b").await);
    for (name, age) in [("a", 2), ("b", 1)] {
        let used = SystemTime::now() - Duration::from_hours(age);
        for path in
            tree(&store.root().join("refs")).iter().filter(|path| path.contains(&reference(name).name()))
        {
            fs::File::open(path).unwrap().set_modified(used).unwrap();
        }
    }
    let images = store.usage().unwrap().total();
    let (of_a, of_b) = (derive(&store, "rootfs", &a.digest), derive(&store, "rootfs", &b.digest));
    let one = store.usage().unwrap().images[0].derived;

    let limit = |bytes| GcOptions::default().with_max_size(bytes);
    let would = gc(&store, limit(images + one).with_dry_run(true));
    let did = gc(&store, limit(images + one));
    assert_eq!(did, would);
    assert_eq!((of_a.exists(), of_b.exists()), (false, true), "the least recently used one goes first");
    assert_eq!((did.derived, did.evicted.len(), did.held), (1, 0, Some(images + one)));

    let lease = store.lease(&b.digest).unwrap().unwrap();
    gc(&store, limit(0));
    assert!(of_b.exists(), "its image is leased");
    drop(lease);
    let would = gc(&store, limit(0).with_dry_run(true));
    let before = store.usage().unwrap().total();
    let did = gc(&store, limit(0));
    assert_eq!((&did, did.bytes, did.held), (&would, before, Some(0)));
    assert!(!of_b.exists());
}

#[tokio::test]
async fn fsck_reports_orphans_and_strays_among_derived_content_and_removes_them() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let kept = derive(&store, "rootfs", &pull(&store, &image(b"kept"), "demo").await.digest);
    assert_eq!(check(&store, false).findings, []);
    let gone = Digest::sha256(b"gone");
    let orphan = derive(&store, "rootfs", &gone);
    let derived = store.root().join("derived");
    fs::create_dir_all(derived.join("Not a kind")).unwrap();
    fs::create_dir_all(derived.join("rootfs/md5")).unwrap();
    fs::create_dir_all(derived.join("rootfs/sha256/beef")).unwrap();
    fs::write(derived.join("note"), "dear").unwrap();
    fs::write(derived.join("rootfs/note"), "dear").unwrap();
    fs::write(derived.join("rootfs/sha256").join(Digest::sha256(b"file").hex()), "dear").unwrap();
    let found = check(&store, false).findings;
    let orphans: Vec<_> =
        found.iter().filter(|found| found.problem == Problem::Orphan).map(ToString::to_string).collect();
    let path = format!("derived/rootfs/sha256/{}", gone.hex());
    assert_eq!(orphans, [format!("{path}: the image that this was made from is gone; repair the store")]);
    assert_eq!(found.iter().filter(|found| found.problem == Problem::Stray).count(), 6, "{found:?}");
    assert!(orphan.exists());
    assert!(check(&store, true).findings.iter().all(|finding| finding.repaired));
    assert_eq!(check(&store, false).findings, []);
    assert_eq!((kept.exists(), orphan.exists()), (true, false));
}
