//! Real images from a real registry server, read by real readers: what we write, they must agree on.
//!
//! Needs `docker-registry`, `skopeo` and `umoci`; `.ci/run test` installs them.

use std::fs;
use std::path::Path;

use hoist::{Config, Descriptor, Document, Hoist, ImageRegistry, Layout, PulledImage};
use hoist_testkit::{Format, Image, ImageIndex, Layer, assert_valid_layout, push, write_layout};
use hoist_tests::{Registry, run};
use tempfile::TempDir;

const AMD64: &str = "linux/amd64";
const ARM64: &str = "linux/arm64";

/// A registry server, and a store to pull into.
struct Setup {
    registry: Registry,
    dir: TempDir,
}

impl Setup {
    fn new() -> Self {
        Self { registry: Registry::start(), dir: TempDir::new().unwrap() }
    }

    fn hoist(&self, platform: &str) -> Hoist {
        let config = Config::default().with_root(self.dir.path().join("store"));
        hoist::open(&config.with_platform(platform.parse().unwrap())).unwrap()
    }

    async fn pull(&self, reference: &str) -> PulledImage {
        self.hoist(AMD64).pull(reference).await.unwrap_or_else(|error| panic!("{}", error.report()))
    }

    /// Has skopeo read the layout, and compares all that it finds with what was pushed.
    fn check(&self, pulled: &PulledImage, image: &Image) {
        assert_eq!(pulled.digest, image.digest().to_string());
        assert_valid_layout(&pulled.path, &pulled.digest);
        let source = format!("oci:{}", pulled.path.display());
        let copy = self.dir.path().join("copy");
        _ = fs::remove_dir_all(&copy);
        run("skopeo", &["copy", "--quiet", &source, &format!("dir:{}", copy.display())]).ok();
        assert_eq!(fs::read(copy.join("manifest.json")).unwrap(), *image.manifest().bytes);
        for blob in image.blobs() {
            assert_eq!(fs::read(copy.join(blob.digest.hex())).unwrap(), *blob.bytes, "{}", blob.digest);
        }
    }

    /// Has skopeo say what the digest of the layout's image is.
    fn inspect(pulled: &PulledImage) {
        let inspected = run("skopeo", &["inspect", &format!("oci:{}", pulled.path.display())]);
        let inspected: serde_json::Value = serde_json::from_str(inspected.ok()).unwrap();
        assert_eq!(inspected["Digest"], pulled.digest.as_str());
    }

    /// Has umoci make a root file system of it.
    fn unpack(&self, pulled: &PulledImage, tag: &str) -> std::path::PathBuf {
        let bundle = self.dir.path().join("bundle");
        let image = format!("{}:{tag}", pulled.path.display());
        run("umoci", &["unpack", "--image", &image, &bundle.display().to_string()]).ok();
        bundle.join("rootfs")
    }
}

fn rootfs(name: &str) -> Vec<Layer> {
    let hostname = format!("{name}\n");
    vec![
        Layer::files(&[("etc/hostname", hostname.as_bytes()), ("bin/app", b"#!/bin/sh\necho hi\n")])
            .gzipped(),
        Layer::random(3 << 20, 1).gzipped(),
    ]
}

