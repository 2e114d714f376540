//! What a directory of images promises: names, platforms, pins, and that a removal takes nothing else along.

use std::fs;
use std::path::{Path, PathBuf};

use hoist_core::{Descriptor, Digest, ErrorKind, ImageRegistry, Platform, Reference, media_type};
use hoist_local::LocalRegistry;
use hoist_store::{Layout, Store, StoreOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A store, and beside it a directory called `demo` with a layout that each test fills as it needs.
struct Fixture {
    dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self { dir: TempDir::new().unwrap() };
        fs::create_dir_all(fixture.path().join("blobs/sha256")).unwrap();
        fs::write(fixture.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        fixture.write_index(&[]);
        fixture
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("demo")
    }

    fn store(&self) -> Store {
        Store::open(self.dir.path().join("store"), StoreOptions::default()).unwrap()
    }

    fn registry(&self) -> LocalRegistry {
        LocalRegistry::open(self.path(), self.store()).unwrap().with_platform(platform("linux/amd64"))
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let descriptor = Descriptor::of(media_type, bytes);
        fs::write(self.blob_path(&descriptor.digest), bytes).unwrap();
        descriptor
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path().join("blobs/sha256").join(digest.hex())
    }

    /// An image of these layers.
    fn image(&self, architecture: &str, layers: &[&str]) -> Descriptor {
        let config = json!({ "os": "linux", "architecture": architecture, "rootfs": {} });
        let config = self.blob(CONFIG, config.to_string().as_bytes());
        let layers: Vec<_> = layers.iter().map(|layer| self.blob(LAYER, layer.as_bytes())).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": layers,
        });
        self.blob(media_type::OCI_MANIFEST, manifest.to_string().as_bytes())
    }

    /// An index of images, each with its platform.
    fn index(&self, images: &[(&str, &Descriptor)]) -> Descriptor {
        let images =
            images.iter().map(|(architecture, image)| of_platform(image, &format!("linux/{architecture}")));
        let images: Vec<_> = images.collect();
        let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": images });
        self.blob(media_type::OCI_INDEX, index.to_string().as_bytes())
    }

    fn write_index(&self, entries: &[Descriptor]) {
        let index =
            json!({ "schemaVersion": 2, "manifests": entries, "annotations": { "kept": "as it is" } });
        fs::write(self.path().join("index.json"), index.to_string()).unwrap();
    }

    fn blobs(&self) -> Vec<String> {
        names(&self.path().join("blobs/sha256"))
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn of_platform(descriptor: &Descriptor, name: &str) -> Descriptor {
    let mut descriptor = descriptor.clone();
    descriptor.platform = Some(platform(name));
    descriptor
}

fn named(descriptor: &Descriptor, name: &str) -> Descriptor {
    let annotations = [(REF_NAME.to_owned(), name.to_owned())].into();
    let mut named = descriptor.clone();
    named.annotations = annotations;
    named
}

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

#[tokio::test]
async fn what_is_in_the_directory_is_what_is_cached() {
    let fixture = Fixture::new();
    let registry = fixture.registry();
    assert_eq!(registry.list_cached().await.unwrap(), Vec::<String>::new());
    let (v1, v2) = (fixture.image("amd64", &["1"]), fixture.image("amd64", &["2"]));
    let foreign = fixture.image("arm64", &["3"]);
    fixture.write_index(&[
        named(&v2, "v2"),
        named(&v1, "ghcr.io/org/repo:v1"),
        named(&v1, "two words"),
        named(&foreign, "arm"),
        v1.clone(),
    ]);
    let by_digest = format!("docker.io/library/demo@{}", v1.digest);
    let expected = ["docker.io/library/demo:v2", &by_digest, "ghcr.io/org/repo:v1"];
    assert_eq!(registry.list_cached().await.unwrap(), expected);
    for name in expected {
        assert!(registry.is_cached(name).await, "{name}");
    }
    for other in ["demo", "demo:arm", "demo:v1", "ghcr.io/org/repo", "not a reference"] {
        assert!(!registry.is_cached(other).await, "{other}");
    }
}

#[tokio::test]
async fn a_pulled_image_is_in_the_store_and_says_what_it_is() {
    let fixture = Fixture::new();
    let (registry, image) = (fixture.registry(), fixture.image("amd64", &["layer"]));
    fixture.write_index(&[named(&image, "v1")]);
    let pulled = registry.pull("demo:v1").await.unwrap();
    assert_eq!(pulled.reference, "docker.io/library/demo:v1");
    assert_eq!(pulled.digest, image.digest.to_string());
    assert_eq!(pulled.path, fixture.store().image_path(&image.digest));
    let entry = Layout::open(&pulled.path).unwrap().entries().unwrap().remove(0);
    assert_eq!(entry, of_platform(&named(&image, "v1"), "linux/amd64"));
    fs::remove_dir_all(fixture.path()).unwrap();
    assert!(Layout::open(&pulled.path).unwrap().read(&entry).is_ok(), "it does not need the directory");
}

#[tokio::test]
async fn an_index_gives_the_platform_s_image_and_is_a_name_for_it() {
    let fixture = Fixture::new();
    let (amd64, arm64) = (fixture.image("amd64", &["a"]), fixture.image("arm64", &["b"]));
    let index = fixture.index(&[("amd64", &amd64), ("arm64", &arm64)]);
    fixture.write_index(&[named(&index, "v1")]);
    for (architecture, image) in [("amd64", &amd64), ("arm64", &arm64)] {
        let platform = platform(&format!("linux/{architecture}"));
        let registry = fixture.registry().with_platform(platform.clone());
        assert_eq!(registry.pull("demo:v1").await.unwrap().digest, image.digest.to_string());
        for digest in [&index.digest, &image.digest] {
            let name = format!("demo@{digest}");
            assert!(registry.is_cached(&name).await);
            assert_eq!(registry.pull(&name).await.unwrap().digest, image.digest.to_string());
            assert!(!registry.is_cached(&format!("other@{digest}")).await);
        }
        let reference: Reference = "demo:v1".parse().unwrap();
        let stored = fixture.store().peek(&reference, &platform).unwrap().unwrap();
        assert_eq!(stored.resolved, index.digest);
    }
    let other = fixture.registry().with_platform(platform("linux/s390x"));
    assert!(!other.is_cached("demo:v1").await);
    let error = other.pull("demo:v1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::PlatformMissing { available } if available.len() == 2));
}

#[tokio::test]
async fn of_several_entries_of_one_name_the_platform_s_is_chosen() {
    let fixture = Fixture::new();
    let (amd64, arm64) = (fixture.image("amd64", &["a"]), fixture.image("arm64", &["b"]));
    fixture.write_index(&[named(&arm64, "v1"), named(&amd64, "v1")]);
    let registry = fixture.registry().writable();
    assert_eq!(registry.pull("demo:v1").await.unwrap().digest, amd64.digest.to_string());
    assert!(registry.remove("demo:v1").await.unwrap());
    assert!(!registry.is_cached("demo:v1").await);
    assert!(registry.with_platform(platform("linux/arm64")).is_cached("demo:v1").await);
}

#[tokio::test]
async fn an_image_without_a_name_is_found_by_digest_in_any_repository() {
    let fixture = Fixture::new();
    let (registry, image) = (fixture.registry(), fixture.image("amd64", &["layer"]));
    fixture.write_index(std::slice::from_ref(&image));
    let name = format!("ghcr.io/org/repo:v9@{}", image.digest);
    assert_eq!(registry.pull(&name).await.unwrap().reference, name);
    assert!(!registry.is_cached("ghcr.io/org/repo:v9").await);
}

#[tokio::test]
async fn a_name_that_is_not_there_is_answered_with_those_that_are() {
    let fixture = Fixture::new();
    let image = fixture.image("amd64", &["layer"]);
    fixture.write_index(&[named(&image, "v1")]);
    let error = fixture.registry().pull("demo:v2").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotFound);
    let help = error.help().unwrap();
    assert!(help.contains("docker.io/library/demo:v1"), "{help}");
}

#[tokio::test]
async fn a_damaged_directory_is_found_out_by_force_also_where_the_store_is_sound() {
    let fixture = Fixture::new();
    let (registry, image) = (fixture.registry(), fixture.image("amd64", &["layer"]));
    fixture.write_index(&[named(&image, "v1")]);
    let before = registry.force_pull("demo:v1").await.unwrap();
    fs::write(fixture.blob_path(&Digest::sha256(b"layer")), "lay3r").unwrap();
    let error = registry.force_pull("demo:v1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::DigestMismatch);
    let layer = before.path.join("blobs/sha256").join(Digest::sha256(b"layer").hex());
    assert_eq!(fs::read(layer).unwrap(), b"layer", "the old image is as it was");
    assert_eq!(registry.pull("demo:v1").await.unwrap().path, before.path);
}

#[tokio::test]
async fn an_image_that_lacks_a_blob_is_not_cached() {
    let fixture = Fixture::new();
    let (registry, image) = (fixture.registry(), fixture.image("amd64", &["layer"]));
    fixture.write_index(&[named(&image, "v1")]);
    fs::remove_file(fixture.blob_path(&Digest::sha256(b"layer"))).unwrap();
    assert!(!registry.is_cached("demo:v1").await);
    assert_eq!(registry.list_cached().await.unwrap(), Vec::<String>::new());
    assert!(registry.resolve("demo:v1").await.unwrap().is_none());
}

#[tokio::test]
async fn to_resolve_copies_names_and_evicts_nothing() {
    let fixture = Fixture::new();
    let image = fixture.image("amd64", &["layer"]);
    fixture.write_index(&[named(&image, "v1")]);
    let (registry, store) = (fixture.registry(), fixture.store());
    assert!(registry.is_cached("demo:v1").await);
    assert!(registry.resolve("demo:v1").await.unwrap().is_none(), "it was not pulled");
    assert!(store.usage().unwrap().images.is_empty());
    let pulled = registry.pull("demo:v1").await.unwrap();
    assert_eq!(registry.resolve("demo:v1").await.unwrap().unwrap().path, pulled.path);
    let other = fixture.image("amd64", &["other"]);
    fixture.write_index(&[named(&other, "v1")]);
    assert!(registry.resolve("demo:v1").await.unwrap().is_none(), "the directory has another one now");
    assert_eq!(store.usage().unwrap().images.len(), 1);
}

#[tokio::test]
async fn a_removal_takes_the_entry_and_what_only_it_had() {
    let fixture = Fixture::new();
    let (a, b) = (fixture.image("amd64", &["shared", "a"]), fixture.image("amd64", &["shared", "b"]));
    let arm64 = fixture.image("arm64", &["c"]);
    let index = fixture.index(&[("amd64", &b), ("arm64", &arm64)]);
    let stray = fixture.blob(LAYER, b"another program is about to name this");
    fixture.write_index(&[named(&a, "a"), named(&index, "b")]);
    let registry = fixture.registry().writable();
    registry.pull("demo:a").await.unwrap();
    let before = fixture.blobs();
    assert!(registry.remove("demo:a").await.unwrap());
    assert!(!registry.remove("demo:a").await.unwrap());
    let gone = [&a.digest, &Digest::sha256(b"a")].map(|digest| digest.hex().to_owned());
    let expected: Vec<_> = before.into_iter().filter(|name| !gone.contains(name)).collect();
    assert_eq!(fixture.blobs(), expected);
    assert!(fixture.blob_path(&stray.digest).exists());
    let index: Value = serde_json::from_slice(&fs::read(fixture.path().join("index.json")).unwrap()).unwrap();
    assert_eq!(index["annotations"]["kept"], "as it is");
    assert_eq!(names(&fixture.path()), ["blobs", "index.json", "oci-layout"]);
    let reference: Reference = "demo:a".parse().unwrap();
    assert_eq!(fixture.store().peek(&reference, &platform("linux/amd64")).unwrap(), None);
    assert!(registry.is_cached("demo:b").await);
    assert!(registry.remove("demo:b").await.unwrap());
    assert_eq!(fixture.blobs(), [stray.digest.hex()], "the last image takes all platforms along");
}

#[tokio::test]
async fn an_image_with_two_names_loses_one_and_stays() {
    let fixture = Fixture::new();
    let image = fixture.image("amd64", &["layer"]);
    fixture.write_index(&[named(&image, "v1"), named(&image, "v2")]);
    let (registry, before) = (fixture.registry().writable(), fixture.blobs());
    assert!(registry.remove("demo:v1").await.unwrap());
    assert_eq!(fixture.blobs(), before);
    assert!(registry.remove(&format!("demo@{}", image.digest)).await.unwrap());
    assert_eq!(fixture.blobs(), Vec::<String>::new());
}

#[tokio::test]
async fn nothing_is_deleted_where_it_cannot_be_told_what_others_need() {
    let fixture = Fixture::new();
    let (a, b) = (fixture.image("amd64", &["shared"]), fixture.image("amd64", &["shared", "b"]));
    fixture.write_index(&[named(&a, "a"), named(&b, "b")]);
    fs::write(fixture.blob_path(&b.digest), vec![b' '; usize::try_from(b.size).unwrap()]).unwrap();
    let before = fixture.blobs();
    assert!(fixture.registry().writable().remove("demo:a").await.unwrap());
    assert_eq!(fixture.blobs(), before);
}

#[tokio::test]
async fn what_a_subject_names_is_needed_too() {
    let fixture = Fixture::new();
    let image = fixture.image("amd64", &["layer"]);
    let signature = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "subject": image,
        "config": fixture.blob("application/vnd.oci.empty.v1+json", b"{}"), "layers": [],
    });
    let signature = fixture.blob(media_type::OCI_MANIFEST, signature.to_string().as_bytes());
    fixture.write_index(&[named(&image, "v1"), named(&signature, "v1.sig")]);
    let before = fixture.blobs();
    assert!(fixture.registry().writable().remove("demo:v1").await.unwrap());
    assert_eq!(fixture.blobs(), before);
}

