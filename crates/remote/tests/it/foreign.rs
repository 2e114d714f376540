//! Foreign layers: those that the manifest has addresses for, which are anybody's word.

use std::time::Duration;

use hoist_core::{ErrorKind, ImageRegistry, media_type};
use hoist_remote::RemoteRegistry;
use hoist_store::GcOptions;
use hoist_testkit::{Auth, Blob, Fault, Image, MockRegistry, On, flip_a_bit};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::setup::{SECRET, Setup, fails, one_layer, pull, trickling};

/// A registry that has all of an image but its layer, and a host that has that, at the address in the manifest.
struct Foreign {
    setup: Setup,
    elsewhere: MockRegistry,
    image: Image,
    reference: String,
}

impl Foreign {
    async fn new() -> Self {
        let elsewhere = MockRegistry::start().await;
        let image = one_layer(100_000);
        elsewhere.publish("demo", "v1", &image);
        let address = Self::address(&elsewhere, &image);
        Self::with_addresses(elsewhere, image, &[address]).await
    }

    async fn with_addresses(elsewhere: MockRegistry, image: Image, addresses: &[String]) -> Self {
        let setup = Setup::new().await;
        setup.mock.put("demo", None, image.config());
        let mut manifest: Value = serde_json::from_slice(&image.manifest().bytes).unwrap();
        manifest["layers"][0]["mediaType"] =
            json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        manifest["layers"][0]["urls"] = json!(addresses);
        let manifest = Blob::new(media_type::OCI_MANIFEST, manifest.to_string());
        let reference = setup.mock.put("demo", Some("v1"), &manifest);
        Self { setup, elsewhere, image, reference }
    }

    fn address(host: &MockRegistry, image: &Image) -> String {
        format!(
            "{}/v2/demo/blobs/{}?X-Signature=canary-in-a-signed-url",
            host.url(),
            image.layers()[0].digest
        )
    }

    fn allowed(&self) -> RemoteRegistry {
        self.setup.registry().with_options(|options| options.with_foreign_layers(self.elsewhere.host()))
    }

    async fn refused(&self, registry: &RemoteRegistry, kind: ErrorKind, words: &[&str]) {
        fails(registry, &self.reference, kind, words).await;
    }
}

#[tokio::test]
async fn a_foreign_layer_comes_from_nowhere_else_unless_that_is_allowed() {
    let foreign = Foreign::new().await;
    let words =
        [&foreign.image.layers()[0].digest.to_string(), "`foreign-layers`", &foreign.elsewhere.host()];
    foreign.refused(&foreign.setup.registry(), ErrorKind::NotFound, &words).await;
    assert_eq!(foreign.elsewhere.requests(), []);
}

#[tokio::test]
async fn a_foreign_layer_that_the_registry_has_comes_from_there() {
    let foreign = Foreign::new().await;
    foreign.setup.mock.put("demo", None, &foreign.image.layers()[0]);
    pull(&foreign.setup.registry(), &foreign.reference).await;
    pull(&foreign.allowed(), &foreign.reference).await;
    assert_eq!(foreign.elsewhere.requests(), []);
}

#[tokio::test]
async fn a_foreign_layer_comes_from_a_host_that_is_allowed() {
    let foreign = Foreign::new().await;
    pull(&foreign.allowed(), &foreign.reference).await;
    assert_eq!(foreign.elsewhere.requests().len(), 1);
}

/// CVE-2020-15157: the registry's credentials stay with the registry.
#[tokio::test]
async fn a_foreign_layers_host_is_shown_no_credentials_and_its_401_gets_nothing() {
    let foreign = Foreign::new().await;
    for auth in [Auth::basic("me", SECRET), Auth::token("me", SECRET)] {
        foreign.setup.mock.require(auth.clone());
        foreign.elsewhere.require(auth);
        let registry = foreign
            .setup
            .registry_as_me()
            .with_options(|options| options.with_foreign_layers(foreign.elsewhere.host()));
        foreign.refused(&registry, ErrorKind::Forbidden, &["401", "shown no credentials"]).await;
    }
    let asked = foreign.elsewhere.requests();
    assert!(asked.iter().all(|seen| seen.authorization.is_none()), "{asked:?}");
    assert_eq!(asked.len(), 2, "and it is not asked for a token");
    foreign.elsewhere.require(Auth::default());
    let registry = foreign
        .setup
        .registry_as_me()
        .with_options(|options| options.with_foreign_layers(foreign.elsewhere.host()));
    pull(&registry, &foreign.reference).await;
    assert!(foreign.elsewhere.requests().iter().all(|seen| seen.authorization.is_none()));
}

