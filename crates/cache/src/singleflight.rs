//! Singleflight: equal calls that overlap share one flight, led by a task, and so one outcome.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
#[cfg(not(all(loom, test)))]
use std::sync::{Mutex, MutexGuard};

use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};
use hoist_core::Result;
#[cfg(not(all(loom, test)))]
use hoist_store::owned;
#[cfg(all(loom, test))]
use loom::sync::{Mutex, MutexGuard};
#[cfg(all(loom, test))]
use model::owned;

/// A call that is waited for by any number of others, and dropped with the last of them.
type Flight<T> = Shared<Led<T>>;
type Led<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// What is on its way, by what it was asked for with. Clones are the same.
#[derive(Debug)]
pub(crate) struct SingleFlight<K, T>(Arc<Mutex<State<K, T>>>);

#[derive(Debug)]
struct State<K, T> {
    flights: HashMap<K, (u64, WeakShared<Led<T>>)>,
    /// How many there were: tells them apart.
    count: u64,
}

impl<K, T> SingleFlight<K, T>
where
    K: Eq + Hash + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// The outcome of `fly`, or of an equal call that began earlier and has none yet.
    ///
    /// The flight is a task, which goes on whether or not those who wait are polled. One of them who is dropped takes
    /// nobody along; with the last one the flight ends, before that drop has returned. What is decided is handed to all
    /// who waited, and to nobody who comes later.
    pub(crate) async fn join<F>(&self, key: K, fly: impl FnOnce() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.flight(key, fly).await
    }

    /// Lets nobody join what is on its way now for this.
    pub(crate) fn close(&self, key: &K) {
        self.lock().flights.remove(key);
    }

    /// Lets nobody join anything that is on its way now.
    pub(crate) fn close_all(&self) {
        self.lock().flights.clear();
    }

    fn flight<F>(&self, key: K, fly: impl FnOnce() -> F) -> Flight<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        // One that the last who waits has left meanwhile ends where it is dropped: not under the lock, which its end takes.
        let mut others = Vec::new();
        let mut state = self.lock();
        if let Some(flight) = state.flights.get(&key).and_then(|(_, flight)| flight.upgrade()) {
            return flight;
        }
        state.flights.retain(|_, (_, flight)| match flight.upgrade() {
            Some(flight) => {
                others.push(flight);
                true
            }
            None => false,
        });
        state.count += 1;
        let number = state.count;
        let (all, of, fly) = (self.clone(), key.clone(), fly());
        let led: Led<T> = Box::pin(owned(async move {
            let outcome = fly.await;
            all.land(&of, number);
            outcome
        }));
        let flight = led.shared();
        if let Some(known) = flight.downgrade() {
            state.flights.insert(key, (number, known));
        }
        flight
    }

    fn land(&self, key: &K, number: u64) {
        let mut state = self.lock();
        if state.flights.get(key).is_some_and(|(there, _)| *there == number) {
            state.flights.remove(key);
        }
    }
}

impl<K, T> SingleFlight<K, T> {
    fn lock(&self) -> MutexGuard<'_, State<K, T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, T> Clone for SingleFlight<K, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, T> Default for SingleFlight<K, T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { flights: HashMap::new(), count: 0 })))
    }
}

#[cfg(all(test, loom))]
mod model;

#[cfg(all(test, not(loom)))]
mod tests {
    use std::future::{Ready, pending, ready};
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::poll;
    use hoist_core::{Error, ErrorKind};
    use tokio::sync::oneshot;

    use super::*;

    fn no_flight() -> Ready<Result<u32>> {
        panic!("there is one to join")
    }

