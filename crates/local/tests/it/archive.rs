//! Archives that somebody else wrote: loaded if they are what they should be, and else refused whole.

use std::fs;
use std::sync::Arc;

use hoist_core::{Admission, Candidate, Descriptor, Error, ErrorKind, Reference};
use hoist_local::Archive;
use hoist_store::{Claim, Verify};
use serde_json::json;
use tar::EntryType;

use crate::site::{Site, amd64, append, layout, tar_of};

#[tokio::test]
async fn an_archive_is_loaded_under_the_names_in_it() {
    let site = Site::new();
    for (name, reference) in
        [("v1", "docker.io/library/demo:v1"), ("ghcr.io/org/repo:v2", "ghcr.io/org/repo:v2")]
    {
        let loaded = site.load(tar_of(&layout(b"a layer", name)), false).await.unwrap();
        assert_eq!(loaded.iter().map(|image| &*image.reference).collect::<Vec<_>>(), [reference]);
        assert!(loaded[0].path.join("index.json").exists());
        assert_eq!(site.digest(reference), loaded[0].digest);
    }
    assert_eq!(site.held(), (2, 3));
}

#[tokio::test]
async fn what_somebody_left_wrong_of_a_blob_does_not_spoil_it() {
    let site = Site::new();
    let layer = Descriptor::of("application/vnd.oci.image.layer.v1.tar", b"a layer");
    let Claim::Fetch(ingest) = site.store.stage(Verify::Cached).unwrap().claim(&layer).await.unwrap() else {
        panic!("it is new")
    };
    ingest.write(0, b"a wrong".to_vec().into()).await.unwrap();
    drop(ingest);
    let loaded = site.load(tar_of(&layout(b"a layer", "v1")), false).await.unwrap();
    let path = loaded[0].path.join("blobs/sha256").join(layer.digest.hex());
    assert_eq!(fs::read(path).unwrap(), b"a layer");
}

/// CVE-2025-62518, RUSTSEC-2026-0067, RUSTSEC-2026-0068.
#[tokio::test]
async fn an_archive_with_what_no_layout_has_is_refused_whole() {
    for (name, kind, target) in [
        ("../outside", EntryType::Regular, ""),
        ("/etc/hoist-outside", EntryType::Regular, ""),
        ("blobs/../../outside", EntryType::Regular, ""),
        ("..", EntryType::Directory, ""),
        ("a-link", EntryType::Symlink, "/etc/passwd"),
        ("a-link", EntryType::Symlink, "../outside"),
        ("blobs/a-link", EntryType::Symlink, "../../outside"),
        ("a-link", EntryType::Link, "/etc/passwd"),
        ("a-link", EntryType::Link, "../outside"),
        ("index.json", EntryType::Symlink, "oci-layout"),
        ("a-fifo", EntryType::Fifo, ""),
        ("a-device", EntryType::Char, ""),
        ("a-device", EntryType::Block, ""),
        ("sparse", EntryType::GNUSparse, ""),
        ("index.json", EntryType::Regular, ""),
        ("./index.json", EntryType::Regular, ""),
    ] {
        let site = Site::new();
        let mut archive = tar_of(&layout(b"a layer", "v1"));
        append(&mut archive, name, kind, target, b"");
        let error = site.load(archive, false).await.expect_err(name);
        assert_eq!(*error.kind(), ErrorKind::Malformed, "{name}: {}", error.report());
        assert_eq!(site.held(), (0, 0), "{name}");
    }
}

#[tokio::test]
async fn an_archive_within_a_layer_is_a_layer() {
    let site = Site::new();
    let inner = tar_of(&layout(b"smuggled", "evil")).into_inner().unwrap();
    let loaded = site.load(tar_of(&layout(&inner, "v1")), false).await.unwrap();
    assert_eq!(loaded.len(), 1);
    assert_eq!(site.held(), (1, 3));
}

/// CVE-2026-50195.
#[tokio::test]
async fn a_name_that_is_taken_is_not_moved_unless_that_is_said() {
    let site = Site::new();
    let first = site.load(tar_of(&layout(b"the first", "v1")), false).await.unwrap().remove(0).digest;
    site.load(tar_of(&layout(b"the first", "v1")), false).await.expect("the same again moves nothing");
    let error = site.load(tar_of(&layout(b"the second", "v1")), false).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unsupported, "{}", error.report());
    assert!(error.report().contains("docker.io/library/demo:v1"), "{}", error.report());
    assert_eq!(site.digest("demo:v1"), first);
    let second = site.load(tar_of(&layout(b"the second", "v1")), true).await.unwrap().remove(0).digest;
    assert_eq!(site.digest("demo:v1"), second);
    assert_ne!(first, second);
}

#[tokio::test]
async fn an_archive_whose_bytes_are_not_what_it_says_names_nothing() {
    let lie = |change: fn(&mut Vec<u8>)| {
        let mut files = layout(b"a layer of some bytes", "v1");
        change(&mut files[2].1);
        tar_of(&files)
    };
    for (archive, kind) in [
        (lie(|layer| layer[0] ^= 1), ErrorKind::DigestMismatch),
        (lie(|layer| layer.truncate(3)), ErrorKind::SizeMismatch),
        (tar_of(&[&layout(b"x", "v1")[..2], &layout(b"x", "v1")[3..]].concat()), ErrorKind::NotFound),
        (tar_of(&layout(b"x", "v1")[1..]), ErrorKind::Unsupported),
        (tar_of(&layout(b"x", "two words")), ErrorKind::InvalidReference),
    ] {
        let site = Site::new();
        let error = site.load(archive, false).await.unwrap_err();
        assert_eq!(*error.kind(), kind, "{}", error.report());
        assert_eq!(site.held().0, 0);
    }
}

