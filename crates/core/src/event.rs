//! Progress events: what a progress bar, a web page or a log needs to know of a pull.

use std::path::Path;
use std::sync::Arc;

use crate::digest::Digest;
use crate::error::ErrorKind;
use crate::reference::Reference;

/// Something that happened in a pull. Sizes are in bytes, and no secret is in any of it.
///
/// A pull is reported from [`Started`](Self::Started) to the one event that [ends](Self::is_end) it. Blobs belong to no
/// pull: pulls at once share them, and each blob is reported once.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A pull has begun.
    Started {
        /// What is pulled.
        reference: Reference,
    },
    /// The reference was resolved to a manifest.
    Resolved {
        /// What is pulled.
        reference: Reference,
        /// The platform's manifest.
        digest: Digest,
    },
    /// A blob is in the store already, and is not fetched.
    BlobFound {
        /// Which one.
        digest: Digest,
        /// How large it is.
        size: u64,
    },
    /// A blob is about to be fetched.
    BlobStarted {
        /// Which one.
        digest: Digest,
        /// How large it is.
        size: u64,
    },
    /// More of a blob has arrived.
    BlobProgress {
        /// Which one.
        digest: Digest,
        /// How many bytes are here more than at the last such event of this blob; at first, those that an
        /// earlier pull had left.
        bytes: u64,
        /// Where they came from.
        from: Source,
    },
    /// A blob is whole, and matched its digest.
    BlobVerified {
        /// Which one.
        digest: Digest,
    },
    /// A cache answers with what it has, and asks nobody.
    Hit {
        /// What is pulled.
        reference: Reference,
        /// The platform's manifest.
        digest: Digest,
    },
    /// A cache answers with what it has, which may be out of date: it wanted to ask, and could not.
    ServedStale {
        /// What is pulled.
        reference: Reference,
        /// The platform's manifest.
        digest: Digest,
        /// Why nobody could be asked.
        kind: ErrorKind,
    },
    /// The image is in the store.
    Committed {
        /// What was pulled.
        reference: Reference,
        /// The platform's manifest.
        digest: Digest,
    },
    /// An image had to go, with all its names, so that the store is no larger than it may be.
    Evicted {
        /// The platform's manifest.
        digest: Digest,
        /// How much disk space that freed.
        bytes: u64,
    },
    /// The pull has failed.
    Failed {
        /// What was pulled.
        reference: Reference,
        /// What went wrong; the error itself is what the call returned.
        kind: ErrorKind,
    },
    /// The pull was given up by who asked for it.
    Cancelled {
        /// What was pulled.
        reference: Reference,
    },
}

impl Event {
    /// Whether this is the last event of a pull.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Committed { .. } | Self::Failed { .. } | Self::Cancelled { .. })
    }
}

/// Where bytes of a blob came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// The registry of this name, as references have it, or a mirror: `ghcr.io`, `mirror.lan:5000`.
    Registry(Arc<str>),
    /// An image layout in this directory.
    Directory(Arc<Path>),
    /// The store: an earlier pull had left them.
    Store,
}
