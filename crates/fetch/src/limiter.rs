//! How many requests one source is good for at once: shared by all pulls, and found out on the way.
//!
//! A far source gets all its connections at once: a slow ramp costs more than idle connections do. A near one begins
//! with a few, since each costs both ends processor time, and gets more while more of them bring more.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hoist_store::descriptors;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// How many connections a near source begins with.
const NEAR: usize = 3;
/// After an overload, every second piece that comes allows one connection more.
const PIECES_FOR_ONE_MORE: usize = 2;
/// For how long the sum of all connections is measured before their number is changed.
const WINDOW: Duration = Duration::from_millis(100);
/// What part of a connection's share more connections have to add to be kept: between noise and all of it.
const PAYS: f64 = 0.5;
/// How long it is left alone when more connections did not pay.
const SETTLED: Duration = Duration::from_secs(10);

/// The connections of this process, to all sources together: each is an open file.
static CONNECTIONS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(descriptors::connections().max(1)));

/// The number of requests that may run at one source.
///
/// It is halved when the source says that it has too much to do, or goes silent, and grows again with the pieces that
/// come.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimiter {
    slots: Semaphore,
    limit: Mutex<Limit>,
}

#[derive(Debug)]
struct Limit {
    most: usize,
    now: usize,
    in_use: usize,
    /// Slots that are to be given up when they are left.
    surplus: usize,
    /// Pieces that have come since the limit was last changed.
    good: usize,
    halved: Option<Instant>,
    /// `None`: all connections are open from the beginning.
    ramp: Option<Ramp>,
}

/// Whether more connections bring more.
#[derive(Debug)]
struct Ramp {
    since: Instant,
    bytes: u64,
    /// The connections there were before the last step, and what they brought in a second.
    before: Option<(usize, f64)>,
}

/// The right to make one request.
#[derive(Debug)]
pub(crate) struct Slot<'a> {
    limiter: &'a ConcurrencyLimiter,
    permit: Option<SemaphorePermit<'a>>,
    _connection: SemaphorePermit<'static>,
}

impl ConcurrencyLimiter {
    /// Allows up to `most` requests at once.
    pub(crate) fn new(most: usize) -> Self {
        let limit = Limit { most, now: most, in_use: 0, surplus: 0, good: 0, halved: None, ramp: None };
        Self { slots: Semaphore::new(most), limit: Mutex::new(limit) }
    }

    /// The source is near: begins with a few connections, unless some are open already.
    pub(crate) fn begin_with_few(&self) {
        let mut limit = self.limit();
        if limit.in_use > 0 || limit.now <= NEAR || limit.halved.is_some() || limit.ramp.is_some() {
            return;
        }
        let less = limit.now - NEAR;
        self.lower(&mut limit, less);
        limit.ramp = Some(Ramp { since: Instant::now(), bytes: 0, before: None });
    }

