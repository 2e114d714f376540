//! Checking a whole store: every byte hashed again, every name followed; and its repair.
//!
//! Whatever a crash can leave is no finding: what is in staging, an ingest that broke off, a marker without its
//! ref. The collector takes that. What is found here should never be, and comes of a failing disk, of other
//! programs, or of `durability = "none"`.

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[must_use]
pub struct FsckOptions {
    /// Whether what is damaged is taken away, so that the next pull fetches it again.
    pub repair: bool,
}

impl FsckOptions {
    /// Takes away what is damaged, so that the next pull fetches it again: blobs go into quarantine, and images
    /// that cannot be whole lose their names.
    pub fn with_repair(self, repair: bool) -> Self {
        Self { repair }
    }
}

/// What a check of a store came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Checked {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// How many blobs were hashed.
    pub blobs: u64,
    /// How many bytes those had.
    pub bytes: u64,
    /// How many images were looked at.
    pub images: u64,
    /// How many refs were followed.
    pub refs: u64,
}

impl Store {
    /// Checks the whole store: hashes every blob, looks at every image and follows every ref.
    ///
    /// Others may use the store meanwhile, also while it is repaired. Memory is bounded, but for what is found.
    /// Fails where the store cannot be read; a blob that the disk does not give back is a finding.
    ///
    /// Waits for the disk, for long: not to be called from asynchronous code.
    pub fn fsck(&self, options: FsckOptions) -> Result<Checked> {
        let mut check = Check {
            store: self,
            repair: options.repair,
            damaged: HashSet::new(),
            checked: Checked::default(),
        };
        // Images are looked at when it is known which blobs are damaged, and refs when it is known which
        // images are.
        for algorithm in Algorithm::ALL {
            check.pool(algorithm)?;
        }
        for algorithm in Algorithm::ALL {
            check.images(algorithm)?;
        }
        check.refs()?;
        check.places()?;
        Ok(check.checked)
    }
}

/// A check on its way.
struct Check<'a> {
    store: &'a Store,
    repair: bool,
    /// The pool's blobs that are not what they should be.
    damaged: HashSet<Digest>,
    checked: Checked,
}
