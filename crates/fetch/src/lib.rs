//! The engine: brings blobs into a store from every source that has them, under one scheduler.
//!
//! A [`Fetcher`] is given the blobs of an image, each with its [`Sources`]: mirrors in their order, the origin, the URLs of
//! a foreign layer, and peers that a [`SourceFinder`] finds while bytes arrive. All go one way: a blob is cut into pieces
//! that are measured in time, a piece goes to the highest [`Tier`] that can bring it, and what a source is good for is
//! learned and kept for all pulls. What a source sends is hashed by the store; of a blob that turns out wrong, only what
//! the suspects brought comes again.
//!
//! This crate knows no HTTP. A [`BlobSource`] is anything that opens a range of a blob.

mod batch;
mod candidates;
mod fetch;
mod fetcher;
mod limiter;
mod provenance;
mod retry;
mod scheduler;
mod source;
mod source_state;
mod stall;
mod worker;

pub use fetcher::{Fetcher, Wanted};
pub use retry::Retry;
pub use source::{BlobBody, BlobSource, SourceError, SourceFinder, SourceId, Sources, Tier, Verdict};
pub use source_state::SourceState;
pub use stall::StallDetector;
