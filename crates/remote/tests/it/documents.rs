//! Manifests as registries serve them: mislabelled, in old formats, hostile, or no manifests at all.

use hoist_core::{Digest, ErrorKind, ImageRegistry, MAX_DOCUMENT, media_type};
use hoist_testkit::{Auth, Blob, Fault, Image, Layer, MockRegistry, On};
use serde_json::{Value, json};

use crate::setup::{Setup, one_layer};

/// The manifest of this image with something changed, as the registry serves it from now on.
fn serve_changed(mock: &MockRegistry, image: &Image, change: impl FnOnce(&mut Value)) {
    let mut manifest = serde_json::from_slice(&image.manifest().bytes).unwrap();
    change(&mut manifest);
    serve(mock, media_type::OCI_MANIFEST, &manifest.to_string());
}

fn serve(mock: &MockRegistry, content_type: &str, body: &str) {
    mock.fail(On::Manifests, Fault::Document(content_type.to_owned(), body.to_owned()));
}

#[tokio::test]
async fn what_is_no_manifest_is_told_from_one() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.fail(On::Manifests, Fault::login_page());
    let words = ["the manifest v1", "is this the address of a registry?"];
    setup.fails(&reference, ErrorKind::Malformed, &words).await;
}

/// By a proxy that compresses whatever is asked for.
#[tokio::test]
async fn documents_and_tokens_that_come_compressed_are_read_and_a_compressed_blob_is_told_as_that() {
    let image = Image::sample(1);
    let (setup, reference) = Setup::with(&image).await;
    setup.mock.require(Auth::AnonymousToken);
    for compressed in [On::Manifests, On::Tokens] {
        setup.mock.fail(compressed, Fault::Gzipped);
    }
    setup.pull(&reference).await;
    let (setup, reference) = Setup::with(&image).await;
    setup.mock.fail(On::Digest(image.layers()[0].digest.clone()), Fault::Gzipped);
    let words = [&*setup.mock.host(), "compressed a blob", "Content-Encoding"];
    setup.fails(&reference, ErrorKind::Malformed, &words).await;
    // A document without end, once it is decompressed.
    setup.mock.repair();
    let long = " ".repeat(usize::try_from(MAX_DOCUMENT).unwrap() + 1);
    serve(&setup.mock, media_type::OCI_MANIFEST, &long);
    setup.mock.fail(On::Manifests, Fault::Gzipped);
    setup.fails(&reference, ErrorKind::TooLarge, &["the answer has more than"]).await;
}

#[tokio::test]
async fn a_manifest_that_comes_empty_is_asked_for_again() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let empty = Fault::Document(media_type::OCI_MANIFEST.into(), String::new());
    setup.mock.fail_next(1, On::Manifests, empty.clone());
    setup.pull(&reference).await;
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.fail(On::Manifests, empty);
    setup.fails(&reference, ErrorKind::Unavailable, &["the manifest v1", "the answer is empty"]).await;
}

#[tokio::test]
async fn a_manifest_is_known_by_its_content_where_its_type_says_nothing() {
    let image = Image::sample(1);
    for content_type in ["application/json", "text/plain; charset=utf-8", "application/octet-stream", ""] {
        let (setup, reference) = Setup::with(&image).await;
        setup.mock.fail(On::Manifests, Fault::ContentType(content_type.to_owned()));
        assert_eq!(setup.pull(&reference).await.digest, image.digest().to_string(), "{content_type:?}");
    }
}

#[tokio::test]
async fn a_digest_header_that_is_wrong_is_not_believed() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let other = Image::sample(2).digest().to_string();
    setup.mock.fail(On::Manifests, Fault::DigestHeader(other.clone()));
    setup.fails(&reference, ErrorKind::DigestMismatch, &["the manifest v1", &other]).await;
}

#[tokio::test]
async fn a_digest_header_that_is_malformed_is_told() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    for malformed in ["sha256:short", "sha256:../../etc/passwd", "nonsense"] {
        setup.mock.repair();
        setup.mock.fail(On::Manifests, Fault::DigestHeader(malformed.to_owned()));
        setup.fails(&reference, ErrorKind::Malformed, &[malformed]).await;
    }
}

#[tokio::test]
async fn an_empty_digest_header_is_none() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.fail(On::Manifests, Fault::DigestHeader(String::new()));
    setup.pull(&reference).await;
}

#[tokio::test]
async fn content_is_asked_for_as_it_is_and_not_compressed() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.require(hoist_testkit::Auth::AnonymousToken);
    setup.pull(&reference).await;
    let asked = setup.mock.server().received_requests().await.unwrap();
    assert!(asked.iter().all(|request| request.headers["accept-encoding"] == "identity"));
}

