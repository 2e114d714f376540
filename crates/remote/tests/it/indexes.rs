//! Indexes: the right image of several, wherever in them it is.

use hoist_core::{ErrorKind, Platform, media_type};
use hoist_testkit::{Blob, Format, Image, ImageIndex, Layer, On};
use serde_json::{Value, json};

use crate::setup::{Setup, fails, pull};

fn image(platform: &str) -> Image {
    Image::builder().platform(platform).layer(Layer::random(100, platform.len() as u64)).build()
}

/// Puts an index of these entries under a tag, and returns its reference.
fn put_index(setup: &Setup, tag: &str, entries: &[Value]) -> (String, Blob) {
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries});
    let index = Blob::new(media_type::OCI_INDEX, index.to_string());
    (setup.mock.put("demo", Some(tag), &index), index)
}

/// Puts an image there, and returns its entry: with this platform, or without any.
fn put_image(setup: &Setup, image: &Image, platform: Option<Value>) -> Value {
    for blob in image.blobs().chain([image.manifest()]) {
        setup.mock.put("demo", None, blob);
    }
    entry(image.manifest(), platform)
}

fn entry(blob: &Blob, platform: Option<Value>) -> Value {
    let mut entry = serde_json::to_value(blob.descriptor()).unwrap();
    if let Some(platform) = platform {
        entry["platform"] = platform;
    }
    entry
}

async fn assert_pulled(setup: &Setup, platform: &str, reference: &str, image: &Image) {
    let registry = setup.registry().with_platform(platform.parse().unwrap());
    let pulled = pull(&registry, reference).await;
    assert_eq!(pulled.digest, image.digest().to_string(), "{platform}");
}

/// containers/image#898: arm64 is v8, whether an index says so or not.
#[tokio::test]
async fn an_arm64_image_is_found_with_and_without_its_variant() {
    let arm64 = image("linux/arm64");
    let setup = Setup::new().await;
    for (tag, variant) in [("without", None), ("with", Some("v8"))] {
        let mut platform = json!({"os": "linux", "architecture": "arm64"});
        platform["variant"] = json!(variant);
        let amd64 =
            put_image(&setup, &image("linux/amd64"), Some(json!({"os": "linux", "architecture": "amd64"})));
        let (reference, _) = put_index(&setup, tag, &[amd64, put_image(&setup, &arm64, Some(platform))]);
        for asked in ["linux/arm64", "linux/arm64/v8", "linux/aarch64"] {
            assert_pulled(&setup, asked, &reference, &arm64).await;
        }
    }
}

#[tokio::test]
async fn a_variant_is_chosen_as_containerd_does() {
    let platforms = ["linux/arm/v5", "linux/arm/v7", "linux/amd64", "linux/amd64/v3"];
    let index = ImageIndex::new(platforms.map(image));
    let (setup, reference) = Setup::with(&index).await;
    for (asked, chosen) in [
        ("linux/arm/v8", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v5"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/amd64/v2", "linux/amd64"),
        ("linux/amd64/v4", "linux/amd64/v3"),
        ("linux/amd64", "linux/amd64"),
    ] {
        assert_pulled(&setup, asked, &reference, index.image(chosen)).await;
    }
}

#[tokio::test]
async fn windows_images_are_told_apart_by_version_for_those_who_ask() {
    let setup = Setup::new().await;
    let windows = |version: &str| json!({"os": "windows", "architecture": "amd64", "os.version": version});
    let images = ["10.0.17763.6293", "10.0.20348.2700", "10.0.26100.1742"].map(|version| {
        (
            version,
            Image::builder()
                .platform("windows/amd64")
                .layer(Layer::random(99, version.len() as u64 + u64::from(version.as_bytes()[5])))
                .build(),
        )
    });
    let entries = images.each_ref().map(|(version, image)| put_image(&setup, image, Some(windows(version))));
    let (reference, _) = put_index(&setup, "v1", &entries);
    for (asked, place) in [
        ("windows/amd64", 0),
        ("windows(10.0.17763)/amd64", 0),
        ("windows(10.0.20348)/amd64", 1),
        ("windows(10.0.22621)/amd64", 1),
        ("windows(10.0.26100)/amd64", 2),
    ] {
        assert_pulled(&setup, asked, &reference, &images[place].1).await;
    }
    let missing = setup.registry().with_platform("windows(10.0.14393)/amd64".parse().unwrap());
    let kind = ErrorKind::PlatformMissing {
        available: ["10.0.17763.6293", "10.0.20348.2700", "10.0.26100.1742"]
            .map(|version| format!("windows({version})/amd64").parse().unwrap())
            .to_vec(),
    };
    fails(&missing, &reference, kind, &["windows(10.0.20348.2700)/amd64"]).await;
}

