//! The JSON documents that describe an image: manifests, indexes, and the descriptors in them.
//!
//! They are only read, and never serialized again: a document with a digest is kept as the bytes that were
//! hashed.

mod choose;
mod parse;

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::platform::Platform;

pub use choose::config_platform;

/// The maximum size of a manifest or index, in bytes.
pub const MAX_DOCUMENT: u64 = 4 << 20; // registries must accept this size (distribution spec, "Pushing Manifests")

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
    /// All manifests and indexes: the types for the `Accept` header.
    pub const ACCEPTED: [&str; 4] = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST];
}

/// Identifies a piece of content by its type, digest and size
/// ([descriptor](https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type of the content.
    pub media_type: String,
    /// The digest of the content.
    pub digest: Digest,
    /// The size of the content, in bytes.
    pub size: u64,
    /// The platform that the image is made for; only in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Arbitrary notes. One of them may hold the reference's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Other URLs of the content, for layers that a registry may not distribute. They come from the author of
    /// the manifest, so do not trust them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
}

impl Descriptor {
    /// A descriptor of these bytes, with their SHA-256 digest.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::sha256(bytes),
            size: bytes.len() as u64,
            platform: None,
            annotations: BTreeMap::new(),
            urls: Vec::new(),
        }
    }

    /// Fails with [`SizeMismatch`](ErrorKind::SizeMismatch) or [`DigestMismatch`](ErrorKind::DigestMismatch)
    /// unless these are the described bytes.
    pub fn verify(&self, bytes: &[u8]) -> Result<()> {
        self.expect_size(bytes.len() as u64)?;
        self.digest.verify(bytes)
    }

    /// Fails with [`SizeMismatch`](ErrorKind::SizeMismatch) unless `found` is the described size, in bytes.
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
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Document {
    /// The manifest of one image.
    Manifest(Manifest),
    /// A list of images for several platforms.
    Index(Index),
}

/// An image's manifest: an OCI manifest, or Docker's schema 2, which has the same shape.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The document's type, from [`media_type`].
    pub media_type: String,
    /// The image's configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
}

impl Manifest {
    /// Whether this is an image that can run, and whose configuration names its platform, rather than an
    /// artifact.
    pub fn is_runnable(&self) -> bool {
        matches!(&*self.config.media_type, media_type::OCI_CONFIG | media_type::DOCKER_CONFIG)
    }

    /// The configuration and then the layers, without duplicates. Content that is listed with two sizes comes
    /// with both, so that verification finds the wrong one.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let mut seen = HashSet::new();
        std::iter::once(&self.config)
            .chain(&self.layers)
            .filter(move |blob| seen.insert((&blob.digest, blob.size)))
    }
}

/// An index of images: an OCI index, or Docker's manifest list, which has the same shape.
#[derive(Debug, Clone)]
pub struct Index {
    /// The document's type, from [`media_type`].
    pub media_type: String,
    /// The images. Entries whose digest has an unknown algorithm are left out.
    pub manifests: Vec<Descriptor>,
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
    fn an_image_is_told_from_an_artifact_by_its_configuration() {
        for (config, runs) in [
            (media_type::OCI_CONFIG, true),
            (media_type::DOCKER_CONFIG, true),
            ("application/vnd.cncf.helm.config.v1+json", false),
        ] {
            let config = Descriptor::of(config, b"{}");
            let manifest =
                Manifest { media_type: media_type::OCI_MANIFEST.to_owned(), config, layers: Vec::new() };
            assert_eq!(manifest.is_runnable(), runs, "{}", manifest.config.media_type);
        }
    }
}
