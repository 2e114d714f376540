//! Redirects: blobs often lie in object storage, which must not be shown what the registry is shown.

use hoist_core::ErrorKind;
use hoist_testkit::{Auth, Fault, Image, MockRegistry, On};

use crate::setup::{SECRET, Setup, fails, pull};

/// A registry that wants credentials, and whose blobs lie on another host.
async fn with_storage(image: &Image) -> (Setup, String, MockRegistry) {
    let (setup, reference) = Setup::with(image).await;
    let storage = MockRegistry::start().await;
    storage.publish("demo", "v1", image);
    setup.mock.fail(On::Blobs, Fault::Redirect(storage.url()));
    (setup, reference, storage)
}

/// open-policy-agent/opa#6580: ECR's storage answers 400 if `Authorization` comes along.
#[tokio::test]
async fn credentials_stay_behind_when_a_blob_lies_elsewhere() {
    let image = Image::sample(1);
    for auth in [Auth::basic("me", SECRET), Auth::token("me", SECRET)] {
        let (setup, reference, storage) = with_storage(&image).await;
        setup.mock.require(auth);
        pull(&setup.registry_as_me(), &reference).await;
        assert_eq!(storage.counts().blob_gets, image.blobs().count());
        assert!(storage.requests().iter().all(|seen| seen.authorization.is_none()));
    }
}

/// Who is redirected to is another host for all that follows, and not just for its first answer.
#[tokio::test]
async fn credentials_stay_behind_when_storage_redirects_to_another_of_its_addresses() {
    let image = Image::sample(1);
    for auth in [Auth::basic("me", SECRET), Auth::token("me", SECRET)] {
        let (setup, reference, storage) = with_storage(&image).await;
        setup.mock.require(auth);
        for blob in image.blobs() {
            storage.fail_next(1, On::Digest(blob.digest.clone()), Fault::Redirect(String::new()));
        }
        pull(&setup.registry_as_me(), &reference).await;
        assert_eq!(storage.counts().blob_gets, 2 * image.blobs().count());
        assert!(storage.requests().iter().all(|seen| seen.authorization.is_none()));
    }
}

#[tokio::test]
async fn credentials_stay_behind_when_storage_redirects_to_the_registry_again() {
    let image = Image::sample(1);
    let (setup, reference, storage) = with_storage(&image).await;
    setup.mock.require(Auth::basic("me", SECRET));
    storage.fail(On::Blobs, Fault::Redirect(setup.mock.url()));
    let registry = setup
        .registry_as_me()
        .with_options(|options| options.with_connections(1.try_into().unwrap()).with_retries(0));
    fails(&registry, &reference, ErrorKind::Unauthorized, &["401"]).await;
    assert!(storage.requests().iter().all(|seen| seen.authorization.is_none()));
    let requests = setup.mock.requests();
    let redirected = requests.iter().position(|seen| seen.status == 307).unwrap();
    assert_eq!(requests[redirected + 1].authorization, None);
}

/// GHSA-vh4v-2xq2-g5cg of oras-go: another name of the same machine, at the same port, is another host.
#[tokio::test]
async fn credentials_stay_behind_when_only_the_host_changes() {
    let (setup, reference) = Setup::with(&Image::sample(1)).await;
    setup.mock.require(Auth::basic("me", SECRET));
    let port = setup.mock.host().rsplit(':').next().unwrap().to_owned();
    setup.mock.fail_next(1, On::Blobs, Fault::Redirect(format!("http://localhost:{port}")));
    let registry = setup
        .registry_as_me()
        .with_options(|options| options.with_connections(1.try_into().unwrap()).with_retries(0));
    fails(&registry, &reference, ErrorKind::Unauthorized, &["401"]).await;
    let requests = setup.mock.requests();
    let redirected = requests.iter().position(|seen| seen.status == 307).unwrap();
    assert_eq!(requests[redirected + 1].path, requests[redirected].path);
    assert_eq!(requests[redirected + 1].authorization, None);
}

/// CVE-2026-49349 of regclient.
#[tokio::test]
async fn who_was_redirected_to_is_not_shown_credentials_though_it_asks() {
    let (setup, reference, storage) = with_storage(&Image::sample(1)).await;
    setup.mock.require(Auth::basic("me", SECRET));
    storage.require(Auth::basic("me", SECRET));
    fails(&setup.registry_as_me(), &reference, ErrorKind::Unauthorized, &["401"]).await;
    assert!(storage.requests().iter().all(|seen| seen.authorization.is_none()));
}

#[tokio::test]
async fn a_range_is_asked_for_where_the_blob_lies() {
    let image = Image::builder().layer(hoist_testkit::Layer::random(100_000, 1)).build();
    let (setup, reference, storage) = with_storage(&image).await;
    let layer = &image.layers()[0];
    storage.fail_next(1, On::Digest(layer.digest.clone()), Fault::CutShort);
    setup.pull(&reference).await;
    assert_eq!(storage.bytes_served(&layer.digest), layer.bytes.len() as u64, "no byte came twice");
}

/// Its address has a signature in it, which is a secret; `fails` looks for it.
#[tokio::test]
async fn the_address_of_a_blob_elsewhere_is_not_told() {
    let (setup, reference, storage) = with_storage(&Image::sample(1)).await;
    for (status, kind) in [(403, ErrorKind::Forbidden), (500, ErrorKind::Unavailable)] {
        storage.repair();
        storage.fail(On::Blobs, Fault::Status(status));
        setup.fails(&reference, kind, &[&status.to_string()]).await;
    }
    storage.go_down().await;
    setup.fails(&reference, ErrorKind::Unavailable, &["the blob", "refused"]).await;
}

/// However many hosts it leads over.
#[tokio::test]
async fn a_redirect_in_a_circle_of_hosts_ends_as_well() {
    let (setup, reference, storage) = with_storage(&Image::sample(1)).await;
    setup.mock.repair();
    setup.mock.fail(On::Manifests, Fault::Redirect(storage.url()));
    storage.fail(On::Manifests, Fault::Redirect(setup.mock.url()));
    setup.fails(&reference, ErrorKind::Unsupported, &["redirected too often"]).await;
    assert_eq!((setup.mock.counts().manifest_gets, storage.counts().manifest_gets), (3, 3));
}

#[tokio::test]
async fn a_redirect_in_a_circle_ends_and_is_not_tried_again() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.fail(On::Manifests, Fault::Redirect(setup.mock.url()));
    setup.fails(&reference, ErrorKind::Unsupported, &["redirected too often", "address of a registry"]).await;
    assert_eq!(setup.mock.counts().manifest_gets, 6, "the request and five redirects");
}

/// oras-dotnet#423.
#[tokio::test]
async fn a_relative_location_is_followed() {
    let image = Image::sample(1);
    let (setup, reference) = Setup::with(&image).await;
    setup.mock.fail_next(1, On::Manifests, Fault::Redirect(String::new()));
    for blob in image.blobs() {
        setup.mock.fail_next(1, On::Digest(blob.digest.clone()), Fault::Redirect(String::new()));
    }
    setup.pull(&reference).await;
    assert_eq!(
        setup.mock.requests().iter().filter(|seen| seen.status == 307).count(),
        1 + image.blobs().count()
    );
}
