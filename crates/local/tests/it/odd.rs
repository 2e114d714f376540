//! Archives and directories with one odd part: what does not need that part still works, or an error names it; never
//! another image than was asked for, and never a panic.

use hoist_core::{Descriptor, ErrorKind, media_type};
use hoist_local::Archive;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::site::{Files, LAYER, Site, Writer, amd64, named, of_platform, tar_of};

const OCI_MANIFEST: &str = media_type::OCI_MANIFEST;

/// What is put in the place of a part.
fn odd_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!("")),
        Just(json!([])),
        Just(json!({})),
        Just(json!(7)),
        Just(json!(-1)),
        Just(json!(true)),
        Just(json!("x".repeat(5000))),
        Just(json!("linux")),
        Just(json!("s390x")),
        Just(json!([null])),
        Just(json!({"os": "linux", "architecture": "amd64"})),
    ]
}

/// How a member of an object is made odd.
#[derive(Debug, Clone)]
enum Change {
    Replace(Value),
    Remove,
    /// Another case of its key.
    Upper,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![4 => odd_value().prop_map(Change::Replace), 1 => Just(Change::Remove), 1 => Just(Change::Upper)]
}

/// All places in a document, as JSON pointers.
fn places(document: &Value, here: &str, found: &mut Vec<String>) {
    let mut add = |key: &str, value: &Value| {
        let place = format!("{here}/{}", key.replace('~', "~0").replace('/', "~1"));
        found.push(place.clone());
        places(value, &place, found);
    };
    match document {
        Value::Object(members) => members.iter().for_each(|(key, value)| add(key, value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, value)| add(&n.to_string(), value)),
        _ => {}
    }
}

/// Makes a part of a document odd: that at the place of this number.
fn make_odd(document: &mut Value, number: usize, change: &Change) -> String {
    let mut found = Vec::new();
    places(document, "", &mut found);
    let place = found.swap_remove(number % found.len());
    let (parent, key) = place.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap();
    match (parent, change) {
        (Value::Object(members), change) => {
            let key = key.replace("~1", "/").replace("~0", "~");
            let old = members.remove(&key).unwrap();
            match change {
                Change::Replace(value) => _ = members.insert(key, value.clone()),
                Change::Upper => _ = members.insert(key.to_ascii_uppercase(), old),
                Change::Remove => {}
            }
        }
        (Value::Array(items), Change::Replace(value)) => items[key.parse::<usize>().unwrap()] = value.clone(),
        (Value::Array(items), _) => _ = items.remove(key.parse().unwrap()),
        _ => unreachable!("only an object or an array has parts"),
    }
    place
}

/// The documents of an image for amd64: its configuration and its manifest.
fn documents() -> [Value; 2] {
    let config = json!({"os": "linux", "architecture": "amd64", "config": {"Cmd": ["/x"]},
        "rootfs": {"type": "layers", "diff_ids": [Descriptor::of(LAYER, b"a layer").digest]}});
    let layer = Descriptor::of(LAYER, b"a layer");
    let config_blob = Descriptor::of(media_type::OCI_CONFIG, config.to_string().as_bytes());
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config_blob,
        "layers": [layer], "annotations": {"a": "b"}});
    [config, manifest]
}

