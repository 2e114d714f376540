//! How content came is noted: only what everybody can have is anonymous.

use hoist_core::Digest;
use hoist_store::{Arrival, Arrivals};
use hoist_testkit::{Auth, Image, ImageIndex};

use crate::setup::{SECRET, Setup, pull};

fn of(setup: &Setup, digest: &Digest) -> Vec<Arrival> {
    let mut arrivals = Arrivals::default();
    arrivals.refresh(&setup.store).unwrap();
    arrivals.of(digest).flat_map(|(_, arrivals)| arrivals.to_vec()).collect()
}

#[tokio::test]
async fn what_was_pulled_without_credentials_is_anonymous() {
    let index = ImageIndex::sample(1);
    let (setup, reference) = Setup::with(index.clone()).await;
    pull(&setup.registry_as_me(), &reference).await; // nobody asked for them
    let image = index.image(hoist_testkit::PLATFORM);
    let digests = image.blobs().map(|blob| &blob.digest).chain([image.digest(), index.digest()]);
    for digest in digests {
        assert_eq!(of(&setup, digest), [Arrival::Anonymous]);
    }
}

#[tokio::test]
async fn what_was_pulled_with_credentials_is_not() {
    let image = Image::sample(1);
    let (setup, reference) = Setup::with(image.clone()).await;
    setup.mock.require(Auth::basic("me", SECRET));
    pull(&setup.registry_as_me(), &reference).await;
    for digest in image.blobs().map(|blob| &blob.digest).chain([image.digest()]) {
        assert_eq!(of(&setup, digest), [Arrival::Authenticated]);
    }
}

#[tokio::test]
async fn headers_of_a_hosts_file_count_as_credentials() {
    let image = Image::sample(1);
    let (setup, reference) = Setup::with(image.clone()).await;
    let dir = tempfile::TempDir::new().unwrap();
    let host = dir.path().join(setup.mock.host());
    std::fs::create_dir(&host).unwrap();
    let origin = format!("http://{}", setup.mock.host());
    let file =
        format!("server = {origin:?}\n[host.{origin:?}]\n[host.{origin:?}.header]\nx-key = [\"canary\"]\n");
    std::fs::write(host.join("hosts.toml"), file).unwrap();
    let registry = setup.registry().with_options(|options| options.with_hosts_dir(dir.path()));
    pull(&registry, &reference).await;
    assert_eq!(of(&setup, image.digest()), [Arrival::Authenticated]);
}
