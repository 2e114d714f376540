//! The images of the testkit are real ones: other tools' rules hold for them.

use hoist_core::{Digest, Document, config_platform};
use hoist_testkit::{
    Format, Image, ImageIndex, Layer, Publishable, add_to_layout, assert_valid_layout, check_layout,
    flip_a_bit, remove_from_layout, write_layout,
};
use oci_spec::image::{ImageConfiguration, ImageIndex as Index};
use std::fs;
use std::path::Path;

#[test]
fn the_configuration_lists_the_digests_of_the_archives() {
    let files: &[(&str, &[u8])] = &[("etc/hosts", b"127.0.0.1 localhost"), ("empty", b"")];
    let (plain, gzipped) = (Layer::files(files), Layer::files(files).gzipped());
    let image = Image::builder().layers([plain, gzipped]).build();
    let config = ImageConfiguration::from_reader(&image.config().bytes[..]).unwrap();
    let archive = Digest::sha256(&image.layers()[0].bytes).to_string();
    assert_eq!(*config.rootfs().diff_ids(), [archive.clone(), archive]);
    assert_ne!(image.layers()[0].digest, image.layers()[1].digest);
}

#[test]
fn the_same_parameters_make_the_same_image() {
    assert_eq!(Image::sample(1).digest(), Image::sample(1).digest());
    assert_ne!(Image::sample(1).digest(), Image::sample(2).digest());
}

#[test]
fn the_documents_are_what_the_contract_reads() {
    for format in [Format::Oci, Format::Docker] {
        let image =
            Image::builder().format(format).platform("linux/arm64").layer(Layer::random(10, 1)).build();
        let index = ImageIndex::with_format(format, [image.clone(), Image::sample(1)]);
        let parse =
            |blob: &hoist_testkit::Blob| Document::parse(&blob.bytes, Some(&blob.media_type)).unwrap();
        let Document::Manifest(manifest) = parse(image.manifest()) else { panic!("not a manifest") };
        assert!(manifest.blobs().map(|b| &b.digest).eq(image.blobs().map(|b| &b.digest)));
        let Document::Index(parsed) = parse(index.document()) else { panic!("not an index") };
        let platform = "linux/arm64".parse().unwrap();
        assert_eq!(parsed.choose(&platform).unwrap().digest, *image.digest());
        assert_eq!(config_platform(&image.config().bytes).unwrap(), Some(platform));
    }
}

fn names(directory: &Path) -> Vec<String> {
    let index = Index::from_file(directory.join("index.json")).unwrap();
    let name = |entry: &oci_spec::image::Descriptor| entry.annotations().clone()?.into_values().next();
    index.manifests().iter().map(|entry| name(entry).unwrap_or_default()).collect()
}

#[test]
fn a_layout_is_written_added_to_and_taken_from() {
    let directory = tempfile::tempdir().unwrap();
    let entries: [(&str, Publishable); 2] =
        [("a:1", Image::sample(1).into()), ("b:1", ImageIndex::sample(2).into())];
    write_layout(directory.path(), entries).unwrap();
    add_to_layout(directory.path(), "", Image::sample(3)).unwrap();
    assert_eq!(names(directory.path()), ["a:1", "b:1", ""]);
    add_to_layout(directory.path(), "a:1", Image::sample(4)).unwrap();
    remove_from_layout(directory.path(), "b:1").unwrap();
    assert_eq!(names(directory.path()), ["", "a:1"]);
}

#[test]
fn a_valid_layout_is_told_from_others() {
    let directory = tempfile::tempdir().unwrap();
    let (path, image) = (directory.path(), Image::sample(1));
    let digest = image.digest().to_string();
    write_layout(path, [("v1", &image)]).unwrap();
    assert_valid_layout(path, &digest);

    let wrong = |needle: &str| {
        let why = check_layout(path, &digest).unwrap_err();
        assert!(why.contains(needle), "{why}");
    };
    let layer = &image.layers()[1];
    let file = path.join("blobs/sha256").join(layer.digest.hex());
    fs::write(&file, flip_a_bit(&layer.bytes)).unwrap();
    wrong("hashes to");
    fs::write(&file, &layer.bytes[1..]).unwrap();
    wrong("bytes and not");
    fs::remove_file(&file).unwrap();
    wrong("is not there");
    std::os::unix::fs::symlink("/dev/null", &file).unwrap();
    wrong("is not a regular file");
    fs::remove_file(&file).unwrap();
    write_layout(path, [("v2", Image::sample(2))]).unwrap();
    wrong("2 entries");
}
