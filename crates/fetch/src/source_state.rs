//! The state of a source, for all pulls of a fetcher: its connections, its pace, its ranges, and its trouble.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limiter::ConcurrencyLimiter;

/// A source is near if its first answer takes less than this, with connecting and all that the server does for it.
const NEAR: Duration = Duration::from_millis(15);
/// How long a source rests that was in trouble; twice as long each time that it is so again.
const REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_mins(5);

/// The state of one source.
#[derive(Debug)]
pub struct SourceState {
    pub(crate) limiter: ConcurrencyLimiter,
    lacks_ranges: AtomicBool,
    learned: Mutex<Learned>,
}

#[derive(Debug, Default)]
struct Learned {
    /// Bytes a second of one connection, as seen lately.
    pace: Option<f64>,
    troubles: u32,
    rests_until: Option<Instant>,
}

impl SourceState {
    pub(crate) fn new(connections: usize) -> Self {
        Self {
            limiter: ConcurrencyLimiter::new(connections),
            lacks_ranges: AtomicBool::new(false),
            learned: Mutex::default(),
        }
    }

    /// A request for a document was answered after this time, connecting included. A near source begins with a few
    /// connections, a far one with all.
    pub fn answered_after(&self, time: Duration) {
        if time < NEAR {
            self.limiter.begin_with_few();
        }
    }

    /// The source was in trouble a short time ago: others are asked before it.
    pub fn is_resting(&self) -> bool {
        self.learned().rests_until.is_some_and(|until| Instant::now() < until)
    }

    /// The source could not be reached, or does not work: it rests.
    pub fn was_in_trouble(&self) {
        let mut learned = self.learned();
        if learned.rests_until.is_some_and(|until| Instant::now() < until) {
            return; // this was asked for before
        }
        let rest = REST.saturating_mul(1 << learned.troubles.min(8)).min(LONGEST_REST);
        learned.troubles += 1;
        learned.rests_until = Some(Instant::now() + rest);
    }

    /// The source answered as it should.
    pub fn did_well(&self) {
        let mut learned = self.learned();
        (learned.troubles, learned.rests_until) = (0, None);
    }

    /// The source sent bytes that are not the blob's: it rests for long.
    pub(crate) fn lied(&self) {
        let mut learned = self.learned();
        learned.troubles = u32::MAX / 2;
        learned.rests_until = Some(Instant::now() + LONGEST_REST);
    }

    /// A piece came at this pace, in bytes a second.
    pub(crate) fn came_at(&self, rate: f64) {
        let mut learned = self.learned();
        learned.pace = Some(learned.pace.map_or(rate, |pace| f64::midpoint(pace, rate)));
    }

    /// What one connection brings in a second, in bytes; `None`: it is not known yet.
    pub(crate) fn pace(&self) -> Option<f64> {
        self.learned().pace
    }

    /// The source ignores or misreads ranges.
    pub(crate) fn lacks_ranges(&self) {
        self.lacks_ranges.store(true, Ordering::Relaxed);
    }

    /// Whether ranges may be asked for.
    pub(crate) fn has_ranges(&self) -> bool {
        !self.lacks_ranges.load(Ordering::Relaxed)
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
