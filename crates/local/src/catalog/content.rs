//! The content that images are chosen from: a directory with a layout, or an archive with one.

use std::fmt::Display;

use hoist_core::{Descriptor, Result};
use hoist_store::Layout;

/// A layout's documents and blobs, by their descriptors.
pub(crate) trait Content {
    /// The name that messages have for it.
    fn place(&self) -> impl Display;

    /// Reads a document, and checks it against its descriptor.
    ///
    /// Fails with [`NotFound`](hoist_core::ErrorKind::NotFound) where the content is not here.
    fn read(&self, document: &Descriptor) -> Result<Vec<u8>>;

    /// Reads a manifest or an index by its digest alone, and returns it with its size: some tools write a wrong one.
    ///
    /// Fails as [`read`](Self::read) does.
    fn read_document(&self, entry: &Descriptor) -> Result<(Descriptor, Vec<u8>)>;

    /// Fails with [`NotFound`](hoist_core::ErrorKind::NotFound) or
    /// [`SizeMismatch`](hoist_core::ErrorKind::SizeMismatch) unless a blob is here in its size.
    fn check(&self, blob: &Descriptor) -> Result<()>;
}

impl Content for Layout {
    fn place(&self) -> impl Display {
        self.path().display()
    }

    fn read(&self, document: &Descriptor) -> Result<Vec<u8>> {
        Self::read(self, document)
    }

    fn read_document(&self, entry: &Descriptor) -> Result<(Descriptor, Vec<u8>)> {
        Self::read_document(self, entry)
    }

    fn check(&self, blob: &Descriptor) -> Result<()> {
        self.open_blob(blob).map(drop)
    }
}