#[tokio::test]
async fn a_missing_platform_is_told_with_those_that_there_are_and_without_attestations() {
    let index = ImageIndex::with_format(Format::Docker, ["linux/arm64", "unknown/unknown"].map(image));
    let (setup, reference) = Setup::with(&index).await;
    let available: Vec<Platform> = vec!["linux/arm64".parse().unwrap()];
    let words = ["not made for linux/amd64, but for linux/arm64;"];
    setup.fails(&reference, ErrorKind::PlatformMissing { available }, &words).await;
}

#[tokio::test]
async fn an_image_is_found_in_an_index_within_an_index() {
    let setup = Setup::new().await;
    let [amd64, arm64] = ["linux/amd64", "linux/arm64"].map(image);
    let platform = |architecture: &str| Some(json!({"os": "linux", "architecture": architecture}));
    let (_, first) = put_index(&setup, "a", &[put_image(&setup, &arm64, platform("arm64"))]);
    let (_, second) = put_index(&setup, "b", &[put_image(&setup, &amd64, platform("amd64"))]);
    let attestation = entry(&first, Some(json!({"os": "unknown", "architecture": "unknown"})));
    let entries = [attestation, entry(&first, None), entry(&second, None)];
    let (reference, outermost) = put_index(&setup, "v1", &entries);
    assert_pulled(&setup, "linux/amd64", &reference, &amd64).await;
    assert_pulled(&setup, "linux/arm64", &reference, &arm64).await;
    let by_index = format!("{}/demo@{}", setup.mock.host(), outermost.digest);
    setup.mock.forget_requests();
    assert_pulled(&setup, "linux/amd64", &by_index, &amd64).await;
    assert_eq!(setup.mock.requests(), [], "the outermost index is a name of the image");
    let missing = setup.registry().with_platform("linux/s390x".parse().unwrap());
    let available =
        ["unknown/unknown", "linux/arm64", "linux/amd64"].map(|p| p.parse().unwrap())[1..].to_vec();
    fails(&missing, &reference, ErrorKind::PlatformMissing { available }, &["linux/arm64, linux/amd64"])
        .await;
}

/// CVE-2023-46737: endless data.
#[tokio::test]
async fn indexes_are_followed_only_so_deep_and_only_so_many() {
    let setup = Setup::new().await;
    let mut inner =
        put_image(&setup, &image("linux/amd64"), Some(json!({"os": "linux", "architecture": "amd64"})));
    let mut references = Vec::new();
    for depth in 0..6 {
        let (reference, index) = put_index(&setup, &format!("depth{depth}"), &[inner]);
        inner = entry(&index, None);
        references.push(reference);
    }
    setup.pull(&references[2]).await;
    setup.fails(&references[5], ErrorKind::Malformed, &["nested more than 4 deep"]).await;

    let (_, empty) = put_index(&setup, "empty", &[]);
    let wide: Vec<Value> = (0..100).map(|_| entry(&empty, None)).collect();
    let (reference, _) = put_index(&setup, "wide", &wide);
    setup.mock.forget_requests();
    setup.fails(&reference, ErrorKind::Malformed, &["more than 32 documents"]).await;
    assert!(setup.mock.counts().manifest_gets <= 33);
}

/// No index can truly contain itself, since it would have to hash to what is in it; a registry can serve one so.
#[tokio::test]
async fn an_index_that_contains_itself_is_refused() {
    let setup = Setup::new().await;
    let (_, other) = put_index(&setup, "other", &[]);
    let (reference, index) = put_index(&setup, "v1", &[entry(&other, None)]);
    setup.mock.replace(&other.digest, index.bytes.clone());
    setup.fails(&reference, ErrorKind::DigestMismatch, &[&other.digest.to_string()]).await;
    assert_eq!(setup.mock.counts().manifest_gets, 2);
    setup.mock.repair();
    setup.mock.fail(On::Digest(other.digest.clone()), hoist_testkit::Fault::Status(404));
    setup.fails(&reference, ErrorKind::NotFound, &["404"]).await;
}
