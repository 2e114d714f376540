//! Documents as real tools write them, and good ones with one part made odd: what does not need that part still works,
//! or one clear error names it; and nothing passes for what it is not.

use hoist_core::{
    Descriptor, Digest, Document, Error, ErrorKind, Index, Manifest, Platform, Result, config_platform,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

fn digest(content: &str) -> String {
    Digest::sha256(content.as_bytes()).to_string()
}

fn blob(media_type: &str, content: &str) -> Value {
    json!({"mediaType": media_type, "digest": digest(content), "size": content.len()})
}

fn entry(architecture: &str) -> Value {
    let mut entry = blob(MANIFEST, architecture);
    entry["platform"] = json!({"os": "linux", "architecture": architecture});
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
    entry
}

fn index_of(entries: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries, "annotations": {"a": "b"}})
}

fn manifest() -> Value {
    json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": blob(CONFIG, "{}"),
        "layers": [blob("application/vnd.oci.image.layer.v1.tar+gzip", "one"),
                   blob("application/vnd.oci.image.layer.v1.tar+gzip", "two")],
        "annotations": {"a": "b"}})
}

fn config() -> Value {
    json!({"architecture": "s390x", "os": "linux", "variant": "", "os.version": null, "os.features": [],
        "created": "2026-01-01T00:00:00Z", "config": {"Env": ["A=b"]}, "rootfs": {"type": "layers", "diff_ids": []}})
}

fn read(document: &Value) -> Result<Document> {
    Document::parse(document.to_string().as_bytes(), None)
}

fn read_index(document: &Value) -> Index {
    match read(document).unwrap() {
        Document::Index(index) => index,
        other => panic!("it is no index, but {other:?}"),
    }
}

fn read_manifest(text: &[u8]) -> Manifest {
    match Document::parse(text, None).unwrap() {
        Document::Manifest(manifest) => manifest,
        other => panic!("it is no manifest, but {other:?}"),
    }
}

fn amd64() -> Platform {
    "linux/amd64".parse().unwrap()
}

fn chosen(index: &Index) -> Result<String> {
    index.choose(&amd64()).map(|entry| entry.digest.to_string())
}

#[test]
fn null_and_empty_are_absent_in_every_part_of_a_document() {
    for empty in [json!(null), json!("")] {
        let mut amd64 = entry("amd64");
        for (part, field) in [("platform", "variant"), ("platform", "os.version"), ("annotations", "x")] {
            amd64[part][field] = empty.clone();
        }
        amd64["platform"]["os.features"] = json!([empty, null]);
        amd64["urls"] = json!([empty]);
        let mut index = index_of(&[amd64]);
        index["mediaType"] = empty.clone();
        index["annotations"] = json!({"org.x": null});
        assert_eq!(chosen(&read_index(&index)).unwrap(), digest("amd64"));

        let mut manifest = manifest();
        manifest["mediaType"] = empty.clone();
        manifest["layers"][0]["annotations"] = json!({"a": null, "b": 7, "c": "kept"});
        manifest["manifests"] = json!(null);
        let manifest = read_manifest(manifest.to_string().as_bytes());
        assert_eq!(manifest.media_type, MANIFEST);
        assert_eq!(manifest.layers[0].annotations["c"], "kept");
    }
    for empty in [json!(null), json!([]), json!({})] {
        let mut manifest = manifest();
        manifest["annotations"] = empty.clone();
        manifest["subject"] = empty;
        assert_eq!(read_manifest(manifest.to_string().as_bytes()).layers.len(), 2);
    }
    let mut lists = manifest();
    lists["manifests"] = json!([]);
    assert_eq!(read_manifest(lists.to_string().as_bytes()).layers.len(), 2, "an empty list is none");
    let none = json!({"mediaType": INDEX, "manifests": null});
    assert!(matches!(chosen(&read_index(&none)).unwrap_err().kind(), ErrorKind::PlatformMissing { .. }));
}