#[tokio::test]
async fn without_a_digest_header_the_content_is_hashed() {
    let image = Image::sample(1);
    let (setup, reference) = Setup::with(&image).await;
    setup.mock.fail(On::Manifests, Fault::NoDigestHeader);
    for _ in ["cold", "warm"] {
        assert_eq!(setup.pull(&reference).await.digest, image.digest().to_string());
    }
    assert_eq!(setup.mock.counts().blob_gets, image.blobs().count(), "once each");
}

#[tokio::test]
async fn a_manifest_that_breaks_off_is_asked_for_again() {
    let image = Image::sample(1);
    let (setup, reference) = Setup::with(&image).await;
    setup.mock.fail_next(1, On::Manifests, Fault::CutShort);
    setup.pull(&reference).await;
    assert_eq!(setup.mock.counts().manifest_gets, 2);
}

/// The digest of one that is signed is not that of its bytes: it leaves the signatures out.
#[tokio::test]
async fn a_schema_1_manifest_is_refused_with_what_to_do() {
    const SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let layer = json!({"blobSum": Image::sample(1).layers()[0].digest.to_string()});
    let body = json!({"schemaVersion": 1, "name": "demo", "fsLayers": [layer], "signatures": []});
    serve(&setup.mock, SIGNED, &body.to_string());
    setup.mock.fail(On::Manifests, Fault::DigestHeader(Digest::sha256(b"unsigned").to_string()));
    let words = ["schema 1", "push the image again with a current tool"];
    setup.fails(&reference, ErrorKind::Unsupported, &words).await;
}

#[tokio::test]
async fn a_manifest_without_end_is_not_read() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let spaces = usize::try_from(MAX_DOCUMENT).unwrap();
    serve(&setup.mock, media_type::OCI_MANIFEST, &format!("{{}}{}", " ".repeat(spaces)));
    setup.fails(&reference, ErrorKind::TooLarge, &["4194304 bytes"]).await;
}

#[tokio::test]
async fn a_layer_of_a_size_that_cannot_be_is_not_made_room_for() {
    let image = one_layer(1000);
    let (setup, reference) = Setup::with(&image).await;
    let layer = &image.layers()[0];
    for size in [u64::MAX, 1 << 62] {
        setup.mock.repair();
        serve_changed(&setup.mock, &image, |manifest| manifest["layers"][0]["size"] = json!(size));
        setup.fails(&reference, ErrorKind::NoSpace, &["the image needs", "EiB more"]).await;
        assert_eq!(setup.mock.bytes_served(&layer.digest), 0);
    }
}

/// The first of them is true, so that only who looks at both can tell.
#[tokio::test]
async fn a_layer_listed_twice_must_have_one_size() {
    let image = one_layer(1000);
    let (setup, reference) = Setup::with(&image).await;
    serve_changed(&setup.mock, &image, |manifest| {
        let mut liar = manifest["layers"][0].clone();
        liar["size"] = json!(1);
        manifest["layers"].as_array_mut().unwrap().push(liar);
    });
    setup.fails(&reference, ErrorKind::SizeMismatch, &[&image.layers()[0].digest.to_string()]).await;
}

#[tokio::test]
async fn a_layer_listed_twice_is_fetched_once() {
    let layer = Layer::random(5000, 1);
    let image = Image::builder().layers([layer.clone(), layer]).build();
    let (setup, reference) = Setup::with(&image).await;
    setup.pull(&reference).await;
    assert_eq!(setup.mock.counts().blob_gets, 2, "the layer and the config");
}

#[tokio::test]
async fn a_layer_without_bytes_needs_no_request() {
    let image = Image::builder().layer(Layer::raw("")).build();
    let (setup, reference) = Setup::with(&image).await;
    setup.pull(&reference).await;
    assert_eq!(setup.mock.counts().blob_gets, 1, "the config");
}

#[tokio::test]
async fn a_layer_that_claims_to_have_no_bytes_is_refused() {
    let image = one_layer(1000);
    let (setup, reference) = Setup::with(&image).await;
    serve_changed(&setup.mock, &image, |manifest| manifest["layers"][0]["size"] = json!(0));
    setup.fails(&reference, ErrorKind::DigestMismatch, &[&image.layers()[0].digest.to_string()]).await;
}

