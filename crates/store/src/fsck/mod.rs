//! Checks a whole store, and repairs it: hashes every byte again, and follows every name.
//!
//! Leftovers of crashes are not faults: files in staging, interrupted ingests, markers without a ref. The
//! collector deletes those. A finding should never occur. It comes from a failing disk, from other programs, or
//! from `durability = "none"`.

mod derived;
mod finding;
mod images;
mod places;
mod pool;
mod refs;

use std::collections::HashSet;

use hoist_core::{Algorithm, Digest, Result};
use serde::Serialize;

pub use self::finding::{Finding, Problem};
use crate::store::Store;

/// How a store is checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
#[must_use]
pub struct FsckOptions {
    /// Whether to remove damaged content, so that the next pull fetches it again.
    pub repair: bool,
}

impl FsckOptions {
    /// Removes damaged content, so that the next pull fetches it again: damaged blobs go into quarantine, and
    /// images that cannot be completed lose their names.
    pub fn with_repair(self, repair: bool) -> Self {
        Self { repair }
    }
}

/// The result of a check of a store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Checked {
    /// The faults.
    pub findings: Vec<Finding>,
    /// The number of hashed blobs.
    pub blobs: u64,
    /// The total size of those, in bytes.
    pub bytes: u64,
    /// The number of checked images.
    pub images: u64,
    /// The number of checked refs.
    pub refs: u64,
}

impl Store {
    /// Checks the whole store: hashes every blob, examines every image and follows every ref.
    ///
    /// Other processes may use the store during the check, and during a repair. Memory use is bounded, except
    /// for the findings. Fails if the store cannot be read. A blob that the disk cannot return is a finding.
    ///
    /// Blocks on the disk for a long time; do not call it from asynchronous code.
    pub fn fsck(&self, options: &FsckOptions) -> Result<Checked> {
        let FsckOptions { repair } = *options;
        let (damaged, checked) = (HashSet::new(), Checked::default());
        let mut check = Check { store: self, repair, damaged, checked };
        // Images are checked after the blobs, when it is known which blobs are damaged; refs are checked after
        // the images.
        for &algorithm in Algorithm::ALL {
            check.pool(algorithm)?;
        }
        for &algorithm in Algorithm::ALL {
            check.images(algorithm)?;
        }
        check.derived()?;
        check.refs()?;
        check.places()?;
        Ok(check.checked)
    }
}

/// A running check.
struct Check<'a> {
    store: &'a Store,
    repair: bool,
    /// The damaged blobs of the pool.
    damaged: HashSet<Digest>,
    checked: Checked,
}
