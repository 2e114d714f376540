//! Digests: what is pinned, what is strong enough, and what only looks like one.

use hoist_core::{Algorithm, Digest, ErrorKind, Hasher, ImageRegistry, media_type};
use hoist_testkit::{Blob, Image, Layer, assert_valid_layout, flip_a_bit};
use serde_json::{Value, json};

use crate::setup::{Setup, fails, one_layer, refused};

fn sha512(blob: &Blob) -> Blob {
    let digest = Hasher::new(Algorithm::Sha512).chain(&blob.bytes).finish();
    Blob { digest, ..blob.clone() }
}

/// Puts an image whose manifest was changed, and returns its reference by tag.
fn put_changed(setup: &Setup, tag: &str, image: &Image, change: impl FnOnce(&mut Value)) -> (String, Blob) {
    for blob in image.blobs() {
        setup.mock.put("demo", None, blob);
    }
    let mut manifest: Value = serde_json::from_slice(&image.manifest().bytes).unwrap();
    change(&mut manifest);
    let manifest = Blob::new(media_type::OCI_MANIFEST, manifest.to_string());
    (setup.mock.put("demo", Some(tag), &manifest), manifest)
}

/// CVE-2022-39237: weak hashes.
#[tokio::test]
async fn a_sha512_descriptor_is_verified_as_sha512() {
    let setup = Setup::new().await;
    let image = one_layer(5000);
    let layer = sha512(&image.layers()[0]);
    setup.mock.put("demo", None, &layer);
    let (reference, _) = put_changed(&setup, "v1", &image, |manifest| {
        manifest["layers"][0]["digest"] = json!(layer.digest.to_string());
    });
    setup.mock.replace(&layer.digest, flip_a_bit(&layer.bytes));
    let words = ["sha512:", &layer.digest.to_string()];
    setup.fails(&reference, ErrorKind::DigestMismatch, &words).await;
    setup.mock.repair();
    let pulled = setup.pull(&reference).await;
    let path = pulled.path.join("blobs/sha512").join(layer.digest.hex());
    assert_eq!(std::fs::read(path).unwrap(), layer.bytes);
}

#[tokio::test]
async fn an_image_can_be_pinned_by_a_sha512_digest() {
    let setup = Setup::new().await;
    let image = one_layer(5000);
    let (_, manifest) = put_changed(&setup, "v1", &image, |_| ());
    let pinned = sha512(&manifest);
    let reference = setup.mock.put("demo", None, &pinned);
    let pulled = setup.pull(&reference).await;
    assert_eq!(pulled.digest, pinned.digest.to_string());
    setup.mock.forget_requests();
    setup.pull(&reference).await;
    assert_eq!(setup.mock.requests(), [], "it is known by that name");
}

#[tokio::test]
async fn weak_digests_are_refused() {
    let setup = Setup::new().await;
    let image = one_layer(10);
    for weak in ["md5:d41d8cd98f00b204e9800998ecf8427e", "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709"] {
        for change in [
            |manifest: &mut Value, weak: &str| manifest["layers"][0]["digest"] = json!(weak),
            |manifest: &mut Value, weak: &str| manifest["config"]["digest"] = json!(weak),
        ] {
            let (reference, _) = put_changed(&setup, "v1", &image, |manifest| change(manifest, weak));
            setup.fails(&reference, ErrorKind::Unsupported, &[weak, "neither sha256 nor sha512"]).await;
        }
        let pinned = format!("{}/demo@{weak}", setup.mock.host());
        let error = setup.registry().pull(&pinned).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::InvalidReference);
    }
}

/// CVE-2024-3727: a digest that leads out of the directory. The header's is in `documents`.
#[tokio::test]
async fn a_digest_that_is_a_path_is_rejected_wherever_it_stands() {
    let setup = Setup::new().await;
    let image = one_layer(10);
    let bait = setup.store.root().parent().unwrap().join("bait");
    std::fs::write(&bait, "untouched").unwrap();
    for path in
        ["sha256:../../../bait", "sha256:..", "sha512:../../bait", "../bait", "sha256:/etc/passwd", ""]
    {
        for place in ["/config/digest", "/layers/0/digest"] {
            let (reference, _) = put_changed(&setup, "v1", &image, |manifest| {
                *manifest.pointer_mut(place).unwrap() = json!(path);
            });
            setup.fails(&reference, ErrorKind::Malformed, &["digest"]).await;
        }
        let entry = json!({"mediaType": media_type::OCI_MANIFEST, "digest": path, "size": 9});
        let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [entry]});
        let index = Blob::new(media_type::OCI_INDEX, index.to_string());
        let reference = setup.mock.put("demo", Some("index"), &index);
        setup.fails(&reference, ErrorKind::Malformed, &["digest"]).await;
        let reference = format!("{}/demo@{path}", setup.mock.host());
        let error = setup.registry().pull(&reference).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::InvalidReference, "{reference}");
    }
    assert_eq!(std::fs::read_to_string(&bait).unwrap(), "untouched");
}

/// GHSA-qv35-3gw6-8q4j: content that is consistent in itself, and not what was pinned.
#[tokio::test]
async fn a_pin_is_checked_against_what_was_asked_for_and_not_against_what_the_server_says() {
    let (setup, reference) = Setup::with(one_layer(10)).await;
    let other = Image::builder().layer(Layer::random(10, 2)).build();
    setup.mock.publish("demo", "other", &other);
    let pinned = one_layer(10).digest().clone();
    setup.mock.replace(&pinned, other.manifest().bytes.clone());
    for header in [pinned.to_string(), other.digest().to_string()] {
        setup.mock.fail(hoist_testkit::On::Manifests, hoist_testkit::Fault::DigestHeader(header));
        for reference in [format!("{}/demo@{pinned}", setup.mock.host()), format!("{reference}@{pinned}")] {
            let words = ["is not what it should be", &other.digest().to_string()];
            setup.fails(&reference, ErrorKind::DigestMismatch, &words).await;
        }
    }
}

/// a3s-box 2.4 stored manifests under the server's digest, having written them anew.
#[tokio::test]
async fn a_manifest_is_kept_as_the_bytes_that_were_hashed() {
    let setup = Setup::new().await;
    let image = one_layer(10);
    for blob in image.blobs() {
        setup.mock.put("demo", None, blob);
    }
    let spaced = format!("\n{}  \n", String::from_utf8(image.manifest().bytes.to_vec()).unwrap());
    let manifest = Blob::new(media_type::OCI_MANIFEST, spaced);
    let reference = setup.mock.put("demo", Some("v1"), &manifest);
    let pulled = setup.pull(&reference).await;
    assert_eq!(pulled.digest, manifest.digest.to_string());
    let stored = std::fs::read(pulled.path.join("blobs/sha256").join(manifest.digest.hex())).unwrap();
    assert_eq!(stored, manifest.bytes);
    assert_valid_layout(&pulled.path, &pulled.digest);
}

#[tokio::test]
async fn a_digest_that_nobody_has_is_not_found() {
    let (setup, _) = Setup::with(one_layer(10)).await;
    let reference = format!("{}/demo@{}", setup.mock.host(), Digest::sha256(b"nobody has this"));
    fails(&setup.registry(), &reference, ErrorKind::NotFound, &["404"]).await;
    refused(&setup.registry(), &reference).await;
}
