//! Mirrors: asked first, trusted with little, and passed over for any trouble that they make.

use std::time::Duration;

use hoist_core::{Digest, ErrorKind, ImageRegistry};
use hoist_remote::{Credentials, RemoteRegistry};
use hoist_testkit::{Auth, Counts, Fault, Image, Layer, MockRegistry, On};

use crate::setup::{SECRET, Setup, assert_no_secret, fails, one_layer, pull};

const MIB: usize = 1 << 20;

/// An origin that has an image, and a mirror that has it too.
struct Mirrored {
    setup: Setup,
    mirror: MockRegistry,
    reference: String,
}

impl Mirrored {
    async fn with(image: &Image) -> Self {
        let (setup, reference) = Setup::with(image).await;
        let mirror = MockRegistry::start().await;
        mirror.publish("demo", "v1", image);
        Self { setup, mirror, reference }
    }

    fn registry(&self) -> RemoteRegistry {
        self.setup
            .registry()
            .with_options(|options| options.with_mirror(self.setup.mock.host(), self.mirror.url()))
    }

    fn blob_bytes(&self, digest: &Digest) -> (u64, u64) {
        (self.mirror.bytes_served(digest), self.setup.mock.bytes_served(digest))
    }
}

/// What each request to a registry had as its query.
async fn queries(mock: &MockRegistry) -> Vec<String> {
    let requests = mock.server().received_requests().await.unwrap();
    requests.iter().map(|request| request.url.query().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_mirror_that_has_everything_leaves_nothing_to_the_origin() {
    let image = one_layer(4 * MIB);
    let mirrored = Mirrored::with(&image).await;
    pull(&mirrored.registry(), &mirrored.reference).await;
    assert_eq!(mirrored.setup.mock.requests(), []);
    assert_eq!(mirrored.mirror.counts().manifest_gets, 1);
}

#[tokio::test]
async fn a_mirror_is_told_which_registry_is_meant_and_the_origin_is_not() {
    let mirrored = Mirrored::with(&Image::sample(1)).await;
    mirrored.mirror.fail(On::Blobs, Fault::Status(404));
    pull(&mirrored.registry(), &mirrored.reference).await;
    let expected = format!("ns={}", mirrored.setup.mock.host().replace(':', "%3A"));
    assert!(queries(&mirrored.mirror).await.iter().all(|query| *query == expected));
    assert!(queries(&mirrored.setup.mock).await.iter().all(String::is_empty));
}

#[tokio::test]
async fn whatever_a_mirror_answers_to_a_manifest_the_origin_is_asked() {
    let image = Image::sample(1);
    let faults = [400, 401, 403, 404, 405, 416, 418, 429, 500, 502, 503].map(Fault::Status);
    let others = [
        Fault::HangUp,
        Fault::HangUpInHead,
        Fault::CutShort,
        Fault::FlippedBit,
        Fault::login_page(),
        Fault::TooManyRequests("3600".into()),
        Fault::DigestHeader("sha256:../..".into()),
        Fault::Challenge("Bearer realm=\"http://169.254.169.254/token\"".into()),
    ];
    for fault in faults.into_iter().chain(others) {
        let mirrored = Mirrored::with(&image).await;
        mirrored.mirror.fail(On::Manifests, fault.clone());
        let registry = mirrored.registry().with_options(|options| options.with_retries(0));
        pull(&registry, &mirrored.reference).await;
        assert_eq!(mirrored.setup.mock.counts().manifest_gets, 1, "{fault:?}");
        assert_eq!(mirrored.mirror.counts().manifest_gets, 1, "{fault:?}: once is enough");
    }
}

#[tokio::test]
async fn whatever_a_mirror_answers_to_a_blob_the_origin_is_asked() {
    let image = Image::sample(1);
    let faults = [400, 401, 403, 404, 416, 429, 500, 503].map(Fault::Status);
    let others = [Fault::HangUp, Fault::CutShort, Fault::FlippedBit, Fault::login_page()];
    for fault in faults.into_iter().chain(others) {
        let mirrored = Mirrored::with(&image).await;
        mirrored.mirror.fail(On::Blobs, fault.clone());
        let registry = mirrored.registry().with_options(|options| options.with_retries(0));
        pull(&registry, &mirrored.reference).await;
        assert_eq!(mirrored.setup.mock.counts().manifest_gets, 0, "{fault:?}");
    }
}

#[tokio::test]
async fn ranges_of_a_mirror_that_is_no_good_at_them_come_from_the_origin() {
    let image = one_layer(8 * MIB);
    for fault in [Fault::RangesIgnored, Fault::WrongRange, Fault::RangesRefused, Fault::ShortRange] {
        let mirrored = Mirrored::with(&image).await;
        mirrored.mirror.fail(On::Blobs, fault);
        pull(
            &mirrored
                .registry()
                .with_options(|options| options.with_retries(0).with_connections(4.try_into().unwrap())),
            &mirrored.reference,
        )
        .await;
    }
}

#[tokio::test]
async fn a_blob_that_a_mirror_breaks_off_goes_on_at_the_origin_where_it_broke() {
    let image = one_layer(100_000);
    let mirrored = Mirrored::with(&image).await;
    let layer = &image.layers()[0];
    mirrored.mirror.fail(On::Digest(layer.digest.clone()), Fault::CutShort);
    pull(&mirrored.registry().with_options(|options| options.with_retries(0)), &mirrored.reference).await;
    let (mirror, origin) = mirrored.blob_bytes(&layer.digest);
    assert_eq!(mirror + origin, layer.bytes.len() as u64, "no byte came twice");
}

#[tokio::test]
async fn a_mirror_that_breaks_off_is_gone_on_with_when_it_is_all_there_is() {
    let image = one_layer(100_000);
    let mirrored = Mirrored::with(&image).await;
    mirrored.setup.mock.go_down().await;
    let layer = &image.layers()[0];
    mirrored.mirror.fail_next(1, On::Digest(layer.digest.clone()), Fault::CutShort);
    pull(&mirrored.registry().with_options(|options| options.with_retries(0)), &mirrored.reference).await;
    assert_eq!(mirrored.blob_bytes(&layer.digest).0, layer.bytes.len() as u64, "no byte came twice");
    mirrored.mirror.fail(On::Blobs, Fault::CutShort);
    let other = Image::builder().layer(Layer::random(100_000, 2)).build();
    mirrored.mirror.publish("demo", "v2", &other);
    let reference = mirrored.reference.replace(":v1", ":v2");
    fails(&mirrored.registry(), &reference, ErrorKind::Unavailable, &[]).await;
}

#[tokio::test]
async fn a_blob_that_is_wrong_at_a_mirror_is_fetched_once_more_whole_from_another_host() {
    for len in [100_000, 8 * MIB] {
        let image = one_layer(len);
        let mirrored = Mirrored::with(&image).await;
        let layer = &image.layers()[0];
        mirrored.mirror.fail(On::Digest(layer.digest.clone()), Fault::FlippedBit);
        pull(
            &mirrored
                .registry()
                .with_options(|options| options.with_retries(0).with_connections(4.try_into().unwrap())),
            &mirrored.reference,
        )
        .await;
        let (_, origin) = mirrored.blob_bytes(&layer.digest);
        assert_eq!(origin, layer.bytes.len() as u64);
    }
}

#[tokio::test]
async fn wrong_bytes_everywhere_are_an_error_and_not_asked_for_without_end() {
    let image = Image::sample(1);
    let mirrored = Mirrored::with(&image).await;
    let layer = image.layers()[0].digest.clone();
    for mock in [&mirrored.mirror, &mirrored.setup.mock] {
        mock.fail(On::Digest(layer.clone()), Fault::FlippedBit);
    }
    fails(&mirrored.registry(), &mirrored.reference, ErrorKind::DigestMismatch, &[]).await;
    let asked =
        mirrored.setup.mock.requests().iter().filter(|seen| seen.digest == Some(layer.clone())).count();
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_pinned_image_of_a_mirror_is_checked_against_the_pin() {
    let (image, other) = (Image::sample(1), Image::sample(2));
    let mirrored = Mirrored::with(&image).await;
    mirrored.mirror.replace(image.digest(), other.manifest().bytes.clone());
    let pinned = format!("{}/demo@{}", mirrored.setup.mock.host(), image.digest());
    let pulled = pull(&mirrored.registry(), &pinned).await;
    assert_eq!(pulled.digest, image.digest().to_string());
    assert_eq!(mirrored.setup.mock.counts().manifest_gets, 1);
}

#[tokio::test]
async fn a_dead_mirror_costs_later_requests_nothing() {
    let image = Image::builder().layers((0..8).map(|seed| Layer::random(1000, seed))).build();
    let mirrored = Mirrored::with(&image).await;
    mirrored.mirror.fail(On::Everything, Fault::Status(503));
    let registry = mirrored.registry();
    pull(&registry, &mirrored.reference).await;
    assert_eq!(mirrored.mirror.requests().len(), 1, "what is dead is not asked for the blobs");
    registry.force_pull(&mirrored.reference).await.unwrap();
    assert_eq!(mirrored.mirror.requests().len(), 1);
}

#[tokio::test]
async fn a_mirror_that_refuses_one_thing_is_asked_for_the_next() {
    let image = Image::sample(1);
    let mirrored = Mirrored::with(&image).await;
    mirrored.mirror.fail(On::Manifests, Fault::Status(404));
    pull(&mirrored.registry(), &mirrored.reference).await;
    assert_eq!(mirrored.mirror.counts().blob_gets, image.blobs().count());
    assert_eq!(mirrored.setup.mock.counts().blob_gets, 0);
}

#[tokio::test]
async fn a_mirror_left_alone_is_asked_after_all_when_the_origin_is_gone() {
    let mirrored = Mirrored::with(&Image::sample(1)).await;
    let registry = mirrored.registry();
    mirrored.mirror.fail_next(1, On::Everything, Fault::Status(503));
    pull(&registry, &mirrored.reference).await;
    mirrored.setup.mock.go_down().await;
    registry.force_pull(&mirrored.reference).await.unwrap();
    assert!(mirrored.mirror.counts().manifest_gets >= 2);
}

#[tokio::test]
async fn mirrors_are_asked_in_their_order() {
    let mirrored = Mirrored::with(&Image::sample(1)).await;
    let (second, third) = (MockRegistry::start().await, MockRegistry::start().await);
    third.publish("demo", "v1", Image::sample(1));
    let host = mirrored.setup.mock.host();
    mirrored.mirror.go_down().await;
    let registry = mirrored
        .registry()
        .with_options(|options| options.with_mirror(&host, second.url()).with_mirror(&host, third.url()));
    pull(&registry, &mirrored.reference).await;
    assert_eq!(second.counts().manifest_gets, 1, "it has nothing");
    assert_eq!(third.counts().manifest_gets, 1);
    assert_eq!(mirrored.setup.mock.requests(), []);
}

#[tokio::test]
async fn a_tag_that_moved_is_seen_through_a_mirror_with_one_head() {
    let mirrored = Mirrored::with(&Image::sample(1)).await;
    let registry = mirrored.registry();
    pull(&registry, &mirrored.reference).await;
    mirrored.mirror.forget_requests();
    pull(&registry, &mirrored.reference).await;
    assert_eq!(mirrored.mirror.counts(), Counts { manifest_heads: 1, ..Counts::default() });
    mirrored.mirror.publish("demo", "v1", Image::sample(2));
    let pulled = pull(&registry, &mirrored.reference).await;
    assert_eq!(pulled.digest, Image::sample(2).digest().to_string());
    assert_eq!(mirrored.setup.mock.requests(), []);
}

#[tokio::test]
async fn only_the_origin_says_that_there_is_no_such_image() {
    let mirrored = Mirrored::with(&Image::sample(1)).await;
    let missing = mirrored.reference.replace(":v1", ":v9");
    fails(&mirrored.registry(), &missing, ErrorKind::NotFound, &["404"]).await;
    assert_eq!(mirrored.setup.mock.counts().manifest_gets, 1);
    mirrored.setup.mock.go_down().await;
    fails(&mirrored.registry(), &missing, ErrorKind::Unavailable, &[]).await;
}

#[tokio::test]
async fn with_the_origin_gone_a_mirror_is_enough() {
    let mirrored = Mirrored::with(&Image::sample(1)).await;
    mirrored.setup.mock.go_down().await;
    pull(&mirrored.registry(), &mirrored.reference).await;
    pull(&mirrored.registry(), &mirrored.reference).await;
    mirrored.mirror.fail(On::Everything, Fault::HeadRefused);
    pull(&mirrored.registry(), &mirrored.reference).await;
}

#[tokio::test]
async fn a_mirror_is_never_shown_the_credentials_of_the_origin() {
    for (auth, own) in [
        (Auth::basic("me", SECRET), Auth::basic("me", SECRET)),
        (Auth::token("me", SECRET), Auth::token("me", SECRET)),
        (Auth::token("me", SECRET), Auth::AnonymousToken),
    ] {
        let mirrored = Mirrored::with(&Image::sample(1)).await;
        mirrored.setup.mock.require(auth);
        mirrored.mirror.require(own);
        let me = Credentials::basic("me", SECRET);
        let registry = mirrored
            .registry()
            .with_options(|options| options.with_credentials(mirrored.setup.mock.host(), me));
        pull(&registry, &mirrored.reference).await;
        for request in mirrored.mirror.server().received_requests().await.unwrap() {
            let shown = request.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
            assert!(
                shown.is_none_or(|shown| shown.starts_with("Bearer token-")),
                "its own token at the most"
            );
        }
    }
}

#[tokio::test]
async fn a_mirror_has_credentials_of_its_own() {
    let mirrored = Mirrored::with(&Image::sample(1)).await;
    mirrored.mirror.require(Auth::token("me", SECRET));
    let me = Credentials::basic("me", SECRET);
    let registry =
        mirrored.registry().with_options(|options| options.with_credentials(mirrored.mirror.host(), me));
    pull(&registry, &mirrored.reference).await;
    assert_eq!(mirrored.setup.mock.requests(), []);
    assert_no_secret(&format!("{registry:?} {registry:#?}"));
}

#[tokio::test]
async fn a_mirror_that_stalls_in_a_blob_is_left_for_the_origin() {
    let image = one_layer(300_000);
    let mirrored = Mirrored::with(&image).await;
    let gate = mirrored.mirror.hold_blobs(1000);
    let registry = mirrored.registry().with_options(|options| {
        options
            .with_stall_timeout(Duration::from_millis(200))
            .with_retries(0)
            .with_connections(1.try_into().unwrap())
    });
    pull(&registry, &mirrored.reference).await;
    assert!(mirrored.setup.mock.counts().blob_gets > 0);
    gate.release();
}

#[tokio::test]
async fn an_address_that_is_none_is_an_error_that_names_the_registry() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    for mirror in ["", "https://", "https://me:canary@mirror.lan", "::", "ftp://mirror.lan"] {
        let registry =
            setup.registry().with_options(|options| options.with_mirror(setup.mock.host(), mirror));
        fails(&registry, &reference, ErrorKind::InvalidConfig, &[&setup.mock.host()]).await;
    }
}
