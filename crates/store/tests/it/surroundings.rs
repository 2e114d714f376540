//! The store's surroundings: it is read-only, the root of a volume, or in the lower layer of an overlay.
//!
//! These tests mount file systems, and must run as root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use hoist_core::{Error, ErrorKind};
use hoist_store::{FsckOptions, GcOptions, Store, StoreOptions, Verify};
use tempfile::TempDir;

use crate::mounts::Mount;
use crate::support::{Image, image, open, platform, pull, put, reference, tree};

fn at(root: &Path) -> Store {
    Store::open(root, StoreOptions::default()).unwrap()
}

#[track_caller]
fn assert_cannot_write<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    let error = outcome.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Storage);
    let report = error.report();
    assert!(report.contains("Read-only file system") && report.contains("`root`"), "{report}");
}

#[tokio::test]
async fn a_read_only_store_hands_out_its_images_by_every_name() {
    let dir = TempDir::new().unwrap();
    let first = open(&dir);
    let known = image(b"layer");
    let pulled = pull(&first, &known, "demo").await;
    let root = first.root().to_owned();
    drop(first);
    let _mount = Mount::read_only(&root);
    let store = at(&root);
    let digest = reference(&format!("demo@{}", known.manifest.digest));
    for name in [&reference("demo"), &digest, &digest] {
        let hit = store.get_and_touch(name, &platform()).await.unwrap().unwrap();
        assert_eq!((&hit.path, &hit.digest, &hit.reference), (&pulled.path, &pulled.digest, name));
        assert!(store.resolve(name, &platform()).await.unwrap().is_some());
    }
    assert!(store.get_and_touch(&reference("other"), &platform()).await.unwrap().is_none());
    assert_eq!(store.list(&platform()).unwrap(), [reference("demo")]);
    assert!(store.usage().unwrap().total() > 0);
    assert_eq!(store.usage().unwrap().unused, 0);
    assert_eq!(store.fsck(&FsckOptions::default()).unwrap().findings, []);
}

#[tokio::test]
async fn an_image_of_a_read_only_store_is_leased_while_it_is_handed_out() {
    let dir = TempDir::new().unwrap();
    let first = open(&dir);
    let known = image(b"layer");
    pull(&first, &known, "demo").await;
    let _mount = Mount::read_only(first.root());
    let store = at(first.root());
    for name in ["demo".to_owned(), format!("demo@{}", known.manifest.digest)] {
        let leasing = store.leasing();
        store.get_and_touch(&reference(&name), &platform()).await.unwrap().unwrap();
        assert!(leasing.take(&known.manifest.digest).is_some(), "{name}");
    }
}

#[tokio::test]
async fn a_name_that_was_checked_is_confirmed_in_a_read_only_store_and_a_new_one_is_not_given() {
    let dir = TempDir::new().unwrap();
    let first = open(&dir);
    let known = image(b"layer");
    let pulled = pull(&first, &known, "demo").await;
    let _mount = Mount::read_only(first.root());
    let store = at(first.root());
    let lease = store.lease(&known.manifest.digest).unwrap().unwrap();
    let later = SystemTime::now() + Duration::from_mins(1);
    let confirmed = store.confirm(&reference("demo"), &platform(), &lease, later).unwrap();
    assert_eq!(confirmed.path, pulled.path);
    assert_cannot_write(store.name(&reference("other"), &platform(), &lease, None));
    assert_cannot_write(store.remove(&reference("demo"), &platform()));
    assert_cannot_write(store.stage(Verify::Cached));
}

#[tokio::test]
async fn a_read_only_store_of_the_first_format_is_read_and_left_as_it_is() {
    let dir = TempDir::new().unwrap();
    let first = open(&dir);
    pull(&first, &image(b"layer"), "demo").await;
    let root = first.root().to_owned();
    drop(first);
    let json = root.join("store.json");
    fs::set_permissions(&json, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&json, r#"{"format":1}"#).unwrap();
    fs::create_dir_all(root.join("ingest").join("a".repeat(64))).unwrap();
    let before = tree(&root);
    let mount = Mount::read_only(&root);
    let store = at(&root);
    assert!(store.get_and_touch(&reference("demo"), &platform()).await.unwrap().is_some());
    assert_eq!(tree(&root), before);
    drop((store, mount));
    at(&root);
    assert_eq!(fs::read_to_string(json).unwrap(), "{\"format\":2}\n", "now it can be written");
}

#[tokio::test]
async fn lost_and_found_is_nothing_before_and_after_a_store_is_made() {
    for is_first in [true, false] {
        let dir = TempDir::new().unwrap();
        let root = dir.path().join("store");
        let lost = root.join("lost+found");
        if is_first {
            fs::create_dir_all(&lost).unwrap();
        }
        let store = at(&root);
        pull(&store, &image(b"layer"), "demo").await;
        fs::create_dir_all(lost.join("#12")).unwrap();
        assert_eq!(store.fsck(&FsckOptions::default().with_repair(true)).unwrap().findings, []);
        store.gc(GcOptions::default().with_all(true)).unwrap();
        assert!(lost.join("#12").is_dir());
        assert!(at(&root).get_and_touch(&reference("demo"), &platform()).await.unwrap().is_some());
    }
}

#[test]
fn a_directory_with_more_than_lost_and_found_is_still_no_store() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    fs::write(dir.path().join("letter"), "dear").unwrap();
    let error = Store::open(dir.path(), StoreOptions::default()).unwrap_err();
    assert!(error.report().contains("neither empty nor a store"), "{}", error.report());
}

