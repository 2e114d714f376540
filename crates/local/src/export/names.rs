//! The two files that list the images of an archive: OCI's `index.json`, and docker's `manifest.json`.

use std::collections::BTreeMap;

use hoist_core::{Descriptor, Digest, REF_NAME, media_type};
use serde::Serialize;

use super::Image;
use crate::catalog::IMAGE_NAME;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<Descriptor>,
}

/// One image of docker's `manifest.json`
/// ([docker save](https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md#combined-image-json--filesystem-changeset-format)).
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// `index.json`: an entry for each name.
///
/// The whole name is in both annotations: containerd and docker read [`IMAGE_NAME`], podman and skopeo read
/// [`REF_NAME`].
pub(super) fn index(images: &[Image]) -> Vec<u8> {
    let entries = images.iter().map(|image| {
        let mut entry = image.top.clone();
        let name = image.reference.to_string();
        entry.annotations = [IMAGE_NAME, REF_NAME].map(|key| (key.to_owned(), name.clone())).into();
        entry
    });
    json(&Index { schema_version: 2, media_type: media_type::OCI_INDEX, manifests: entries.collect() })
}

/// Docker's `manifest.json`: an entry for each image, with all its tags. Artifacts are left out, because docker cannot
/// run them. `None`: nothing is left.
pub(super) fn docker(images: &[Image]) -> Option<Vec<u8>> {
    let mut entries: Vec<DockerImage> = Vec::new();
    let mut places = BTreeMap::new();
    for image in images.iter().filter(|image| image.document.is_runnable()) {
        let place = *places.entry(&image.manifest.digest).or_insert_with(|| {
            entries.push(DockerImage::of(image));
            entries.len() - 1
        });
        // A name with a digest is no tag to docker.
        if image.reference.digest().is_none() {
            entries[place].repo_tags.push(image.reference.familiar());
        }
    }
    Some(entries).filter(|entries| !entries.is_empty()).map(|entries| json(&entries))
}

impl DockerImage {
    fn of(image: &Image) -> Self {
        Self {
            config: path(&image.document.config.digest),
            repo_tags: Vec::new(),
            layers: image.document.layers.iter().map(|layer| path(&layer.digest)).collect(),
        }
    }
}

/// Where a blob is in a layout.
pub(super) fn path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("the lists of an archive have nothing that JSON cannot hold")
}