fn manifest_of(path: &Path) -> hoist_core::Manifest {
    let layout = Layout::open(path).unwrap();
    let entry: Descriptor = layout.entries().unwrap().remove(0);
    match Document::parse(&layout.read(&entry).unwrap(), Some(&entry.media_type)).unwrap() {
        Document::Manifest(manifest) => manifest,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_two_platform_image_is_pulled_for_each() {
    let setup = Setup::new();
    let images = [AMD64, ARM64].map(|p| Image::builder().platform(p).layers(rootfs(p)).build());
    let index = ImageIndex::new(images.clone());
    let reference = push(setup.registry.host(), "library/demo", "v1", index).await;
    for (platform, image) in [AMD64, ARM64].into_iter().zip(&images) {
        let pulled = setup.hoist(platform).pull(&reference).await.unwrap();
        setup.check(&pulled, image);
        Setup::inspect(&pulled);
        let root = setup.unpack(&pulled, "v1");
        assert_eq!(fs::read_to_string(root.join("etc/hostname")).unwrap(), format!("{platform}\n"));
        fs::remove_dir_all(setup.dir.path().join("bundle")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_docker_schema_2_image_is_kept_as_it_is() {
    let setup = Setup::new();
    let image = Image::builder().platform(AMD64).format(Format::Docker).layers(rootfs("docker")).build();
    let reference = push(setup.registry.host(), "library/demo", "v2s2", image.clone()).await;
    let pulled = setup.pull(&reference).await;
    setup.check(&pulled, &image);
    Setup::inspect(&pulled);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_sixty_layers_is_unpacked_in_their_order() {
    let setup = Setup::new();
    let numbers: Vec<String> = (0..60).map(|n| format!("{n}\n")).collect();
    let layers = numbers.iter().map(|n| Layer::files(&[("last", n.as_bytes())]).gzipped());
    let image = Image::builder().platform(AMD64).layers(layers).build();
    let reference = push(setup.registry.host(), "library/demo", "sixty", image.clone()).await;
    let pulled = setup.pull(&reference).await;
    setup.check(&pulled, &image);
    Setup::inspect(&pulled);
    assert_eq!(fs::read_to_string(setup.unpack(&pulled, "sixty").join("last")).unwrap(), "59\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_layer_twice_is_kept_once() {
    let setup = Setup::new();
    let layer = Layer::files(&[("etc/motd", b"twice\n")]).gzipped();
    let image = Image::builder().platform(AMD64).layers([layer.clone(), layer]).build();
    let reference = push(setup.registry.host(), "library/demo", "twice", image.clone()).await;
    let pulled = setup.pull(&reference).await;
    setup.check(&pulled, &image);
    Setup::inspect(&pulled);
    assert_eq!(
        fs::read_dir(pulled.path.join("blobs/sha256")).unwrap().count(),
        3,
        "a layer, the config, the manifest"
    );
    assert_eq!(fs::read_to_string(setup.unpack(&pulled, "twice").join("etc/motd")).unwrap(), "twice\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zstd_layer_is_kept_as_it_is() {
    let setup = Setup::new();
    // skopeo compresses what is not compressed yet.
    let layers = [Layer::files(&[("etc/motd", b"zstd\n")]), Layer::random(3 << 20, 1)];
    let image = Image::builder().platform(AMD64).layers(layers).build();
    let layout = setup.dir.path().join("layout");
    write_layout(&layout, [("plain", image)]).unwrap();
    let reference = format!("{}/library/demo:zstd", setup.registry.host());
    let (from, to) = (format!("oci:{}:plain", layout.display()), format!("docker://{reference}"));
    let zstd = ["--dest-tls-verify=false", "--dest-compress-format=zstd"];
    run("skopeo", &["copy", "--quiet", zstd[0], zstd[1], &from, &to]).ok();
    let digest = run("skopeo", &["inspect", "--tls-verify=false", "--format={{.Digest}}", &to]);
    let pulled = setup.pull(&reference).await;
    assert_eq!(pulled.digest, digest.ok());
    assert_valid_layout(&pulled.path, &pulled.digest);
    let types: Vec<_> = manifest_of(&pulled.path).layers.into_iter().map(|layer| layer.media_type).collect();
    assert_eq!(types, ["application/vnd.oci.image.layer.v1.tar+zstd"; 2]);
    Setup::inspect(&pulled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_client_agrees_on_every_byte() {
    use oci_distribution::client::{ClientConfig, ClientProtocol};
    use oci_distribution::secrets::RegistryAuth;

    // That client takes the provider of its TLS from the process.
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let setup = Setup::new();
    let image = Image::builder().platform(AMD64).layers(rootfs("client")).build();
    let reference = push(setup.registry.host(), "library/demo", "v1", image).await;
    let pulled = setup.pull(&reference).await;
    let protocol = ClientProtocol::Http;
    let client = oci_distribution::Client::new(ClientConfig { protocol, ..ClientConfig::default() });
    let theirs: oci_distribution::Reference = reference.parse().unwrap();
    let (manifest, digest) = client.pull_image_manifest(&theirs, &RegistryAuth::Anonymous).await.unwrap();
    assert_eq!(pulled.digest, digest);
    for layer in manifest.layers {
        let mut bytes = Vec::new();
        client.pull_blob(&theirs, &layer, &mut bytes).await.unwrap();
        let hex = layer.digest.trim_start_matches("sha256:");
        assert_eq!(fs::read(pulled.path.join("blobs/sha256").join(hex)).unwrap(), bytes);
    }
}
