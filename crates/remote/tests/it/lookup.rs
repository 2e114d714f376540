//! What a registry is asked without pulling: what a reference is now, and which tags there are.

use hoist_core::{Digest, ErrorKind, PulledImage, Resolution, media_type};
use hoist_testkit::{Auth, Counts, Fault, Image, ImageIndex, MockRegistry, On, PLATFORM};

use crate::setup::{SECRET, Setup, assert_no_secret, one_layer};

async fn resolved(setup: &Setup, reference: &str) -> Resolution {
    setup.registry().resolve_remote(reference).await.unwrap_or_else(|error| panic!("{}", error.report()))
}

fn stored(setup: &Setup) -> usize {
    let blobs = setup.store.root().join("blobs/sha256");
    blobs.read_dir().map_or(0, Iterator::count)
}

#[tokio::test]
async fn an_index_is_resolved_with_its_platforms_and_the_size_of_ours() {
    let index = ImageIndex::sample(1);
    let (setup, reference) = Setup::with(&index).await;
    let found = resolved(&setup, &reference).await;
    assert_eq!((&found.digest, &*found.media_type), (index.digest(), media_type::OCI_INDEX));
    assert_eq!(found.size, index.document().bytes.len() as u64);
    let content = |image: &Image| image.blobs().map(|blob| blob.bytes.len() as u64).sum::<u64>();
    for (entry, image) in found.images.iter().zip(index.images()) {
        assert_eq!((&entry.digest, entry.platform.as_ref()), (image.digest(), Some(image.platform())));
        assert_eq!(entry.size, image.manifest().bytes.len() as u64);
        let ours = image.platform().to_string() == PLATFORM;
        assert_eq!(entry.content_size, ours.then(|| content(image)));
    }
    assert_eq!(found.images.len(), 2);
    assert_eq!(setup.mock.counts(), Counts { manifest_gets: 2, ..Counts::default() });
    assert_eq!(stored(&setup), 0, "nothing is stored");
}

#[tokio::test]
async fn an_image_without_an_index_is_resolved_with_the_platform_that_its_configuration_names() {
    let image = Image::builder().platform("linux/arm64").build();
    let (setup, reference) = Setup::with(&image).await;
    let found = resolved(&setup, &reference).await;
    let [entry] = &found.images[..] else { panic!("{found:?}") };
    assert_eq!((&entry.digest, &found.digest), (image.digest(), image.digest()));
    assert_eq!(entry.platform.as_ref().unwrap().to_string(), "linux/arm64");
    assert_eq!(stored(&setup), 0, "nothing is stored");
}

#[tokio::test]
async fn a_reference_that_cannot_be_resolved_is_an_error_that_names_it() {
    let (setup, reference) = Setup::with(one_layer(10)).await;
    let missing = format!("{}/demo:other", setup.mock.host());
    let lie = format!("{}/demo@{}", setup.mock.host(), Digest::sha256(b"other"));
    setup.mock.fail_next(1, On::Manifests, Fault::Status(403));
    for (reference, kind) in [
        (&*reference, ErrorKind::Forbidden),
        (&missing, ErrorKind::NotFound),
        (&lie, ErrorKind::NotFound),
        ("not a reference", ErrorKind::InvalidReference),
    ] {
        let error = setup.registry().resolve_remote(reference).await.unwrap_err();
        assert_eq!(*error.kind(), kind, "{}", error.report());
        assert!(error.report().contains(reference), "{}", error.report());
    }
}

#[tokio::test]
async fn credentials_are_good_for_looking_as_well() {
    let (setup, reference) = Setup::with(one_layer(10)).await;
    setup.mock.require(Auth::token("me", SECRET));
    let registry = setup.registry_as_me();
    registry.resolve_remote(&reference).await.unwrap();
    assert_eq!(registry.tags(&format!("{}/demo", setup.mock.host())).await.unwrap(), ["v1"]);
    let error = setup.registry().tags(&format!("{}/demo", setup.mock.host())).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unauthorized);
    assert_no_secret(&error.report());
}

/// A repository with so many tags.
async fn tagged(count: usize) -> (Setup, String, Vec<String>) {
    let setup = Setup::new().await;
    let image = one_layer(10);
    let tags: Vec<String> = (0..count).map(|number| format!("v{number:05}")).collect();
    for tag in &tags {
        setup.mock.publish("demo", tag, &image);
    }
    let repository = format!("{}/demo", setup.mock.host());
    (setup, repository, tags)
}

async fn refused(setup: &Setup, repository: &str, kind: ErrorKind, word: &str) {
    let error = setup.registry().tags(repository).await.unwrap_err();
    assert_eq!(*error.kind(), kind, "{}", error.report());
    assert!(error.report().contains(word), "{}", error.report());
}

#[tokio::test]
async fn tags_are_listed_over_all_pages_in_the_registrys_order() {
    let (setup, repository, tags) = tagged(2001).await;
    assert_eq!(setup.registry().tags(&repository).await.unwrap(), tags);
    assert_eq!(setup.mock.requests().len(), 3);
}

