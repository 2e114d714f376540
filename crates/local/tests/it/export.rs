//! What is saved is what was stored: every reader of the output finds the same images.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use hoist_core::{ErrorKind, Platform, Reference};
use hoist_local::{Archive, ArchiveCompression, ArchiveFormat, Export};
use hoist_store::{Layout, Store, StoreOptions};
use hoist_testkit::{Image, Layer, add_to_store};
use serde_json::Value;
use tempfile::TempDir;

const OCI: ArchiveFormat = ArchiveFormat::Oci;
const PLAIN: ArchiveCompression = ArchiveCompression::None;

struct Home {
    _dir: TempDir,
    store: Store,
}

impl Home {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
        Self { _dir: dir, store }
    }

    async fn with(images: &[(&str, &Image)]) -> Self {
        let home = Self::new();
        for (name, image) in images {
            add_to_store(&home.store, name, image).await.unwrap();
        }
        home
    }

    async fn export(&self, names: &[&str]) -> hoist_core::Result<Export> {
        let references: Vec<Reference> = names.iter().map(|name| name.parse().unwrap()).collect();
        Export::open(&self.store, &references, &Platform::host()).await
    }

    async fn archive(&self, names: &[&str], format: ArchiveFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.export(names).await.unwrap().write_archive(&mut bytes, format, PLAIN).unwrap();
        bytes
    }
}

fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let (path, mut bytes) = (entry.path().unwrap().display().to_string(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        (path, bytes)
    });
    entries.filter(|(path, _)| !path.ends_with('/')).collect()
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[tokio::test]
async fn what_is_saved_and_loaded_and_saved_again_has_the_same_bytes() {
    let (app, tool) = (Image::sample(1), Image::sample(2));
    let names = ["registry.example/app:v1", "docker.io/library/tool:latest"];
    let home = Home::with(&[(names[0], &app), (names[1], &tool)]).await;
    let saved = home.archive(&names, OCI).await;

    let (other, dir) = (Home::new(), TempDir::new().unwrap());
    let path = dir.path().join("saved.tar");
    fs::write(&path, &saved).unwrap();
    let loaded = Archive::open(&path).unwrap().load(&other.store, &Platform::host(), false).await.unwrap();

    let loaded: Vec<_> = loaded.iter().flatten().map(|image| (&*image.reference, &*image.digest)).collect();
    assert_eq!(loaded, [(names[0], &*app.digest().to_string()), (names[1], &*tool.digest().to_string())]);
    assert!(other.archive(&names, OCI).await == saved, "the second archive differs");
}

#[tokio::test]
async fn an_image_with_two_names_and_a_layer_of_two_images_are_written_once() {
    let shared = Layer::random(10_000, 7);
    let app = Image::builder().layers([shared.clone(), Layer::random(5_000, 8)]).build();
    let tool = Image::builder().layers([shared, Layer::random(5_000, 9)]).build();
    let home =
        Home::with(&[("a.example/app:1", &app), ("a.example/app:2", &app), ("a.example/tool", &tool)]).await;

    let files = files(&home.archive(&["a.example/app:1", "a.example/app:2", "a.example/tool"], OCI).await);

    let blobs = files.keys().filter(|path| path.starts_with("blobs/")).count();
    assert_eq!(blobs, 7, "two manifests, two configurations, three layers: {:?}", files.keys());
    let docker = json(&files["manifest.json"]);
    assert_eq!(docker.as_array().unwrap().len(), 2);
    assert_eq!(docker[0]["RepoTags"], serde_json::json!(["a.example/app:1", "a.example/app:2"]));
    assert!(
        docker[0]["Layers"].as_array().unwrap().iter().all(|path| files.contains_key(path.as_str().unwrap()))
    );
    let names: Vec<_> = json(&files["index.json"])["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["a.example/app:1", "a.example/app:2", "a.example/tool:latest"]);
}

#[tokio::test]
async fn docker_gets_the_short_names_that_it_knows() {
    let home = Home::with(&[("nginx:1.27", &Image::sample(1))]).await;
    let files = files(&home.archive(&["nginx:1.27"], ArchiveFormat::Docker).await);
    assert_eq!(json(&files["manifest.json"])[0]["RepoTags"], serde_json::json!(["nginx:1.27"]));
    assert!(!files.contains_key("oci-layout") && !files.contains_key("index.json"), "{:?}", files.keys());
}

#[tokio::test]
async fn a_compressed_archive_has_the_same_content() {
    let home = Home::with(&[("a.example/app", &Image::sample(1))]).await;
    let (export, plain) =
        (home.export(&["a.example/app"]).await.unwrap(), home.archive(&["a.example/app"], OCI).await);
    let compressed = |method| {
        let mut bytes = Vec::new();
        export.write_archive(&mut bytes, OCI, method).unwrap();
        bytes
    };
    let gzip = compressed(ArchiveCompression::Gzip);
    let mut unzipped = Vec::new();
    flate2::read::GzDecoder::new(&gzip[..]).read_to_end(&mut unzipped).unwrap();
    assert!(unzipped == plain);
    let zstd = compressed(ArchiveCompression::Zstd);
    assert!(zstd::stream::decode_all(&zstd[..]).unwrap() == plain);
    assert!(compressed(ArchiveCompression::Zstd) == zstd && compressed(ArchiveCompression::Gzip) == gzip);
}

#[tokio::test]
async fn a_directory_appears_when_it_is_complete_and_replaces_nothing() {
    let image = Image::sample(1);
    let (home, dir) = (Home::with(&[("a.example/app", &image)]).await, TempDir::new().unwrap());
    let (export, path) = (home.export(&["a.example/app"]).await.unwrap(), dir.path().join("out"));

    export.write_directory(&path).unwrap();
    let (manifest, _) = Layout::open(&path).unwrap().image().unwrap();
    assert_eq!(manifest.digest, *image.digest());
    let error = export.write_directory(&path).unwrap_err();
    assert_eq!(
        (error.kind(), fs::read_dir(dir.path()).unwrap().count()),
        (&ErrorKind::InvalidConfig, 1),
        "{error}"
    );
}

#[tokio::test]
async fn an_image_that_is_not_here_and_a_damaged_one_are_not_saved() {
    let image = Image::sample(1);
    let home = Home::with(&[("a.example/app", &image)]).await;
    let error = home.export(&["a.example/other"]).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotFound, "{error}");

    let layer = &image.layers()[0].digest;
    let path = home.store.image_path(image.digest()).join("blobs/sha256").join(layer.hex());
    damage(&path);
    let export = home.export(&["a.example/app"]).await.unwrap();
    let error = export.write_archive(std::io::sink(), OCI, PLAIN).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::DigestMismatch, "{error}");
    let dir = TempDir::new().unwrap();
    export.write_directory(&dir.path().join("out")).unwrap_err();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "something is left");
}

/// Flips a bit of a file, and keeps its size.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[0] ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}