#[test]
fn an_odd_entry_of_an_index_is_passed_over_and_the_others_serve() {
    let odd = [
        json!(null),
        json!("text"),
        json!([MANIFEST, digest("x"), 3]),
        json!({}),
        json!({"digest": digest("x"), "size": "3"}),
        json!({"digest": "blake3:abcd", "size": 3}),
        json!({"digest": digest("x"), "size": 3, "platform": "linux/amd64"}),
        json!({"digest": digest("x"), "size": 3, "platform": {"os": "linux"}}),
        json!({"digest": digest("x"), "size": 3, "platform": {"os": 7, "architecture": "amd64"}}),
        json!({"digest": digest("x"), "size": 3, "platform": {"os": "linux", "architecture": "amd64", "variant": []}}),
        json!({"digest": digest("x"), "size": 3, "platform": ["linux", "amd64"]}),
    ];
    for odd in odd {
        let index = read_index(&index_of(&[odd.clone(), entry("amd64"), entry("arm64")]));
        assert_eq!((index.manifests.len(), index.unreadable.len()), (2, 1), "{odd}");
        assert_eq!(chosen(&index).unwrap(), digest("amd64"), "{odd}");
        assert!(index.unreadable[0].error.to_string().contains("entry 1"), "{odd}");

        let missing = chosen(&read_index(&index_of(&[entry("arm64"), odd.clone()]))).unwrap_err();
        assert!(matches!(missing.kind(), ErrorKind::PlatformMissing { available } if available.len() == 1));
        assert!(missing.report().contains("entry 2 of the index cannot be used"), "{}", missing.report());

        let worse = chosen(&read_index(&index_of(&[entry("386"), odd.clone()]))).unwrap_err();
        assert!(worse.report().contains("entry 2 of the index cannot be used"), "{}", worse.report());

        // An entry that says nothing is what there is only where it is alone.
        let silent = blob(MANIFEST, "silent");
        assert!(chosen(&read_index(&index_of(std::slice::from_ref(&silent)))).is_ok());
        assert!(chosen(&read_index(&index_of(&[silent, odd]))).is_err());
    }
}

#[test]
fn an_odd_entry_that_fits_best_is_an_error_and_no_worse_one_is_taken_for_it() {
    for (part, odd) in [("digest", json!("blake3:abcd")), ("digest", json!("../x")), ("size", json!("12"))] {
        let mut best = entry("amd64");
        best[part] = odd;
        let error = chosen(&read_index(&index_of(&[entry("386"), best.clone()]))).unwrap_err();
        assert!(error.report().contains("entry 2 of the index cannot be used"), "{}", error.report());
        assert!(error.report().contains(part), "{}", error.report());
        assert!(matches!(error.kind(), ErrorKind::Malformed | ErrorKind::Unsupported), "{error:?}");
        let twice = read_index(&index_of(&[best, entry("amd64")]));
        assert_eq!(chosen(&twice).unwrap(), digest("amd64"), "a good one is as good");
    }
}

#[test]
fn a_platform_that_cannot_be_read_is_not_one_that_is_not_stated() {
    let unreadable = [
        json!([]),
        json!(["s390x", "linux"]),
        json!("s390x"),
        json!({"os": "linux", "architecture": 7}),
        json!({"os": ["linux"], "architecture": "amd64"}),
        json!({"os": "linux", "architecture": "amd64", "variant": {}}),
        json!({"os": "linux", "architecture": "amd64", "os.features": "win32k"}),
    ];
    let texts = unreadable.iter().map(ToString::to_string);
    let broken = [
        "",
        "{",
        "\"",
        "null",
        r#"{"architecture":"amd64","architecture":"s390x","os":"linux"}"#,
        r#"{"architecture":"amd64","Architecture":"s390x","os":"linux"}"#,
        "\u{feff}{}",
    ];
    for text in texts.chain(broken.map(str::to_owned)) {
        let error = amd64().check(text.as_bytes()).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Malformed, "{text}");
        assert_eq!(*config_platform(text.as_bytes()).unwrap_err().kind(), ErrorKind::Malformed, "{text}");
    }
}