    /// Waits for the right to make a request.
    pub(crate) async fn enter(&self) -> Slot<'_> {
        let permit = self.slots.acquire().await.expect("the semaphore is never closed");
        let connection = CONNECTIONS.acquire().await.expect("the semaphore is never closed");
        self.limit().in_use += 1;
        Slot { limiter: self, permit: Some(permit), _connection: connection }
    }

    /// How many requests may run now.
    pub(crate) fn allowed(&self) -> usize {
        self.limit().now
    }

    /// Whether more connections may bring more: it is not known that they do not.
    pub(crate) fn may_gain(&self) -> bool {
        let limit = self.limit();
        limit.ramp.is_none() || limit.now == limit.most
    }

    /// How many run.
    pub(crate) fn in_use(&self) -> usize {
        self.limit().in_use
    }

    /// Notes that bytes have arrived.
    pub(crate) fn brought(&self, bytes: u64, now: Instant) {
        let mut limit = self.limit();
        let is_full = limit.in_use >= limit.now;
        let Some(ramp) = &mut limit.ramp else { return };
        if !is_full {
            (ramp.since, ramp.bytes) = (now, 0);
            return;
        }
        ramp.bytes += bytes;
        let span = now.saturating_duration_since(ramp.since);
        if span < WINDOW {
            return;
        }
        #[expect(clippy::cast_precision_loss)]
        let rate = ramp.bytes as f64 / span.as_secs_f64();
        self.step(&mut limit, rate, now);
    }

    /// Adds connections, or takes back those that did not pay.
    fn step(&self, limit: &mut Limit, rate: f64, now: Instant) {
        let current = limit.now;
        let Some(ramp) = &mut limit.ramp else { return };
        (ramp.since, ramp.bytes) = (now, 0);
        let step = match ramp.before.take() {
            None => 1,
            Some((fewer, less)) if pays(fewer, less, current, rate) => current / 2,
            Some((fewer, _)) => {
                ramp.since = now + SETTLED;
                self.lower(limit, current.saturating_sub(fewer));
                return;
            }
        };
        let step = step.min(limit.most - current);
        if step > 0 {
            ramp.before = Some((current, rate));
            self.raise(limit, step);
        }
    }

    /// A piece has come.
    pub(crate) fn did_well(&self) {
        let mut limit = self.limit();
        if limit.halved.is_none() || limit.now == limit.most {
            return;
        }
        limit.good += 1;
        if limit.good == PIECES_FOR_ONE_MORE {
            limit.good = 0;
            self.raise(&mut limit, 1);
        }
    }

    /// It had too much to do with what was asked at this time. What was asked before the limit was last halved
    /// does not count.
    pub(crate) fn is_overloaded(&self, asked: Instant) {
        let mut limit = self.limit();
        if limit.halved.is_some_and(|halved| asked <= halved) || limit.now == 1 {
            return;
        }
        let less = limit.now - limit.now / 2;
        self.lower(&mut limit, less);
        (limit.good, limit.halved, limit.ramp) = (0, Some(Instant::now()), None);
        tracing::debug!(connections = limit.now, "a source is overloaded");
    }

    fn raise(&self, limit: &mut Limit, more: usize) {
        limit.now += more;
        let kept = limit.surplus.min(more);
        limit.surplus -= kept;
        self.slots.add_permits(more - kept);
    }

    fn lower(&self, limit: &mut Limit, less: usize) {
        limit.now -= less;
        let gone = self.slots.forget_permits(less);
        limit.surplus += less - gone;
    }

    fn limit(&self) -> MutexGuard<'_, Limit> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the step from `fewer` connections to `current` raised the sum by enough.
#[expect(clippy::cast_precision_loss)]
fn pays(fewer: usize, less: f64, current: usize, rate: f64) -> bool {
    let added = (current - fewer) as f64 / fewer as f64;
    rate >= less * (1.0 + PAYS * added)
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut limit = self.limiter.limit();
        limit.in_use -= 1;
        if let Some(less) = limit.surplus.checked_sub(1) {
            limit.surplus = less;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many connections there may be now.
    fn slots(limiter: &ConcurrencyLimiter) -> usize {
        let mut taken = Vec::new();
        while let Ok(permit) = limiter.slots.try_acquire() {
            taken.push(permit);
        }
        taken.len()
    }

    /// The connections that are allowed after some windows in which each of them brought this much a second, as far as
    /// the sum goes.
    async fn after(windows: usize, each: u64, sum: u64) -> usize {
        let limiter = ConcurrencyLimiter::new(16);
        limiter.begin_with_few();
        let mut inside = Vec::new();
        let mut now = Instant::now();
        for _ in 0..windows {
            while inside.len() < limiter.allowed() {
                inside.push(limiter.enter().await);
            }
            inside.truncate(limiter.allowed());
            now += WINDOW;
            limiter.brought((inside.len() as u64 * each).min(sum), now);
        }
        limiter.allowed()
    }

    #[tokio::test]
    async fn a_near_source_gets_more_connections_while_they_bring_more() {
        assert_eq!(after(10, 1000, u64::MAX).await, 16, "each is capped");
        assert_eq!(after(3, 1000, 3000).await, NEAR, "three bring all there is");
        let some = after(10, 1000, 6000).await;
        assert!((4..=9).contains(&some), "six would do: {some}");
    }

    #[tokio::test]
    async fn an_overloaded_source_gets_half_the_connections_and_then_more_again() {
        let limiter = ConcurrencyLimiter::new(8);
        let inside = [limiter.enter().await, limiter.enter().await, limiter.enter().await];
        let asked = Instant::now();
        limiter.is_overloaded(asked);
        limiter.is_overloaded(asked); // a request that ran at that time says nothing new
        drop(inside);
        assert_eq!(slots(&limiter), 4);
        (0..2 * PIECES_FOR_ONE_MORE).for_each(|_| limiter.did_well());
        assert_eq!(slots(&limiter), 6);
        (0..100).for_each(|_| limiter.did_well());
        assert_eq!(slots(&limiter), 8);
    }

    #[tokio::test]
    async fn one_connection_is_always_left() {
        let limiter = ConcurrencyLimiter::new(3);
        for _ in 0..5 {
            limiter.is_overloaded(Instant::now());
            tokio::task::yield_now().await;
        }
        assert_eq!(slots(&limiter), 1);
    }
}
