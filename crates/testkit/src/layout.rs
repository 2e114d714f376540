//! OCI image layouts on disk, as other tools would have left them
//! ([image-layout](https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md)).

use std::collections::HashMap;
use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};

use hoist_core::Digest;
use oci_spec::image::{
    ANNOTATION_REF_NAME, Descriptor, ImageIndex, ImageIndexBuilder, MediaType, SCHEMA_VERSION,
};

use crate::image::{Blob, Publishable, json};

/// Writes a layout with these images, each under its name: a full reference, a bare tag, or nothing at
/// all where the name is empty. What the directory held before under other names stays.
pub fn write_layout<'a, P: Into<Publishable>>(
    directory: &Path,
    entries: impl IntoIterator<Item = (&'a str, P)>,
) -> Result<()> {
    write_marker(directory)?;
    edit_index(directory, |_| ())?;
    entries.into_iter().try_for_each(|(name, what)| add_to_layout(directory, name, what))
}

/// Adds one image to a layout, which is made if need be. What had the name before loses it.
pub fn add_to_layout(directory: &Path, name: &str, what: impl Into<Publishable>) -> Result<()> {
    let what = what.into();
    write_marker(directory)?;
    for blob in what.blobs().chain(what.documents()) {
        write_blob(directory, &blob.digest, &blob.bytes)?;
    }
    edit_index(directory, |entries| {
        entries.retain(|entry| name.is_empty() || named(entry) != Some(name));
        entries.push(entry(what.document(), name));
    })
}

/// Takes a name out of a layout; the blobs stay.
pub fn remove_from_layout(directory: &Path, name: &str) -> Result<()> {
    edit_index(directory, |entries| entries.retain(|entry| named(entry) != Some(name)))
}

/// Where a blob lies.
pub(crate) fn blob_path(directory: &Path, digest: &Digest) -> PathBuf {
    directory.join("blobs").join(digest.algorithm().as_str()).join(digest.hex())
}

/// Writes these bytes where the blob belongs, whether they are it or not.
pub(crate) fn write_blob(directory: &Path, digest: &Digest, bytes: &[u8]) -> Result<()> {
    write_whole(&blob_path(directory, digest), bytes)
}

fn write_marker(directory: &Path) -> Result<()> {
    write_whole(&directory.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)
}

/// Writes a file in one step, so that nobody reads a half of it.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::create_dir_all(path.parent().expect("a file in a directory"))?;
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, bytes)?;
    fs::rename(&unfinished, path)
}

fn edit_index(directory: &Path, edit: impl FnOnce(&mut Vec<Descriptor>)) -> Result<()> {
    let path = directory.join("index.json");
    let mut index =
        if path.exists() { ImageIndex::from_file(&path).map_err(Error::other)? } else { empty_index() };
    let mut entries = index.manifests().clone();
    edit(&mut entries);
    index.set_manifests(entries);
    write_whole(&path, &json(&index))
}

fn empty_index() -> ImageIndex {
    ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests(Vec::new())
        .build()
        .expect("complete")
}

fn entry(document: &Blob, name: &str) -> Descriptor {
    let mut descriptor = document.descriptor();
    let annotation = (ANNOTATION_REF_NAME.to_owned(), name.to_owned());
    descriptor.set_annotations((!name.is_empty()).then(|| HashMap::from([annotation])));
    descriptor
}

fn named(entry: &Descriptor) -> Option<&str> {
    entry.annotations().as_ref()?.get(ANNOTATION_REF_NAME).map(String::as_str)
}
