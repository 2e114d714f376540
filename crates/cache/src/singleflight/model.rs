//! Flights in every order that threads can take turns in (`just loom`). Tokio's cell is taken as it is: what it does is one
//! step here.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use hoist_core::{Error, ErrorKind};
use loom::future::block_on;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::*;

/// Flights, how many of them took off so far, and how many at most are known to have landed.
#[derive(Default)]
struct Airport {
    flights: Flights<&'static str, usize>,
    started: AtomicUsize,
    landed: AtomicUsize,
}

impl Airport {
    /// A call whose outcome is the number of the flight.
    async fn call(&self) -> usize {
        self.flights.join("a", self.fly()).await.unwrap()
    }

    async fn fly(&self) -> Result<usize> {
        let number = self.started.fetch_add(1, Ordering::SeqCst);
        yield_once().await;
        Ok(number)
    }

    /// Begins a call, lets it get somewhere, and drops it.
    fn give_up(&self) {
        let mut polled = false;
        block_on(async {
            let mut call = pin!(self.call());
            poll_fn(|context| {
                let done = call.as_mut().poll(context).is_ready();
                if done || polled {
                    return Poll::Ready(());
                }
                polled = true;
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        });
    }
}

/// Lets all others do something.
async fn yield_once() {
    let mut polled = false;
    poll_fn(|context| {
        if polled {
            return Poll::Ready(());
        }
        polled = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs these at once, in every order; nothing may be left when all have ended.
fn all_orders(calls: &'static [fn(&Airport)]) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let airport = Arc::new(Airport::default());
        let others: Vec<_> = calls[1..]
            .iter()
            .map(|call| {
                let airport = airport.clone();
                thread::spawn(move || call(&airport))
            })
            .collect();
        calls[0](&airport);
        for other in others {
            other.join().unwrap();
        }
        let left = airport.flights.lock().values().filter(|flight| flight.strong_count() > 0).count();
        assert_eq!(left, 0, "no flight goes on without anybody aboard");
    });
}

/// A call has the outcome of a flight that nobody knew to have landed when the call was made.
fn call(airport: &Airport) {
    let landed = airport.landed.load(Ordering::SeqCst);
    let flight = block_on(airport.call());
    assert!(flight >= landed, "flight {flight} was known to have landed, as one of {landed}");
    airport.landed.fetch_max(flight + 1, Ordering::SeqCst);
}

/// Who calls after this does not have the outcome of what was on its way before it.
fn close_and_call(airport: &Airport) {
    airport.flights.close(&"a");
    let begun = airport.started.load(Ordering::SeqCst);
    airport.flights.close(&"a");
    let flight = block_on(airport.call());
    assert!(flight >= begun, "flight {flight} had begun before, as one of {begun}");
}

#[test]
fn two_who_call_at_once_share_a_flight_or_have_one_each() {
    all_orders(&[call, call]);
}

#[test]
fn three_who_call_at_once_are_never_stuck() {
    all_orders(&[call, call, call]);
}

#[test]
fn who_gives_up_leaves_the_flight_to_who_waits() {
    all_orders(&[call, Airport::give_up]);
}

#[test]
fn two_who_wait_are_not_stuck_when_one_gives_up() {
    all_orders(&[call, call, Airport::give_up]);
}

#[test]
fn a_flight_that_was_closed_is_not_joined() {
    all_orders(&[call, close_and_call]);
}

#[test]
fn a_failure_is_told_to_all_aboard_and_to_nobody_after() {
    fn fail(airport: &Airport) {
        let landed = airport.landed.load(Ordering::SeqCst);
        let fly = async {
            let number = airport.fly().await?;
            Err(Error::new(ErrorKind::Unavailable, number))
        };
        let error = block_on(airport.flights.join("a", fly)).unwrap_err();
        let flight: usize = error.to_string().parse().unwrap();
        assert!(flight >= landed, "flight {flight} was known to have failed, as one of {landed}");
        airport.landed.fetch_max(flight + 1, Ordering::SeqCst);
    }
    all_orders(&[fail, fail]);
}
