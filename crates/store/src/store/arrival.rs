//! How content came into the store.

use hoist_core::Digest;

/// How content came into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Arrival {
    /// From a registry, to which no credentials were shown.
    Anonymous,
    /// From a registry, to which credentials were shown.
    Authenticated,
    /// From a file or directory on this machine.
    Loaded,
}

/// What came into the store for an image that was staged.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    pub(crate) blobs: Vec<Digest>,
    /// `None`: the caller did not say, so nothing is noted.
    pub(crate) by: Option<Arrival>,
    pub(crate) inner_indexes: Vec<InnerIndex>,
}

/// An index within another one: its digest and its bytes.
pub(crate) type InnerIndex = (Digest, Vec<u8>);

impl Arrival {
    pub(crate) const ALL: [Self; 3] = [Self::Anonymous, Self::Authenticated, Self::Loaded];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Authenticated => "authenticated",
            Self::Loaded => "loaded",
        }
    }
}