/// Writes an image with these documents. The manifest leads to the configuration unless that is what is odd in it.
fn write(writer: &mut Writer, config: &Value, mut manifest: Value) -> Descriptor {
    writer.blob(LAYER, b"a layer");
    let config = writer.blob(media_type::OCI_CONFIG, config.to_string().as_bytes());
    if manifest["config"].get("digest").is_some_and(Value::is_string) {
        manifest["config"]["digest"] = json!(config.digest);
        manifest["config"]["size"] = json!(config.size);
    }
    writer.blob(OCI_MANIFEST, manifest.to_string().as_bytes())
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// What each name leads to, in an archive: digests, or kinds.
fn outcomes(files: &Files) -> Vec<Result<(String, String), (ErrorKind, String)>> {
    let site = Site::new();
    let path = site.write(&tar_of(files).into_inner().unwrap());
    let load = async {
        let archive = Archive::open(path)?;
        archive.load(&site.store, &amd64(), false).await
    };
    let failed = |error: hoist_core::Error| (error.kind().clone(), error.report());
    match runtime().block_on(load) {
        Ok(images) => {
            let images = images.into_iter();
            images.map(|image| image.map(|i| (i.reference, i.digest)).map_err(failed)).collect()
        }
        Err(error) => vec![Err(failed(error))],
    }
}

fn pulled(files: &Files, name: &str) -> Result<String, String> {
    let site = Site::new();
    let pulled = runtime().block_on(site.pull(files, name, "linux/amd64"));
    pulled.map(|image| image.digest).map_err(|error| error.report())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// One image has an odd manifest or configuration. It is loaded as it is, or not at all; the other one is loaded.
    #[test]
    fn fuzz_an_odd_image_does_not_spoil_another(which in 0..2_usize, number: usize, change in change()) {
        let (mut documents, mut writer) = (documents(), Writer::default());
        let good = named(&writer.image("linux/amd64", b"good"), "good");
        let place = make_odd(&mut documents[which], number, &change);
        let [config, manifest] = documents;
        let odd = named(&write(&mut writer, &config, manifest), "odd");
        let files = writer.finish(&[odd.clone(), good.clone()]);
        let outcomes = outcomes(&files);
        let good = ("docker.io/library/demo:good".to_owned(), good.digest.to_string());
        prop_assert!(outcomes.contains(&Ok(good.clone())), "{place} {change:?}: {outcomes:?}");
        prop_assert_eq!(outcomes.len(), 2, "{} {:?}: {:?}", place, change, outcomes);
        for loaded in outcomes.iter().flatten() {
            prop_assert!([&good.1, &odd.digest.to_string()].contains(&&loaded.1));
        }
        for (_, report) in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            prop_assert!(report.contains("demo:odd"), "{report}");
        }
        prop_assert_eq!(pulled(&files, "demo:good"), Ok(good.1));
    }

    /// A part of the index is odd. Each name leads to its own image, or to none.
    #[test]
    fn fuzz_an_odd_index_leads_to_no_other_image(number: usize, change in change(), is_nested: bool) {
        // An index that states a platform which is not the image's is believed, as everywhere.
        let is_lie = matches!(&change, Change::Replace(value) if value.get("architecture").is_some());
        prop_assume!(!(is_nested && is_lie));
        let mut writer = Writer::default();
        let images = ["linux/s390x", "linux/amd64"]
            .map(|platform| of_platform(&writer.image(platform, platform.as_bytes()), platform));
        let one = named(&writer.image("linux/amd64", b"one"), "one");
        let mut index = json!({"schemaVersion": 2, "manifests": images});
        let top = if is_nested {
            let place = make_odd(&mut index, number, &change);
            _ = place;
            let index = writer.blob(media_type::OCI_INDEX, index.to_string().as_bytes());
            json!({"schemaVersion": 2, "manifests": [named(&index, "v1"), one]})
        } else {
            let entries = [named(&images[0], "v1"), named(&images[1], "v1"), one.clone()];
            let mut top = json!({"schemaVersion": 2, "manifests": entries});
            make_odd(&mut top, number, &change);
            top
        };
        let files = writer.finish_with(&top);
        let digest = |name: &str| match name {
            "docker.io/library/demo:one" => one.digest.to_string(),
            _ => images[1].digest.to_string(),
        };
        for outcome in outcomes(&files) {
            match outcome {
                // Where an entry lost its name, its digest is one, whatever it is.
                Ok((name, found)) if name.contains('@') => prop_assert!(name.ends_with(&found), "{name}"),
                Ok((name, found)) if name == "docker.io/library/demo:v1" || name.ends_with(":one") => {
                    prop_assert_eq!(found, digest(&name), "{} of {}", name, top);
                }
                Ok((_, found)) => prop_assert_ne!(found, images[0].digest.to_string(), "{}", top),
                Err((_, report)) => prop_assert!(!report.contains("panic"), "{report}"),
            }
        }
        if let Ok(found) = pulled(&files, "demo:v1") {
            prop_assert_eq!(found, images[1].digest.to_string(), "{}", top);
        }
        if is_nested {
            prop_assert_eq!(pulled(&files, "demo:one"), Ok(one.digest.to_string()), "{}", top);
        }
    }

    /// Some bytes of the archive are others, are missing or are there twice. No image comes but the one that was meant.
    #[test]
    fn fuzz_a_damaged_archive_leads_to_no_other_image(
        at in any::<prop::sample::Index>(), length in 1..2000_usize, kind in 0..4, byte: u8,
    ) {
        let mut writer = Writer::default();
        let image = named(&writer.image("linux/amd64", b"a layer"), "v1");
        let digest = image.digest.to_string();
        let mut bytes = tar_of(&writer.finish(&[image])).into_inner().unwrap();
        let from = at.index(bytes.len());
        let to = (from + length).min(bytes.len());
        match kind {
            0 => bytes[from..to].fill(byte),
            1 => drop(bytes.drain(from..to)),
            2 => {
                let twice = bytes[from..to].to_vec();
                drop(bytes.splice(from..from, twice));
            }
            _ => bytes.truncate(from),
        }
        let site = Site::new();
        let path = site.write(&bytes);
        let load = async { Archive::open(path)?.load(&site.store, &amd64(), false).await };
        match runtime().block_on(load) {
            Ok(images) => {
                for image in images.into_iter().flatten() {
                    prop_assert_eq!(image.digest, digest.clone());
                }
            }
            Err(error) => prop_assert_ne!(error.kind(), &ErrorKind::Storage, "{}", error.report()),
        }
    }
}
