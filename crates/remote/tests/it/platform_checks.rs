//! An image that may be for another platform is not handed out: a check that cannot be made is not passed.

use hoist_core::{ErrorKind, ImageRegistry, media_type};
use hoist_testkit::{Blob, PLATFORM};
use serde_json::{Value, json};

use crate::setup::{Setup, fails, pull};

/// Puts an image with this configuration under a tag, and returns its reference and its manifest.
fn put(setup: &Setup, tag: &str, config: &str, config_type: &Value) -> (String, Blob) {
    let config = Blob::new(media_type::OCI_CONFIG, config.to_owned());
    setup.mock.put("demo", None, &config);
    let mut described = serde_json::to_value(config.descriptor()).unwrap();
    described["mediaType"] = config_type.clone();
    let manifest = json!({"schemaVersion": 2, "config": described, "layers": []}).to_string();
    let manifest = Blob::new(media_type::OCI_MANIFEST, manifest);
    (setup.mock.put("demo", Some(tag), &manifest), manifest)
}

fn oci() -> Value {
    json!(media_type::OCI_CONFIG)
}

/// An index that says that this manifest is for amd64.
fn put_index(setup: &Setup, tag: &str, manifest: &Blob, change: impl FnOnce(&mut Value)) -> String {
    let mut entry = serde_json::to_value(manifest.descriptor()).unwrap();
    entry["platform"] = json!({"os": "linux", "architecture": "amd64"});
    change(&mut entry);
    let index = json!({"schemaVersion": 2, "manifests": [entry]}).to_string();
    setup.mock.put("demo", Some(tag), &Blob::new(media_type::OCI_INDEX, index))
}

#[tokio::test]
async fn an_image_for_another_processor_is_refused_whatever_else_its_configuration_has() {
    let setup = Setup::new().await;
    for (tag, rest) in [
        ("null", r#""os":"linux","os.features":null"#),
        ("partial", r#""config":{}"#),
        ("surrogate", r#""os":"linux","config":{"Labels":{"a":"\ud83d"}}"#),
    ] {
        let config = format!(r#"{{"architecture":"s390x",{rest}}}"#);
        let (reference, _) = put(&setup, tag, &config, &oci());
        let kind = ErrorKind::PlatformMissing { available: vec!["linux/s390x".parse().unwrap()] };
        setup.fails(&reference, kind, &["linux/s390x"]).await;
        let s390x = setup.registry().with_platform("linux/s390x".parse().unwrap());
        pull(&s390x, &reference).await;
        // The store has it now, and it is still for another processor.
        let amd64 = setup.registry().with_platform(PLATFORM.parse().unwrap());
        let kind = ErrorKind::PlatformMissing { available: vec!["linux/s390x".parse().unwrap()] };
        fails(&amd64, &reference, kind, &["linux/s390x"]).await;
    }
}

#[tokio::test]
async fn an_image_whose_platform_cannot_be_read_is_refused_in_a_pull_and_in_a_hit() {
    let setup = Setup::new().await;
    for (n, config) in ["[]", "x", "", r#"{"architecture":["amd64"],"os":"linux"}"#].into_iter().enumerate() {
        for config_type in [oci(), json!(null), json!("application/octet-stream")] {
            let (reference, manifest) = put(&setup, &format!("v{n}"), config, &config_type);
            setup.fails(&reference, ErrorKind::Malformed, &["configuration cannot be read"]).await;
            // An index tells the platform, so that it can be pulled by that.
            let by_index = put_index(&setup, &format!("i{n}"), &manifest, |_| {});
            setup.registry().pull(&by_index).await.unwrap();
            setup.fails(&reference, ErrorKind::Malformed, &["configuration cannot be read"]).await;
        }
    }
}

#[tokio::test]
async fn an_index_as_tools_write_it_that_set_nothing_is_read() {
    let setup = Setup::new().await;
    let config = r#"{"architecture":"amd64","os":"linux","os.features":null,"variant":null}"#;
    let (_, manifest) = put(&setup, "plain", config, &oci());
    for (tag, part, odd) in [
        (
            "features",
            "/platform",
            json!({"os": "linux", "architecture": "amd64", "os.features": null, "variant": null}),
        ),
        ("type", "/mediaType", json!(null)),
        ("zero", "/size", json!(0)),
        ("more", "/size", json!(manifest.bytes.len() + 1)),
        ("no-size", "/size", json!(null)),
    ] {
        let reference = put_index(&setup, tag, &manifest, |entry| *entry.pointer_mut(part).unwrap() = odd);
        let pulled = setup.pull(&reference).await;
        assert_eq!(pulled.digest, manifest.digest.to_string(), "{tag}");
    }
}