#[tokio::test]
async fn a_full_page_without_a_link_is_asked_what_comes_after_it() {
    let (setup, repository, tags) = tagged(1001).await;
    setup.mock.fail(On::Tags, Fault::Link(String::new()));
    assert_eq!(setup.registry().tags(&repository).await.unwrap(), tags);
}

#[tokio::test]
async fn a_relative_link_is_followed() {
    let (setup, repository, tags) = tagged(3).await;
    setup.mock.fail_next(1, On::Tags, Fault::Link("<list?last=v00000>; rel=next".into()));
    assert_eq!(setup.registry().tags(&repository).await.unwrap(), tags);
    assert_eq!(setup.mock.requests().len(), 2);
}

#[tokio::test]
async fn a_link_to_another_host_is_asked_of_the_registry_itself() {
    let (setup, repository, tags) = tagged(3).await;
    let elsewhere = MockRegistry::start().await;
    for link in [elsewhere.url(), "http://backend:5000".into(), "//evil.example".into()] {
        let link = format!("<{link}/v2/demo/tags/list?last=v00000>; rel=\"next\"");
        setup.mock.fail_next(1, On::Tags, Fault::Link(link));
        assert_eq!(setup.registry().tags(&repository).await.unwrap(), tags);
    }
    assert_eq!(elsewhere.requests(), []);
    setup.mock.fail(On::Tags, Fault::Link("<file:///etc/passwd>; rel=\"next\"".into()));
    refused(&setup, &repository, ErrorKind::Malformed, "no address of the web").await;
}

/// CVE-2023-46737: endless data.
#[tokio::test]
async fn a_list_of_tags_without_end_is_given_up() {
    let (setup, repository, _) = tagged(1).await;
    setup.mock.fail(On::Tags, Fault::EndlessTags);
    refused(&setup, &repository, ErrorKind::TooLarge, "more than 1000 pages").await;
}

#[tokio::test]
async fn a_list_of_tags_that_goes_in_a_circle_ends() {
    let (setup, repository, tags) = tagged(2).await;
    setup.mock.fail(On::Tags, Fault::Link("</v2/demo/tags/list?n=1000>; rel=\"next\"".into()));
    assert_eq!(setup.registry().tags(&repository).await.unwrap(), tags);
    setup.mock.fail(On::Tags, Fault::Link("</v2/demo/tags/list?x=1>; rel=\"next\"".into()));
    assert_eq!(setup.registry().tags(&repository).await.unwrap(), tags);
}

#[tokio::test]
async fn what_is_no_list_of_tags_is_told() {
    let (setup, repository, _) = tagged(1).await;
    let json = |text: &str| Fault::Document("application/json".into(), text.into());
    for (fault, kind, word) in [
        (Fault::login_page(), ErrorKind::Malformed, "no list of tags"),
        (json(r#"{"errors":[{"code":"UNKNOWN","message":"a bad day"}]}"#), ErrorKind::Malformed, "a bad day"),
        (
            json(r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#),
            ErrorKind::RateLimited { retry_after: None },
            "TOOMANYREQUESTS",
        ),
        (Fault::Status(404), ErrorKind::NotFound, "404"),
    ] {
        setup.mock.repair();
        setup.mock.fail(On::Tags, fault);
        refused(&setup, &repository, kind, word).await;
    }
    setup.mock.repair();
    setup.mock.fail(On::Tags, json(r#"{"name":"demo","tags":null}"#));
    assert!(setup.registry().tags(&repository).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_cannot_be_a_tag_is_not_listed() {
    let (setup, repository, _) = tagged(1).await;
    let body = r#"{"tags":["good","","\u001b[31mred","../x","a b","-x","good"]}"#;
    setup.mock.fail(On::Tags, Fault::Document("application/json".into(), body.into()));
    assert_eq!(setup.registry().tags(&repository).await.unwrap(), ["good"]);
}

#[tokio::test]
async fn only_a_repository_has_tags() {
    let setup = Setup::new().await;
    let digest = Digest::sha256(b"x");
    for not_one in ["nginx:1.27", "localhost:5000/x:v1", &format!("nginx@{digest}"), "Nginx", ""] {
        refused(&setup, not_one, ErrorKind::InvalidReference, "").await;
    }
}

/// Compiles only if what is resolved can be printed as JSON, as the command does.
#[tokio::test]
async fn a_resolution_is_written_with_platforms_as_they_are_spelled() {
    let (setup, reference) = Setup::with(ImageIndex::sample(1)).await;
    let json = serde_json::to_value(resolved(&setup, &reference).await).unwrap();
    assert_eq!(json["reference"], reference);
    assert_eq!(json["images"][0]["platform"], "linux/arm64");
    let PulledImage { digest, .. } = setup.pull(&reference).await;
    assert_eq!(json["images"][1]["digest"], digest);
}
