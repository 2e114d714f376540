//! The registry's current answer for a reference, without a pull.

use serde::{Serialize, Serializer};

use crate::digest::Digest;
use crate::document::Descriptor;
use crate::platform::Platform;
use crate::reference::Reference;

/// What a reference leads to at its registry now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Resolution {
    /// The requested reference, fully qualified.
    pub reference: Reference,
    /// The digest of the document that it leads to: an index, or the manifest of one image.
    pub digest: Digest,
    /// The type of that document, from [`media_type`](crate::media_type).
    pub media_type: String,
    /// The size of that document, in bytes.
    pub size: u64,
    /// The images: those of the index, or the single one.
    pub images: Vec<ImageEntry>,
}

/// An image that a reference leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ImageEntry {
    /// The platform that the image is made for. `None`: it is not specified, as for an artifact or a nested
    /// index.
    #[serde(serialize_with = "as_text")]
    pub platform: Option<Platform>,
    /// The digest of the image's manifest.
    pub digest: Digest,
    /// The type of the image's manifest.
    pub media_type: String,
    /// The size of the image's manifest, in bytes.
    pub size: u64,
    /// The total size of the configuration and the layers, as stored (compressed), in bytes. `None`: the
    /// manifest was not read, because it is not that of the requested platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_size: Option<u64>,
}

impl Resolution {
    /// An answer of a registry: the document that this reference leads to, and its images.
    pub fn new(reference: Reference, document: &Descriptor, images: Vec<ImageEntry>) -> Self {
        let Descriptor { digest, media_type, size, .. } = document.clone();
        Self { reference, digest, media_type, size, images }
    }
}

impl ImageEntry {
    /// The image with this manifest; the size of its content is unknown.
    pub fn new(manifest: &Descriptor) -> Self {
        let Descriptor { platform, digest, media_type, size, .. } = manifest.clone();
        Self { platform, digest, media_type, size, content_size: None }
    }
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn as_text<S: Serializer>(platform: &Option<Platform>, serializer: S) -> Result<S::Ok, S::Error> {
    platform.as_ref().map(ToString::to_string).serialize(serializer)
}
