//! Docker's own list of images, `manifest.json`, which `docker save` writes beside an OCI layout.
//!
//! Some of docker's versions list more images there than in `index.json`: of several images without names, for example.
//! Their manifests are in the archive all the same.

use std::collections::{BTreeMap, BTreeSet};

use hoist_core::{Descriptor, Digest, Document, Error, ErrorKind, MAX_DOCUMENT, Manifest, Result};
use serde::Deserialize;

use super::contents::Contents;
use crate::catalog::{Content, IMAGE_NAME};

/// An image of docker's list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    /// The file with its configuration: `blobs/sha256/...`, or `....json`.
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// The images that docker's list has and the index has not, as entries of the index; and an error for each that
/// cannot be found.
pub(super) fn unlisted(contents: &Contents, index: &[Descriptor]) -> (Vec<Descriptor>, Vec<Error>) {
    let saved: Vec<Saved> = match contents
        .docker_list()
        .map(|list| list.map(|list| serde_json::from_slice(&list)))
    {
        Ok(None) => return Default::default(),
        Ok(Some(Ok(saved))) => saved,
        Ok(Some(Err(_))) | Err(_) => {
            tracing::warn!(archive = %contents.path.display(), "passing over a manifest.json that cannot be read");
            return Default::default();
        }
    };
    let listed = configurations(contents, index);
    let missing: Vec<_> =
        saved.iter().filter(|saved| !saved.digest().is_some_and(|d| listed.contains(&d))).collect();
    if missing.is_empty() {
        return Default::default();
    }
    let manifests = manifests(contents);
    let (mut entries, mut errors) = (Vec::new(), Vec::new());
    for saved in missing {
        match saved.find(&manifests) {
            Ok(manifest) => entries.extend(saved.entries(manifest)),
            Err(error) => errors.push(error),
        }
    }
    (entries, errors)
}

impl Saved {
    fn digest(&self) -> Option<Digest> {
        digest_of(&self.config)
    }

    /// The manifest with its configuration and its layers.
    fn find<'a>(
        &self,
        manifests: &'a BTreeMap<Digest, Vec<(Descriptor, Manifest)>>,
    ) -> Result<&'a Descriptor> {
        let of_config =
            self.digest().and_then(|config| manifests.get(&config)).map_or(&[][..], |found| found);
        let layers: Option<Vec<_>> = self.layers.iter().flatten().map(|layer| digest_of(layer)).collect();
        let has_layers = |manifest: &Manifest| {
            layers.as_ref().is_some_and(|layers| layers.iter().eq(manifest.layers.iter().map(|l| &l.digest)))
        };
        let exact = of_config.iter().find(|(_, manifest)| has_layers(manifest));
        let only = || if let [only] = of_config { Some(only) } else { None };
        exact.or_else(only).map(|(descriptor, _)| descriptor).ok_or_else(|| {
            let message =
                format!("its manifest.json lists an image that its index.json does not: {}", self.config);
            Error::new(ErrorKind::Unsupported, message)
                .with_help("write it anew with skopeo as oci-archive, or save this image alone")
        })
    }

    /// An entry for each of its names.
    fn entries(&self, manifest: &Descriptor) -> Vec<Descriptor> {
        let entry_of = |name: &String| {
            let mut entry = manifest.clone();
            entry.annotations.insert(IMAGE_NAME.to_owned(), name.clone());
            entry
        };
        match self.repo_tags.as_deref().unwrap_or_default() {
            [] => vec![manifest.clone()],
            names => names.iter().map(entry_of).collect(),
        }
    }
}

/// The digest in a file's name.
fn digest_of(name: &str) -> Option<Digest> {
    let file = name.rsplit('/').next()?;
    let hex = file.strip_suffix(".json").unwrap_or(file);
    format!("sha256:{hex}").parse().ok()
}

/// The configurations of all images that these entries lead to.
fn configurations(contents: &Contents, entries: &[Descriptor]) -> BTreeSet<Digest> {
    let read = |entry: &Descriptor| {
        Document::parse(&contents.read_document(entry).ok()?.1, Some(&entry.media_type)).ok()
    };
    let mut found = BTreeSet::new();
    for document in entries.iter().filter_map(read) {
        match document {
            Document::Manifest(manifest) => _ = found.insert(manifest.config.digest),
            Document::Index(index) => {
                found.extend(index.manifests.iter().filter_map(read).filter_map(|document| match document {
                    Document::Manifest(manifest) => Some(manifest.config.digest),
                    _ => None,
                }));
            }
            _ => {}
        }
    }
    found
}

/// All manifests among an archive's blobs, by their configurations.
fn manifests(contents: &Contents) -> BTreeMap<Digest, Vec<(Descriptor, Manifest)>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let small = contents.members.files().filter(|(_, size)| *size <= MAX_DOCUMENT);
    for name in small.filter_map(|(name, _)| name.starts_with("blobs/").then_some(name)) {
        let Ok(bytes) = contents.read_file(name) else { continue };
        let Ok(Document::Manifest(manifest)) = Document::parse(&bytes, None) else { continue };
        let descriptor = Descriptor::of(&manifest.media_type, &bytes);
        found.entry(manifest.config.digest.clone()).or_default().push((descriptor, manifest));
    }
    found
}
