//! Two backends that share no line pull the same images, and every byte of what they write is the same.
//!
//! Needs `docker-registry`; `.ci/run test` installs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use hoist::{Config, Hoist, ImageRegistry, RemoteClient};
use hoist_testkit::{
    Fault, Format, Image, ImageIndex, Layer, MockRegistry, On, Publishable, assert_valid_layout, push,
};
use hoist_tests::{Certified, Registry, TlsFront};
use tempfile::TempDir;

/// An address of this machine that is not one of its loopback names: those are spoken to without TLS.
const THIS_MACHINE: &str = "0.0.0.0";

fn open(root: &Path, client: RemoteClient) -> Hoist {
    let config = Config::default().with_root(root).with_platform("linux/amd64".parse().unwrap());
    hoist::open(&config.with_client(client)).unwrap()
}

/// All files of a layout, by their paths within it.
fn files(layout: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut directories = vec![layout.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let name = path.strip_prefix(layout).unwrap().display().to_string();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Pulls the image by both, each into a store of its own, and compares what they wrote.
async fn compare(reference: &str) {
    let dir = TempDir::new().unwrap();
    let mut layouts = Vec::new();
    for client in [RemoteClient::Hoist, RemoteClient::OciClient] {
        let hoist = open(&dir.path().join(format!("{client:?}")), client);
        let pulled = hoist.pull(reference).await.unwrap_or_else(|error| panic!("{}", error.report()));
        assert_valid_layout(&pulled.path, &pulled.digest);
        layouts.push((pulled.digest, pulled.reference, files(&pulled.path)));
    }
    assert!(layouts[0].2.len() >= 4, "a layout, its index, a manifest and a configuration");
    assert!(layouts[0] == layouts[1], "the two agree on every byte of {reference}");
}

/// Images of every kind that there is.
fn images() -> Vec<Publishable> {
    let layers = || [Layer::random(100_000, 1).gzipped(), Layer::empty(), Layer::random(300, 2)];
    vec![
        Image::builder().platform("linux/amd64").layers(layers()).build().into(),
        Image::builder().platform("linux/amd64").format(Format::Docker).layers(layers()).build().into(),
        ImageIndex::sample(1).into(),
        Image::builder().layer(Layer::random(20 << 20, 3)).build().into(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn both_agree_on_what_a_mocked_registry_has() {
    let mock = MockRegistry::start().await;
    for (number, image) in images().into_iter().enumerate() {
        let digest = image.digest().clone();
        let reference = mock.publish("demo", &format!("v{number}"), image);
        compare(&reference).await;
        compare(&format!("{}/demo@{digest}", mock.host())).await;
        compare(&format!("{reference}@{digest}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_agree_on_what_a_real_registry_has() {
    let registry = Registry::start();
    for (number, image) in images().into_iter().enumerate() {
        let digest = image.digest().clone();
        compare(&push(registry.host(), "library/demo", &format!("v{number}"), image).await).await;
        compare(&format!("{}/library/demo@{digest}", registry.host())).await;
    }
}

/// A mocked registry with an image, behind TLS.
struct BehindTls {
    mock: MockRegistry,
    front: TlsFront,
    dir: TempDir,
}

impl BehindTls {
    async fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let certified = Certified::by_itself(THIS_MACHINE);
        certified.write(dir.path().join("authority.pem"));
        Certified::by_itself(THIS_MACHINE).write(dir.path().join("other.pem"));
        let mock = MockRegistry::start().await;
        mock.publish("demo", "v1", Image::sample(1));
        let front = TlsFront::start_at(THIS_MACHINE, &certified, None, &mock.host()).await;
        Self { mock, front, dir }
    }

    /// Pulls by the other client, in a process of its own whose only authority this is.
    async fn pull(&self, authority: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_second-opinion"));
        command.env("SSL_CERT_FILE", self.dir.path().join(authority));
        command.arg(self.dir.path().join("store")).arg(format!("{}/demo:v1", self.front.host()));
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_client_trusts_the_systems_authorities_and_no_other() {
    let setup = BehindTls::start().await;
    let refused = setup.pull("other.pem").await;
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && error.starts_with("Tls: "), "{error}");
    assert_eq!(setup.mock.requests(), []);
    let pulled = setup.pull("authority.pem").await;
    let path = String::from_utf8(pulled.stdout).unwrap();
    assert_valid_layout(Path::new(path.trim()), &Image::sample(1).digest().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_client_follows_no_redirect_from_tls_to_plain_http() {
    let setup = BehindTls::start().await;
    let elsewhere = MockRegistry::start().await;
    elsewhere.publish("demo", "v1", Image::sample(1));
    for on in [On::Manifests, On::Blobs] {
        setup.mock.fail(on, Fault::Redirect(elsewhere.url()));
        let refused = setup.pull("authority.pem").await;
        let error = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && !error.contains("canary"), "{error}");
        assert_eq!(elsewhere.requests(), []);
        setup.mock.repair();
    }
}
