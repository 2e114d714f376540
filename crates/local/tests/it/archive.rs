//! Archives that somebody else wrote: loaded if they are what they should be, and else refused whole.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use hoist_core::{
    Admission, Candidate, Descriptor, Error, ErrorKind, Platform, PulledImage, Reference, media_type,
};
use hoist_local::Archive;
use hoist_store::{Claim, Store, StoreOptions, Verify};
use serde_json::json;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

/// A store, and an archive to be loaded into it.
struct Site {
    dir: TempDir,
    store: Store,
}

/// The files of a layout with one image, whose layer has these bytes.
fn layout(layer: &[u8], name: &str) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())];
    let mut put = |media_type: &str, bytes: &[u8]| {
        let blob = Descriptor::of(media_type, bytes);
        files.push((format!("blobs/sha256/{}", blob.digest.hex()), bytes.to_vec()));
        blob
    };
    let config = put(media_type::OCI_CONFIG, br#"{"os":"linux","architecture":"amd64"}"#);
    let layer = put("application/vnd.oci.image.layer.v1.tar", layer);
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string();
    let mut manifest = put(media_type::OCI_MANIFEST, manifest.as_bytes());
    manifest.annotations = [("org.opencontainers.image.ref.name".to_owned(), name.to_owned())].into();
    let index = json!({"schemaVersion": 2, "manifests": [manifest]}).to_string();
    files.push(("index.json".to_owned(), index.into_bytes()));
    files
}

/// An entry of any name and kind: names that the library would not write go into the header as they are.
fn append(builder: &mut Builder<Vec<u8>>, name: &str, kind: EntryType, content: &[u8]) {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    if matches!(kind, EntryType::Link | EntryType::Symlink) {
        header.set_link_name("index.json").unwrap();
    }
    header.set_cksum();
    builder.append(&header, content).unwrap();
}

fn tar_of(files: &[(String, Vec<u8>)]) -> Builder<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    append(&mut builder, "blobs/", EntryType::Directory, b"");
    for (name, content) in files {
        append(&mut builder, name, EntryType::Regular, content);
    }
    builder
}

fn amd64() -> Platform {
    "linux/amd64".parse().unwrap()
}

impl Site {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path().join("store"), StoreOptions::default()).unwrap();
        Self { dir, store }
    }

    fn write(&self, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join("demo.tar");
        fs::write(&path, bytes).unwrap();
        path
    }

    async fn load(&self, archive: Builder<Vec<u8>>, replace: bool) -> Result<Vec<PulledImage>, Error> {
        let path = self.write(&archive.into_inner().unwrap());
        Archive::open(path)?.load(&self.store, &amd64(), replace).await
    }

    /// What is in the store: names, and blobs.
    fn held(&self) -> (usize, usize) {
        let blobs = self.store.root().join("blobs/sha256").read_dir().map_or(0, Iterator::count);
        (self.store.list(&amd64()).unwrap().len(), blobs)
    }

    fn digest(&self, reference: &str) -> String {
        self.store.peek(&reference.parse().unwrap(), &amd64()).unwrap().unwrap().digest.to_string()
    }
}

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
    let blob = layout(b"a layer", "v1")[1].0.clone();
    for (name, kind) in [
        ("../outside", EntryType::Regular),
        ("/etc/hoist-outside", EntryType::Regular),
        ("blobs/../../outside", EntryType::Regular),
        ("blobs//sha256", EntryType::Regular),
        ("..", EntryType::Directory),
        ("a-link", EntryType::Symlink),
        ("a-link", EntryType::Link),
        ("a-fifo", EntryType::Fifo),
        ("a-device", EntryType::Char),
        ("sparse", EntryType::GNUSparse),
        ("index.json", EntryType::Regular),
        ("./index.json", EntryType::Regular),
        (&*blob, EntryType::Regular),
    ] {
        let site = Site::new();
        let mut archive = tar_of(&layout(b"a layer", "v1"));
        append(&mut archive, name, kind, b"");
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
    let error = Archive::open(path).unwrap().load(&site.store, &arm64, false).await.unwrap_err();
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