#[test]
fn an_s390x_image_is_for_another_processor_whatever_else_its_configuration_has() {
    for (part, odd) in [
        ("os.features", json!(null)),
        ("os.version", json!(null)),
        ("os.version", json!(7)),
        ("variant", json!(null)),
        ("os", json!(null)),
        ("os", json!("")),
        ("created", json!(7)),
        ("config", json!([])),
        ("rootfs", json!("x")),
    ] {
        let mut config = config();
        config[part] = odd;
        let error = amd64().check(config.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::PlatformMissing { .. }), "{config}");
    }
    let upper = config().to_string().replace("architecture", "Architecture");
    assert!(amd64().check(upper.as_bytes()).is_err(), "Go reads it in any case");
}

#[test]
fn text_that_is_not_unicode_does_not_spoil_what_does_not_need_it() {
    for odd in [&b"\\ud83d"[..], b"gr\xf6\xdfe", b"\\udc00\\ud800"] {
        let with = |document: Value| {
            let text = document.to_string();
            let (before, after) = text.split_once("@@").unwrap();
            [before.as_bytes(), odd, after.as_bytes()].concat()
        };
        let mut manifest = manifest();
        manifest["annotations"]["title"] = json!("@@");
        assert_eq!(read_manifest(&with(manifest)).layers.len(), 2);
        let mut index = index_of(&[entry("amd64")]);
        index["manifests"][0]["annotations"]["title"] = json!("@@");
        assert!(Document::parse(&with(index), None).is_ok());
        let mut config = config();
        config["config"]["Labels"] = json!({"title": "@@"});
        assert_eq!(config_platform(&with(config)).unwrap(), Some("linux/s390x".parse().unwrap()));
    }
}

#[test]
fn a_manifests_parts_are_read_or_named_in_the_error() {
    for (place, odd) in [
        ("/config", json!([CONFIG, digest("{}"), 2])),
        ("/config", json!("x")),
        ("/config/digest", json!(null)),
        ("/config/size", json!(null)),
        ("/config/mediaType", json!(7)),
        ("/layers", json!({"0": {}})),
        ("/layers/1", json!(null)),
        ("/layers/1", json!([1])),
        ("/layers/1/digest", json!(7)),
        ("/layers/1/size", json!(-1)),
        ("/mediaType", json!(["x"])),
    ] {
        let mut document = manifest();
        *document.pointer_mut(place).unwrap() = odd.clone();
        let error = read(&document).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Malformed, "{place} {odd}");
        let named = place.split('/').find(|part| !part.is_empty()).unwrap().trim_end_matches('s');
        assert!(error.report().contains(named), "{place} {odd}: {}", error.report());
    }
    let error = read(&json!([manifest()])).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Malformed, "an array is no object");
}

#[test]
fn what_the_servers_type_says_counts_only_against_another_shape() {
    let (docker_manifest, docker_list) = (
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    );
    let schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let parse =
        |document: &Value, served: &str| Document::parse(document.to_string().as_bytes(), Some(served));
    for served in [docker_manifest, schema1, "Application/VND.OCI.image.manifest.v1+JSON; charset=utf-8", ""]
    {
        assert!(matches!(parse(&manifest(), served), Ok(Document::Manifest(_))), "{served}");
    }
    for served in [INDEX, docker_list] {
        assert!(parse(&manifest(), served).is_err(), "{served}");
        assert!(parse(&index_of(&[entry("amd64")]), served).is_ok(), "{served}");
    }
    for served in [MANIFEST, docker_manifest] {
        assert!(parse(&index_of(&[entry("amd64")]), served).is_err(), "{served}");
    }
}

