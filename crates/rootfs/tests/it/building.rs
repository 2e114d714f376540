//! Root file systems of images in a store.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use hoist_core::Digest;
use hoist_rootfs::{AddedFile, RootFsOptions, root_fs, write};
use hoist_store::{GcOptions, Layout, Store};
use tempfile::TempDir;

use crate::support::stored::{put, put_as, store};
use crate::support::{Archive, Image};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn layers() -> Vec<Vec<u8>> {
    vec![Archive::new().dir("etc").file("etc/a", vec![1; 9000]).end(), Archive::new().file("b", "text").end()]
}

fn read(path: &Path) -> Image {
    Image::read(std::fs::read(path).unwrap())
}

/// The files below a directory.
fn files(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn nothing_is_left(store: &Store) {
    for place in ["derived", "staging"] {
        assert_eq!(files(&store.root().join(place)), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn a_root_file_system_is_made_once_and_found_again() {
    let (_temp, store) = store();
    let image = put(&store, &layers()).await;
    let first = root_fs(&store, &image, &RootFsOptions::erofs()).await.unwrap();
    let made = first.metadata().unwrap();
    assert_eq!(read(&first).paths(), ["b", "etc", "etc/a"]);
    assert_eq!(made.permissions().mode() & 0o777, 0o444);
    let again = root_fs(&store, &image, &RootFsOptions::erofs()).await.unwrap();
    assert_eq!((&first, made.modified().unwrap()), (&again, again.metadata().unwrap().modified().unwrap()));
    assert!(files(&store.root().join("staging")).is_empty());
}

#[tokio::test]
async fn equal_requests_at_once_share_one_root_file_system() {
    let (_temp, store) = store();
    let image = put(&store, &layers()).await;
    let options = RootFsOptions::erofs();
    let other = Store::open(store.root(), hoist_store::StoreOptions::default()).unwrap();
    let (one, two) = tokio::join!(root_fs(&store, &image, &options), root_fs(&other, &image, &options));
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(files(&store.root().join("derived")).len(), 1);
}

#[tokio::test]
async fn the_bytes_do_not_depend_on_how_layers_are_compressed() {
    let (_temp, store) = store();
    let (plain, diff_ids) =
        (layers(), layers().iter().map(|layer| Digest::sha256(layer)).collect::<Vec<_>>());
    let gzipped: Vec<_> = plain.iter().map(|layer| gzip(layer)).collect();
    let zstd: Vec<_> = plain.iter().map(|layer| zstd::stream::encode_all(&layer[..], 3).unwrap()).collect();
    let mut images = Vec::new();
    for layers in [plain, gzipped, zstd] {
        let image = put_as(&store, &layers, &diff_ids).await;
        images.push(std::fs::read(root_fs(&store, &image, &RootFsOptions::erofs()).await.unwrap()).unwrap());
    }
    assert!(images[0] == images[1] && images[1] == images[2]);
}

#[tokio::test]
async fn a_wrong_diff_id_publishes_nothing_and_caches_nothing() {
    let (_temp, store) = store();
    let image = put_as(&store, &layers(), &[Digest::sha256(&layers()[0]), Digest::sha256(b"other")]).await;
    let error = root_fs(&store, &image, &RootFsOptions::erofs()).await.unwrap_err();
    assert_eq!(error.kind().as_str(), "digest_mismatch");
    nothing_is_left(&store);
}

#[tokio::test]
async fn more_or_fewer_digests_than_layers_are_refused() {
    let (_temp, store) = store();
    let one = Digest::sha256(&layers()[0]);
    for diff_ids in [vec![one.clone()], vec![one.clone(), one.clone(), one]] {
        let image = put_as(&store, &layers(), &diff_ids).await;
        let error = root_fs(&store, &image, &RootFsOptions::erofs()).await.unwrap_err();
        assert_eq!(error.kind().as_str(), "malformed");
    }
    nothing_is_left(&store);
}

#[tokio::test]
async fn a_layer_that_cannot_be_unpacked_leaves_nothing() {
    let (_temp, store) = store();
    let broken = gzip(&layers()[0])[..100].to_vec();
    let image =
        put_as(&store, &[broken, layers()[1].clone()], &[Digest::sha256(b"a"), Digest::sha256(b"b")]).await;
    assert!(root_fs(&store, &image, &RootFsOptions::erofs()).await.is_err());
    nothing_is_left(&store);
}

#[tokio::test]
async fn a_dropped_call_leaves_nothing_and_the_next_one_makes_it() {
    let (_temp, store) = store();
    let image = put(&store, &[Archive::new().file("a", vec![1; 30 << 20]).end()]).await;
    let options = RootFsOptions::erofs();
    {
        let mut call = std::pin::pin!(root_fs(&store, &image, &options));
        assert!(futures_util::poll!(&mut call).is_pending());
    }
    store.idle().await;
    nothing_is_left(&store);
    assert!(root_fs(&store, &image, &options).await.is_ok());
}

#[tokio::test]
async fn options_that_differ_have_root_file_systems_of_their_own() {
    let (_temp, store) = store();
    let image = put(&store, &layers()).await;
    let paths = [RootFsOptions::erofs(), RootFsOptions::ext4(), RootFsOptions::ext4().with_size(64 << 20)];
    let mut made = Vec::new();
    for options in paths {
        made.push(root_fs(&store, &image, &options).await.unwrap());
    }
    assert!(made[0] != made[1] && made[1] != made[2]);
}

#[tokio::test]
async fn an_erofs_image_has_no_size_to_set() {
    let (_temp, store) = store();
    let image = put(&store, &layers()).await;
    let error = root_fs(&store, &image, &RootFsOptions::erofs().with_size(1)).await.unwrap_err();
    assert_eq!(error.kind().as_str(), "invalid_config");
}

#[tokio::test]
async fn a_collector_spares_the_root_file_system_of_a_leased_image() {
    let (_temp, store) = store();
    let image = put(&store, &layers()).await;
    let path = root_fs(&store, &image, &RootFsOptions::erofs()).await.unwrap();
    store.gc(GcOptions::default().with_all(true).with_max_size(0)).unwrap();
    assert!(path.exists());
}

/// A directory with files to add.
fn files_to_add() -> TempDir {
    let temp = TempDir::new().unwrap();
    std::fs::write(temp.path().join("init"), "#!/bin/sh").unwrap();
    std::fs::create_dir_all(temp.path().join("agent/bin")).unwrap();
    std::fs::write(temp.path().join("agent/bin/run"), "run").unwrap();
    std::os::unix::fs::symlink("bin/run", temp.path().join("agent/latest")).unwrap();
    temp
}

fn add(host: &Path, name: &str, guest: &str) -> AddedFile {
    AddedFile::new(host.join(name), guest).unwrap()
}

#[tokio::test]
async fn added_files_belong_to_root_and_are_private() {
    let ((_temp, store), host) = (store(), files_to_add());
    let lower =
        Archive::new().symlink("sbin", "../usr/sbin").dir("usr/sbin").symlink("usr/sbin/init", "other").end();
    let image = put(&store, &[lower]).await;
    let options = RootFsOptions::erofs()
        .with_added(add(host.path(), "init", "/sbin/init").with_mode(0o755))
        .with_added(add(host.path(), "agent", "/opt/agent/"));
    let path = root_fs(&store, &image, &options).await.unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o400);
    let image = read(&path);
    let init = image.node("usr/sbin/init");
    assert_eq!((init.mode, init.owner, init.mtime), (0o755, (0, 0), (1_700_000_000, 0)));
    assert_eq!(image.text("usr/sbin/init"), "#!/bin/sh");
    assert_eq!(image.text("opt/agent/bin/run"), "run");
    assert_eq!(image.text("opt/agent/latest"), "bin/run");
}

#[tokio::test]
async fn the_content_and_mode_of_added_files_tell_root_file_systems_apart() {
    let ((_temp, store), host) = (store(), files_to_add());
    let image = put(&store, &layers()).await;
    let file = add(host.path(), "init", "/init");
    let make = async |file: AddedFile| {
        root_fs(&store, &image, &RootFsOptions::erofs().with_added(file)).await.unwrap()
    };
    let first = make(file.clone()).await;
    assert_eq!(make(file.clone()).await, first);
    assert_ne!(make(file.clone().with_mode(0o700)).await, first);
    std::fs::write(host.path().join("init"), "#!/bin/no").unwrap();
    assert_ne!(make(file).await, first);
}

#[tokio::test]
async fn a_file_to_add_is_no_symlink_no_device_and_replaces_no_directory() {
    let ((_temp, store), host) = (store(), files_to_add());
    let image = put(&store, &layers()).await;
    std::fs::write(host.path().join("agent/.wh.a"), "").unwrap();
    for file in [
        add(host.path(), "agent/latest", "/a"),
        add(host.path(), "absent", "/a"),
        add(Path::new("/dev"), "null", "/a"),
        add(host.path(), "init", "/etc"),
        add(host.path(), "agent", "/a"),
    ] {
        let error = root_fs(&store, &image, &RootFsOptions::erofs().with_added(file)).await.unwrap_err();
        assert_eq!(error.kind().as_str(), "invalid_config", "{}", error.report());
    }
}

#[test]
fn a_file_to_add_is_written_with_colons() {
    let parse = |text: &str| text.parse::<AddedFile>();
    assert_eq!(parse("a:/b").unwrap().mode, None);
    assert_eq!(parse("a:/b:4755").unwrap().mode, Some(0o4755));
    for text in
        ["a", "a:b", ":/b", "a:/", "a:/../b", "a:/b:", "a:/b:8", "a:/b:77777", "a:/b:7:7", "a:/b:+7", "a:"]
    {
        assert_eq!(parse(text).unwrap_err().kind().as_str(), "invalid_config", "{text}");
    }
}

#[tokio::test]
async fn a_file_outside_the_store_is_replaced_at_once_or_not_at_all() {
    let (temp, store) = store();
    let image = put(&store, &layers()).await;
    let (out, stop) = (temp.path().join("out.erofs"), AtomicBool::new(false));
    std::fs::write(&out, "old").unwrap();
    let layout = || Layout::open(&store.image_path(image.digest())).unwrap();
    write(layout(), &RootFsOptions::erofs(), &out, &stop).unwrap();
    assert_eq!(read(&out).paths(), ["b", "etc", "etc/a"]);
    assert_eq!(out.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    let kept = root_fs(&store, &image, &RootFsOptions::erofs()).await.unwrap();
    assert_eq!(std::fs::read(&out).unwrap(), std::fs::read(kept).unwrap());
    for other in [temp.path(), Path::new("/dev/null")] {
        let error = write(layout(), &RootFsOptions::erofs(), other, &stop).unwrap_err();
        assert_eq!(error.kind().as_str(), "invalid_config");
    }
    let wrong = put_as(&store, &layers()[..1], &[Digest::sha256(b"other")]).await;
    let wrong = Layout::open(&store.image_path(wrong.digest())).unwrap();
    assert!(write(wrong, &RootFsOptions::erofs(), &out, &stop).is_err());
    assert_eq!(read(&out).paths(), ["b", "etc", "etc/a"]);
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 2, "nothing is left beside it");
}