/// go-containerregistry#2293: by literal, by name, and by redirect.
#[tokio::test]
async fn a_foreign_layer_is_never_fetched_from_a_private_address() {
    let private = MockRegistry::start().await;
    let port = private.host().rsplit_once(':').unwrap().1.to_owned();
    let image = one_layer(1000);
    private.publish("demo", "v1", &image);
    for host in
        ["127.0.0.1", "[::1]", "0.0.0.0", "169.254.169.254", "[::ffff:127.0.0.1]", "0x7f.1", "localhost"]
    {
        let address = format!("http://{host}:{port}/v2/demo/blobs/{}", image.layers()[0].digest);
        let foreign = Foreign::with_addresses(private.clone(), image.clone(), &[address]).await;
        let registry = foreign.setup.registry().with_options(|options| options.with_foreign_layers("*"));
        foreign.refused(&registry, ErrorKind::Unsupported, &["on this machine or its network"]).await;
    }
    assert_eq!(private.requests(), []);
    let foreign = Foreign::new().await;
    for target in ["http://169.254.169.254", "http://localhost:1", "http://[fd00:ec2::254]", &private.url()] {
        foreign.elsewhere.repair();
        foreign.elsewhere.fail(On::Blobs, Fault::Redirect(target.to_owned()));
        let registry = foreign.setup.registry().with_options(|options| {
            options.with_foreign_layers(foreign.elsewhere.host()).with_foreign_layers("*")
        });
        foreign.refused(&registry, ErrorKind::Unsupported, &["on this machine or its network"]).await;
    }
    assert_eq!(private.requests(), []);
}

#[tokio::test]
async fn a_foreign_layer_comes_from_no_host_that_is_not_named() {
    let foreign = Foreign::new().await;
    let registry =
        foreign.setup.registry().with_options(|options| options.with_foreign_layers("go.microsoft.com"));
    foreign.refused(&registry, ErrorKind::Unsupported, &[&foreign.elsewhere.host(), "not among those"]).await;
    assert_eq!(foreign.elsewhere.requests(), []);
}

#[tokio::test]
async fn an_address_that_no_layer_can_be_at_is_refused() {
    let host = MockRegistry::start().await;
    for (address, kind) in [
        ("file:///etc/passwd".to_owned(), ErrorKind::Unsupported),
        ("not an address".to_owned(), ErrorKind::Malformed),
        (format!("http://me:canary@{}/layer", host.host()), ErrorKind::Unsupported),
    ] {
        let foreign = Foreign::with_addresses(host.clone(), one_layer(10), &[address]).await;
        foreign.refused(&foreign.allowed(), kind, &["foreign"]).await;
    }
    assert_eq!(host.requests(), []);
}

#[tokio::test]
async fn the_next_address_is_tried_where_one_is_no_good() {
    let elsewhere = MockRegistry::start().await;
    let image = one_layer(100_000);
    elsewhere.publish("demo", "v1", &image);
    let good = Foreign::address(&elsewhere, &image);
    let gone = format!("{}/gone", elsewhere.url());
    let foreign = Foreign::with_addresses(elsewhere, image, &[gone, good]).await;
    pull(&foreign.allowed(), &foreign.reference).await;
}

#[tokio::test]
async fn a_foreign_layer_is_verified_as_any_other() {
    let foreign = Foreign::new().await;
    let layer = &foreign.image.layers()[0];
    for (wrong, kind) in [
        (flip_a_bit(&layer.bytes), ErrorKind::DigestMismatch),
        (layer.bytes.slice(1..), ErrorKind::SizeMismatch),
    ] {
        foreign.elsewhere.replace(&layer.digest, wrong);
        foreign.refused(&foreign.allowed(), kind, &[&layer.digest.to_string()]).await;
        assert!(!foreign.setup.has(&layer.digest));
    }
    foreign.elsewhere.repair();
    pull(&foreign.allowed(), &foreign.reference).await;
}

#[tokio::test]
async fn trouble_with_a_foreign_layer_that_passes_is_not_noticed() {
    let foreign = Foreign::new().await;
    for trouble in [Fault::Status(503), Fault::HangUp, Fault::CutShort] {
        foreign.elsewhere.fail_next(1, On::Blobs, trouble);
        pull(&foreign.allowed(), &foreign.reference).await;
        foreign.allowed().remove(&foreign.reference).await.unwrap();
        foreign.setup.store.gc(GcOptions::default().with_all(true)).unwrap();
    }
    assert_eq!(foreign.elsewhere.counts().blob_gets, 6, "each a second time");
}

/// It takes connections, and says nothing; or says all but the layer, and then a byte now and then.
#[tokio::test]
async fn a_foreign_layers_host_that_does_not_get_on_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let foreign = Foreign::new().await;
    let slow = trickling(foreign.elsewhere.host(), 1000).await;
    let layer = &foreign.image.layers()[0].digest;
    let registry = |host: String| {
        let registry = foreign
            .setup
            .registry()
            .with_options(|options| options.with_retries(0).with_foreign_layers(host));
        registry.with_options(|options| {
            options.with_response_timeout(Duration::from_secs(2)).with_stall_timeout(Duration::from_secs(1))
        })
    };
    for host in [silent.local_addr().unwrap().to_string(), slow] {
        let address = format!("http://{host}/v2/demo/blobs/{layer}");
        let of = Foreign::with_addresses(foreign.elsewhere.clone(), foreign.image.clone(), &[address]).await;
        let registry = registry(host.clone());
        fails(&registry, &of.reference, ErrorKind::Unavailable, &["fetching the ", &host]).await;
    }
}

#[tokio::test]
async fn a_foreign_layers_signed_address_is_not_told() {
    let foreign = Foreign::new().await;
    foreign.elsewhere.go_down().await;
    // `fails` looks for the canary that is in the address.
    foreign.refused(&foreign.allowed(), ErrorKind::Unavailable, &["fetching the layer"]).await;
}
