//! Reading OCI image layouts that somebody else may have made, and trusting nothing in them.

use std::fs::File;
use std::path::Path;

use hoist_core::{Descriptor, Digest, Document, Error, ErrorKind, MAX_DOCUMENT, Result};
use serde::{Deserialize, Serialize};

use crate::fs::dir::Dir;
use crate::paths::{pool_file, pool_path};

/// The version of the layout's format
/// ([image-layout](https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md#oci-layout-file)).
pub(crate) const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// An OCI image layout, open for reading. No path below it is followed through a symlink.
#[derive(Debug)]
pub struct Layout {
    dir: Dir,
    immutable: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OneImage<'a> {
    schema_version: u32,
    media_type: &'static str,
    manifests: [&'a Descriptor; 1],
}

impl Layout {
    /// Opens the layout in this directory.
    ///
    /// Fails with [`Malformed`](ErrorKind::Malformed) where there is none, and with
    /// [`Unsupported`](ErrorKind::Unsupported) where its version is unknown.
    pub fn open(path: &Path) -> Result<Self> {
        let dir = Dir::open(path, false)?;
        let path = path.display();
        let none = || {
            Error::new(ErrorKind::Malformed, format!("{path} is not an OCI image layout"))
                .with_help("it should have the files oci-layout and index.json, and a directory blobs")
        };
        let marker = dir.read("oci-layout", MAX_DOCUMENT)?.ok_or_else(none)?;
        let marker: Marker = serde_json::from_slice(&marker).map_err(|e| none().with_source(e))?;
        if !marker.image_layout_version.starts_with("1.") {
            let message = format!("{path} is a layout of version {}", marker.image_layout_version);
            return Err(Error::new(ErrorKind::Unsupported, message).with_help("hoist reads version 1"));
        }
        Ok(Self { dir, immutable: false })
    }

    /// Vouches that nobody writes to the files of this layout any more, by whatever name: then a store that
    /// [adopts](crate::Store::adopt) an image of it links to its files, if it is on the same file system.
    ///
    /// Those become read-only. They are still hashed on the way; but whoever writes to one later damages the
    /// store, and for as long as the layout has them, their space is not freed by what the store deletes.
    #[must_use]
    pub fn immutable(self) -> Self {
        Self { immutable: true, ..self }
    }

    pub(crate) fn is_immutable(&self) -> bool {
        self.immutable
    }

    /// The directory of the blobs of this digest's algorithm.
    pub(crate) fn blobs(&self, digest: &Digest) -> Result<Option<Dir>> {
        self.dir.sub(pool_path(digest.algorithm()))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The entries of `index.json`.
    pub fn entries(&self) -> Result<Vec<Descriptor>> {
        let malformed = |why| Error::new(ErrorKind::Malformed, format!("{}: {why}", self.path().display()));
        let bytes = self.dir.read("index.json", MAX_DOCUMENT)?.ok_or_else(|| malformed("no index.json"))?;
        match Document::parse(&bytes, None) {
            Ok(Document::Index(index)) => Ok(index.manifests),
            Ok(_) => Err(malformed("index.json is not an index")),
            Err(cause) => Err(malformed("index.json cannot be read").with_source(cause)),
        }
    }

    /// The content of a manifest, index or configuration, checked against its descriptor.
    pub fn read(&self, blob: &Descriptor) -> Result<Vec<u8>> {
        let limit = blob.size.min(MAX_DOCUMENT);
        let bytes = self.dir.read(pool_file(&blob.digest), limit)?.ok_or_else(|| self.missing(blob))?;
        blob.verify(&bytes)?;
        Ok(bytes)
    }

    /// A blob's file, of the right size; its bytes are not checked.
    pub fn open_blob(&self, blob: &Descriptor) -> Result<File> {
        let file = self.dir.open_file(pool_file(&blob.digest))?.ok_or_else(|| self.missing(blob))?;
        let size = file.metadata().map_err(|e| crate::fs::dir::fail("read", self.path(), e))?.len();
        blob.expect_size(size)?;
        Ok(file)
    }

    fn missing(&self, blob: &Descriptor) -> Error {
        let path = self.path().display();
        Error::new(ErrorKind::NotFound, format!("{path} names the blob {} and does not have it", blob.digest))
    }
}

/// The `index.json` of a layout with one image.
pub(crate) fn index_of_one(manifest: &Descriptor) -> Vec<u8> {
    let index =
        OneImage { schema_version: 2, media_type: hoist_core::media_type::OCI_INDEX, manifests: [manifest] };
    serde_json::to_vec(&index).expect("an index has nothing that JSON cannot hold")
}