/// A store with images, in the lower layer of an overlay.
struct Overlay {
    dir: TempDir,
    kept: Image,
    gone: Image,
}

impl Overlay {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for name in ["upper", "mounted"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let (kept, gone) = (image(b"shared and kept"), image(b"gone"));
        let store = open(&dir);
        pull(&store, &kept, "kept").await;
        pull(&store, &gone, "gone").await;
        drop(put(&store, &image(b"without a name"), Verify::Cached).await);
        Self { dir, kept, gone }
    }

    fn upper(&self) -> std::path::PathBuf {
        self.dir.path().join("upper")
    }

    fn mounted(&self) -> std::path::PathBuf {
        self.dir.path().join("mounted")
    }

    /// The kept image is whole, and nothing is damaged.
    async fn check(&self, store: &Store) {
        assert!(store.get_and_touch(&reference("kept"), &platform()).await.unwrap().is_some());
        assert_eq!(store.fsck(&FsckOptions::default()).unwrap().findings, []);
    }
}

#[tokio::test]
async fn an_image_in_a_lower_layer_is_removed_and_collected_in_place() {
    let overlay = Overlay::new().await;
    let (upper, mounted) = (overlay.upper(), overlay.mounted());
    let _tmpfs = Mount::tmpfs(&upper);
    let _overlay = Mount::overlay(&mounted, &overlay.dir.path().join("store"), &upper);
    let store = at(&mounted);
    let lease = store.lease(&overlay.gone.manifest.digest).unwrap().unwrap();
    assert!(store.remove(&reference("gone"), &platform()).unwrap());
    assert!(store.image_path(&overlay.gone.manifest.digest).is_dir(), "it is leased");
    drop(lease);
    let collected = store.gc(GcOptions::default().with_all(true)).unwrap();
    assert_eq!(collected.images.len(), 2, "{collected:?}");
    assert!(!store.image_path(&overlay.gone.manifest.digest).exists());
    assert_eq!(store.unnamed().unwrap(), []);
    overlay.check(&store).await;
    pull(&store, &overlay.gone, "gone").await;
    assert!(store.remove(&reference("gone"), &platform()).unwrap());
    overlay.check(&store).await;
}

#[tokio::test]
async fn an_image_in_a_lower_layer_that_is_damaged_is_replaced_in_place() {
    for verify in [Verify::Cached, Verify::Rehash] {
        let overlay = Overlay::new().await;
        let (upper, mounted) = (overlay.upper(), overlay.mounted());
        let _tmpfs = Mount::tmpfs(&upper);
        let _overlay = Mount::overlay(&mounted, &overlay.dir.path().join("store"), &upper);
        let store = at(&mounted);
        fs::remove_file(store.image_path(&overlay.kept.manifest.digest).join("index.json")).unwrap();
        drop(put(&store, &overlay.kept, verify).await);
        overlay.check(&store).await;
    }
}

#[tokio::test]
async fn what_is_evicted_from_a_lower_layer_goes() {
    let overlay = Overlay::new().await;
    let (upper, mounted) = (overlay.upper(), overlay.mounted());
    let _tmpfs = Mount::tmpfs(&upper);
    let _overlay = Mount::overlay(&mounted, &overlay.dir.path().join("store"), &upper);
    let store = at(&mounted);
    let collected = store.gc(GcOptions::default().with_max_size(0)).unwrap();
    assert_eq!(collected.evicted.len(), 2);
    assert_eq!(store.list(&platform()).unwrap(), []);
    assert!(!store.image_path(&overlay.kept.manifest.digest).exists());
}

#[tokio::test]
async fn strays_in_a_lower_layer_go_into_quarantine() {
    let overlay = Overlay::new().await;
    let (upper, mounted) = (overlay.upper(), overlay.mounted());
    let stray = overlay.dir.path().join("store/blobs/sha256/stray");
    fs::create_dir_all(stray.join("below")).unwrap();
    fs::write(stray.join("below/file"), "bytes").unwrap();
    let _tmpfs = Mount::tmpfs(&upper);
    let _overlay = Mount::overlay(&mounted, &overlay.dir.path().join("store"), &upper);
    let store = at(&mounted);
    assert_eq!(store.fsck(&FsckOptions::default().with_repair(true)).unwrap().findings.len(), 1);
    assert_eq!(fs::read_to_string(mounted.join("quarantine/stray-0/below/file")).unwrap(), "bytes");
    overlay.check(&store).await;
}
