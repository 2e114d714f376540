//! Progress events of pulls, for progress bars, web pages and logs: the events, and the way from a backend, through a
//! stack, to a reader.

mod channel;
mod pull;
mod sink;

use std::path::Path;
use std::sync::Arc;

use crate::digest::Digest;
use crate::document::Descriptor;
use crate::error::ErrorKind;
use crate::platform::Platform;
use crate::reference::Reference;

pub use channel::Received;
pub use pull::{PullEvents, PullId, in_current_pull};
pub use sink::Events;

/// An event in a pull. Sizes are in bytes. Events contain no secrets.
///
/// A pull is reported from [`Started`](Self::Started) to the one event that [ends](Self::is_end) it. Each `Started`
/// has an id of its own, and the other events of the pull have the same one. Equal pulls that a cache
/// makes one share its steps: [`Resolved`](Self::Resolved) and [`Manifest`](Self::Manifest) are reported once, with the
/// id of the pull that came first, even if that one was cancelled meanwhile.
///
/// Blobs do not belong to one pull: concurrent pulls share them, and each blob is reported once.
///
/// Backends and decorators make events of pulls by [`PullEvents`], and those of blobs by the functions here.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A pull has begun.
    #[non_exhaustive]
    Started {
        /// The pull's id.
        pull: PullId,
        /// The requested reference.
        reference: Reference,
        /// The platform that the image is chosen for.
        platform: Platform,
    },
    /// The reference was resolved to a manifest.
    #[non_exhaustive]
    Resolved {
        /// The pull's id.
        pull: PullId,
        /// The requested reference.
        reference: Reference,
        /// The platform that the image is chosen for.
        platform: Platform,
        /// The digest of the platform's manifest.
        digest: Digest,
    },
    /// The manifest is known, and with it the blobs of the image: what the pull has to bring, or finds in the store.
    #[non_exhaustive]
    Manifest {
        /// The pull's id.
        pull: PullId,
        /// The requested reference.
        reference: Reference,
        /// The platform that the image is chosen for.
        platform: Platform,
        /// The configuration and the layers, each content once.
        blobs: Arc<[Descriptor]>,
    },
    /// A blob is already in the store, and is not fetched.
    #[non_exhaustive]
    BlobFound {
        /// The blob's digest.
        digest: Digest,
        /// The blob's size, in bytes.
        size: u64,
    },
    /// A blob is about to be fetched.
    #[non_exhaustive]
    BlobStarted {
        /// The blob's digest.
        digest: Digest,
        /// The blob's size, in bytes.
        size: u64,
    },
    /// More of a blob has arrived.
    #[non_exhaustive]
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
    #[non_exhaustive]
    BlobVerified {
        /// The blob's digest.
        digest: Digest,
    },
    /// A cache answered from the store, without asking the origin.
    #[non_exhaustive]
    Hit {
        /// The pull's id.
        pull: PullId,
        /// The requested reference.
        reference: Reference,
        /// The platform that the image is chosen for.
        platform: Platform,
        /// The digest of the platform's manifest.
        digest: Digest,
    },
    /// A cache answered from the store because it could not ask the origin. The image may be out of date.
    #[non_exhaustive]
    ServedStale {
        /// The pull's id.
        pull: PullId,
        /// The requested reference.
        reference: Reference,
        /// The platform that the image is chosen for.
        platform: Platform,
        /// The digest of the platform's manifest.
        digest: Digest,
        /// Why the origin could not be asked.
        kind: ErrorKind,
    },
    /// The image is in the store.
    #[non_exhaustive]
    Committed {
        /// The pull's id.
        pull: PullId,
        /// The requested reference.
        reference: Reference,
        /// The platform that the image is chosen for.
        platform: Platform,
        /// The digest of the platform's manifest.
        digest: Digest,
    },
    /// An image and all its names were deleted to keep the store within its size limit.
    #[non_exhaustive]
    Evicted {
        /// The digest of the platform's manifest.
        digest: Digest,
        /// The freed disk space, in bytes.
        bytes: u64,
    },
    /// The pull failed.
    #[non_exhaustive]
    Failed {
        /// The pull's id.
        pull: PullId,
        /// The requested reference.
        reference: Reference,
        /// The platform that the image is chosen for.
        platform: Platform,
        /// The kind of the error. The call returns the error itself.
        kind: ErrorKind,
    },
    /// The caller dropped the pull.
    #[non_exhaustive]
    Cancelled {
        /// The pull's id.
        pull: PullId,
        /// The requested reference.
        reference: Reference,
        /// The platform that the image is chosen for.
        platform: Platform,
    },
}

impl Event {
    /// [`BlobFound`](Self::BlobFound), with the blob's size in bytes.
    pub fn blob_found(digest: Digest, size: u64) -> Self {
        Self::BlobFound { digest, size }
    }

    /// [`BlobStarted`](Self::BlobStarted), with the blob's size in bytes.
    pub fn blob_started(digest: Digest, size: u64) -> Self {
        Self::BlobStarted { digest, size }
    }

    /// [`BlobProgress`](Self::BlobProgress), with the number of new bytes and their source.
    pub fn blob_progress(digest: Digest, bytes: u64, from: Source) -> Self {
        Self::BlobProgress { digest, bytes, from }
    }

    /// [`BlobVerified`](Self::BlobVerified).
    pub fn blob_verified(digest: Digest) -> Self {
        Self::BlobVerified { digest }
    }

    /// [`Evicted`](Self::Evicted), with the freed disk space in bytes.
    pub fn evicted(digest: Digest, bytes: u64) -> Self {
        Self::Evicted { digest, bytes }
    }

    /// The id of the pull that the event belongs to. `None`: the event is about a blob or the store.
    pub fn pull(&self) -> Option<PullId> {
        match self {
            Self::Started { pull, .. }
            | Self::Resolved { pull, .. }
            | Self::Manifest { pull, .. }
            | Self::Hit { pull, .. }
            | Self::ServedStale { pull, .. }
            | Self::Committed { pull, .. }
            | Self::Failed { pull, .. }
            | Self::Cancelled { pull, .. } => Some(*pull),
            Self::BlobFound { .. }
            | Self::BlobStarted { .. }
            | Self::BlobProgress { .. }
            | Self::BlobVerified { .. }
            | Self::Evicted { .. } => None,
        }
    }

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