#[test]
fn an_image_whose_configuration_is_missing_or_unreadable_passes_no_check() {
    let manifest = read_manifest(manifest().to_string().as_bytes());
    let silent = Descriptor::of(MANIFEST, b"x");
    let check = |read: Result<Option<Vec<u8>>>| {
        amd64().check_image(&silent, &manifest, |_| read).map_err(|e| e.kind().clone())
    };
    assert_eq!(check(Ok(Some(b"{}".to_vec()))).unwrap(), None);
    assert_eq!(check(Ok(None)).unwrap_err(), ErrorKind::Storage);
    assert_eq!(check(Ok(Some(b"[]".to_vec()))).unwrap_err(), ErrorKind::Malformed);
    assert_eq!(
        check(Err(Error::new(ErrorKind::DigestMismatch, "x"))).unwrap_err(),
        ErrorKind::DigestMismatch
    );
    let mut s390x = silent.clone();
    s390x.platform = Some("linux/s390x".parse().unwrap());
    assert!(amd64().check_image(&s390x, &manifest, |_| unreachable!("the entry says it")).is_err());
}

/// One part of a document, made odd.
#[derive(Debug, Clone)]
enum Oddity {
    Becomes(Value),
    Missing,
    /// There twice, the second time with this value.
    Twice(Value),
    UpperCase,
}

fn oddity() -> impl Strategy<Value = Oddity> {
    let value = prop_oneof![
        Just(json!(null)),
        Just(json!("")),
        Just(json!([])),
        Just(json!({})),
        Just(json!(7)),
        Just(json!(-1)),
        Just(json!(true)),
        Just(json!("x".repeat(70_000))),
        Just(json!(["linux", "amd64"])),
        Just(json!({"os": "linux", "architecture": "amd64"})),
        Just(json!(digest("another"))),
        Just(json!("amd64")),
    ];
    prop_oneof![
        4 => value.clone().prop_map(Oddity::Becomes),
        1 => Just(Oddity::Missing),
        1 => value.prop_map(Oddity::Twice),
        1 => Just(Oddity::UpperCase),
    ]
}

/// The places of all parts, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let parts: Vec<_> = match value {
        Value::Object(fields) => fields.iter().map(|(name, part)| (name.clone(), part)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(n, part)| (n.to_string(), part)).collect(),
        _ => return,
    };
    for (name, part) in parts {
        let at = format!("{at}/{name}");
        places(part, &at, found);
        found.push(at);
    }
}

/// The document's text with one of its parts made odd, and that part's place.
fn make_odd(document: &Value, pick: usize, oddity: &Oddity) -> (String, String) {
    let mut found = Vec::new();
    places(document, "", &mut found);
    let place = found[pick % found.len()].clone();
    let (parent, name) = place.rsplit_once('/').unwrap();
    let mut odd = document.clone();
    let marked = format!("@{name}@");
    match (odd.pointer_mut(parent).unwrap(), oddity) {
        (parent, Oddity::Becomes(value)) => match parent {
            Value::Object(fields) => _ = fields.insert(name.to_owned(), value.clone()),
            parent => parent[name.parse::<usize>().unwrap()] = value.clone(),
        },
        (Value::Object(fields), Oddity::Missing) => _ = fields.remove(name),
        (Value::Object(fields), Oddity::Twice(value)) => _ = fields.insert(marked.clone(), value.clone()),
        (Value::Object(fields), Oddity::UpperCase) => {
            let value = fields.remove(name).unwrap();
            fields.insert(name.to_uppercase(), value);
        }
        (parent, _) => _ = parent.as_array_mut().unwrap().remove(name.parse().unwrap()),
    }
    (odd.to_string().replace(&marked, name), place)
}

fn digests_in(manifest: &Manifest) -> Vec<String> {
    manifest.blobs().map(|blob| blob.digest.to_string()).collect()
}