#[tokio::test]
async fn what_is_no_archive_is_told() {
    let site = Site::new();
    for bytes in [&b"not an archive, but long enough for a header of one".repeat(20)[..], b""] {
        let error = Archive::open(site.write(bytes)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Malformed | ErrorKind::Unsupported), "{}", error.report());
    }
    assert_eq!(*Archive::open(site.dir.path()).unwrap_err().kind(), ErrorKind::Malformed);
    assert_eq!(*Archive::open("/nowhere").unwrap_err().kind(), ErrorKind::Storage);
}

#[tokio::test]
async fn what_is_compressed_is_told_with_what_decompresses_it() {
    let site = Site::new();
    for (beginning, compression, tool) in [
        (&b"\x1f\x8b\x08"[..], "gzip", "`gunzip`"),
        (b"\x28\xb5\x2f\xfd", "zstd", "`unzstd`"),
        (b"\xfd7zXZ\0", "xz", "`unxz`"),
        (b"BZh9", "bzip2", "`bunzip2`"),
    ] {
        let error = Archive::open(site.write(&[beginning, &[7; 600]].concat())).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unsupported, "{}", error.report());
        let report = error.report();
        assert!(report.contains(&format!("demo.tar is compressed with {compression}")), "{report}");
        assert!(report.contains(tool), "{report}");
    }
}

#[tokio::test]
async fn of_a_file_that_is_no_archive_nothing_is_told_but_its_name() {
    let site = Site::new();
    for content in
        ["root:x:0:0:root:/root:/bin/bash\n".repeat(40), "hunter2 ".repeat(100), "hunter2".to_owned()]
    {
        let error = Archive::open(site.write(content.as_bytes())).unwrap_err();
        let (report, debug) = (error.report(), format!("{error:?}"));
        for word in ["root", "bash", "hunter"] {
            assert!(!report.contains(word) && !debug.contains(word), "{report}");
        }
        assert!(report.contains("demo.tar is refused: it is no tar archive"), "{report}");
    }
}

#[tokio::test]
async fn an_archive_for_another_platform_is_told() {
    let site = Site::new();
    let path = site.write(&tar_of(&layout(b"x", "v1")).into_inner().unwrap());
    let arm64 = "linux/arm64".parse().unwrap();
    let outcomes = Archive::open(path).unwrap().load(&site.store, &arm64, false).await.unwrap();
    let [Err(error)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(*error.kind(), ErrorKind::PlatformMissing { available: vec![amd64()] });
}

/// Refuses an image, or a name.
enum Refusing {
    Image(String),
    Name(&'static str),
}

impl Admission for Refusing {
    fn admit_reference(&self, reference: &Reference) -> Result<(), Error> {
        match self {
            Self::Name(name) if reference.to_string() == *name => Err(Error::new(ErrorKind::Refused, "no")),
            _ => Ok(()),
        }
    }

    fn admit(&self, image: &Candidate<'_>) -> Result<(), Error> {
        match self {
            Self::Image(digest) if image.digest.to_string() == *digest => {
                Err(Error::new(ErrorKind::Refused, "nobody has signed it"))
            }
            _ => Ok(()),
        }
    }
}

/// The files of a layout with two images.
fn two(layers: [&[u8]; 2], names: [&str; 2]) -> Vec<(String, Vec<u8>)> {
    let mut files = layout(layers[0], names[0]);
    files.extend(layout(layers[1], names[1]));
    let (indexes, mut files): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|(name, _)| name == "index.json");
    let entries = indexes.iter().map(|(_, bytes)| {
        serde_json::from_slice::<serde_json::Value>(bytes).unwrap()["manifests"][0].clone()
    });
    let index = json!({"schemaVersion": 2, "manifests": entries.collect::<Vec<_>>()}).to_string();
    files.sort();
    files.dedup();
    files.push(("index.json".to_owned(), index.into_bytes()));
    files
}

#[tokio::test]
async fn where_one_image_is_refused_none_of_the_archive_gets_a_name() {
    let files = || tar_of(&two([b"one", b"other"], ["a:v1", "b:v1"]));
    let site = Site::new();
    assert_eq!(site.load(files(), false).await.unwrap().len(), 2);
    let other = site.digest("b:v1");
    for (refusing, blobs) in [(Refusing::Image(other), 5), (Refusing::Name("docker.io/library/b:v1"), 0)] {
        let mut site = Site::new();
        site.store = site.store.with_admission(Arc::new(refusing));
        let error = site.load(files(), false).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Refused, "{}", error.report());
        assert!(error.report().contains("docker.io/library/b:v1 is not admitted"), "{}", error.report());
        assert_eq!(site.held(), (0, blobs), "verified blobs stay until they are collected");
    }
}
