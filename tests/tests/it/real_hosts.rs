//! Real registries behind a real nginx, and a real pull-through mirror, as their hosts' directories describe them.
//!
//! Needs `docker-registry` and `nginx`; `.ci/run test` installs them.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use hoist_core::{ErrorKind, Event, Events, ImageRegistry, PulledImage, Result};
use hoist_remote::RemoteRegistry;
use hoist_store::{Durability, Store, StoreOptions};
use hoist_testkit::{Image, Layer, PLATFORM, assert_valid_layout, push};
use hoist_tests::{Authority, Nginx, Registry};
use tempfile::TempDir;

const ADDRESS: &str = "127.0.0.1";
const REPOSITORY: &str = "library/demo";
const MIB: usize = 1 << 20;

/// A registry with an image, and a directory of hosts.
struct Setup {
    registry: Registry,
    image: Image,
    reference: String,
    dir: TempDir,
}

impl Setup {
    async fn new() -> Self {
        Self::with(MIB).await
    }

    /// With three layers of so many bytes.
    async fn with(len: usize) -> Self {
        let registry = Registry::start();
        let layers = (0..3).map(|seed| Layer::random(len, seed));
        let image = Image::builder().platform(PLATFORM).layers(layers).build();
        let reference = push(registry.host(), REPOSITORY, "v1", image.clone()).await;
        Self { registry, image, reference, dir: TempDir::new().unwrap() }
    }

    /// The directory of the host that has this name in references.
    fn directory(&self, name: &str) -> PathBuf {
        let directory = self.dir.path().join("hosts").join(name);
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    fn remote(&self) -> RemoteRegistry {
        let options = StoreOptions::default().with_durability(Durability::None);
        let store = Store::open(self.dir.path().join("store"), options).unwrap();
        RemoteRegistry::new(store)
            .with_platform(PLATFORM.parse().unwrap())
            .with_options(|options| options.with_hosts_dir(self.dir.path().join("hosts")))
    }

    fn check(&self, pulled: Result<PulledImage>) {
        let pulled = pulled.unwrap_or_else(|error| panic!("{}", error.report()));
        assert_eq!(pulled.digest, self.image.digest().to_string());
        assert_valid_layout(&pulled.path, &pulled.digest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_behind_a_private_authority_is_pulled_from_as_docker_would() {
    let (setup, authority) = (Setup::new().await, Authority::new());
    let nginx = Nginx::start(&authority.certify(ADDRESS), None, "/v2", setup.registry.host());
    let reference = format!("{}/{REPOSITORY}:v1", nginx.host());
    let directory = setup.directory(nginx.host());
    Authority::new().write(directory.join("ca.crt"));
    let error = setup.remote().pull(&reference).await.expect_err("its authority is not known");
    assert_eq!(*error.kind(), ErrorKind::Tls, "{}", error.report());
    authority.write(directory.join("ca.crt"));
    setup.check(setup.remote().pull(&reference).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_wants_client_certificates_is_shown_one() {
    let (setup, authority, clients) = (Setup::new().await, Authority::new(), Authority::new());
    let nginx = Nginx::start(&authority.certify(ADDRESS), Some(&clients), "/v2", setup.registry.host());
    let directory = setup.directory("registry.test");
    let (ca, client) = (authority.write(directory.join("ca.pem")), clients.certify("client"));
    client.write(directory.join("client.cert"));
    client.write_key(directory.join("client.key"));
    let text = format!("server = 'https://{}'\nca = '{}'\n", nginx.host(), ca.display());
    fs::write(directory.join("hosts.toml"), &text).unwrap();
    let reference = format!("registry.test/{REPOSITORY}:v1");
    let error = setup.remote().pull(&reference).await.expect_err("nginx answers 400 without a certificate");
    assert!(error.report().contains("400"), "{}", error.report());
    let client = "client = [['client.cert', 'client.key']]\n";
    fs::write(directory.join("hosts.toml"), text + client).unwrap();
    setup.check(setup.remote().pull(&reference).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_below_a_path_of_its_own_is_asked_there() {
    let (setup, authority) = (Setup::new().await, Authority::new());
    let nginx = Nginx::start(&authority.certify(ADDRESS), None, "/mirrors/hub", setup.registry.host());
    let directory = setup.directory("registry.test");
    authority.write(directory.join("ca.pem"));
    let host = format!("https://{}/mirrors/hub", nginx.host());
    let text = format!(
        "server = 'https://registry.invalid'\n[host.'{host}']\ncapabilities = ['pull', 'resolve']\n\
         ca = 'ca.pem'\noverride_path = true\n"
    );
    fs::write(directory.join("hosts.toml"), text).unwrap();
    setup.check(setup.remote().pull(&format!("registry.test/{REPOSITORY}:v1")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_goes_on_at_the_origin_when_its_mirror_is_stopped_half_way() {
    let setup = Setup::with(20 * MIB).await;
    let mirror = Registry::mirror_of(&setup.registry);
    let address = format!("http://{}", mirror.host());
    let mirror = Arc::new(Mutex::new(Some(mirror)));
    let running = Arc::clone(&mirror);
    let stop = move |event| {
        if let Event::BlobProgress { bytes, .. } = event
            && bytes > 0
        {
            drop(running.lock().unwrap().take());
        }
    };
    let remote = setup
        .remote()
        .with_options(|options| options.with_mirror(setup.registry.host(), &address))
        .with_events(Events::to(stop));
    setup.check(remote.pull(&setup.reference).await);
    assert!(mirror.lock().unwrap().is_none(), "it was stopped, and so had brought something");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_through_mirror_is_enough_when_the_origin_is_away() {
    let setup = Setup::new().await;
    let mirror = Registry::mirror_of(&setup.registry);
    let text = format!(
        "server = 'http://127.0.0.1:1'\n[host.'http://{}']\ncapabilities = ['pull', 'resolve']\n",
        mirror.host()
    );
    fs::write(setup.directory("_default").join("hosts.toml"), text).unwrap();
    setup.check(setup.remote().pull(&format!("registry.test/{REPOSITORY}:v1")).await);
}
