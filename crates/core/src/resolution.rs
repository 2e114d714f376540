//! What a registry says that a reference is, without the image being pulled.

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
    /// What was asked for, fully qualified.
    pub reference: Reference,
    /// The digest of the document that it leads to: an index, or the manifest of one image.
    pub digest: Digest,
    /// What that document is; one of [`media_type`](crate::media_type)'s.
    pub media_type: String,
    /// How large that document is, in bytes.
    pub size: u64,
    /// The images: those of the index, or the one.
    pub images: Vec<ImageEntry>,
}

/// An image that a reference leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ImageEntry {
    /// The platform that it is made for. `None`: it does not say, as an artifact does not, or an index within the
    /// index.
    #[serde(serialize_with = "as_text")]
    pub platform: Option<Platform>,
    /// The digest of its manifest.
    pub digest: Digest,
    /// What its manifest is.
    pub media_type: String,
    /// How large its manifest is, in bytes.
    pub size: u64,
    /// How large its configuration and its layers are together, as stored, in bytes. `None`: its manifest was not
    /// read, since it is not that of the platform that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_size: Option<u64>,
}

impl Resolution {
    /// What a registry has said: that this reference leads to this document, and that to these images.
    pub fn new(reference: Reference, document: &Descriptor, images: Vec<ImageEntry>) -> Self {
        let Descriptor { digest, media_type, size, .. } = document.clone();
        Self { reference, digest, media_type, size, images }
    }
}

impl ImageEntry {
    /// The image whose manifest is this; its content's size is not known.
    pub fn new(manifest: &Descriptor) -> Self {
        let Descriptor { platform, digest, media_type, size, .. } = manifest.clone();
        Self { platform, digest, media_type, size, content_size: None }
    }
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn as_text<S: Serializer>(platform: &Option<Platform>, serializer: S) -> Result<S::Ok, S::Error> {
    platform.as_ref().map(ToString::to_string).serialize(serializer)
}
