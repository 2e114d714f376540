//! Progress events of pulls, for progress bars, web pages and logs.

use std::path::Path;
use std::sync::Arc;

use crate::digest::Digest;
use crate::error::ErrorKind;
use crate::reference::Reference;

/// An event in a pull. Sizes are in bytes. Events contain no secrets.
///
/// A pull is reported from [`Started`](Self::Started) to the one event that [ends](Self::is_end) it. Blobs do
/// not belong to one pull: concurrent pulls share them, and each blob is reported once.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A pull has begun.
    Started {
        /// The requested reference.
        reference: Reference,
    },
    /// The reference was resolved to a manifest.
    Resolved {
        /// The requested reference.
        reference: Reference,
        /// The digest of the platform's manifest.
        digest: Digest,
    },
    /// A blob is already in the store, and is not fetched.
    BlobFound {
        /// The blob's digest.
        digest: Digest,
        /// The blob's size, in bytes.
        size: u64,
    },
    /// A blob is about to be fetched.
    BlobStarted {
        /// The blob's digest.
        digest: Digest,
        /// The blob's size, in bytes.
        size: u64,
    },
    /// More of a blob has arrived.
    BlobProgress {
        /// The blob's digest.
        digest: Digest,
        /// The number of bytes since the previous such event of this blob. The first event may count the bytes
        /// that an earlier pull left.
        bytes: u64,
        /// The source of these bytes.
        from: Source,
    },
    /// A blob is complete and matches its digest.
    BlobVerified {
        /// The blob's digest.
        digest: Digest,
    },
    /// A cache answered from the store, without asking the origin.
    Hit {
        /// The requested reference.
        reference: Reference,
        /// The digest of the platform's manifest.
        digest: Digest,
    },
    /// A cache answered from the store because it could not ask the origin. The image may be out of date.
    ServedStale {
        /// The requested reference.
        reference: Reference,
        /// The digest of the platform's manifest.
        digest: Digest,
        /// Why the origin could not be asked.
        kind: ErrorKind,
    },
    /// The image is in the store.
    Committed {
        /// The requested reference.
        reference: Reference,
        /// The digest of the platform's manifest.
        digest: Digest,
    },
    /// An image and all its names were deleted to keep the store within its size limit.
    Evicted {
        /// The digest of the platform's manifest.
        digest: Digest,
        /// The freed disk space, in bytes.
        bytes: u64,
    },
    /// The pull failed.
    Failed {
        /// The requested reference.
        reference: Reference,
        /// The kind of the error. The call returns the error itself.
        kind: ErrorKind,
    },
    /// The caller dropped the pull.
    Cancelled {
        /// The requested reference.
        reference: Reference,
    },
}

impl Event {
    /// Whether this is the last event of a pull.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Committed { .. } | Self::Failed { .. } | Self::Cancelled { .. })
    }
}

/// The source of a blob's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// A registry or a mirror, named as in references: `ghcr.io`, `mirror.lan:5000`.
    Registry(Arc<str>),
    /// An image layout in this directory.
    Directory(Arc<Path>),
    /// The store, where an earlier pull left the bytes.
    Store,
}
