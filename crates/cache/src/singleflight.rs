//! Flights: equal calls that overlap share one outcome.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, Weak};
#[cfg(not(all(loom, test)))]
use std::sync::{Mutex, MutexGuard};

use hoist_core::Result;
#[cfg(all(loom, test))]
use loom::sync::{Mutex, MutexGuard};
use tokio::sync::OnceCell;

type Flight<T> = OnceCell<Result<T>>;

/// What is on its way, by what it was asked for with.
#[derive(Debug)]
pub(crate) struct Flights<K, T>(Mutex<HashMap<K, Weak<Flight<T>>>>);

impl<K: Eq + Hash + Clone, T: Clone> Flights<K, T> {
    /// The outcome of `fly`, or of an equal call that began earlier and has none yet.
    ///
    /// A call that is dropped takes nobody with it: one of those who wait flies in its place. What is decided
    /// is handed to all who waited, and to nobody who comes later.
    pub(crate) async fn join(&self, key: K, fly: impl Future<Output = Result<T>>) -> Result<T> {
        let flight = self.flight(&key);
        let lead = async {
            let outcome = fly.await;
            self.land(&key, &flight);
            outcome
        };
        flight.get_or_init(|| lead).await.clone()
    }

    /// Lets nobody join what is on its way now for this.
    pub(crate) fn close(&self, key: &K) {
        self.lock().remove(key);
    }

    /// Lets nobody join anything that is on its way now.
    pub(crate) fn close_all(&self) {
        self.lock().clear();
    }

    fn flight(&self, key: &K) -> Arc<Flight<T>> {
        let mut flights = self.lock();
        if let Some(flight) = flights.get(key).and_then(Weak::upgrade) {
            return flight;
        }
        flights.retain(|_, flight| flight.strong_count() > 0);
        let flight = Arc::default();
        flights.insert(key.clone(), Arc::downgrade(&flight));
        flight
    }

    fn land(&self, key: &K, flight: &Arc<Flight<T>>) {
        let mut flights = self.lock();
        if flights.get(key).is_some_and(|there| there.as_ptr() == Arc::as_ptr(flight)) {
            flights.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Weak<Flight<T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(all(test, loom))]
mod model;

#[cfg(all(test, not(loom)))]
mod tests {
    use std::future::{pending, poll_fn};

    use hoist_core::{Error, ErrorKind};
    use tokio::sync::oneshot;

    use super::*;

    fn no_flight() -> impl Future<Output = Result<u32>> {
        poll_fn(|_| panic!("there is one to join"))
    }

    #[tokio::test]
    async fn those_who_overlap_share_one_outcome() {
        let (flights, (land, landed)) = (Flights::default(), oneshot::channel());
        let first = flights.join("a", async { Ok(landed.await.unwrap()) });
        let second = flights.join("a", no_flight());
        let (depart, departed) = oneshot::channel();
        let other = flights.join("b", async { Ok(departed.await.unwrap()) });
        // When the other has begun: that takes nothing from those who began before.
        let third = flights.join("a", no_flight());
        let (first, second, other, third, ()) = tokio::join!(first, second, other, third, async {
            land.send(1).unwrap();
            depart.send(2).unwrap();
        });
        assert_eq!((first.unwrap(), second.unwrap(), third.unwrap(), other.unwrap()), (1, 1, 1, 2));
        assert!(flights.lock().is_empty(), "nothing is kept");
    }

    #[tokio::test]
    async fn all_who_waited_are_told_of_the_failure_and_the_next_one_tries_anew() {
        let (flights, (land, landed)) = (Flights::<_, u32>::default(), oneshot::channel::<Error>());
        let first = flights.join("a", async { Err(landed.await.unwrap()) });
        let second = flights.join("a", no_flight());
        let (first, second, ()) = tokio::join!(first, second, async {
            land.send(Error::new(ErrorKind::Unavailable, "broken")).unwrap();
        });
        assert_eq!(*first.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(*second.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(flights.join("a", async { Ok(3) }).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_waiter_flies_in_the_place_of_one_who_was_cancelled() {
        let (flights, (cancel, cancelled)) = (Flights::default(), oneshot::channel::<()>());
        let first = async {
            tokio::select! {
                biased;
                _ = cancelled => {}
                _ = flights.join("a", pending()) => panic!("it never lands"),
            }
        };
        let second = flights.join("a", async { Ok(2) });
        let third = flights.join("a", no_flight());
        let ((), second, third, ()) = tokio::join!(first, second, third, async { cancel.send(()).unwrap() });
        assert_eq!((second.unwrap(), third.unwrap()), (2, 2));
    }

    #[tokio::test]
    async fn what_all_have_left_is_begun_anew() {
        let flights = Flights::default();
        tokio::select! {
            biased;
            _ = flights.join("a", pending()) => panic!("it never lands"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(flights.join("b", async { Ok(1) }).await.unwrap(), 1);
        assert!(flights.lock().is_empty(), "nothing is kept of what nobody waits for");
        assert_eq!(flights.join("a", async { Ok(2) }).await.unwrap(), 2);
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn a_closed_flight_is_not_joined_and_still_lands() {
        let (flights, (land, landed)) = (Flights::default(), oneshot::channel());
        let first = flights.join("a", async { Ok(landed.await.unwrap()) });
        let second = async {
            flights.close(&"a");
            let outcome = flights.join("a", async { Ok(2) }).await;
            land.send(1).unwrap();
            outcome
        };
        let (first, second) = tokio::join!(first, second);
        assert_eq!((first.unwrap(), second.unwrap()), (1, 2));
    }
}
