//! Layers made in memory: real tar archives, plain or compressed.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hoist_core::Digest;

use super::{Blob, Format};
use crate::random::random_bytes;

/// One layer of an image: its bytes as they are stored, and the digest of its archive.
#[derive(Debug, Clone)]
pub struct Layer {
    bytes: Bytes,
    diff_id: Digest,
    is_gzipped: bool,
}

impl Layer {
    /// An archive of these files, each a path and its content.
    pub fn files(files: &[(&str, &[u8])]) -> Self {
        Self::raw(archive(files))
    }

    /// An archive of one file of `len` bytes that cannot be compressed. Other seeds make other layers.
    pub fn random(len: usize, seed: u64) -> Self {
        Self::files(&[(&format!("random/{seed}"), &random_bytes(len, seed))])
    }

    /// An archive without a single file.
    pub fn empty() -> Self {
        Self::files(&[])
    }

    /// These bytes as they are, archive or not.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { diff_id: Digest::sha256(&bytes), bytes, is_gzipped: false }
    }

    /// The same layer, compressed with gzip.
    #[must_use]
    pub fn gzipped(self) -> Self {
        Self { bytes: gzip(&self.bytes), diff_id: self.diff_id, is_gzipped: true }
    }

    /// The digest of the archive before it was compressed, as the configuration lists it in `diff_ids`.
    pub fn diff_id(&self) -> &Digest {
        &self.diff_id
    }

    /// The layer as it is stored.
    pub fn blob(&self, format: Format) -> Blob {
        Blob::new(format.layer(self.is_gzipped), self.bytes.clone())
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all").into()
}

/// A tar archive that depends on nothing but these files.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, *content).expect("memory takes all");
    }
    builder.into_inner().expect("memory takes all")
}
