//! The check that every pull must pass: is this directory one whole, valid image?

use std::fs;
use std::path::Path;

use hoist_core::Digest;
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, OciLayout};

use crate::layout::blob_path;

/// Panics unless `path` is an OCI layout of exactly one image, whole, whose manifest has this digest.
#[track_caller]
pub fn assert_valid_layout(path: impl AsRef<Path>, digest: &str) {
    if let Err(wrong) = check_layout(path.as_ref(), digest) {
        panic!("{} is no valid layout of {digest}: {wrong}", path.as_ref().display());
    }
}

/// Says what is wrong unless `path` is an OCI layout of exactly one image, whole, whose manifest has this
/// digest. All blobs are read and hashed; they must be regular files.
pub fn check_layout(path: &Path, digest: &str) -> Result<(), String> {
    check_marker(path)?;
    let top = lone_entry(path)?;
    if top.digest().to_string() != digest {
        return Err(format!("index.json names {}", top.digest()));
    }
    let manifest = ImageManifest::from_reader(&read_blob(path, &top)?[..])
        .map_err(|cause| format!("the manifest does not parse: {cause}"))?;
    std::iter::once(manifest.config())
        .chain(manifest.layers())
        .try_for_each(|blob| read_blob(path, blob).map(drop))
}

fn check_marker(path: &Path) -> Result<(), String> {
    let layout = OciLayout::from_file(path.join("oci-layout"))
        .map_err(|cause| format!("oci-layout cannot be read: {cause}"))?;
    match layout.image_layout_version().as_str() {
        "1.0.0" => Ok(()),
        other => Err(format!("oci-layout is of version {other}")),
    }
}

fn lone_entry(path: &Path) -> Result<Descriptor, String> {
    let index = ImageIndex::from_file(path.join("index.json"))
        .map_err(|cause| format!("index.json cannot be read: {cause}"))?;
    match &index.manifests()[..] {
        [only] => Ok(only.clone()),
        entries => Err(format!("index.json has {} entries and not one", entries.len())),
    }
}

/// The content of a blob, checked against its descriptor.
fn read_blob(layout: &Path, blob: &Descriptor) -> Result<Vec<u8>, String> {
    let name = blob.digest();
    let digest: Digest = name.to_string().parse().map_err(|cause| format!("{cause}"))?;
    let path = blob_path(layout, &digest);
    let metadata =
        fs::symlink_metadata(&path).map_err(|cause| format!("blob {name} is not there: {cause}"))?;
    if !metadata.is_file() {
        return Err(format!("blob {name} is not a regular file"));
    }
    if metadata.len() != blob.size() {
        return Err(format!("blob {name} has {} bytes and not {}", metadata.len(), blob.size()));
    }
    let bytes = fs::read(&path).map_err(|cause| format!("blob {name} cannot be read: {cause}"))?;
    digest.verify(&bytes).map_err(|cause| cause.to_string())?;
    Ok(bytes)
}
