//! The JSON documents that describe an image: manifests, indexes, and the descriptors in them.
//!
//! hoist reads them, and never writes them again: it keeps the bytes that were hashed.

mod choose;
mod json;
mod parse;
mod platforms;

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::platform::Platform;
use crate::reference::Reference;

pub use json::json_text;
pub use platforms::config_platform;

/// The largest manifest or index that is read, in bytes.
pub const MAX_DOCUMENT: u64 = 4 << 20; // what registries must accept, per the distribution spec ("Pushing Manifests")

/// The annotation of a layout's entry that tools read the tag from
/// ([image-spec, annotations](https://github.com/opencontainers/image-spec/blob/v1.1.0/annotations.md)).
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The media types of the documents that hoist reads.
pub mod media_type {
    /// An OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// A Docker image manifest, version 2, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// A Docker manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// The configuration of an OCI image.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// The configuration of a Docker image.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// All manifests and indexes: what a registry is told that we accept.
    pub const ACCEPTED: [&str; 4] = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST];
}

/// The types of the configurations of images. The last ones are what old registries and tools say of them, which Docker
/// takes for images as well ([moby#30083](https://github.com/moby/moby/issues/30083)).
const RUNNABLE: [&str; 6] = [
    media_type::OCI_CONFIG,
    media_type::DOCKER_CONFIG,
    "application/octet-stream",
    "application/json",
    "text/html",
    "",
];

/// What names a piece of content: its type, digest and size
/// ([descriptor](https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Descriptor {
    /// What the content is.
    pub media_type: String,
    /// What it hashes to.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// The platform it is made for; only in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Arbitrary notes; the reference's name stands in one of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Where else the content can be had; those of layers that a registry may not distribute. They are whoever's
    /// word who wrote the manifest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
}

impl Descriptor {
    /// A descriptor of content with this media type, digest, and size in bytes.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        let (annotations, urls) = (BTreeMap::new(), Vec::new());
        Self { media_type: media_type.into(), digest, size, platform: None, annotations, urls }
    }

    /// A descriptor of these bytes, hashed with SHA-256.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::sha256(bytes), bytes.len() as u64)
    }

    /// This descriptor as a layout's entry of a reference: its one annotation is the tag ([`REF_NAME`]), or it has none
    /// where the reference has no tag.
    #[must_use]
    pub fn tagged(mut self, reference: &Reference) -> Self {
        self.annotations =
            reference.tag().map(|tag| (REF_NAME.to_owned(), tag.to_owned())).into_iter().collect();
        self
    }

    /// Fails with [`SizeMismatch`](ErrorKind::SizeMismatch) or
    /// [`DigestMismatch`](ErrorKind::DigestMismatch) unless these bytes are the ones described.
    pub fn verify(&self, bytes: &[u8]) -> Result<()> {
        self.expect_size(bytes.len() as u64)?;
        self.digest.verify(bytes)
    }

    /// Fails with [`SizeMismatch`](ErrorKind::SizeMismatch) unless the content has `found` bytes.
    pub fn expect_size(&self, found: u64) -> Result<()> {
        if found == self.size {
            return Ok(());
        }
        let Self { digest, size, .. } = self;
        Err(Error::new(
            ErrorKind::SizeMismatch,
            format!("{digest} should have {size} bytes, and has {found}"),
        ))
    }
}

/// A document that a reference can lead to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Document {
    /// The manifest of one image.
    Manifest(Manifest),
    /// A list of images for several platforms.
    Index(Index),
}

impl Document {
    /// The document's media type, one of [`media_type`]'s.
    pub fn media_type(&self) -> &str {
        match self {
            Self::Manifest(manifest) => &manifest.media_type,
            Self::Index(index) => &index.media_type,
        }
    }
}

/// An image's manifest: an OCI one, or Docker's schema 2, which has the same shape.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Manifest {
    /// What the document is; one of [`media_type`]'s.
    pub media_type: String,
    /// The image's configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// What the manifest is about, where it is an artifact that refers to another manifest, such as a signature.
    /// A subject that cannot be read is left out: no image needs it.
    pub subject: Option<Descriptor>,
    /// The type of an artifact (`artifactType`).
    pub artifact_type: Option<String>,
    /// Arbitrary notes.
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Whether this is an image that runs somewhere, and whose configuration says where; not an artifact.
    pub fn is_runnable(&self) -> bool {
        let media_type = self.config.media_type.split(';').next().unwrap_or_default().trim();
        RUNNABLE.iter().any(|runnable| runnable.eq_ignore_ascii_case(media_type))
    }

    /// The configuration and the layers, each content once, in this order. One that is listed with two
    /// sizes comes with both, so that the wrong one is found.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let mut seen = HashSet::new();
        std::iter::once(&self.config)
            .chain(&self.layers)
            .filter(move |blob| seen.insert((&blob.digest, blob.size)))
    }
}

