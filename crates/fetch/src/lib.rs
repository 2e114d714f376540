//! The engine: fetches blobs into a store from every source that has them, under one scheduler.
//!
//! A [`Fetcher`] gets the blobs of an image, each with its [`Sources`]: mirrors in their order, the origin, the URLs of
//! a foreign layer, and peers that a [`SourceFinder`] finds while bytes arrive. The scheduler cuts a blob into pieces
//! that are measured in time. A piece goes to the highest [`Tier`] that can bring it. The fetcher learns the pace of
//! each source, and keeps it for all pulls. The store hashes every byte; if a blob is wrong, only the ranges of the
//! suspects are fetched again.
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

pub use fetcher::{Fetcher, Wanted};
pub use retry::Retry;
pub use source::{BlobBody, BlobSource, SourceError, SourceFinder, SourceId, Sources, Tier, Verdict};
pub use source_state::SourceState;
pub use stall::StallDetector;
