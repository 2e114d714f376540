//! Hosts as containerd and Docker describe them, in directories that were written for those.

use std::fs;
use std::path::{Path, PathBuf};

use hoist_core::ErrorKind;
use hoist_remote::RemoteRegistry;
use hoist_testkit::{Auth, Fault, Image, MockRegistry, On};
use tempfile::TempDir;

use crate::setup::{SECRET, Setup, assert_no_secret, fails, pull};

/// A directory of hosts, an origin and a mirror, which have the same image.
struct Described {
    setup: Setup,
    mirror: MockRegistry,
    reference: String,
    dir: TempDir,
}

impl Described {
    async fn new() -> Self {
        let (setup, reference) = Setup::with(Image::sample(1)).await;
        let mirror = MockRegistry::start().await;
        mirror.publish("demo", "v1", Image::sample(1));
        Self { setup, mirror, reference, dir: TempDir::new().unwrap() }
    }

    /// Writes what is said of the origin; `{mirror}` and `{origin}` stand for their addresses.
    fn write(&self, text: &str) -> PathBuf {
        self.write_for(&self.setup.mock.host(), text)
    }

    fn write_for(&self, name: &str, text: &str) -> PathBuf {
        let directory = self.dir.path().join(name);
        fs::create_dir_all(&directory).unwrap();
        let text = text.replace("{mirror}", &self.mirror.url()).replace("{origin}", &self.setup.mock.url());
        let path = directory.join("hosts.toml");
        fs::write(&path, text).unwrap();
        path
    }

    fn registry(&self) -> RemoteRegistry {
        self.setup.registry().with_options(|options| options.with_hosts_dir(self.dir.path()))
    }

    /// How many manifests were asked for, of the mirror and of the origin.
    fn manifests(&self) -> (usize, usize) {
        (self.mirror.counts().manifest_gets, self.setup.mock.counts().manifest_gets)
    }

    fn blobs(&self) -> (usize, usize) {
        (self.mirror.counts().blob_gets, self.setup.mock.counts().blob_gets)
    }
}

#[tokio::test]
async fn hosts_are_asked_in_the_order_of_the_file() {
    let described = Described::new().await;
    let (z, a) = (MockRegistry::start().await, MockRegistry::start().await);
    described.write(&format!(
        "server = '{{origin}}'\n[host.'{}']\n[host.'{}'.header]\nx-a = 'b'\n[host.'{{mirror}}']\n",
        z.url(),
        a.url()
    ));
    pull(&described.registry(), &described.reference).await;
    assert_eq!((z.counts().manifest_gets, a.counts().manifest_gets), (1, 1), "they have nothing");
    assert_eq!(described.manifests(), (1, 0));
}

#[tokio::test]
async fn a_mirror_that_may_not_resolve_is_only_asked_for_what_has_a_digest() {
    let described = Described::new().await;
    described.write("[host.'{mirror}']\ncapabilities = ['pull']\n");
    pull(&described.registry(), &described.reference).await;
    assert_eq!(described.manifests(), (0, 1));
    assert_eq!(described.blobs(), (Image::sample(1).blobs().count(), 0));
}

#[tokio::test]
async fn a_server_that_is_another_host_is_asked_in_place_of_the_registry() {
    let described = Described::new().await;
    described.write("server = '{mirror}'\n");
    pull(&described.registry(), &described.reference).await;
    let missing = described.reference.replace(":v1", ":v9");
    fails(&described.registry(), &missing, ErrorKind::NotFound, &["404"]).await;
    assert_eq!(described.setup.mock.requests(), []);
}

/// It has other registries' content as well.
#[tokio::test]
async fn a_server_that_is_another_host_is_told_the_registry_with_every_page_of_tags() {
    let described = Described::new().await;
    for n in 0..1001 {
        described.mirror.publish("demo", &format!("v{n}"), Image::sample(1));
    }
    described.write("server = '{mirror}'\n");
    let repository = described.reference.trim_end_matches(":v1");
    assert_eq!(described.registry().tags(repository).await.unwrap().len(), 1001);
    let asked = described.mirror.server().received_requests().await.unwrap();
    assert_eq!(asked.len(), 2);
    for request in asked {
        let registry =
            request.url.query_pairs().find(|(name, _)| name == "ns").map(|(_, value)| value.into_owned());
        assert_eq!(registry, Some(described.setup.mock.host()), "{}", request.url);
    }
}