    #[tokio::test]
    async fn those_who_overlap_share_one_outcome() {
        let (flights, (land, landed)) = (SingleFlight::default(), oneshot::channel());
        let first = flights.join("a", || async { Ok(landed.await.unwrap()) });
        let second = flights.join("a", no_flight);
        let (depart, departed) = oneshot::channel();
        let other = flights.join("b", || async { Ok(departed.await.unwrap()) });
        // When the other has begun: that takes nothing from those who began before.
        let third = flights.join("a", no_flight);
        let (first, second, other, third, ()) = tokio::join!(first, second, other, third, async {
            land.send(1).unwrap();
            depart.send(2).unwrap();
        });
        assert_eq!((first.unwrap(), second.unwrap(), third.unwrap(), other.unwrap()), (1, 1, 1, 2));
        assert!(flights.lock().flights.is_empty(), "nothing is kept");
    }

    #[tokio::test]
    async fn all_who_waited_are_told_of_the_failure_and_the_next_one_tries_anew() {
        let (flights, (land, landed)) = (SingleFlight::<_, u32>::default(), oneshot::channel::<Error>());
        let first = flights.join("a", || async { Err(landed.await.unwrap()) });
        let second = flights.join("a", no_flight);
        let (first, second, ()) = tokio::join!(first, second, async {
            land.send(Error::new(ErrorKind::Unavailable, "broken")).unwrap();
        });
        assert_eq!(*first.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(*second.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(flights.join("a", || ready(Ok(3))).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn who_is_dropped_leaves_the_flight_to_who_waits() {
        let (flights, (land, landed)) = (SingleFlight::default(), oneshot::channel());
        let mut first = Box::pin(flights.join("a", || async { Ok(landed.await.unwrap()) }));
        let mut second = Box::pin(flights.join("a", no_flight));
        assert!(poll!(first.as_mut()).is_pending() && poll!(second.as_mut()).is_pending());
        drop(first);
        land.send(2).unwrap();
        assert_eq!(second.await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_flight_goes_on_though_who_began_it_is_not_polled() {
        let (flights, (land, landed)) = (SingleFlight::default(), oneshot::channel());
        let mut first = Box::pin(flights.join("a", || async { Ok(landed.await.unwrap()) }));
        assert!(poll!(first.as_mut()).is_pending());
        let second = flights.join("a", no_flight);
        land.send(2).unwrap();
        assert_eq!(second.await.unwrap(), 2);
    }

    #[tokio::test]
    async fn the_last_who_waits_ends_the_flight_and_no_other() {
        struct Flag(Arc<AtomicBool>);
        impl Drop for Flag {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let (flights, gone) = (SingleFlight::default(), Arc::new(AtomicBool::default()));
        let flag = Flag(gone.clone());
        let fly = async move {
            let _flag = flag;
            pending::<Result<u32>>().await
        };
        let mut first = Box::pin(flights.join("a", || fly));
        let mut second = Box::pin(flights.join("a", no_flight));
        assert!(poll!(first.as_mut()).is_pending() && poll!(second.as_mut()).is_pending());
        drop(first);
        assert!(!gone.load(Ordering::SeqCst));
        drop(second);
        assert!(gone.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn what_all_have_left_is_begun_anew() {
        let flights = SingleFlight::default();
        let mut left = Box::pin(flights.join("a", pending));
        assert!(poll!(left.as_mut()).is_pending());
        drop(left);
        assert_eq!(flights.join("b", || ready(Ok(1))).await.unwrap(), 1);
        assert!(flights.lock().flights.is_empty(), "nothing is kept of what nobody waits for");
        assert_eq!(flights.join("a", || ready(Ok(2))).await.unwrap(), 2);
        assert!(flights.lock().flights.is_empty());
    }

    #[tokio::test]
    async fn a_closed_flight_is_not_joined_and_still_lands() {
        let (flights, (land, landed)) = (SingleFlight::default(), oneshot::channel());
        let first = flights.join("a", || async { Ok(landed.await.unwrap()) });
        let second = async {
            flights.close(&"a");
            let outcome = flights.join("a", || ready(Ok(2))).await;
            land.send(1).unwrap();
            outcome
        };
        let (first, second) = tokio::join!(first, second);
        assert_eq!((first.unwrap(), second.unwrap()), (1, 2));
    }
}
