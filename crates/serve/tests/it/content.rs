//! What is served is what the registry had, byte for byte.

use bytes::Bytes;
use hoist_core::{Descriptor, Digest, media_type};
use hoist_testkit::{Blob, Image, ImageIndex, Layer, PLATFORM};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::setup::{Setup, described, layer};

const RAW: [Method; 2] = [Method::GET, Method::HEAD];

#[tokio::test]
async fn a_manifest_is_found_by_tag_and_by_digest() {
    let image = Image::sample(1);
    let setup = Setup::with(image.clone()).await;
    let (served, digest) = (setup.serve().await, image.digest());
    for path in [
        "/v2/demo/manifests/v1".to_owned(),
        format!("/v2/demo/manifests/{digest}"),
        format!("/v2/demo/manifests/v1?{}", served.ns()),
        format!("/v2/demo/manifests/{}", digest.to_string().replace(':', "%3A")),
    ] {
        for method in RAW {
            let answer = served.ask(method.clone(), &path, &[]).await;
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            let headers = answer.headers();
            assert_eq!(headers["docker-content-digest"], digest.to_string());
            assert_eq!(headers["etag"], format!("\"{digest}\""));
            assert_eq!(headers["content-type"], image.manifest().media_type);
            assert_eq!(headers["content-length"], image.manifest().bytes.len().to_string());
            let expected = if method == Method::GET { &image.manifest().bytes[..] } else { b"" };
            assert_eq!(answer.bytes().await.unwrap(), expected);
        }
    }
    let known = [("if-none-match", format!("\"{digest}\""))];
    let known = known.iter().map(|(name, value)| (*name, &**value)).collect::<Vec<_>>();
    let answer = served.ask(Method::GET, "/v2/demo/manifests/v1", &known).await;
    assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn an_index_is_served_as_it_was_and_so_is_the_image_within() {
    let index = ImageIndex::sample(1);
    let setup = Setup::with(index.clone()).await;
    let served = setup.serve().await;
    let answer = served.get("/v2/demo/manifests/v1").await;
    assert_eq!(answer.headers()["content-type"], index.document().media_type);
    assert_eq!(answer.bytes().await.unwrap(), index.document().bytes);
    assert_eq!(served.manifest(index.digest()).await, StatusCode::OK);
    let image = index.image(PLATFORM);
    assert_eq!(served.manifest(image.digest()).await, StatusCode::OK);
    let layer = layer(image);
    assert_eq!(served.manifest(layer).await, StatusCode::NOT_FOUND, "a layer is no manifest");
}

#[tokio::test]
async fn an_index_within_an_index_is_served_too() {
    let (setup, inner) = (Setup::new().await, ImageIndex::sample(1));
    let entry = Descriptor::of(media_type::OCI_INDEX, &inner.document().bytes);
    let outer = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [entry]});
    let outer = Blob::new(media_type::OCI_INDEX, serde_json::to_vec(&outer).unwrap());
    setup.mock.publish("demo", "inner", inner.clone());
    let reference = setup.mock.put("demo", Some("v1"), &outer);
    let registry =
        hoist_remote::RemoteRegistry::new(setup.store.clone()).with_platform(PLATFORM.parse().unwrap());
    hoist_core::ImageRegistry::pull(&registry, &reference).await.unwrap();
    let served = setup.serve().await;
    let answer = served.get("/v2/demo/manifests/v1").await;
    assert_eq!(answer.bytes().await.unwrap(), outer.bytes);
    let answer = served.get(&format!("/v2/demo/manifests/{}", inner.digest())).await;
    assert_eq!(answer.bytes().await.unwrap(), inner.document().bytes);
}