#[tokio::test]
async fn a_server_that_may_do_nothing_is_not_asked() {
    let described = Described::new().await;
    described.write("server = '{origin}'\ncapabilities = ['push']\n[host.'{mirror}']\n");
    pull(&described.registry(), &described.reference).await;
    let missing = described.reference.replace(":v1", ":v9");
    fails(&described.registry(), &missing, ErrorKind::Unavailable, &["no mirror of"]).await;
    described.write("server = '{origin}'\ncapabilities = ['push']\n");
    fails(&described.registry(), &missing, ErrorKind::InvalidConfig, &["\"resolve\"", "hosts.toml"]).await;
    assert_eq!(described.setup.mock.requests(), []);
}

#[tokio::test]
async fn the_default_directory_is_for_registries_that_have_none() {
    let described = Described::new().await;
    described.write_for("_default", "[host.'{mirror}']\n");
    pull(&described.registry(), &described.reference).await;
    assert_eq!(described.manifests(), (1, 0));
    described.write("server = '{origin}'\n");
    fails(&described.registry(), &described.reference.replace(":v1", ":v9"), ErrorKind::NotFound, &[]).await;
    assert_eq!(described.manifests(), (1, 1));
}

#[tokio::test]
async fn a_directorys_name_may_have_its_port_between_underscores() {
    let described = Described::new().await;
    let name = described.setup.mock.host().replace(':', "_") + "_";
    described.write_for(&name, "[host.'{mirror}']\n");
    described.write("server = 'https://never.invalid'\n");
    pull(&described.registry(), &described.reference).await;
    assert_eq!(described.manifests(), (1, 0));
}

#[tokio::test]
async fn a_file_that_changes_is_read_anew() {
    let described = Described::new().await;
    let registry = described.registry();
    pull(&registry, &described.reference).await;
    assert_eq!(described.manifests(), (0, 1));
    described.write("[host.'{mirror}']\n");
    fails(&registry, &described.reference.replace(":v1", ":v9"), ErrorKind::NotFound, &[]).await;
    assert_eq!(described.manifests(), (1, 2));
}

#[tokio::test]
async fn a_path_is_put_before_the_api_or_in_its_place() {
    let described = Described::new().await;
    for (path, overrides, expected) in [
        ("/docker", false, "/docker/v2/demo/manifests/v1"),
        ("/docker/", false, "/docker/v2/demo/manifests/v1"),
        ("/docker/v2", false, "/docker/v2/demo/manifests/v1"),
        ("/v2/prefix", true, "/v2/prefix/demo/manifests/v1"),
        ("", true, "/demo/manifests/v1"),
    ] {
        let before = described.mirror.requests().len();
        let text = format!("[host.'{{mirror}}{path}']\noverride_path = {overrides}\n");
        described.write(&text);
        let directory = TempDir::new().unwrap();
        let store = hoist_store::Store::open(directory.path(), hoist_store::StoreOptions::default()).unwrap();
        let registry = RemoteRegistry::new(store)
            .with_platform(hoist_testkit::PLATFORM.parse().unwrap())
            .with_options(|options| options.with_hosts_dir(described.dir.path()));
        pull(&registry, &described.reference).await;
        assert_eq!(described.mirror.requests()[before].path, expected);
    }
}

#[tokio::test]
async fn headers_go_to_their_host_and_to_nobody_else() {
    let described = Described::new().await;
    let storage = MockRegistry::start().await;
    storage.publish("demo", "v1", Image::sample(1));
    described.mirror.fail(On::Blobs, Fault::Redirect(storage.url()));
    described.write(
        "[host.'{mirror}']\n[host.'{mirror}'.header]\nx-key = 'canary-key'\nx-more = ['canary-1', 'canary-2']\n",
    );
    let registry = described.registry();
    pull(&registry, &described.reference).await;
    assert_eq!(storage.counts().blob_gets, Image::sample(1).blobs().count());
    for request in described.mirror.server().received_requests().await.unwrap() {
        assert_eq!(request.headers["x-key"], "canary-key");
        assert_eq!(request.headers.get_all("x-more").iter().count(), 2);
    }
    for other in [&storage, &described.setup.mock] {
        for request in other.server().received_requests().await.unwrap() {
            assert!(!format!("{:?}", request.headers).contains("canary"), "{:?}", request.headers);
        }
    }
    assert_no_secret(&format!("{registry:?}"));
}

