//! References: which image a name leads to, for each platform, in one small file each.

mod admission;
mod backrefs;
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

/// An image of a store, under the name that it was asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredImage {
    /// The image's layout directory.
    pub path: PathBuf,
    /// The name that it was asked for by.
    pub reference: Reference,
    /// The digest of its manifest.
    pub digest: Digest,
    /// What the name was resolved to: the manifest, or the index that it was chosen from.
    pub resolved: Digest,
    /// When it was begun to be resolved, or last asked whether it is [still so](Store::confirm): to the second.
    pub pulled: SystemTime,
}

impl From<StoredImage> for PulledImage {
    fn from(image: StoredImage) -> Self {
        Self { path: image.path, digest: image.digest.to_string(), reference: image.reference.to_string() }
    }
}