#[tokio::test]
async fn a_blob_is_served_whole_and_by_range() {
    let image = Image::builder().layer(Layer::random(3 << 20, 7)).build();
    let setup = Setup::with(image.clone()).await;
    let (served, blob) = (setup.serve().await, &image.layers()[0]);
    let (path, size) = (format!("/v2/demo/blobs/{}", blob.digest), blob.bytes.len());
    let answer = served.get(&path).await;
    assert_eq!(answer.headers()["docker-content-digest"], blob.digest.to_string());
    assert_eq!(answer.headers()["accept-ranges"], "bytes");
    assert_eq!(answer.bytes().await.unwrap(), blob.bytes);
    for (range, part) in [
        ("bytes=0-0".to_owned(), 0..1),
        ("bytes=1000-1999".to_owned(), 1000..2000),
        (format!("bytes={}-", size - 500), size - 500..size),
        ("bytes=-700".to_owned(), size - 700..size),
        ("bytes=5-99999999".to_owned(), 5..size),
    ] {
        for method in RAW {
            let answer = served.ask(method.clone(), &path, &[("range", &range)]).await;
            assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT, "{range}");
            let content_range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            assert_eq!(answer.headers()["content-range"], content_range);
            assert_eq!(answer.headers()["content-length"], part.len().to_string());
            let expected = if method == Method::GET { blob.bytes.slice(part.clone()) } else { Bytes::new() };
            assert_eq!(answer.bytes().await.unwrap(), expected);
        }
    }
    let beyond = served.ask(Method::GET, &path, &[("range", &format!("bytes={size}-"))]).await;
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.headers()["content-range"], format!("bytes */{size}"));
    let other = [("range", "bytes=0-1"), ("if-range", "\"other\"")];
    assert_eq!(served.ask(Method::GET, &path, &other).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn tags_are_listed_in_pages() {
    let setup = Setup::new().await;
    for tag in ["v3", "v1", "v2"] {
        setup.pull("demo", tag, Image::sample(1)).await;
    }
    let served = setup.serve().await;
    let all = served.get("/v2/demo/tags/list").await;
    assert_eq!(all.text().await.unwrap(), r#"{"name":"demo","tags":["v1","v2","v3"]}"#);
    let first = served.get(&format!("/v2/demo/tags/list?n=2&{}", served.ns())).await;
    let link = first.headers()["link"].to_str().unwrap().to_owned();
    assert_eq!(first.text().await.unwrap(), r#"{"name":"demo","tags":["v1","v2"]}"#);
    let next = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
    let last = served.get(next).await;
    assert!(last.headers().get("link").is_none());
    assert_eq!(last.text().await.unwrap(), r#"{"name":"demo","tags":["v3"]}"#);
    assert_eq!(served.status("/v2/demo/tags/list?n=x").await, StatusCode::BAD_REQUEST);
    assert_eq!(served.status("/v2/other/tags/list").await, StatusCode::NOT_FOUND);
    let none = served.get("/v2/demo/tags/list?n=0").await;
    assert_eq!(none.text().await.unwrap(), r#"{"name":"demo","tags":[]}"#);
}

#[tokio::test]
async fn what_refers_to_an_image_is_listed() {
    let (setup, image) = (Setup::new().await, Image::sample(1));
    setup.pull("demo", "v1", image.clone()).await;
    let subject = described(image.manifest());
    let other = Image::sample(2);
    let mut manifest: serde_json::Value = serde_json::from_slice(&other.manifest().bytes).unwrap();
    manifest["subject"] =
        json!({"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size});
    manifest["artifactType"] = json!("application/vnd.example.sbom");
    manifest["annotations"] = json!({"made": "today"});
    let document = Blob::new(media_type::OCI_MANIFEST, serde_json::to_vec(&manifest).unwrap());
    setup.mock.publish("demo", "parts", other);
    let reference = setup.mock.put("demo", Some("sbom"), &document);
    let registry =
        hoist_remote::RemoteRegistry::new(setup.store.clone()).with_platform(PLATFORM.parse().unwrap());
    hoist_core::ImageRegistry::pull(&registry, &reference).await.unwrap();
    let served = setup.serve().await;
    let path = format!("/v2/demo/referrers/{}", subject.digest);
    let answer = served.get(&path).await;
    assert_eq!(answer.headers()["content-type"], media_type::OCI_INDEX);
    let list: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(list["manifests"][0]["digest"], json!(Digest::sha256(&document.bytes)));
    assert_eq!(list["manifests"][0]["artifactType"], "application/vnd.example.sbom");
    assert_eq!(list["manifests"][0]["annotations"]["made"], "today");
    let filtered = served.get(&format!("{path}?artifactType=other")).await;
    assert_eq!(filtered.headers()["oci-filters-applied"], "artifactType");
    let list: serde_json::Value = serde_json::from_slice(&filtered.bytes().await.unwrap()).unwrap();
    assert_eq!(list["manifests"], json!([]));
}

#[tokio::test]
async fn what_is_pulled_and_removed_meanwhile_is_seen_at_once() {
    let (setup, one, two) = (Setup::new().await, Image::sample(1), Image::sample(2));
    let served = setup.serve().await;
    assert_eq!(served.manifest(one.digest()).await, StatusCode::NOT_FOUND);
    setup.pull("demo", "v1", one.clone()).await;
    assert_eq!(served.manifest(one.digest()).await, StatusCode::OK);
    assert_eq!(served.blob(layer(&one)).await, StatusCode::OK);
    // The tag moves, so that the former image has no name.
    setup.pull("demo", "v1", two.clone()).await;
    assert_eq!(served.blob(layer(&one)).await, StatusCode::NOT_FOUND);
    assert_eq!(served.blob(layer(&two)).await, StatusCode::OK);
    let name = format!("{}/demo:v1", setup.mock.host()).parse().unwrap();
    setup.store.remove(&name, &PLATFORM.parse().unwrap()).unwrap();
    assert_eq!(served.status("/v2/demo/manifests/v1").await, StatusCode::NOT_FOUND);
    assert_eq!(served.blob(layer(&two)).await, StatusCode::NOT_FOUND);
}