#[tokio::test]
async fn an_authorization_in_the_file_lets_in() {
    let described = Described::new().await;
    described.mirror.require(Auth::basic("me", SECRET));
    described.write("[host.'{mirror}'.header]\nauthorization = 'Basic bWU6Y2FuYXJ5'\n");
    let registry = described.registry();
    pull(&registry, &described.reference).await;
    assert_eq!(described.setup.mock.requests(), []);
    assert_no_secret(&format!("{registry:?}"));
}

#[tokio::test]
async fn a_malformed_file_is_an_error_that_names_it_and_the_line() {
    let described = Described::new().await;
    for (text, line, word) in [
        ("server = \n", 1, ""),
        ("\n[host.'{mirror}']\ncapabilities = ['pull', 'fly']\n", 3, "\"fly\""),
        ("\n\nca = 1\n", 3, "text"),
        ("skip_verify = 'no'\n", 1, "true or false"),
        ("client = [['a', 'b', 'c']]\n", 1, "key"),
        ("dial_timeout = 'soon'\n", 1, "500ms"),
        ("\n[header]\n'x y' = 'canary'\n", 3, "header"),
        ("[header]\nx-key = \"canary\\u0000\"\n", 2, "header"),
        ("proxy = 'ftp://me:canary@proxy.lan'\n", 1, "proxy"),
        ("server = 'https://me:canary@registry.lan'\n", 1, "address"),
        ("server = 'http://registry.lan:99999'\n", 1, "address"),
        ("host = 3\n", 1, "table"),
    ] {
        let path = described.write(text);
        let place = format!("{}: line {line}: ", path.display());
        fails(&described.registry(), &described.reference, ErrorKind::InvalidConfig, &[&place, word]).await;
    }
    assert_eq!(described.setup.mock.requests(), []);
}

#[tokio::test]
async fn what_is_not_known_in_a_file_is_passed_over() {
    let described = Described::new().await;
    described.write(
        "next = 1\n[host.'{mirror}']\ncapabilities = ['pull', 'RESOLVE', 'push', 'referrers']\nnew = [1]\n",
    );
    pull(&described.registry(), &described.reference).await;
    assert_eq!(described.manifests(), (1, 0));
}

#[tokio::test]
async fn an_image_that_is_here_needs_no_file() {
    let described = Described::new().await;
    let pulled = pull(&described.registry(), &described.reference).await;
    described.write("this is no toml");
    let pinned = format!("{}/demo@{}", described.setup.mock.host(), pulled.digest);
    pull(&described.registry(), &pinned).await;
}

#[tokio::test]
async fn certificates_that_are_none_are_errors_that_name_the_file() {
    let described = Described::new().await;
    let directory = described.dir.path().join(described.setup.mock.host());
    fs::create_dir_all(&directory).unwrap();
    let write = |name: &str, text: &str| {
        fs::write(directory.join(name), text).unwrap();
        directory.join(name).display().to_string()
    };
    let refused = async |path: &str, words: &[&str]| {
        let words = [&[path], words].concat();
        fails(&described.registry(), &described.reference, ErrorKind::InvalidConfig, &words).await;
    };
    refused(&write("ca.crt", ""), &["has no certificate"]).await;
    refused(&write("ca.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), &[]).await;
    fs::remove_file(directory.join("ca.crt")).unwrap();
    refused(&write("client.cert", "nothing"), &["has no certificate"]).await;
    fs::remove_file(directory.join("client.cert")).unwrap();
    described.write("ca = 'missing.pem'\n");
    refused(&directory.join("missing.pem").display().to_string(), &["cannot be read"]).await;
    described.write("[host.'https://mirror.lan']\nca = 'missing.pem'\n");
    refused(&directory.join("missing.pem").display().to_string(), &["cannot be read"]).await;
    assert_eq!(described.setup.mock.requests(), []);
}

#[tokio::test]
async fn directories_are_looked_into_in_their_order() {
    let described = Described::new().await;
    let other = TempDir::new().unwrap();
    let own = other.path().join(described.setup.mock.host());
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("hosts.toml"), format!("[host.'{}']\n", described.mirror.url())).unwrap();
    described.write_for("_default", "server = 'https://never.invalid'\n");
    let registry = described
        .registry()
        .with_options(|options| options.with_hosts_dir(other.path()).with_hosts_dir(Path::new("/nowhere")));
    pull(&registry, &described.reference).await;
    assert_eq!(described.manifests(), (1, 0), "a registry's own directory goes before any default");
}
