//! The choice among the images of a name, which is one for archives and for directories.

use hoist_core::{Descriptor, ErrorKind, PulledImage, media_type};
use serde_json::json;

use crate::site::{Files, LAYER, Outcomes, Site, Writer, named, of_platform};

/// The digest that an archive and a directory with these files both lead to, under the name `demo:v1`.
async fn chosen(files: &Files, platform: &str) -> Result<String, [hoist_core::Error; 2]> {
    let site = Site::new();
    let pulled = site.pull(files, "demo:v1", platform).await;
    let site = Site::new();
    let loaded = site.outcomes(files, platform).await.remove(0);
    match (loaded, pulled) {
        (Ok(loaded), Ok(pulled)) => {
            assert_eq!((&*loaded.reference, &loaded.digest), ("docker.io/library/demo:v1", &pulled.digest));
            Ok(loaded.digest)
        }
        (Err(of_archive), Err(of_directory)) => {
            assert_eq!(of_archive.kind(), of_directory.kind());
            Err([of_archive, of_directory])
        }
        different => panic!("an archive and a directory differ: {different:?}"),
    }
}

/// Images for these platforms, of one name, each an entry of its own.
fn flat(platforms: &[&str], says_platform: bool) -> (Writer, Vec<Descriptor>) {
    let mut writer = Writer::default();
    let entries = platforms.iter().map(|platform| {
        let image = named(&writer.image(platform, platform.as_bytes()), "v1");
        if says_platform { of_platform(&image, platform) } else { image }
    });
    let entries = entries.collect();
    (writer, entries)
}

