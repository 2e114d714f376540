//! A report about one pull: all that is shown is made of these.

use std::time::Duration;

use hoist::{Digest, ErrorKind, Platform, Reference};

/// How many hexadecimal digits of a digest to show, the same as docker.
const SHORT: usize = 12;

/// Where a pull is, and how far.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) reference: Reference,
    pub(super) platform: Platform,
    pub(super) step: Step,
    /// The digest of the platform's manifest, once it is known.
    pub(super) digest: Option<Digest>,
    pub(super) sum: Sum,
    /// Bytes per second, over the last few seconds.
    pub(super) rate: Option<u64>,
    /// The time since the pull began.
    pub(super) took: Duration,
    /// The layers that are being fetched, in the order in which they began.
    pub(super) moving: Vec<Layer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The registry is asked.
    Resolving,
    /// The blobs are known, and none was looked for yet.
    Begun,
    Fetching,
    /// The store answers, and nothing is fetched.
    Hit,
    Done,
    Failed(ErrorKind),
    Cancelled,
}

/// The bytes and the blobs of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    pub(super) total: u64,
    /// The bytes that are here, whether they were fetched or not.
    pub(super) done: u64,
    /// The bytes that were here before.
    pub(super) here: u64,
    pub(super) blobs: usize,
    pub(super) blobs_done: usize,
}

/// A blob that is being fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) name: String,
    pub(super) done: u64,
    pub(super) total: u64,
}

impl Report {
    /// The reference as docker shows it.
    pub(super) fn name(&self) -> String {
        let name = self.reference.to_string();
        let familiar =
            name.strip_prefix("docker.io/").map(|name| name.strip_prefix("library/").unwrap_or(name));
        familiar.unwrap_or(&name).to_owned()
    }

    /// The bytes that were fetched.
    pub(super) fn fetched(&self) -> u64 {
        self.sum.done.saturating_sub(self.sum.here)
    }

    /// The time until all bytes are here, at this rate.
    pub(super) fn left(&self) -> Option<Duration> {
        let rate = self.rate.filter(|rate| *rate > 0)?;
        let missing = self.sum.total.saturating_sub(self.sum.done);
        (missing > 0).then(|| Duration::from_secs(missing.div_ceil(rate)))
    }
}

/// A digest as docker shows it.
pub(super) fn short(digest: &Digest) -> String {
    digest.hex().chars().take(SHORT).collect()
}
