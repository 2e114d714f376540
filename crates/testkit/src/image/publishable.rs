//! What a tag can point at: an image, or an index of them.

use hoist_core::Digest;

use super::{Blob, Image, ImageIndex};

/// What a tag can point at. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Publishable {
    /// The image of one platform.
    Image(Image),
    /// The images of several platforms.
    Index(ImageIndex),
}

impl Publishable {
    /// The document that the tag points at.
    pub fn document(&self) -> &Blob {
        match self {
            Self::Image(image) => image.manifest(),
            Self::Index(index) => index.document(),
        }
    }

    /// The digest of that document.
    pub fn digest(&self) -> &Digest {
        &self.document().digest
    }

    /// The images: one, or those of the index.
    pub fn images(&self) -> &[Image] {
        match self {
            Self::Image(image) => std::slice::from_ref(image),
            Self::Index(index) => index.images(),
        }
    }

    /// All manifests and, at the end, the index if there is one: in the order that a registry takes them.
    pub fn documents(&self) -> Vec<&Blob> {
        let manifests = self.images().iter().map(Image::manifest);
        match self {
            Self::Image(_) => manifests.collect(),
            Self::Index(index) => manifests.chain([index.document()]).collect(),
        }
    }

    /// All configurations and layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        self.images().iter().flat_map(Image::blobs)
    }

    /// The manifest, index, configuration or layer with this digest.
    pub fn find(&self, digest: &Digest) -> Option<&Blob> {
        self.documents().into_iter().chain(self.blobs()).find(|blob| blob.digest == *digest)
    }
}

impl From<Image> for Publishable {
    fn from(image: Image) -> Self {
        Self::Image(image)
    }
}

impl From<&Image> for Publishable {
    fn from(image: &Image) -> Self {
        Self::Image(image.clone())
    }
}

impl From<ImageIndex> for Publishable {
    fn from(index: ImageIndex) -> Self {
        Self::Index(index)
    }
}

impl From<&ImageIndex> for Publishable {
    fn from(index: &ImageIndex) -> Self {
        Self::Index(index.clone())
    }
}

impl From<&Self> for Publishable {
    fn from(same: &Self) -> Self {
        same.clone()
    }
}
