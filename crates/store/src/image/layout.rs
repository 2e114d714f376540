//! Reading OCI image layouts from any source, without trusting their content.

use std::fmt::Display;
use std::fs::File;
use std::path::Path;

use hoist_core::{Descriptor, Digest, Document, Error, ErrorKind, Index, MAX_DOCUMENT, Manifest, Result};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::fs::dir::Dir;
use crate::paths::{pool_file, pool_path};

/// The content of `oci-layout`, with the version of the layout format
/// ([image-layout](https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md#oci-layout-file)).
pub(crate) const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// An OCI image layout, open for reading. It follows no symlinks below its directory.
#[derive(Debug)]
pub struct Layout {
    dir: Dir,
    immutable: bool,
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
    /// Fails with [`Malformed`](ErrorKind::Malformed) if the directory is not a layout, and with
    /// [`Unsupported`](ErrorKind::Unsupported) if the layout's version is unknown.
    pub fn open(path: &Path) -> Result<Self> {
        let dir = Dir::open(path, false)?;
        let path = path.display();
        let marker = dir.read("oci-layout", MAX_DOCUMENT)?.ok_or_else(|| no_layout(&path))?;
        Self::check_version(&marker, path)?;
        Ok(Self { dir, immutable: false })
    }

    /// Checks the content of an `oci-layout` file; `place` is the name of its directory or archive.
    ///
    /// Fails as [`open`](Self::open) does.
    pub fn check_version(oci_layout: &[u8], place: impl Display) -> Result<()> {
        let marker: Map<String, Value> =
            serde_json::from_slice(oci_layout).map_err(|cause| no_layout(&place).with_source(cause))?;
        let version = marker.get("imageLayoutVersion").and_then(Value::as_str);
        let version = version.ok_or_else(|| no_layout(&place))?;
        if version.starts_with("1.") {
            return Ok(());
        }
        let message = format!("{place} is a layout of version {version}");
        Err(Error::new(ErrorKind::Unsupported, message).with_help("hoist reads version 1"))
    }

    /// Declares that no process writes to the files of this layout any more, under any name. A store on the
    /// same file system that [adopts](crate::Store::adopt) an image of this layout then hard-links its files
    /// instead of copying them.
    ///
    /// The linked files become read-only. The store still hashes them when it adopts them. A later write to one
    /// of them damages the store, and while the layout keeps them, deleting them from the store frees no space.
    #[must_use]
    pub fn immutable(self) -> Self {
        Self { immutable: true, ..self }
    }

    pub(crate) fn is_immutable(&self) -> bool {
        self.immutable
    }

    /// The directory for blobs of this digest's algorithm.
    pub(crate) fn blobs(&self, digest: &Digest) -> Result<Option<Dir>> {
        self.dir.sub(pool_path(digest.algorithm()))
    }

    /// The layout's directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The entries of `index.json` that can be read. The others are logged.
    pub fn entries(&self) -> Result<Vec<Descriptor>> {
        self.index().map(|index| index.manifests)
    }

    /// The whole `index.json`. Entries that cannot be read are logged.
    pub fn index(&self) -> Result<Index> {
        let malformed = |why| Error::new(ErrorKind::Malformed, format!("{}: {why}", self.path().display()));
        let bytes = self.dir.read("index.json", MAX_DOCUMENT)?.ok_or_else(|| malformed("no index.json"))?;
        match Document::parse(&bytes, None) {
            Ok(Document::Index(index)) => {
                for entry in &index.unreadable {
                    let (path, error) = (self.path().display(), entry.error.report());
                    tracing::warn!(%path, error, "passing over an entry of a layout's index");
                }
                Ok(index)
            }
            Ok(_) => Err(malformed("index.json is not an index")),
            Err(cause) => Err(malformed("index.json cannot be read").with_source(cause)),
        }
    }

    /// The one image of an image's layout in a store: its entry and its manifest.
    ///
    /// Fails with [`Malformed`](ErrorKind::Malformed) if the first entry is missing or is not a manifest's, and as
    /// [`read`](Self::read) does.
    pub fn image(&self) -> Result<(Descriptor, Manifest)> {
        let malformed = || {
            let message = format!("{} is not a layout of one image", self.path().display());
            Error::new(ErrorKind::Malformed, message).with_help("pull it again with --force")
        };
        let entry = self.entries()?.into_iter().next().ok_or_else(malformed)?;
        match Document::parse(&self.read(&entry)?, Some(&entry.media_type))? {
            Document::Manifest(manifest) => Ok((entry, manifest)),
            _ => Err(malformed()),
        }
    }

    /// Reads a manifest, index or configuration, and checks it against its descriptor.
    pub fn read(&self, blob: &Descriptor) -> Result<Vec<u8>> {
        let limit = blob.size.min(MAX_DOCUMENT);
        let bytes = self.dir.read(pool_file(&blob.digest), limit)?.ok_or_else(|| self.missing(blob))?;
        blob.verify(&bytes)?;
        Ok(bytes)
    }

    /// Reads a manifest or an index, and checks its digest. Its size is not checked, since some tools write a wrong one:
    /// it is returned in the descriptor.
    pub fn read_document(&self, entry: &Descriptor) -> Result<(Descriptor, Vec<u8>)> {
        let bytes = self.dir.read(pool_file(&entry.digest), MAX_DOCUMENT)?;
        let bytes = bytes.ok_or_else(|| self.missing(entry))?;
        entry.digest.verify(&bytes)?;
        let mut entry = entry.clone();
        entry.size = bytes.len() as u64;
        Ok((entry, bytes))
    }

    /// Opens a blob's file and checks its size, but not its content.
    pub fn open_blob(&self, blob: &Descriptor) -> Result<File> {
        let file = self.dir.open_file(pool_file(&blob.digest))?.ok_or_else(|| self.missing(blob))?;
        let size = file.metadata().map_err(|e| crate::fs::dir::fail("read", self.path(), e))?.len();
        blob.expect_size(size)?;
        Ok(file)
    }

    fn missing(&self, blob: &Descriptor) -> Error {
        let path = self.path().display();
        Error::new(
            ErrorKind::NotFound,
            format!("{path} names the blob {}, but does not contain it", blob.digest),
        )
    }
}

fn no_layout(place: &dyn Display) -> Error {
    Error::new(ErrorKind::Malformed, format!("{place} is not an OCI image layout"))
        .with_help("a layout has the files oci-layout and index.json, and a directory blobs")
}

/// The `index.json` of a layout with one image.
pub(crate) fn index_of_one(manifest: &Descriptor) -> Vec<u8> {
    let index =
        OneImage { schema_version: 2, media_type: hoist_core::media_type::OCI_INDEX, manifests: [manifest] };
    serde_json::to_vec(&index).expect("an index has nothing that JSON cannot hold")
}