proptest! {
    #[test]
    fn an_index_with_one_odd_part_leads_to_the_image_for_the_platform_or_to_an_error(
        pick in 0usize..1000, oddity in oddity(), cut in proptest::option::of(0usize..2000)
    ) {
        let index = index_of(&[entry("arm64"), entry("386"), entry("amd64"), entry("s390x")]);
        let (text, place) = make_odd(&index, pick, &oddity);
        let text = &text.as_bytes()[..cut.unwrap_or(text.len()).min(text.len())];
        let Ok(Document::Index(read)) = Document::parse(text, None) else { return Ok(()) };
        let needed = place.starts_with("/manifests/2") || matches!(&*place, "/manifests" | "/mediaType");
        match chosen(&read) {
            Ok(found) if found != digest("amd64") => {
                let turned = place.ends_with("/digest") || place.ends_with("/platform") || place.contains("platform/");
                let gone = needed && !text.windows(5).any(|word| word == b"amd64");
                prop_assert!(turned || gone || place == "/manifests", "{}: {}", place, found);
            }
            Ok(_) => {}
            Err(error) => prop_assert!(needed, "{}: {}", place, error.report()),
        }
    }

    #[test]
    fn an_entry_for_amd64_is_never_one_that_says_that_it_is_for_another(pick in 0usize..1000, oddity in oddity()) {
        let index = index_of(&[entry("s390x"), entry("arm64")]);
        let (text, place) = make_odd(&index, pick, &oddity);
        let Ok(Document::Index(read)) = Document::parse(text.as_bytes(), None) else { return Ok(()) };
        if let Ok(found) = chosen(&read) {
            let turned = place.contains("platform") && text.contains("amd64");
            let alone = read.manifests.len() == 1 && read.unreadable.is_empty();
            prop_assert!(turned || (alone && read.manifests[0].platform.is_none()), "{} {}", place, found);
        }
    }

    #[test]
    fn a_manifest_with_one_odd_part_has_the_same_blobs_or_is_refused(
        pick in 0usize..1000, oddity in oddity(), cut in proptest::option::of(0usize..2000)
    ) {
        let good = digests_in(&read_manifest(manifest().to_string().as_bytes()));
        let (text, place) = make_odd(&manifest(), pick, &oddity);
        let text = &text.as_bytes()[..cut.unwrap_or(text.len()).min(text.len())];
        match Document::parse(text, None) {
            Ok(Document::Manifest(read)) => {
                let may_differ = place.ends_with("digest") || place.starts_with("/layers");
                prop_assert!(may_differ || digests_in(&read) == good, "{}", place);
            }
            Ok(_) => prop_assert_eq!(&*place, "/mediaType"),
            Err(error) => {
                let harmless = place.starts_with("/annotations");
                prop_assert!(!harmless || cut.is_some(), "{}: {}", place, error.report());
                prop_assert!(matches!(error.kind(), ErrorKind::Malformed | ErrorKind::Unsupported));
            }
        }
    }

    #[test]
    fn a_configuration_with_one_odd_part_is_for_s390x_or_cannot_be_read(
        pick in 0usize..1000, oddity in oddity(), cut in proptest::option::of(0usize..400)
    ) {
        let (text, place) = make_odd(&config(), pick, &oddity);
        let text = &text.as_bytes()[..cut.unwrap_or(text.len()).min(text.len())];
        if amd64().check(text).is_ok() {
            prop_assert_eq!(&*place, "/architecture", "only that part makes it one for amd64, or silent");
        }
        if let Err(error) = amd64().check(text) {
            let is_unreadable = *error.kind() == ErrorKind::Malformed;
            prop_assert!(is_unreadable || error.kind().as_str() == "platform_missing");
            let harmless = ["/created", "/config", "/rootfs"].iter().any(|start| place.starts_with(start));
            prop_assert!(!harmless || !is_unreadable || cut.is_some(), "{}", place);
        }
    }
}
