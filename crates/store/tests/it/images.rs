//! Images: how they enter a store, and what each is there.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use hoist_core::ErrorKind;
use hoist_store::{FsckOptions, GcOptions, Layout, Store, StoreOptions, Verify};
use tempfile::TempDir;

use crate::support::{damage, fill, image, image_with, layer_path, open, platform, pull, put, reference};

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
async fn an_image_that_lacks_a_blob_is_not_published() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let staging = store.stage(Verify::Cached).unwrap();
    staging.put(&image.manifest, image.bytes.clone()).await.unwrap();
    assert!(staging.commit(image.manifest.clone()).await.is_err());
    assert!(store.lease(&image.manifest.digest).unwrap().is_none());
}

#[tokio::test]
async fn a_pulled_image_says_its_platform_and_one_for_another_platform_is_not_published() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image_with(br#"{"os":"linux","architecture":"s390x"}"#, b"layer"));
    for (platform, published) in [("linux/amd64", false), ("linux/s390x", true)] {
        let staging = store.stage(Verify::Cached).unwrap();
        fill(&staging, &image).await;
        let (reference, platform) = (reference("demo:v1"), platform.parse().unwrap());
        let lease = staging.commit_pulled(image.manifest.clone(), &reference, &platform).await;
        if !published {
            assert!(matches!(lease.unwrap_err().kind(), ErrorKind::PlatformMissing { .. }));
            assert!(store.lease(&image.manifest.digest).unwrap().is_none());
            continue;
        }
        let stored = store.name(&reference, &platform, &lease.unwrap(), None).unwrap();
        let index: serde_json::Value =
            serde_json::from_slice(&fs::read(stored.path.join("index.json")).unwrap()).unwrap();
        assert_eq!(index["manifests"][0]["platform"]["architecture"], "s390x");
        assert_eq!(index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "v1");
    }
}

#[tokio::test]
async fn who_trusts_nothing_finds_the_damage_and_heals_it() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let stored = pull(&store, &image, "demo").await;
    let path = layer_path(&stored.path, &image);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, b"lay3r").unwrap();
    let lease = put(&store, &image, Verify::Rehash).await;
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
    drop(put(&store, &image, Verify::Rehash).await);
    assert_eq!(fs::read(&path).unwrap(), b"layer");
    assert!(store.remove(&reference("demo"), &platform()).unwrap());
    store.gc(GcOptions::default().with_all(true)).unwrap();
    assert!(path.exists(), "the lease still holds");
    drop(lease);
    store.gc(GcOptions::default()).unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_layout_from_elsewhere_is_adopted_if_it_is_what_it_says() {
    let (dir, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (store, source, image) = (open(&dir), open(&elsewhere), image(b"layer"));
    let from = pull(&source, &image, "demo").await.path;
    let layout = || Layout::open(&from).unwrap();
    let entry = layout().entries().unwrap().remove(0);
    let lease = store.adopt(layout(), entry.clone(), Verify::Cached).await.unwrap();
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
    let error = open(&empty).adopt(layout(), entry, Verify::Cached).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::DigestMismatch);
}

#[tokio::test]
async fn who_adopts_and_trusts_nothing_heals_what_is_damaged() {
    let (dir, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (store, source, image) = (open(&dir), open(&elsewhere), image(b"layer"));
    let from = pull(&source, &image, "demo").await.path;
    let adopt = async |verify| {
        let layout = Layout::open(&from).unwrap();
        let entry = layout.entries().unwrap().remove(0);
        drop(store.adopt(layout, entry, verify).await.unwrap());
        fs::read(layer_path(&store.image_path(&image.manifest.digest), &image)).unwrap()
    };
    adopt(Verify::Cached).await;
    damage(&layer_path(store.root(), &image), b"lay3r");
    assert_eq!(adopt(Verify::Cached).await, b"lay3r", "the pool is believed");
    assert_eq!(adopt(Verify::Rehash).await, b"layer");
}

#[tokio::test]
async fn a_layout_that_is_immutable_for_is_linked_to_if_it_is_what_it_says() {
    let dir = TempDir::new().unwrap();
    let (source, demo) =
        (Store::open(dir.path().join("source"), StoreOptions::default()).unwrap(), image(b"layer"));
    let from = pull(&source, &demo, "demo").await.path;
    fs::set_permissions(layer_path(&from, &demo), fs::Permissions::from_mode(0o644)).unwrap();
    let layout = || Layout::open(&from).unwrap().immutable();
    let entry = layout().entries().unwrap().remove(0);
    let store = open(&dir);
    let lease = store.adopt(layout(), entry.clone(), Verify::Cached).await.unwrap();
    let adopted = layer_path(&store.image_path(lease.digest()), &demo);
    let [theirs, ours] = [layer_path(&from, &demo), adopted].map(|path| fs::metadata(path).unwrap());
    assert_eq!(theirs.ino(), ours.ino());
    assert_eq!(ours.permissions().mode() & 0o777, 0o444, "nobody is to write to it any more");
    assert_eq!(store.fsck(&FsckOptions::default()).unwrap().findings, []);

    damage(&layer_path(&from, &demo), b"lay3r");
    let other = Store::open(dir.path().join("other"), StoreOptions::default()).unwrap();
    let error = other.adopt(layout(), entry, Verify::Cached).await.unwrap_err();
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
    let error = open(&dir).adopt(layout, entry, Verify::Cached).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Storage, "{}", error.report());
}

#[tokio::test]
async fn who_trusts_the_pool_takes_a_blob_as_it_is() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let (layer, _) = &image.blobs[1];
    drop(put(&store, &image, Verify::Cached).await);
    // Somebody who writes to the pool is not found out, since nothing is hashed.
    damage(&layer_path(store.root(), &image), b"lay3r");
    assert!(store.stage(Verify::Cached).unwrap().link(layer).await.unwrap());
    assert!(!store.stage(Verify::Rehash).unwrap().link(layer).await.unwrap());
}

#[tokio::test]
async fn an_image_that_is_here_whole_stays_the_one_it_is() {
    let dir = TempDir::new().unwrap();
    let (store, image) = (open(&dir), image(b"layer"));
    let inode = |_lease| fs::metadata(store.image_path(&image.manifest.digest)).unwrap().ino();
    let first = inode(put(&store, &image, Verify::Cached).await);
    for verify in [Verify::Cached, Verify::Rehash] {
        assert_eq!(inode(put(&store, &image, verify).await), first, "{verify:?}");
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
        drop(put(&store, &image, Verify::Cached).await);
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
