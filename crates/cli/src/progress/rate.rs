//! The rate of a transfer, over the last few seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The time that the rate is measured over.
const WINDOW: Duration = Duration::from_secs(6);
/// The time between two samples.
const STEP: Duration = Duration::from_millis(400);

/// Samples of the number of bytes that have arrived.
#[derive(Debug, Default)]
pub(super) struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    /// Notes how many bytes have arrived by now.
    pub(super) fn sample(&mut self, now: Instant, bytes: u64) {
        if self.0.back().is_none_or(|(last, _)| now.duration_since(*last) >= STEP) {
            self.0.push_back((now, bytes));
        }
        while self.0.get(1).is_some_and(|(second, _)| now.duration_since(*second) >= WINDOW) {
            self.0.pop_front();
        }
    }

    /// The rate in bytes per second. `None`: it is not known yet.
    pub(super) fn per_second(&self) -> Option<u64> {
        let ((first, before), (last, after)) = (self.0.front()?, self.0.back()?);
        let millis =
            u64::try_from(last.duration_since(*first).as_millis()).ok().filter(|millis| *millis > 0)?;
        Some(after.saturating_sub(*before).saturating_mul(1000) / millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_seconds_count() {
        let (start, mut rate) = (Instant::now(), Rate::default());
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(rate.per_second(), None);
        rate.sample(at(0), 0);
        assert_eq!(rate.per_second(), None);
        for second in 1..=10 {
            rate.sample(at(second * 1000), second * 500);
        }
        assert_eq!(rate.per_second(), Some(500));
        for second in 11..=30 {
            rate.sample(at(second * 1000), 5000);
        }
        assert_eq!(rate.per_second(), Some(0), "it has stalled");
    }
}
