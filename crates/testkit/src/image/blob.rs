//! Content with its type and digest: what manifests, configurations and layers all are.

use bytes::Bytes;
use hoist_core::Digest;
use oci_spec::image::{Descriptor, MediaType};

/// Content that has a digest: a manifest, an index, a configuration or a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// What it is.
    pub media_type: String,
    /// What it hashes to.
    pub digest: Digest,
    /// The content.
    pub bytes: Bytes,
}

impl Blob {
    /// Hashes this content with SHA-256.
    pub fn new(media_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { media_type: media_type.into(), digest: Digest::sha256(&bytes), bytes }
    }

    /// The descriptor of this content.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(
            MediaType::from(self.media_type.as_str()),
            self.bytes.len() as u64,
            foreign(&self.digest),
        )
    }
}

/// The same bytes but for one bit in their middle.
pub fn flip_a_bit(bytes: &[u8]) -> Bytes {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 1);
    bytes.into()
}

/// The same digest, as the library that writes the documents has it.
fn foreign(digest: &Digest) -> oci_spec::image::Digest {
    digest.to_string().parse().expect("a digest of ours is one to others")
}
