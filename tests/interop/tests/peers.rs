//! What one program writes, the others read, and every digest stays the same.
//!
//! Needs crane, oras, regctl and `docker-registry`; `.ci/run interop` installs them.

use std::fs;
use std::path::Path;

use hoist::{Config, ImageRegistry, PulledImage};
use hoist_interop::Peer;
use hoist_testkit::{Format, Image, ImageIndex, Layer, assert_valid_layout, push};
use hoist_tests::Registry;
use tempfile::TempDir;

const AMD64: &str = "linux/amd64";
const ARM64: &str = "linux/arm64";

async fn pull(store: &Path, platform: &str, reference: &str) -> PulledImage {
    let config = Config::default().with_root(store).with_platform(platform.parse().unwrap());
    let hoist = hoist::open(&config).unwrap();
    let pulled = hoist.pull(reference).await.unwrap_or_else(|error| panic!("{}", error.report()));
    assert_valid_layout(&pulled.path, &pulled.digest);
    pulled
}

/// Whether all of an image is in a layout, byte for byte.
fn assert_holds(pulled: &PulledImage, image: &Image) {
    assert_eq!(pulled.digest, image.digest().to_string());
    for blob in image.blobs().chain([image.manifest()]) {
        let path = pulled.path.join("blobs/sha256").join(blob.digest.hex());
        assert_eq!(fs::read(path).unwrap(), *blob.bytes, "{}", blob.digest);
    }
}

fn images() -> [Image; 3] {
    let files = || Layer::files(&[("etc/hostname", b"peers\n"), ("bin/app", b"#!/bin/sh\necho hi\n")]);
    let builder =
        || Image::builder().platform(AMD64).layers([files().gzipped(), Layer::random(300, 2).gzipped()]);
    [
        builder().build(),
        builder().format(Format::Docker).build(),
        builder().layer(Layer::random(9 << 20, 1).gzipped()).build(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_layout_is_read_by_all_of_them_and_what_they_push_is_pulled() {
    let registry = Registry::start();
    for (number, image) in images().into_iter().enumerate() {
        let dir = TempDir::new().unwrap();
        let first = push(registry.host(), &format!("first/{number}"), "v1", image.clone()).await;
        let pulled = pull(&dir.path().join("first"), AMD64, &first).await;
        assert_holds(&pulled, &image);
        for peer in Peer::ALL {
            let name = format!("{peer:?}").to_lowercase();
            let reference = format!("{}/{name}/{number}:v1", registry.host());
            peer.push(&pulled.path, &pulled.digest, &reference);
            assert_eq!(peer.digest(&reference), pulled.digest, "{name}");
            peer.validate(&reference);
            // In a store of its own, so that every byte comes from what the peer has pushed.
            assert_holds(&pull(&dir.path().join(&name), AMD64, &reference).await, &image);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_they_copied_is_pulled_for_each_platform() {
    let registry = Registry::start();
    let image =
        |platform, seed| Image::builder().platform(platform).layer(Layer::random(9000, seed).gzipped());
    let index = ImageIndex::new([image(AMD64, 1).build(), image(ARM64, 2).build()]);
    let source = push(registry.host(), "source", "v1", index.clone()).await;
    for peer in Peer::ALL {
        let dir = TempDir::new().unwrap();
        let copy = format!("{}/copy-{}:v1", registry.host(), format!("{peer:?}").to_lowercase());
        peer.copy(&source, &copy);
        assert_eq!(peer.digest(&copy), index.digest().to_string());
        for platform in [AMD64, ARM64] {
            assert_holds(&pull(dir.path(), platform, &copy).await, index.image(platform));
        }
    }
}