/// An index of images: an OCI one, or Docker's manifest list, which has the same shape.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Index {
    /// What the document is; one of [`media_type`]'s.
    pub media_type: String,
    /// The images.
    pub manifests: Vec<Descriptor>,
    /// The entries that cannot be read, such as one whose digest is of an unknown algorithm. They do not spoil the
    /// others, but [`choose`](Self::choose) fails rather than pass over one that fits best.
    pub unreadable: Vec<UnreadableEntry>,
    /// What the index is about, as with a [manifest](Manifest::subject).
    pub subject: Option<Descriptor>,
    /// The type of an artifact (`artifactType`).
    pub artifact_type: Option<String>,
    /// Arbitrary notes.
    pub annotations: BTreeMap<String, String>,
}

/// An entry of an index that cannot be used.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UnreadableEntry {
    /// The platform that it is made for, if that can be read.
    pub platform: Option<Platform>,
    /// Its notes, as far as they can be read.
    pub annotations: BTreeMap<String, String>,
    /// The reason, with the entry's place in the index.
    pub error: Error,
}

impl Index {
    /// An index of these images.
    pub fn new(media_type: impl Into<String>, manifests: Vec<Descriptor>) -> Self {
        let (media_type, annotations) = (media_type.into(), BTreeMap::new());
        Self {
            media_type,
            manifests,
            unreadable: Vec::new(),
            subject: None,
            artifact_type: None,
            annotations,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bytes_that_are_described_are_taken() {
        let descriptor = Descriptor::of("text/plain", b"content");
        assert!(descriptor.verify(b"content").is_ok());
        for (other, kind) in [
            (&b"c0ntent"[..], ErrorKind::DigestMismatch),
            (b"conten", ErrorKind::SizeMismatch),
            (b"content ", ErrorKind::SizeMismatch),
        ] {
            assert_eq!(*descriptor.verify(other).unwrap_err().kind(), kind);
        }
    }

    #[test]
    fn an_artifact_has_a_type_and_a_subject_and_a_bad_subject_harms_nobody() {
        let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
        let parse = |subject: serde_json::Value| {
            let text = serde_json::json!({"schemaVersion": 2, "config": config, "layers": [], "subject": subject,
                "artifactType": "application/vnd.example", "annotations": {"a": "b"}});
            match Document::parse(text.to_string().as_bytes(), None).unwrap() {
                Document::Manifest(manifest) => manifest,
                Document::Index(_) => panic!("it is a manifest"),
            }
        };
        let manifest = parse(serde_json::to_value(&config).unwrap());
        assert_eq!(manifest.subject.as_ref(), Some(&config));
        assert_eq!(manifest.artifact_type.as_deref(), Some("application/vnd.example"));
        assert_eq!(manifest.annotations["a"], "b");
        for bad in
            [serde_json::json!(null), serde_json::json!(7), serde_json::json!({"digest": "md5:0", "size": 1})]
        {
            assert_eq!(parse(bad).subject, None);
        }
    }

    #[test]
    fn an_image_is_told_from_an_artifact_by_its_configuration() {
        for (config, runs) in [
            (media_type::OCI_CONFIG, true),
            (media_type::DOCKER_CONFIG, true),
            ("application/vnd.cncf.helm.config.v1+json", false),
            ("application/vnd.oci.empty.v1+json", false),
            ("application/octet-stream", true),
            ("Application/vnd.OCI.image.config.v1+json; charset=utf-8", true),
            ("", true),
        ] {
            let config = Descriptor::of(config, b"{}");
            let text = serde_json::json!({"schemaVersion": 2, "config": config, "layers": []}).to_string();
            let Document::Manifest(manifest) = Document::parse(text.as_bytes(), None).unwrap() else {
                panic!("it is a manifest")
            };
            assert_eq!(manifest.is_runnable(), runs, "{}", manifest.config.media_type);
        }
    }
}