#[tokio::test]
async fn of_several_variants_of_one_name_the_best_is_chosen_whatever_their_order() {
    let all = ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"];
    for says_platform in [true, false] {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
            let (writer, entries) = flat(&order.map(|n| all[n]), says_platform);
            let files = writer.finish(&entries);
            for (wanted, best) in
                [("linux/arm64", 0), ("linux/arm/v7", 0), ("linux/arm/v6", 1), ("linux/arm/v5", 2)]
            {
                let place = order.iter().position(|n| *n == best).unwrap();
                let digest = chosen(&files, wanted).await.unwrap();
                assert_eq!(digest, entries[place].digest.to_string(), "{wanted} of {order:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_image_in_an_index_is_weighed_against_the_others_of_its_name() {
    let (mut writer, entries) = flat(&["linux/arm/v6", "linux/arm/v7"], true);
    let index = named(&writer.index(&entries[1..]), "v1");
    let best = entries[1].digest.to_string();
    for order in [[index.clone(), entries[0].clone()], [entries[0].clone(), index]] {
        let files = Writer { files: writer.files.clone() }.finish(&order);
        assert_eq!(chosen(&files, "linux/arm64").await.unwrap(), best);
    }
}

/// socktainer#314: `docker save` lists all platforms, and has the content of those that were pulled.
#[tokio::test]
async fn an_image_is_chosen_where_those_of_other_platforms_are_listed_only() {
    for absent in ["linux/arm64", "linux/s390x"] {
        let (writer, entries) = flat(&[absent, "linux/amd64"], true);
        let files = writer.without(&entries[0]).finish(&entries);
        assert_eq!(chosen(&files, "linux/amd64").await.unwrap(), entries[1].digest.to_string());
        let (mut writer, entries) = flat(&[absent, "linux/amd64"], true);
        let index = named(&writer.index(&entries), "v1");
        let files = writer.without(&entries[0]).finish(&[index]);
        assert_eq!(chosen(&files, "linux/amd64").await.unwrap(), entries[1].digest.to_string());
    }
}

#[tokio::test]
async fn a_lesser_image_is_no_substitute_for_a_better_one_that_is_listed_only() {
    for is_nested in [true, false] {
        let (mut writer, mut entries) = flat(&["linux/arm/v6", "linux/arm/v7"], true);
        let best = entries[1].clone();
        if is_nested {
            entries = vec![named(&writer.index(&entries), "v1")];
        }
        let files = writer.without(&best).finish(&entries);
        for error in chosen(&files, "linux/arm/v7").await.unwrap_err() {
            let v6 = "linux/arm/v6".parse().unwrap();
            assert_eq!(*error.kind(), ErrorKind::PlatformMissing { available: vec![v6] });
            let report = error.report();
            assert!(report.contains(&best.digest.to_string()) && report.contains("linux/arm/v6"), "{report}");
        }
        assert!(chosen(&files, "linux/arm/v6").await.is_ok());
    }
}

#[tokio::test]
async fn two_images_of_one_name_are_an_error_that_lists_both() {
    for says_platform in [true, false] {
        let mut writer = Writer::default();
        let images = [&b"one"[..], b"other"].map(|layer| writer.image("linux/amd64", layer));
        let entries = images.clone().map(|image| {
            let image = named(&image, "v1");
            if says_platform { of_platform(&image, "linux/amd64") } else { image }
        });
        let files = writer.finish(&entries);
        for error in chosen(&files, "linux/amd64").await.unwrap_err() {
            assert_eq!(*error.kind(), ErrorKind::Malformed);
            for image in &images {
                assert!(error.report().contains(&image.digest.to_string()), "{}", error.report());
            }
        }
    }
}

#[tokio::test]
async fn one_image_that_is_listed_twice_is_one_image() {
    let (mut writer, mut entries) = flat(&["linux/amd64"], true);
    let index = named(&writer.index(&entries), "v1");
    entries.extend([entries[0].clone(), index]);
    let digest = entries[0].digest.to_string();
    assert_eq!(chosen(&writer.finish(&entries), "linux/amd64").await.unwrap(), digest);
}

/// The names and digests of the images that were loaded, and the kinds of the errors.
fn split(outcomes: Outcomes) -> (Vec<String>, Vec<(ErrorKind, String)>) {
    let (loaded, failed): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    let loaded = loaded.into_iter().flatten().map(|image: PulledImage| image.reference);
    let failed = failed.into_iter().filter_map(Result::err);
    (loaded.collect(), failed.map(|error| (error.kind().clone(), error.report())).collect())
}

#[tokio::test]
async fn a_bad_entry_is_told_and_does_not_spoil_the_good_one() {
    let mut writer = Writer::default();
    let good = named(&writer.image("linux/amd64", b"good"), "good");
    let artifact = writer.blob("application/vnd.oci.artifact.manifest.v1+json", br#"{"blobs":[]}"#);
    let absent = Descriptor::of(media_type::OCI_MANIFEST, b"not here");
    let config = writer.blob(media_type::OCI_CONFIG, br#"{"os":"linux","architecture":"amd64"}"#);
    let no_layer = writer.manifest(&config, &[Descriptor::of(LAYER, b"not here either")]);
    let arm64 = writer.image("linux/arm64", b"other");
    let no_json = writer.blob(media_type::OCI_MANIFEST, b"{");
    for (bad, name, kinds) in [
        (&artifact, "bad", &[ErrorKind::Unsupported][..]),
        (&absent, "bad", &[ErrorKind::NotFound]),
        (&no_layer, "bad", &[ErrorKind::NotFound]),
        (&good, "two words", &[ErrorKind::InvalidReference]),
        (&good, "org/UPPER", &[ErrorKind::InvalidReference]),
        (&arm64, "bad", &[ErrorKind::PlatformMissing { available: vec!["linux/arm64".parse().unwrap()] }]),
        (&no_json, "bad", &[ErrorKind::Malformed]),
    ] {
        for entries in [[good.clone(), named(bad, name)], [named(bad, name), good.clone()]] {
            let files = Writer { files: writer.files.clone() }.finish(&entries);
            let (loaded, failed) = split(Site::new().outcomes(&files, "linux/amd64").await);
            assert_eq!(loaded, ["docker.io/library/demo:good"], "{failed:?}");
            assert!(failed.iter().map(|(kind, _)| kind).eq(kinds), "{failed:?}");
            assert!(Site::new().pull(&files, "demo:good", "linux/amd64").await.is_ok(), "{failed:?}");
        }
    }
}

#[tokio::test]
async fn damage_to_one_image_leaves_the_others() {
    let mut writer = Writer::default();
    let (good, bad) = (writer.image("linux/amd64", b"good"), writer.image("linux/amd64", b"bad layer"));
    let layer = Descriptor::of(LAYER, b"bad layer");
    for (name, bytes) in &mut writer.files {
        if name.ends_with(layer.digest.hex()) {
            bytes[0] ^= 1;
        }
    }
    let site = Site::new();
    let files = writer.finish(&[named(&bad, "bad"), named(&good, "good")]);
    let (loaded, failed) = split(site.outcomes(&files, "linux/amd64").await);
    assert_eq!(loaded, ["docker.io/library/demo:good"]);
    assert_eq!(failed[0].0, ErrorKind::DigestMismatch, "{failed:?}");
    assert!(failed[0].1.contains("docker.io/library/demo:bad"), "{failed:?}");
    assert_eq!(site.held().0, 1);
}

#[tokio::test]
async fn a_manifest_has_as_many_layers_as_its_configuration_says() {
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for (listed, layers, fits) in [(2, 0, false), (2, 1, false), (1, 2, false), (2, 2, true), (0, 2, true)] {
        let mut writer = Writer::default();
        let config =
            json!({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": vec![digest; listed]}});
        let config = writer.blob(media_type::OCI_CONFIG, config.to_string().as_bytes());
        let layers: Vec<_> = (0..layers).map(|n| writer.blob(LAYER, &[n])).collect();
        let image = named(&writer.manifest(&config, &layers), "v1");
        match chosen(&writer.finish(&[image]), "linux/amd64").await {
            Ok(_) => assert!(fits),
            Err(errors) => {
                assert!(!fits);
                assert!(errors.iter().all(|error| *error.kind() == ErrorKind::Malformed), "{errors:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_layout_of_another_version_is_told() {
    for (marker, kind) in [
        (r#"{"imageLayoutVersion":"2.0.0"}"#, ErrorKind::Unsupported),
        ("{}", ErrorKind::Malformed),
        ("", ErrorKind::Malformed),
    ] {
        let mut files = crate::site::layout(b"a layer", "v1");
        files[0].1 = marker.as_bytes().to_vec();
        let site = Site::new();
        let archive = site.load(crate::site::tar_of(&files), false).await.unwrap_err();
        let directory = site.pull(&files, "demo:v1", "linux/amd64").await.unwrap_err();
        assert_eq!((archive.kind(), directory.kind()), (&kind, &kind), "{}", archive.report());
    }
}

/// docker's list of images, with these configurations and names.
fn docker_list(images: &[(&Descriptor, &[&str])]) -> (String, Vec<u8>) {
    let images = images.iter().map(|(config, names)| {
        let config = format!("blobs/sha256/{}", config.digest.hex());
        json!({"Config": config, "RepoTags": names, "Layers": null})
    });
    ("manifest.json".to_owned(), json!(images.collect::<Vec<_>>()).to_string().into_bytes())
}

/// `docker save ID1 ID2` has both in its own list, and one in the index.
#[tokio::test]
async fn all_images_of_dockers_own_list_are_loaded() {
    let mut writer = Writer::default();
    let images = [&b"one"[..], b"two"].map(|layer| {
        let config = json!({"os": "linux", "architecture": "amd64", "author": layer});
        let config = writer.blob(media_type::OCI_CONFIG, config.to_string().as_bytes());
        let layer = writer.blob(LAYER, layer);
        (writer.manifest(&config, &[layer]), config)
    });
    for (names, expected) in [
        (&[][..], format!("docker.io/library/demo@{}", images[1].0.digest)),
        (&["two:v2"], "docker.io/library/two:v2".to_owned()),
    ] {
        let mut files = Writer { files: writer.files.clone() }.finish(&[named(&images[0].0, "v1")]);
        files.push(docker_list(&[(&images[0].1, &["demo:v1"]), (&images[1].1, names)]));
        let (loaded, failed) = split(Site::new().outcomes(&files, "linux/amd64").await);
        assert_eq!(loaded, ["docker.io/library/demo:v1".to_owned(), expected], "{failed:?}");
        assert_eq!(failed, []);
    }
}

#[tokio::test]
async fn an_image_of_dockers_list_that_cannot_be_found_is_told() {
    let mut writer = Writer::default();
    let image = named(&writer.image("linux/amd64", b"here"), "v1");
    let absent = Descriptor::of(media_type::OCI_CONFIG, b"not here");
    let mut files = writer.finish(&[image]);
    files.push(docker_list(&[(&absent, &["other:v1"])]));
    let (loaded, failed) = split(Site::new().outcomes(&files, "linux/amd64").await);
    assert_eq!(loaded, ["docker.io/library/demo:v1"]);
    assert_eq!(failed[0].0, ErrorKind::Unsupported);
    assert!(failed[0].1.contains(absent.digest.hex()), "{failed:?}");
}
