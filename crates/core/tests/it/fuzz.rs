//! Names and documents at random, of every shape that a person or a hostile server could come up with: none makes
//! us panic, and what is accepted keeps its meaning.
//!
//! `HOIST_FUZZ_CASES` says how many of each; by default they are few.

use hoist_core::{Descriptor, Digest, Document, Platform, Reference};
use proptest::prelude::*;

fn config() -> ProptestConfig {
    let cases = std::env::var("HOIST_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256);
    // What it found is not kept beside the sources: the case is printed, and becomes a test.
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Pieces that names are made of, put together in any order, with noise in between.
fn name_like() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("/".to_owned()),
        Just(":".to_owned()),
        Just("@".to_owned()),
        Just("..".to_owned()),
        Just("[::1]".to_owned()),
        Just("docker.io".to_owned()),
        Just("localhost:5000".to_owned()),
        Just("library".to_owned()),
        Just(format!("sha256:{}", "0".repeat(64))),
        Just(format!("sha512:{}", "f".repeat(128))),
        "[a-z0-9]{1,8}([._-][a-z0-9]{1,4}){0,2}",
        "[A-Za-z0-9_.-]{1,12}",
        "\\PC{0,3}",
        any::<String>(),
    ];
    prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
}

/// JSON of the fields that documents have, each right, wrong or missing.
fn document_like() -> impl Strategy<Value = String> {
    let digest = prop_oneof![
        4 => Just(format!("\"sha256:{}\"", "a".repeat(64))),
        1 => Just("\"sha256:../../x\"".to_owned()),
        1 => Just("\"md5:00\"".to_owned()),
        1 => Just("null".to_owned()),
    ];
    let size =
        prop_oneof![any::<u64>().prop_map(|n| n.to_string()), any::<i64>().prop_map(|n| n.to_string())];
    let platform = prop_oneof![
        Just("null".to_owned()),
        Just(r#"{"os":"linux","architecture":"amd64"}"#.to_owned()),
        Just(r#"{"os":"","architecture":"","variant":"v300","os.version":"1.2.99999999"}"#.to_owned()),
        Just(r#"{"os":"linux","architecture":"arm64","variant":"v9.255"}"#.to_owned()),
        Just("[]".to_owned()),
    ];
    let descriptor = (digest, size, platform).prop_map(|(digest, size, platform)| {
        format!(r#"{{"mediaType":"x","digest":{digest},"size":{size},"platform":{platform}}}"#)
    });
    let list =
        prop::collection::vec(descriptor.clone(), 0..4).prop_map(|list| format!("[{}]", list.join(",")));
    let field = prop_oneof![
        list.clone().prop_map(|list| format!(r#""layers":{list}"#)),
        list.prop_map(|list| format!(r#""manifests":{list}"#)),
        descriptor.prop_map(|one| format!(r#""config":{one}"#)),
        Just(r#""schemaVersion":2"#.to_owned()),
        Just(r#""mediaType":"application/vnd.oci.image.index.v1+json""#.to_owned()),
        any::<String>().prop_map(|text| format!(r#""mediaType":{text:?}"#)),
    ];
    prop::collection::vec(field, 0..5).prop_map(|fields| format!("{{{}}}", fields.join(",")))
}

/// What is done with whatever parsed.
fn use_it(document: Document) {
    let platforms = ["linux/amd64/v4", "linux/arm64/v9.9", "windows(10.0.26100)/amd64"];
    match document {
        Document::Index(index) => platforms.iter().for_each(|platform| {
            let _ = index.choose(&platform.parse().unwrap()).map_err(|error| error.report());
        }),
        Document::Manifest(manifest) => {
            assert!(manifest.blobs().count() <= 1 + manifest.layers.len());
            assert!(manifest.blobs().all(|Descriptor { digest, .. }| !digest.hex().contains('/')));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn fuzz_a_reference_that_parses_prints_as_one_that_is_the_same(text in name_like()) {
        if let Ok(reference) = text.parse::<Reference>() {
            prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference.clone());
            let parts = [reference.registry(), reference.repository(), &reference.selector()].join("/");
            prop_assert!(parts.split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
            prop_assert!(parts.bytes().all(|b| b.is_ascii_graphic()));
        }
    }

    #[test]
    fn fuzz_a_digest_is_safe_as_part_of_a_path(text in name_like()) {
        if let Ok(digest) = text.parse::<Digest>() {
            prop_assert_eq!(digest.to_string(), text);
            prop_assert!(digest.hex().bytes().all(|b| b.is_ascii_hexdigit()));
        }
    }

    #[test]
    fn fuzz_a_platform_that_parses_prints_as_one_that_is_the_same(
        text in "[a-zA-Z0-9()+./_-]{0,24}|(linux|windows)(\\([0-9.+a-z]{0,12}\\))?/[a-z0-9]{1,6}(/v?[0-9.]{1,6})?"
    ) {
        if let Ok(platform) = text.parse::<Platform>() {
            prop_assert_eq!(&platform.to_string().parse::<Platform>().unwrap(), &platform);
            prop_assert!(!platform.key().contains('/') && !platform.key().starts_with('.'));
            prop_assert!(platform.accepts(&platform), "{}", platform);
        }
    }

    #[test]
    fn fuzz_a_document_of_the_right_fields_is_read_or_refused(text in document_like()) {
        if let Ok(document) = Document::parse(text.as_bytes(), None) {
            use_it(document);
        }
    }

    #[test]
    fn fuzz_a_document_of_any_bytes_is_read_or_refused(bytes: Vec<u8>, content_type: Option<String>) {
        let refused = Document::parse(&bytes, content_type.as_deref()).unwrap_err();
        prop_assert!(refused.report().chars().all(|c| !c.is_control()));
    }
}
