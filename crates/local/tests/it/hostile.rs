//! Layouts that somebody prepared: what leads out of the directory, holds the reader up, or has no end.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use hoist_core::{Descriptor, ErrorKind, ImageRegistry, media_type};
use hoist_local::LocalRegistry;
use hoist_store::{Store, StoreOptions};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;
use tempfile::TempDir;

/// A layout of one image, and a file outside it.
struct Prepared {
    dir: TempDir,
    blobs: Vec<PathBuf>,
}

impl Prepared {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("layout");
        let pool = path.join("blobs/sha256");
        fs::create_dir_all(&pool).unwrap();
        let mut blobs = Vec::new();
        let mut put = |media_type: &str, bytes: &[u8]| {
            let blob = Descriptor::of(media_type, bytes);
            blobs.push(pool.join(blob.digest.hex()));
            fs::write(blobs.last().unwrap(), bytes).unwrap();
            blob
        };
        let config = put(media_type::OCI_CONFIG, br#"{"os":"linux","architecture":"amd64"}"#);
        let layer = put("application/vnd.oci.image.layer.v1.tar", b"a layer");
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string();
        let manifest = put(media_type::OCI_MANIFEST, manifest.as_bytes());
        fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let index = json!({"schemaVersion": 2, "manifests": [manifest]}).to_string();
        fs::write(path.join("index.json"), index).unwrap();
        fs::write(dir.path().join("secret"), "a layer").unwrap();
        Self { dir, blobs }
    }

    fn layout(&self) -> PathBuf {
        self.dir.path().join("layout")
    }

    fn open(&self) -> hoist_core::Result<LocalRegistry> {
        let store = Store::open(self.dir.path().join("store"), StoreOptions::default()).unwrap();
        Ok(LocalRegistry::open(self.layout(), store)?
            .with_platform("linux/amd64".parse().unwrap())
            .with_repository("demo".parse().unwrap()))
    }

    async fn pull(&self) -> hoist_core::Result<()> {
        let registry = self.open()?;
        let names = registry.list_cached().await?;
        registry.pull(names.first().map_or("demo", String::as_str)).await.map(drop)
    }
}

#[tokio::test]
async fn a_layout_as_it_should_be_is_pulled() {
    Prepared::new().pull().await.unwrap();
}

/// What something is called that is planted, and how it gets there.
type Plant = (&'static str, Box<dyn Fn(&Path)>);

/// What is planted in the place of a file or a directory.
fn plants(what: &Path) -> Vec<Plant> {
    let (copy, fifo) = (what.with_extension("copy"), |path: &Path| {
        mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    });
    vec![
        (
            "a symlink to the same",
            Box::new(move |path: &Path| {
                fs::rename(path, &copy).unwrap();
                symlink(&copy, path).unwrap();
            }),
        ),
        (
            "a FIFO",
            Box::new(move |path: &Path| {
                if path.is_dir() {
                    fs::remove_dir_all(path).unwrap();
                } else {
                    fs::remove_file(path).unwrap();
                }
                fifo(path);
            }),
        ),
        (
            "a directory",
            Box::new(|path: &Path| {
                if path.is_file() {
                    fs::remove_file(path).unwrap();
                    fs::create_dir(path).unwrap();
                } else {
                    fs::remove_dir_all(path).unwrap();
                }
            }),
        ),
    ]
}

/// CVE-2021-29136, go-containerregistry#2306.
#[tokio::test]
async fn a_symlink_or_fifo_in_a_local_layout_is_not_followed() {
    for place in 0..6 {
        for number in 0..3 {
            let prepared = Prepared::new();
            let layout = prepared.layout();
            let paths = [layout.join("index.json"), layout.join("oci-layout"), layout.join("blobs")];
            let path = paths.iter().chain(&prepared.blobs).nth(place).unwrap();
            let (plant, put) = plants(path).swap_remove(number);
            put(path);
            let error = prepared.pull().await.expect_err(plant);
            assert!(!error.is_transient(), "{plant} at {}: {}", path.display(), error.report());
            assert!(!error.report().contains("a layer"));
        }
    }
}

/// CVE-2023-25153.
#[tokio::test]
async fn a_local_index_of_a_gigabyte_is_refused() {
    let prepared = Prepared::new();
    for name in ["index.json", "oci-layout"] {
        let path = prepared.layout().join(name);
        let saved = fs::read(&path).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(1 << 30).unwrap();
        let error = prepared.pull().await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::TooLarge, "{}", error.report());
        fs::write(&path, saved).unwrap();
    }
}

/// CVE-2024-3727.
#[tokio::test]
async fn a_digest_in_a_local_index_that_is_a_path_is_rejected() {
    let prepared = Prepared::new();
    for digest in ["sha256:../../../secret", "sha256:..", "../secret", "sha256:/etc/passwd"] {
        let entry = json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": 7});
        let index = json!({"schemaVersion": 2, "manifests": [entry]}).to_string();
        fs::write(prepared.layout().join("index.json"), index).unwrap();
        let error = prepared.pull().await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Malformed, "{}", error.report());
    }
    assert_eq!(fs::read_to_string(prepared.dir.path().join("secret")).unwrap(), "a layer");
}
