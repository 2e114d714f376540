//! The suite for sources of blobs: a fetch from them has to end well, whatever goes wrong.
//!
//! A [`SourceMaker`] makes sources of one kind that go wrong in a given way. [`assert_fetched`] tries every way, alone
//! and beside a good origin, and panics with the first that does not end as it should.

mod cases;
mod memory;

use std::sync::Arc;

use hoist_fetch::BlobSource;

use crate::image::Blob;

pub use cases::assert_fetched;
pub use memory::{InMemory, MemorySource};

/// How a source goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// Not at all.
    None,
    /// The first answer breaks off in its middle.
    CutOnce,
    /// Each answer breaks off in its middle.
    CutAlways,
    /// It answers with the whole blob, whatever range it is asked for.
    NoRanges,
    /// It answers with another range than it was asked for.
    OtherRange,
    /// Each answer goes silent after this many bytes.
    Stall(u64),
    /// The first request is refused since there are too many.
    BusyOnce,
    /// One bit of each answer is wrong.
    Lie,
    /// No request is answered.
    Dead,
    /// It does not have the blob.
    Lacking,
}

impl Trouble {
    /// All kinds, at several points where that makes a difference.
    pub const ALL: [Self; 12] = [
        Self::None,
        Self::CutOnce,
        Self::CutAlways,
        Self::NoRanges,
        Self::OtherRange,
        Self::Stall(0),
        Self::Stall(1000),
        Self::Stall(100_000),
        Self::BusyOnce,
        Self::Lie,
        Self::Dead,
        Self::Lacking,
    ];
}

/// Makes sources of one kind.
#[async_trait::async_trait]
pub trait SourceMaker: Send + Sync {
    /// A source that serves this blob, unless this goes wrong with it.
    async fn make(&self, blob: &Blob, trouble: Trouble) -> Arc<dyn BlobSource>;
}
