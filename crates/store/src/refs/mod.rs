//! References: which image a name leads to. Each name has one small file per platform.

mod admission;
pub(crate) mod arrivals;
mod backrefs;
pub(crate) mod entries;
mod list;
mod lookup;
mod names;
pub(crate) mod pull;
pub(crate) mod record;
mod remove;
mod write;

use std::path::PathBuf;
use std::time::SystemTime;

use hoist_core::{Digest, PulledImage, Reference};

pub(crate) use self::names::Names;
pub(crate) use self::remove::unlink_ref;
#[cfg(doc)]
use crate::store::Store;

/// An image of a store, under the name by which it was requested.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredImage {
    /// The image's layout directory.
    pub path: PathBuf,
    /// The name by which it was requested.
    pub reference: Reference,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The digest that the name resolved to: the manifest's, or that of the index from which the manifest was
    /// chosen.
    pub resolved: Digest,
    /// When the last resolution of the name, or the last check that it [still leads here](Store::confirm),
    /// began. Accurate to the second.
    pub pulled: SystemTime,
}

impl From<StoredImage> for PulledImage {
    fn from(image: StoredImage) -> Self {
        Self { path: image.path, digest: image.digest.to_string(), reference: image.reference.to_string() }
    }
}
