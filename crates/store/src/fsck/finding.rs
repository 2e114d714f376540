//! Findings: what is wrong with a store, and where.

use std::fmt;
use std::path::PathBuf;

use hoist_core::{Digest, Reference};
use serde::Serialize;

/// A fault in a store. `Display` says in one line what is wrong, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The path, relative to the store's root.
    pub path: PathBuf,
    /// The kind of fault.
    pub problem: Problem,
    /// The references that are unavailable until the store is repaired and they are pulled again.
    pub references: Vec<Reference>,
    /// Whether it was repaired.
    pub repaired: bool,
}

/// The kinds of faults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
#[non_exhaustive]
pub enum Problem {
    /// A blob's content does not match its digest, or the disk cannot return it.
    DamagedBlob,
    /// An image lacks a blob.
    LacksBlob {
        /// The missing blob.
        blob: Digest,
    },
    /// A blob of an image is damaged.
    HasDamagedBlob {
        /// The damaged blob.
        blob: Digest,
    },
    /// An image's `oci-layout` or `index.json` is damaged.
    DamagedLayout,
    /// A ref cannot be read, or belongs elsewhere.
    DamagedRef,
    /// A ref leads to an image that is missing.
    DanglingRef {
        /// The missing image.
        image: Digest,
    },
    /// The image or index that a ref leads to has no marker for the ref, so that it could be collected.
    UnmarkedRef {
        /// The image or index.
        digest: Digest,
    },
    /// Content whose image is gone.
    Orphan,
    /// Something that the store did not create.
    Stray,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; ", self.path.display(), self.problem)?;
        f.write_str(if self.repaired { self.problem.repair() } else { "repair the store" })?;
        match &self.references[..] {
            [] => Ok(()),
            references => {
                f.write_str(if self.repaired { ", pull again:" } else { ", and pull again:" })?;
                references.iter().try_for_each(|reference| write!(f, " {reference}"))
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DamagedBlob => f.write_str("its content is not what its digest says"),
            Self::LacksBlob { blob } => write!(f, "the image lacks its blob {blob}"),
            Self::HasDamagedBlob { blob } => write!(f, "the image's blob {blob} is damaged"),
            Self::DamagedLayout => f.write_str("the image's layout is damaged"),
            Self::DamagedRef => f.write_str("this name cannot be read"),
            Self::DanglingRef { image } => write!(f, "this name leads to {image}, which is not here"),
            Self::UnmarkedRef { digest } => write!(f, "{digest} has no record of this name"),
            Self::Orphan => f.write_str("the image that this was made from is gone"),
            Self::Stray => f.write_str("this is no part of a store"),
        }
    }
}

impl Problem {
    /// What was done about it.
    fn repair(&self) -> &'static str {
        match self {
            Self::DamagedBlob | Self::Stray => "it is in quarantine now",
            Self::LacksBlob { .. } | Self::HasDamagedBlob { .. } | Self::DamagedLayout => {
                "it has no name any more"
            }
            Self::DamagedRef | Self::DanglingRef { .. } | Self::Orphan => "it was removed",
            Self::UnmarkedRef { .. } => "the name was recorded there",
        }
    }
}
