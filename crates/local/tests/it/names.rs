//! The names that images of an archive get.

use hoist_core::ErrorKind;
use hoist_local::Archive;

use crate::site::{Outcomes, Site, Writer, amd64, layout, named, of_platform, tar_of};

/// Loads an archive from a file of this name.
async fn load(file: &str, name: Option<&str>, files: &[(String, Vec<u8>)]) -> Outcomes {
    let site = Site::new();
    let archive = Archive::open(site.write_as(file, &tar_of(files).into_inner().unwrap())).unwrap();
    let archive = match name {
        Some(name) => archive.with_name(name).unwrap(),
        None => archive,
    };
    archive.load(&site.store, &amd64(), false).await.unwrap()
}

fn only_name(outcomes: Outcomes) -> String {
    let images: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    let [image] = &images[..] else { panic!("{images:?}") };
    image.reference.clone()
}

/// An image without a name.
fn unnamed() -> (String, Vec<(String, Vec<u8>)>) {
    let mut writer = Writer::default();
    let image = writer.image("linux/amd64", b"a layer");
    (image.digest.to_string(), writer.finish(&[image]))
}

#[tokio::test]
async fn a_bare_tag_is_one_of_the_repository_that_is_called_as_the_file_is() {
    for (file, repository) in [
        ("app.tar", "app"),
        ("app-1.2.3.tar", "app-1.2.3"),
        ("app_1.2.oci.tar", "app_1.2"),
        ("app.oci-archive", "app"),
        ("app.v2", "app.v2"),
        ("app", "app"),
        ("app.tar.gz", "app"), // whatever its name says, it is not compressed
    ] {
        let name = only_name(load(file, None, &layout(b"a layer", "v1")).await);
        assert_eq!(name, format!("docker.io/library/{repository}:v1"), "{file}");
        let (digest, files) = unnamed();
        let name = only_name(load(file, None, &files).await);
        assert_eq!(name, format!("docker.io/library/{repository}@{digest}"), "{file}");
    }
}

#[tokio::test]
async fn a_file_whose_name_cannot_be_a_repositorys_needs_a_name() {
    let (_, files) = unnamed();
    for file in ["My App.tar", "App.tar", "what comes on stdin", ".tar", "app:v1.tar"] {
        for files in [&files, &layout(b"a layer", "v1")] {
            let outcomes = load(file, None, files).await;
            let [Err(error)] = &outcomes[..] else { panic!("{outcomes:?}") };
            assert_eq!(*error.kind(), ErrorKind::InvalidReference, "{}", error.report());
            assert!(error.report().contains("`name`"), "{}", error.report());
            assert_eq!(only_name(load(file, Some("app:v1"), files).await), "docker.io/library/app:v1");
        }
        let name = only_name(load(file, None, &layout(b"a layer", "ghcr.io/org/app:v1")).await);
        assert_eq!(name, "ghcr.io/org/app:v1", "a whole name needs no other");
    }
}

#[tokio::test]
async fn a_name_without_a_tag_is_the_repository_of_all_that_have_none() {
    let repository = Some("ghcr.io/org/app");
    for (written, meant) in [
        ("v1", "ghcr.io/org/app:v1"),
        ("quay.io/other/app:v2", "quay.io/other/app:v2"),
        ("", "ghcr.io/org/app:latest"),
    ] {
        assert_eq!(only_name(load("demo.tar", repository, &layout(b"a layer", written)).await), meant);
    }
}

#[tokio::test]
async fn a_name_with_a_tag_is_that_of_the_one_image() {
    for written in ["v1", "quay.io/other/app:v2", "", "two words", "UPPER/case:v1"] {
        let name = only_name(load("demo.tar", Some("localhost:5000/app:v3"), &layout(b"x", written)).await);
        assert_eq!(name, "localhost:5000/app:v3");
    }
    let mut writer = Writer::default();
    let (one, two) = (writer.image("linux/amd64", b"one"), writer.image("linux/amd64", b"two"));
    let files = writer.finish(&[named(&one, "a:1"), named(&two, "b:2")]);
    let outcomes = load("demo.tar", Some("app:v3"), &files).await;
    let [Err(error)] = &outcomes[..] else { panic!("{outcomes:?}") };
    let report = error.report();
    assert!(report.contains("a:1") && report.contains("b:2"), "{report}");
}

#[tokio::test]
async fn a_name_that_is_none_is_refused() {
    let site = Site::new();
    let path = site.write(&tar_of(&layout(b"a layer", "v1")).into_inner().unwrap());
    let pinned = format!("app@{}", unnamed().0);
    for name in ["My App", "", "app:", ":v1", &pinned] {
        let error = Archive::open(&path).unwrap().with_name(name).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::InvalidReference, "{}", error.report());
    }
}

/// Helm and others put a version's `+` into image-spec's annotation, which Docker's grammar of tags does not allow.
#[tokio::test]
async fn the_plus_of_a_version_becomes_an_underscore() {
    for (written, meant) in [
        ("1.2.3+build.5", "docker.io/library/demo:1.2.3_build.5"),
        ("ghcr.io/org/app:1.2.3+build.5", "ghcr.io/org/app:1.2.3_build.5"),
        ("a+b+c", "docker.io/library/demo:a_b_c"),
    ] {
        assert_eq!(only_name(load("demo.tar", None, &layout(b"a layer", written)).await), meant);
    }
    let outcomes = load("demo.tar", None, &layout(b"a layer", "ghcr.io/a+b:v1")).await;
    assert_eq!(*outcomes[0].as_ref().unwrap_err().kind(), ErrorKind::InvalidReference);
}

#[tokio::test]
async fn images_without_names_for_several_platforms_are_one_image_here() {
    let mut writer = Writer::default();
    let [amd64, arm64] = ["linux/amd64", "linux/arm64"]
        .map(|platform| of_platform(&writer.image(platform, platform.as_bytes()), platform));
    let digest = amd64.digest.to_string();
    let files = writer.finish(&[arm64, amd64]);
    let name = only_name(load("demo.tar", None, &files).await);
    assert_eq!(name, format!("docker.io/library/demo@{digest}"));
    assert_eq!(only_name(load("demo.tar", Some("app:v1"), &files).await), "docker.io/library/app:v1");
}
