//! A piece in flight: its progress and its pace.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::SMALLEST;
use super::missing::length;

/// A connection whose pace grew by more than this factor when others fell idle had shared a line with them.
const SHARED: f64 = 1.25;
/// How long a connection takes to show its pace.
const WARM_UP: Duration = Duration::from_millis(150);

/// A piece in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) blob: usize,
    pub(super) source: usize,
    /// The missing ranges: only one, if the blob is divisible.
    pub(super) to_come: VecDeque<Range<u64>>,
    pub(super) since: Instant,
    pub(super) brought: u64,
    /// When bytes last arrived, and how many had arrived over all connections by then.
    pub(super) last: (Instant, u64),
    /// When connections fell idle, and how much the piece had brought by then.
    pub(super) lap: Option<(Instant, u64)>,
    pub(super) patience: Duration,
    pub(super) relieved: Arc<Notify>,
}

impl InFlight {
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// The pace over its whole time, in bytes a second. `None`: it is too early to tell.
    #[expect(clippy::cast_precision_loss)]
    pub(super) fn rate_of_all(&self, now: Instant) -> Option<f64> {
        let age = self.age(now);
        let tells = self.brought >= SMALLEST || age > WARM_UP;
        (self.brought > 0 && tells && !age.is_zero()).then(|| self.brought as f64 / age.as_secs_f64())
    }

    /// The pace since other connections fell idle, in bytes a second. `None`: it is too early to tell, or the piece
    /// shared a line with them and has more of it now.
    #[expect(clippy::cast_precision_loss)]
    pub(super) fn rate_alone(&self, now: Instant) -> Option<f64> {
        let rate = |brought: u64, span: Duration| {
            (brought > 0 && span > WARM_UP).then(|| brought as f64 / span.as_secs_f64())
        };
        let Some((since, before)) = self.lap else { return rate(self.brought, self.age(now)) };
        let alone = rate(self.brought - before, now.saturating_duration_since(since))?;
        let shared = rate(before, since.saturating_duration_since(self.since));
        Some(alone).filter(|alone| shared.is_none_or(|shared| *alone <= shared * SHARED))
    }

    /// The time until it ends at its present pace, in seconds.
    #[expect(clippy::cast_precision_loss)]
    pub(super) fn time_left(&self, now: Instant) -> f64 {
        let rate = self.brought as f64 / self.age(now).as_secs_f64().max(f64::MIN_POSITIVE);
        length(&self.to_come) as f64 / rate.max(f64::MIN_POSITIVE)
    }
}
