//! Who gets what: only what everybody may have is served.

use std::sync::Arc;

use hoist_core::{Admission, Candidate, Error, ErrorKind, Result};
use hoist_serve::{Limits, ServeOptions, Server};
use hoist_store::Arrival;
use hoist_testkit::{Image, Layer, add_to_store};
use reqwest::StatusCode;

use crate::setup::{Setup, described, layer};

#[tokio::test]
async fn what_came_with_credentials_is_not_served() {
    let (setup, image) = (Setup::new().await, Image::sample(1));
    setup.pull_private("private", "v1", &image).await;
    let served = setup.serve().await;
    assert_eq!(served.status("/v2/private/manifests/v1").await, StatusCode::NOT_FOUND);
    assert_eq!(served.status("/v2/private/tags/list").await, StatusCode::NOT_FOUND);
    assert_eq!(served.manifest(image.digest()).await, StatusCode::NOT_FOUND);
    assert_eq!(served.blob(layer(&image)).await, StatusCode::NOT_FOUND);
    let host = setup.mock.host();
    let share = move |name: &hoist_core::Reference| name.registry() == host && name.repository() == "private";
    let served = setup.serve_with(ServeOptions::default().with_share_private(share), Limits::default()).await;
    assert_eq!(served.status("/v2/private/manifests/v1").await, StatusCode::OK);
    assert_eq!(served.blob(layer(&image)).await, StatusCode::OK);
}

/// Somebody who may push to a public repository names a layer there that is private, and in the pool.
#[tokio::test]
async fn a_public_manifest_gives_nobody_a_private_layer() {
    let secret = Layer::random(1000, 1);
    let (setup, private) = (Setup::new().await, Image::builder().layer(secret.clone()).build());
    // The two differ in their manifest only.
    let public = Image::builder().layer(secret).layer(Layer::random(10, 2)).build();
    setup.pull("public", "v1", Image::sample(9)).await;
    let open = setup.mock.publish("public", "v2", public.clone());
    setup.pull_private("private", "v1", &private).await;
    // In the same pull without credentials, the layer is in the pool already.
    let other = Setup::new().await;
    let reference = other.mock.publish("public", "v2", public.clone());
    let registry = hoist_remote::RemoteRegistry::new(setup.store.clone())
        .with_platform(hoist_testkit::PLATFORM.parse().unwrap());
    hoist_core::ImageRegistry::pull(&registry, &reference).await.unwrap();
    drop(open);
    let served = setup.serve().await;
    assert_eq!(served.manifest(public.digest()).await, StatusCode::OK);
    assert_eq!(served.blob(&public.layers()[1].digest).await, StatusCode::OK);
    assert_eq!(served.blob(layer(&public)).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn only_what_is_shared_is_served_whatever_name_asks() {
    let (setup, one, two) = (Setup::new().await, Image::sample(1), Image::sample(2));
    setup.pull("shared/app", "v1", one.clone()).await;
    setup.pull("kept/app", "v1", two.clone()).await;
    let share = |name: &hoist_core::Reference| name.repository().starts_with("shared/");
    let served = setup.serve_with(ServeOptions::default().with_share(share), Limits::default()).await;
    assert_eq!(served.blob(layer(&one)).await, StatusCode::OK);
    assert_eq!(served.status("/v2/kept/app/manifests/v1").await, StatusCode::NOT_FOUND);
    let path = format!("/v2/shared/app/blobs/{}", layer(&two));
    assert_eq!(served.status(&path).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_was_loaded_is_served_and_what_nobody_spoke_for_is_not() {
    let (setup, image, other) = (Setup::new().await, Image::sample(1), Image::sample(2));
    let host = setup.mock.host();
    add_to_store(&setup.store, &format!("{host}/quiet:v1"), &other).await.unwrap();
    let staging = setup.store.stage(hoist_store::Verify::Cached).unwrap();
    for blob in image.blobs() {
        staging.put(&described(blob), blob.bytes.to_vec()).await.unwrap();
    }
    staging.put(&described(image.manifest()), image.manifest().bytes.to_vec()).await.unwrap();
    let lease = staging.commit(described(image.manifest())).await.unwrap().arrived_by(Arrival::Loaded);
    let name = format!("{host}/loaded:v1").parse().unwrap();
    setup.store.name(&name, image.platform(), &lease, None).unwrap();
    let served = setup.serve().await;
    assert_eq!(served.status("/v2/loaded/manifests/v1").await, StatusCode::OK);
    assert_eq!(served.blob(layer(&image)).await, StatusCode::OK);
    assert_eq!(served.status("/v2/quiet/manifests/v1").await, StatusCode::NOT_FOUND);
    let counting = Server::bind("127.0.0.1:0".parse().unwrap(), &setup.store, ServeOptions::default());
    assert_eq!(counting.await.unwrap().withheld().await.unwrap(), (1, 2));
}

struct Nothing;

impl Admission for Nothing {
    fn admit_reference(&self, _: &hoist_core::Reference) -> Result<()> {
        Ok(())
    }

    fn admit(&self, _: &Candidate<'_>) -> Result<()> {
        Err(Error::new(ErrorKind::Refused, "it is not signed"))
    }
}

#[tokio::test]
async fn what_is_not_admitted_is_not_served() {
    let image = Image::sample(1);
    let mut setup = Setup::with(image.clone()).await;
    setup.store = setup.store.clone().with_admission(Arc::new(Nothing));
    let served = setup.serve().await;
    assert_eq!(served.status("/v2/demo/manifests/v1").await, StatusCode::FORBIDDEN);
    assert_eq!(served.blob(layer(&image)).await, StatusCode::FORBIDDEN);
    assert_eq!(served.status("/v2/demo/tags/list").await, StatusCode::NOT_FOUND);
}
