//! What is known of a host: how many connections it is good for, and whether it can do ranges.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

const PIECES_FOR_ONE_MORE: usize = 2;

/// A host that blobs come from, with one budget of connections for all pulls.
///
/// The budget is halved when the host says that it has too much to do, or goes silent, and grows again by one
/// with every second piece that comes.
#[derive(Debug)]
pub(crate) struct Host {
    slots: Semaphore,
    limit: Mutex<Limit>,
    lacks_ranges: AtomicBool,
}

#[derive(Debug)]
struct Limit {
    most: usize,
    now: usize,
    /// Slots that are to be given up when they are left.
    surplus: usize,
    /// Pieces that have come since the limit was last changed.
    good: usize,
    halved: Option<Instant>,
}

/// The right to use one connection.
#[derive(Debug)]
pub(crate) struct Slot<'a> {
    host: &'a Host,
    permit: Option<SemaphorePermit<'a>>,
}

impl Host {
    /// A host that so many connections may go to.
    pub(crate) fn new(connections: usize) -> Self {
        let limit = Limit { most: connections, now: connections, surplus: 0, good: 0, halved: None };
        let slots = Semaphore::new(connections);
        Self { slots, limit: Mutex::new(limit), lacks_ranges: AtomicBool::new(false) }
    }

    /// Waits for a connection.
    pub(crate) async fn enter(&self) -> Slot<'_> {
        let permit = self.slots.acquire().await.expect("the semaphore is never closed");
        Slot { host: self, permit: Some(permit) }
    }

    /// A piece has come.
    pub(crate) fn did_well(&self) {
        let mut limit = self.limit();
        if limit.now == limit.most {
            return;
        }
        limit.good += 1;
        if limit.good == PIECES_FOR_ONE_MORE {
            (limit.good, limit.now) = (0, limit.now + 1);
            match limit.surplus.checked_sub(1) {
                Some(less) => limit.surplus = less,
                None => self.slots.add_permits(1),
            }
        }
    }

    /// It had too much to do with what was asked at this time. What was asked before the limit was last halved
    /// does not count.
    pub(crate) fn is_overloaded(&self, asked: Instant) {
        let mut limit = self.limit();
        if limit.halved.is_some_and(|halved| asked <= halved) || limit.now == 1 {
            return;
        }
        let less = limit.now / 2;
        let gone = self.slots.forget_permits(limit.now - less);
        limit.surplus += limit.now - less - gone;
        (limit.now, limit.good, limit.halved) = (less, 0, Some(Instant::now()));
        tracing::debug!(connections = less, "the registry is overloaded");
    }

    /// It ignores or misreads ranges.
    pub(crate) fn lacks_ranges(&self) {
        self.lacks_ranges.store(true, Ordering::Relaxed);
    }

    /// Whether ranges may be asked for.
    pub(crate) fn has_ranges(&self) -> bool {
        !self.lacks_ranges.load(Ordering::Relaxed)
    }

    fn limit(&self) -> MutexGuard<'_, Limit> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut limit = self.host.limit();
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
    fn slots(host: &Host) -> usize {
        let mut taken = Vec::new();
        while let Ok(permit) = host.slots.try_acquire() {
            taken.push(permit);
        }
        taken.len()
    }

    #[tokio::test]
    async fn an_overloaded_host_gets_half_the_connections_and_then_more_again() {
        let host = Host::new(8);
        let inside = [host.enter().await, host.enter().await, host.enter().await];
        let asked = Instant::now();
        host.is_overloaded(asked);
        host.is_overloaded(asked); // who was inside at that time is of the same opinion
        drop(inside);
        assert_eq!(slots(&host), 4);
        (0..2 * PIECES_FOR_ONE_MORE).for_each(|_| host.did_well());
        assert_eq!(slots(&host), 6);
        (0..100).for_each(|_| host.did_well());
        assert_eq!(slots(&host), 8);
    }

    #[tokio::test]
    async fn one_connection_is_always_left() {
        let host = Host::new(3);
        for _ in 0..5 {
            host.is_overloaded(Instant::now());
            tokio::task::yield_now().await;
        }
        assert_eq!(slots(&host), 1);
    }
}