/// CVE-2021-41190: a document with both `manifests` and `layers`, or whose mediaType is not its Content-Type.
#[tokio::test]
async fn a_document_that_is_manifest_and_index_at_once_is_rejected() {
    let image = Image::sample(1);
    let (setup, reference) = Setup::with(&image).await;
    let mut both: Value = serde_json::from_slice(&image.manifest().bytes).unwrap();
    both["manifests"] = json!([image.manifest().descriptor()]);
    for content_type in [media_type::OCI_MANIFEST, media_type::OCI_INDEX, "application/json"] {
        setup.mock.repair();
        both["mediaType"] =
            json!(if content_type.contains("vnd") { content_type } else { media_type::OCI_INDEX });
        serve(&setup.mock, content_type, &both.to_string());
        setup.fails(&reference, ErrorKind::Malformed, &["a manifest and an index at once"]).await;
    }
    for lie in [media_type::OCI_INDEX, media_type::DOCKER_LIST] {
        setup.mock.repair();
        setup.mock.fail(On::Manifests, Fault::ContentType(lie.to_owned()));
        setup.fails(&reference, ErrorKind::Malformed, &["the document says", lie]).await;
    }
}

#[tokio::test]
async fn a_format_that_is_not_read_is_refused_by_its_name() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    for unknown in
        ["application/vnd.oci.artifact.manifest.v1+json", "application/vnd.example.manifest.v9+json"]
    {
        setup.mock.repair();
        serve(&setup.mock, unknown, &json!({"mediaType": unknown, "blobs": []}).to_string());
        let words = [unknown, "push it as an OCI or a Docker schema 2 image"];
        setup.fails(&reference, ErrorKind::Unsupported, &words).await;
    }
}

/// As ORAS and Helm push them: an empty configuration, a subject, and layers of any type.
#[tokio::test]
async fn an_artifact_with_an_empty_configuration_is_pulled() {
    let (setup, _) = Setup::with(Image::sample(1)).await;
    let empty = Blob::new("application/vnd.oci.empty.v1+json", "{}");
    let chart = Blob::new("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "a chart");
    for (layers, content) in
        [(json!([chart.descriptor()]), 2), (json!([empty.descriptor()]), 1), (json!(null), 1)]
    {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "artifactType": "application/vnd.example.thing",
            "config": empty.descriptor(),
            "layers": layers,
            "subject": Image::sample(1).manifest().descriptor(),
        });
        for blob in [&empty, &chart] {
            setup.mock.put("things", None, blob);
        }
        let manifest = Blob::new(media_type::OCI_MANIFEST, manifest.to_string());
        let reference = setup.mock.put("things", Some(&format!("v{content}")), &manifest);
        let pulled = setup.registry().pull(&reference).await.unwrap();
        let blobs = pulled.path.join("blobs/sha256").read_dir().unwrap().count();
        assert_eq!(blobs, 1 + content);
    }
}

#[tokio::test]
async fn layers_come_as_they_are_plain_gzip_or_zstd() {
    let image = Image::builder().layers([Layer::random(100, 1), Layer::random(100, 2).gzipped()]).build();
    let (setup, reference) = Setup::with(&image).await;
    serve_changed(&setup.mock, &image, |manifest| {
        manifest["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+zstd");
    });
    let pulled = setup.pull(&reference).await;
    for layer in image.layers() {
        let path = pulled.path.join("blobs/sha256").join(layer.digest.hex());
        assert_eq!(std::fs::read(path).unwrap(), layer.bytes, "no byte is changed");
    }
}

/// Proxies that keep one type for all, and tools that write `null` or nothing for what they do not set.
#[tokio::test]
async fn a_manifest_that_is_called_another_of_its_shape_is_as_good() {
    let image = Image::sample(1);
    for lie in [media_type::DOCKER_MANIFEST, "application/vnd.docker.distribution.manifest.v1+prettyjws"] {
        let (setup, reference) = Setup::with(&image).await;
        setup.mock.fail(On::Manifests, Fault::ContentType(lie.to_owned()));
        assert_eq!(setup.pull(&reference).await.digest, image.digest().to_string());
    }
    let (setup, reference) = Setup::with(&image).await;
    serve_changed(&setup.mock, &image, |manifest| {
        manifest["manifests"] = json!([]);
        manifest["annotations"] = json!({"empty": null, "number": 7});
        manifest["layers"][0]["urls"] = json!([null]);
    });
    setup.registry().pull(&reference).await.unwrap();
}

/// GHSA-f36w-mj3v-6jqv: sizes that cannot be.
#[tokio::test]
async fn a_negative_size_is_no_size() {
    let image = one_layer(1000);
    let (setup, reference) = Setup::with(&image).await;
    for size in [json!(-1), json!(i64::MIN), json!(1.5), json!("1000")] {
        setup.mock.repair();
        serve_changed(&setup.mock, &image, |manifest| manifest["layers"][0]["size"] = size);
        setup.fails(&reference, ErrorKind::Malformed, &["layer 1 of the manifest", "`size`"]).await;
    }
    setup.mock.repair();
    serve_changed(&setup.mock, &image, |manifest| manifest["layers"][0]["size"] = json!(i64::MAX));
    setup.fails(&reference, ErrorKind::NoSpace, &["the image needs"]).await;
}
