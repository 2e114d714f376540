//! Flights in every order that threads can take turns in (`just loom`). Each flight is led by a thread, as it is by a task.
//! `Shared` is taken as it is: what it does is one step here, and nobody is woken, but all look again.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use hoist_core::{Error, ErrorKind};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::*;

/// What [`hoist_store::owned`] does: a thread polls the work, until the work ends or the call is dropped, which drops the
/// work before it returns.
pub(super) fn owned<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> impl Future<Output = Result<T>> + Send {
    Owned { slot: Arc::new(Mutex::new(Slot { work: Some(Box::pin(work)), outcome: None })), is_begun: false }
}

struct Owned<T> {
    slot: Arc<Mutex<Slot<T>>>,
    is_begun: bool,
}

struct Slot<T> {
    work: Option<Led<T>>,
    outcome: Option<Result<T>>,
}

impl<T: Send + 'static> Future for Owned<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if !std::mem::replace(&mut self.is_begun, true) {
            let slot = self.slot.clone();
            thread::spawn(move || lead(&slot));
        }
        self.slot.lock().unwrap().outcome.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        self.slot.lock().unwrap().work = None;
    }
}

fn lead<T>(slot: &Mutex<Slot<T>>) {
    loop {
        let mut state = slot.lock().unwrap();
        let Some(work) = &mut state.work else { return };
        if let Poll::Ready(outcome) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            state.work = None;
            state.outcome = Some(outcome);
            return;
        }
        drop(state);
        thread::yield_now();
    }
}

/// Looks again and again.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::yield_now(),
        }
    }
}

/// Flights, how many of them took off so far, how many at most are known to have landed, and how many are in the air.
#[derive(Default)]
struct Airport {
    flights: SingleFlight<&'static str, usize>,
    started: Arc<AtomicUsize>,
    landed: AtomicUsize,
    flying: Arc<AtomicUsize>,
}

/// A flight in the air, however that ends.
struct Flying(Arc<AtomicUsize>);

impl Flying {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Flying {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Airport {
    /// A call whose outcome is the number of the flight.
    async fn call(&self) -> usize {
        self.flights.join("a", || self.fly()).await.unwrap()
    }

    fn fly(&self) -> impl Future<Output = Result<usize>> + Send + 'static {
        let (started, flying) = (self.started.clone(), self.flying.clone());
        async move {
            let number = started.fetch_add(1, Ordering::SeqCst);
            let _flying = Flying::new(&flying);
            yield_once().await;
            Ok(number)
        }
    }

    /// Begins a call, lets it get somewhere, and drops it.
    fn give_up(&self) {
        let mut call = Box::pin(self.call());
        let mut context = Context::from_waker(Waker::noop());
        if call.as_mut().poll(&mut context).is_pending() {
            thread::yield_now();
            _ = call.as_mut().poll(&mut context);
        }
    }
}

/// Lets all others do something.
async fn yield_once() {
    let mut polled = false;
    poll_fn(|_| if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Runs these at once, in every order; nothing may be left when all have ended. Loom has five threads, and each of two calls
/// may have a flight.
fn all_orders(calls: [fn(&Airport); 2]) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let airport = Arc::new(Airport::default());
        let there = airport.clone();
        let other = thread::spawn(move || calls[1](&there));
        calls[0](&airport);
        other.join().unwrap();
        assert_eq!(airport.flying.load(Ordering::SeqCst), 0, "no flight goes on without anybody aboard");
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
    all_orders([call, call]);
}

#[test]
fn who_gives_up_leaves_the_flight_to_who_waits() {
    all_orders([call, Airport::give_up]);
}

#[test]
fn the_last_who_gives_up_ends_the_flight() {
    all_orders([Airport::give_up, Airport::give_up]);
}

#[test]
fn a_flight_that_was_closed_is_not_joined() {
    all_orders([call, close_and_call]);
}

#[test]
fn a_failure_is_told_to_all_aboard_and_to_nobody_after() {
    fn fail(airport: &Airport) {
        let landed = airport.landed.load(Ordering::SeqCst);
        let fly = || {
            let fly = airport.fly();
            async move { Err(Error::new(ErrorKind::Unavailable, fly.await?)) }
        };
        let error = block_on(airport.flights.join("a", fly)).unwrap_err();
        let flight: usize = error.to_string().parse().unwrap();
        assert!(flight >= landed, "flight {flight} was known to have failed, as one of {landed}");
        airport.landed.fetch_max(flight + 1, Ordering::SeqCst);
    }
    all_orders([fail, fail]);
}
