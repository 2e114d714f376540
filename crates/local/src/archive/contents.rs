//! The layout in an archive, as a directory with it would be read.

use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hoist_core::{Descriptor, Digest, Document, Error, ErrorKind, Index, MAX_DOCUMENT, Result};
use hoist_store::Layout;

use super::members::{Members, unreadable};
use crate::catalog::Content;

const MARKER: &str = "oci-layout";
const INDEX: &str = "index.json";
/// The list of images in what `docker save` writes, beside a layout or without one.
const DOCKER_LIST: &str = "manifest.json";

/// An archive's file, and what is in it.
#[derive(Debug, Clone)]
pub(super) struct Contents {
    pub(super) path: PathBuf,
    file: Arc<File>,
    pub(super) members: Arc<Members>,
}

impl Contents {
    /// Fails with [`Malformed`](ErrorKind::Malformed) where the file is no archive, or a damaged one; with
    /// [`Unsupported`](ErrorKind::Unsupported) where it has no layout of a version that hoist reads.
    pub(super) fn of(file: File, path: &Path) -> Result<Self> {
        let refused = |error: Error| error.context(format!("{} is refused", path.display()));
        let members = Arc::new(Members::of(&file).map_err(refused)?);
        let contents = Self { path: path.to_owned(), file: Arc::new(file), members };
        contents.check_format()?;
        contents.members.check().map_err(refused)?;
        Layout::check_version(&contents.read_file(MARKER)?, path.display())?;
        Ok(contents)
    }

    fn check_format(&self) -> Result<()> {
        let (members, path) = (&self.members, self.path.display());
        if members.has(MARKER) && members.has(INDEX) {
            return Ok(());
        }
        if !members.is_ended && !members.has(DOCKER_LIST) {
            let message = format!("{path} is refused: it is cut off");
            return Err(
                Error::new(ErrorKind::Malformed, message).with_help("copy or download it again, as a whole")
            );
        }
        let unsupported = |message: String| Error::new(ErrorKind::Unsupported, message);
        if members.has(DOCKER_LIST) {
            let error = unsupported(format!("{path} is a docker-archive, without an OCI image layout"));
            return Err(error.with_help(
                "write it anew: with docker 25 or later, with podman save --format oci-archive, or with skopeo as \
                 oci-archive",
            ));
        }
        let error = unsupported(format!("{path} is not an archive of an OCI image layout"));
        let inner = members.files().find_map(|(name, _)| name.strip_suffix("/oci-layout"));
        Err(match inner {
            Some(inner) => error.with_help(format!(
                "its layout is in the directory {inner:?}: write it anew with `tar -C {inner} -cf ARCHIVE .`"
            )),
            None => error.with_help("write it anew with docker 25 or later, or with skopeo as oci-archive"),
        })
    }

    /// The `index.json`.
    pub(super) fn index(&self) -> Result<Index> {
        match Document::parse(&self.read_file(INDEX)?, None)? {
            Document::Index(index) => Ok(index),
            _ => Err(Error::new(ErrorKind::Malformed, "its index.json is not an index")),
        }
    }

    /// Docker's list of images, if there is one.
    pub(super) fn docker_list(&self) -> Result<Option<Vec<u8>>> {
        self.members.has(DOCKER_LIST).then(|| self.read_file(DOCKER_LIST)).transpose()
    }

    /// A document, as it is.
    pub(super) fn read_file(&self, name: &str) -> Result<Vec<u8>> {
        let content = self.members.find(name).ok_or_else(|| self.missing(name))?;
        if content.size > MAX_DOCUMENT {
            let message = format!("{name} has more than {MAX_DOCUMENT} bytes");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        content.read(&self.file, 0, content.size).map_err(unreadable)
    }

    /// Reads bytes from the middle of a blob.
    pub(super) fn read_at(&self, blob: &Digest, offset: u64, length: u64) -> Result<Vec<u8>> {
        let name = blob_name(blob);
        let content = self.members.find(&name).ok_or_else(|| self.missing(&name))?;
        content.read(&self.file, offset, length).map_err(unreadable)
    }

    fn missing(&self, name: &str) -> Error {
        let kind = if self.members.is_ended { ErrorKind::NotFound } else { ErrorKind::Malformed };
        let cut_off = if self.members.is_ended { "" } else { ": it may be cut off" };
        Error::new(kind, format!("the archive names {name} and does not have it{cut_off}"))
    }
}

impl Content for Contents {
    fn place(&self) -> impl Display {
        self.path.display()
    }

    fn read(&self, document: &Descriptor) -> Result<Vec<u8>> {
        let bytes = self.read_file(&blob_name(&document.digest))?;
        document.verify(&bytes)?;
        Ok(bytes)
    }

    fn read_document(&self, entry: &Descriptor) -> Result<(Descriptor, Vec<u8>)> {
        let bytes = self.read_file(&blob_name(&entry.digest))?;
        entry.digest.verify(&bytes)?;
        let mut entry = entry.clone();
        entry.size = bytes.len() as u64;
        Ok((entry, bytes))
    }

    fn check(&self, blob: &Descriptor) -> Result<()> {
        let name = blob_name(&blob.digest);
        blob.expect_size(self.members.find(&name).ok_or_else(|| self.missing(&name))?.size)
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}