#[tokio::test]
async fn a_registry_that_was_opened_read_only_says_so() {
    let fixture = Fixture::new();
    let image = fixture.image("amd64", &["layer"]);
    fixture.write_index(&[named(&image, "v1")]);
    let error = fixture.registry().remove("demo:v1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unsupported);
    assert!(error.help().unwrap().contains("writable"));
    assert!(fixture.registry().is_cached("demo:v1").await);
    assert!(!fixture.registry().remove("demo:v2").await.unwrap(), "there is nothing to remove");
}

#[tokio::test]
async fn a_removal_follows_no_symlink() {
    let fixture = Fixture::new();
    let image = fixture.image("amd64", &["layer"]);
    fixture.write_index(&[named(&image, "v1")]);
    let (blobs, outside) = (fixture.path().join("blobs"), fixture.dir.path().join("outside"));
    fs::rename(&blobs, &outside).unwrap();
    std::os::unix::fs::symlink(&outside, &blobs).unwrap();
    let before = names(&outside.join("sha256"));
    _ = fixture.registry().writable().remove("demo:v1").await;
    assert_eq!(names(&outside.join("sha256")), before);
}

#[tokio::test]
async fn bare_tags_belong_to_the_repository_that_was_named() {
    let fixture = Fixture::new();
    let image = fixture.image("amd64", &["layer"]);
    fixture.write_index(&[named(&image, "v1")]);
    let registry = fixture.registry().with_repository("ghcr.io/org/repo".parse().unwrap());
    assert_eq!(registry.list_cached().await.unwrap(), ["ghcr.io/org/repo:v1"]);
    assert_eq!(registry.to_string(), format!("local({})", fixture.path().display()));
}

#[tokio::test]
async fn a_directory_that_is_no_layout_is_refused() {
    let fixture = Fixture::new();
    let error = LocalRegistry::open(fixture.dir.path(), fixture.store()).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Malformed);
}
