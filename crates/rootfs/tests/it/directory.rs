//! Root file systems as directories.

use std::fs::{Metadata, read, read_link, symlink_metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use hoist_core::{Error, ErrorKind};
use hoist_rootfs::{AddedFile, RootFsOptions, root_fs, write};
use hoist_store::Layout;
use rustix::process::{getegid, geteuid};

use crate::support::stored::{put, store};
use crate::support::{Archive, File};

/// Makes a directory of these layers at `out`.
async fn make(layers: &[Vec<u8>], out: &Path) -> Result<(), Error> {
    make_with(layers, &RootFsOptions::directory(), out).await
}

async fn make_with(layers: &[Vec<u8>], options: &RootFsOptions, out: &Path) -> Result<(), Error> {
    let (_temp, store) = store();
    let image = put(&store, layers).await;
    let layout = Layout::open(&store.image_path(image.digest())).unwrap();
    write(layout, options, out, &AtomicBool::new(false)).map(drop)
}

/// An entry that belongs to whoever runs the test.
fn mine(kind: u8, path: &str) -> File {
    File::new(kind, path).owner(geteuid().as_raw().into(), getegid().as_raw().into())
}

fn root() -> Archive {
    Archive::new().add(&mine(b'5', "./"))
}

fn meta(path: &Path) -> Metadata {
    symlink_metadata(path).unwrap()
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn files_of_every_kind_have_their_content_links_permissions_times_and_attributes() {
    let temp = tempfile::TempDir::new().unwrap();
    let out = temp.path().join("out");
    let big: Vec<u8> = (0..300_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let layer = root()
        .add(&mine(b'5', "sealed").mode(0o555))
        .add(&mine(b'0', "sealed/big").data(&big).mode(0o4751).xattr("user.k", "value"))
        .add(&mine(b'0', "sealed/read-only").data("text").mode(0o444).xattr("user.k", "other"))
        .add(&mine(b'0', "empty"))
        .hard_link("other-name", "sealed/big")
        .add(&mine(b'2', "absolute").link("/etc/passwd"))
        .add(&mine(b'6', "pipe").mode(0o640))
        .end();
    make(&[layer], &out).await.unwrap();
    assert_eq!(names(&out), ["absolute", "empty", "other-name", "pipe", "sealed"]);
    assert_eq!(meta(&out.join("sealed")).mode() & 0o7777, 0o555);
    assert!(read(out.join("sealed/big")).unwrap() == big && read(out.join("empty")).unwrap().is_empty());
    let (big, other) = (meta(&out.join("sealed/big")), meta(&out.join("other-name")));
    assert_eq!((big.ino(), big.nlink(), big.mode() & 0o7777), (other.ino(), 2, 0o4751));
    assert_eq!(read_link(out.join("absolute")).unwrap(), Path::new("/etc/passwd"));
    let pipe = meta(&out.join("pipe"));
    assert!(pipe.file_type().is_fifo() && pipe.mode() & 0o7777 == 0o640);
    for path in ["", "sealed", "sealed/big", "absolute", "pipe", "empty"] {
        assert_eq!(meta(&out.join(path)).mtime(), 1_700_000_000, "{path}");
    }
    let mut value = [0; 5];
    rustix::fs::getxattr(out.join("sealed/read-only"), "user.k", &mut value).unwrap();
    assert_eq!(&value, b"other");
    assert_eq!(names(temp.path()), ["out"], "nothing is left beside it");
}

#[tokio::test]
async fn layers_merge_and_no_symlink_leads_out_of_the_directory() {
    let temp = tempfile::TempDir::new().unwrap();
    let (out, outside) = (temp.path().join("out"), temp.path().join("outside"));
    std::fs::create_dir(&outside).unwrap();
    let below = root().add(&mine(b'2', "escape").link(outside.as_os_str().as_encoded_bytes()));
    let below = below.add(&mine(b'5', "a")).add(&mine(b'0', "a/gone")).add(&mine(b'0', "a/kept"));
    let above = Archive::new().add(&mine(b'0', "a/.wh.gone")).add(&mine(b'5', "escape"));
    let above = above.add(&mine(b'0', "escape/file").data("inside"));
    make(&[below.end(), above.end()], &out).await.unwrap();
    assert_eq!(names(&out.join("a")), ["kept"]);
    assert!(read(out.join("escape/file")).unwrap() == b"inside" && meta(&out.join("escape")).is_dir());
    assert!(names(&outside).is_empty());
}

#[tokio::test]
async fn only_root_can_make_files_of_other_owners_and_devices() {
    let temp = tempfile::TempDir::new().unwrap();
    for (name, file) in [
        ("owner", mine(b'0', "etc/shadow").owner(4242, 4243)),
        ("device", mine(b'3', "dev/null").device(1, 3)),
    ] {
        let out = temp.path().join(name);
        let archive = root().add(&mine(b'5', "etc")).add(&mine(b'5', "dev")).add(&file);
        let made = make(&[archive.end()], &out).await;
        if geteuid().is_root() {
            made.unwrap();
            let there = meta(&out.join(String::from_utf8(file.path).unwrap()));
            assert_eq!((u64::from(there.uid()), u64::from(there.gid())), file.owner);
            assert_eq!(there.file_type().is_char_device(), name == "device");
        } else {
            let report = made.unwrap_err().report();
            assert!(report.contains("root") && report.contains("erofs"), "{report}");
            assert!(names(temp.path()).is_empty());
        }
    }
}

#[tokio::test]
async fn what_is_there_is_not_replaced_and_the_store_keeps_no_directory() {
    let temp = tempfile::TempDir::new().unwrap();
    let layers = [root().add(&mine(b'0', "a")).end()];
    std::fs::create_dir(temp.path().join("empty")).unwrap();
    std::os::unix::fs::symlink("/nowhere", temp.path().join("link")).unwrap();
    for name in ["empty", "link"] {
        let error = make(&layers, &temp.path().join(name)).await.unwrap_err();
        assert!(*error.kind() == ErrorKind::InvalidConfig && error.report().contains("there already"));
    }
    let (_store, store) = store();
    let image = put(&store, &layers).await;
    let error = root_fs(&store, &image, &RootFsOptions::directory()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidConfig);
    for options in [RootFsOptions::directory().with_size(1), RootFsOptions::directory().with_verity()] {
        let error = make_with(&layers, &options, &temp.path().join("out")).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::InvalidConfig);
    }
}

#[tokio::test]
async fn files_of_this_machine_are_added() {
    let temp = tempfile::TempDir::new().unwrap();
    std::fs::write(temp.path().join("init"), "#!/bin/sh").unwrap();
    let file = AddedFile::new(temp.path().join("init"), "/init").unwrap().with_mode(0o755);
    let options = RootFsOptions::directory().with_added(file);
    let made = make_with(&[root().end()], &options, &temp.path().join("out")).await;
    // What is added belongs to root.
    assert_eq!(made.is_ok(), geteuid().is_root());
    if made.is_ok() {
        assert_eq!(read(temp.path().join("out/init")).unwrap(), b"#!/bin/sh");
    }
}
