//! Foreign layers in a whole stack: what its events say about where such a layer comes from.

use std::sync::{Arc, Mutex};

use hoist::{Config, Durability, ErrorKind, Event, Events, ImageRegistry, Source};
use hoist_core::media_type;
use hoist_testkit::{Blob, Image, Layer, MockRegistry, PLATFORM};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Publishes an image without its layer, which is foreign: the manifest has this address for it.
fn publish(mock: &MockRegistry, image: &Image, address: &str) -> String {
    mock.put("demo", None, image.config());
    let mut manifest: Value = serde_json::from_slice(&image.manifest().bytes).unwrap();
    manifest["layers"][0]["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    manifest["layers"][0]["urls"] = json!([address]);
    mock.put("demo", Some("v1"), &Blob::new(media_type::OCI_MANIFEST, manifest.to_string()))
}

#[tokio::test]
async fn a_stack_says_from_which_host_a_foreign_layer_comes_and_not_from_which_address() {
    let (mock, elsewhere) = (MockRegistry::start().await, MockRegistry::start().await);
    let image = Image::builder().layer(Layer::random(100_000, 1)).build();
    let layer = &image.layers()[0].digest;
    elsewhere.publish("demo", "v1", &image);
    let address = format!("{}/v2/demo/blobs/{layer}?X-Signature=canary-in-a-signed-url", elsewhere.url());
    let reference = publish(&mock, &image, &address);
    let sources = Arc::new(Mutex::new(Vec::new()));
    let told = sources.clone();
    let events = Events::to(move |event| {
        if let Event::BlobProgress { digest, from, .. } = event {
            told.lock().unwrap().push((digest, from));
        }
    });
    let dir = TempDir::new().unwrap();
    let config = Config::default().with_root(dir.path().join("store"));
    let config = config.with_platform(PLATFORM.parse().unwrap()).with_durability(Durability::None);
    let refused = hoist::open(&config).unwrap().pull(&reference).await.unwrap_err();
    assert_eq!(*refused.kind(), ErrorKind::NotFound, "{}", refused.report());
    let config = config.with_remote_options(|options| options.with_foreign_layers(elsewhere.host()));
    let hoist = hoist::open_with_events(&config, events).unwrap();
    hoist.pull(&reference).await.unwrap_or_else(|error| panic!("{}", error.report()));
    let sources = sources.lock().unwrap();
    let of_layer: Vec<_> =
        sources.iter().filter(|(digest, _)| digest == layer).map(|(_, from)| from).collect();
    let elsewhere = Source::Registry(elsewhere.host().into());
    assert!(!of_layer.is_empty() && of_layer.iter().all(|from| **from == elsewhere), "{of_layer:?}");
}
