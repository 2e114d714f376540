//! Archives: an OCI image layout in a tar file, as `skopeo copy ... oci-archive:` and `docker save` write it.
//!
//! Nothing is unpacked. The archive is walked through once, and its blobs are then read from where they are in it,
//! verified like any others. Links within the archive, sparse files, and files that are in it twice are read as tar
//! extracts them. An archive with a device, or with a name or a link that leads out of it, is refused as a whole, and
//! so is one with two different indexes: it was meant for another reader (CVE-2025-62518, RUSTSEC-2026-0067).

mod blocks;
mod contents;
mod docker;
mod load;
mod members;
mod sparse;
mod walk;

use std::fs::File;
use std::io::{self, Seek};
use std::os::unix::fs::FileExt;
use std::path::Path;

use hoist_core::{Error, ErrorKind, Result};

use crate::catalog::Naming;
use contents::Contents;

/// The first bytes of compressed files, the compression, and the tool that decompresses them.
const COMPRESSIONS: [(&[u8], &str, &str); 4] = [
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    (b"\xfd7zXZ\0", "xz", "unxz"),
    (b"BZh", "bzip2", "bunzip2"),
];

/// An archive, open for reading. It must not be changed meanwhile: what was changed is found out by its digest.
///
/// Images have the names that the archive gives them. A bare tag in it is one of the repository that is called as the
/// file is, without endings such as `.tar`: `v1` in `app-1.2.tar` is `docker.io/library/app-1.2:v1`. An image without a
/// name is called by its digest in that repository. The `+` of a tag, as in a version, becomes `_`.
/// [`with_name`](Self::with_name) gives other names.
#[derive(Debug, Clone)]
pub struct Archive {
    contents: Contents,
    naming: Naming,
}

impl Archive {
    /// Walks through an archive.
    ///
    /// Fails with [`Malformed`](ErrorKind::Malformed) where it is no archive, is damaged, or has a member that leads
    /// out of it; with [`Unsupported`](ErrorKind::Unsupported) where it is none of an OCI layout, or is compressed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|cause| cannot_read(path, cause))?;
        Self::of_file(file, path)
    }

    /// Walks through one that is open already, such as a temporary file that a pipe was read into; `path` is what it is
    /// called.
    ///
    /// Fails as [`open`](Self::open) does.
    pub fn of_file(mut file: File, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |cause| cannot_read(path, cause);
        if !file.metadata().map_err(failed)?.is_file() {
            let message = format!("{} is not a regular file", path.display());
            return Err(Error::new(ErrorKind::Malformed, message));
        }
        file.rewind().map_err(failed)?;
        if let Some((compression, tool)) = compression(&file).map_err(failed)? {
            let message = format!("{} is compressed with {compression}", path.display());
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_help(format!("decompress it first, with `{tool}`")));
        }
        Ok(Self { contents: Contents::of(file, path)?, naming: Naming::of_archive(path) })
    }

    /// Names the images: `REPOSITORY[:TAG]`.
    ///
    /// Without a tag, bare tags in the archive belong to this repository, and an image without a name is its `latest`.
    /// With a tag, that is the name of the archive's image, whatever the archive calls it; then an archive with several
    /// images for the platform is not loaded.
    ///
    /// Fails with [`InvalidReference`](ErrorKind::InvalidReference).
    pub fn with_name(self, name: &str) -> Result<Self> {
        Ok(Self { naming: Naming::of_name(name)?, ..self })
    }
}

fn cannot_read(path: &Path, cause: io::Error) -> Error {
    Error::new(ErrorKind::Storage, format!("cannot read {}", path.display())).with_source(cause)
}

/// What a file is compressed with, and what decompresses it; told by how it begins.
fn compression(file: &File) -> io::Result<Option<(&'static str, &'static str)>> {
    let mut beginning = [0; 6];
    let length = file.read_at(&mut beginning, 0)?;
    let is_of = |(magic, _, _): &&(&[u8], _, _)| beginning[..length].starts_with(magic);
    Ok(COMPRESSIONS.iter().find(is_of).map(|(_, compression, tool)| (*compression, *tool)))
}
