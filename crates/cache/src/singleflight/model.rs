//! Calls in every order that threads can take turns in (`just loom`). A thread runs each call here, in place of a task.
//! `Shared` is not modelled: each of its methods is one step here. Its wakers do nothing; instead, every caller polls
//! again whenever something has changed.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use hoist_core::{Error, ErrorKind};
use loom::sync::Condvar;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::*;

/// Stands for [`hoist_store::owned`]: a thread polls the work, until the work ends or the call is dropped, which drops
/// the work before it returns.
pub(super) fn owned<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> impl Future<Output = Result<T>> + Send {
    Owned { slot: Arc::new(Mutex::new(Slot { work: Some(Box::pin(work)), outcome: None })), leader: None }
}

struct Owned<T> {
    slot: Arc<Mutex<Slot<T>>>,
    /// Joined at the end, so that no thread outlives the model.
    leader: Option<thread::JoinHandle<()>>,
}

struct Slot<T> {
    work: Option<Work<T>>,
    outcome: Option<Result<T>>,
}

impl<T: Send + 'static> Future for Owned<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if self.leader.is_none() {
            let slot = self.slot.clone();
            self.leader = Some(thread::spawn(move || lead(&slot)));
        }
        self.slot.lock().unwrap().outcome.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        self.slot.lock().unwrap().work = None;
        if let Some(leader) = self.leader.take() {
            leader.join().unwrap();
        }
    }
}

fn lead<T>(slot: &Mutex<Slot<T>>) {
    loop {
        let mut state = slot.lock().unwrap();
        let Some(work) = &mut state.work else { return };
        if let Poll::Ready(outcome) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            state.work = None;
            state.outcome = Some(outcome);
            drop(state);
            return CHANGED.tell();
        }
    }
}

loom::lazy_static! {
    static ref CHANGED: Changed = Changed::default();
}

/// Counts the changes that a caller may wait for.
#[derive(Default)]
struct Changed(Mutex<usize>, Condvar);

impl Changed {
    fn tell(&self) {
        *self.0.lock().unwrap() += 1;
        self.1.notify_all();
    }

    fn count(&self) -> usize {
        *self.0.lock().unwrap()
    }

    fn wait(&self, known: usize) {
        let mut count = self.0.lock().unwrap();
        while *count == known {
            count = self.1.wait(count).unwrap();
        }
    }
}

/// Polls whenever something has changed.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        let known = CHANGED.count();
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            CHANGED.tell(); // others may have polled meanwhile
            return output;
        }
        CHANGED.wait(known);
    }
}

/// A group of calls, with the number of those that started, that are known to have finished, and that are running.
#[derive(Default)]
struct Model {
    group: SingleFlight<&'static str, usize>,
    started: Arc<AtomicUsize>,
    finished: AtomicUsize,
    running: Arc<AtomicUsize>,
}

/// Counts a running call, until it is dropped.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Model {
    /// A call whose outcome is its number.
    async fn call(&self) -> usize {
        self.group.join("a", || self.work()).await.unwrap()
    }

    fn work(&self) -> impl Future<Output = Result<usize>> + Send + 'static {
        let (started, running) = (self.started.clone(), self.running.clone());
        async move {
            let number = started.fetch_add(1, Ordering::SeqCst);
            let _running = Running::new(&running);
            yield_once().await;
            Ok(number)
        }
    }

    /// Begins a call, polls it once, and drops it.
    fn give_up(&self) {
        let mut call = Box::pin(self.call());
        let mut context = Context::from_waker(Waker::noop());
        if call.as_mut().poll(&mut context).is_ready() {
            CHANGED.tell();
        }
    }
}

/// Lets all other threads take a turn.
async fn yield_once() {
    let mut polled = false;
    poll_fn(|_| if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Runs two callers at once, in every order. No call may be running when both have ended. Loom has five threads: one
/// for the model, and for each caller its own and one for its call.
fn all_orders(calls: [fn(&Model); 2]) {
    let mut loom = loom::model::Builder::new();
    loom.preemption_bound = Some(3);
    loom.check(move || {
        let model = Arc::new(Model::default());
        let there = model.clone();
        let other = thread::spawn(move || calls[1](&there));
        calls[0](&model);
        other.join().unwrap();
        assert_eq!(model.running.load(Ordering::SeqCst), 0, "no call goes on without a caller");
    });
}

/// A caller gets the outcome of a call that was not known to have finished when it called.
fn call(model: &Model) {
    let finished = model.finished.load(Ordering::SeqCst);
    let number = block_on(model.call());
    assert!(number >= finished, "call {number} was known to have finished, as one of {finished}");
    model.finished.fetch_max(number + 1, Ordering::SeqCst);
}

/// A caller after `close` does not get the outcome of a call that began before.
fn close_and_call(model: &Model) {
    model.group.close(&"a");
    let begun = model.started.load(Ordering::SeqCst);
    model.group.close(&"a");
    let number = block_on(model.call());
    assert!(number >= begun, "call {number} had begun before, as one of {begun}");
}

#[test]
fn two_callers_at_once_share_a_call_or_have_one_each() {
    all_orders([call, call]);
}

#[test]
fn a_dropped_caller_leaves_the_call_to_the_other() {
    all_orders([call, Model::give_up]);
}

#[test]
fn the_last_dropped_caller_ends_the_call() {
    all_orders([Model::give_up, Model::give_up]);
}

#[test]
fn a_closed_call_is_not_joined() {
    all_orders([call, close_and_call]);
}

#[test]
fn a_failure_is_for_all_callers_and_for_none_after() {
    fn fail(model: &Model) {
        let finished = model.finished.load(Ordering::SeqCst);
        let work = || {
            let work = model.work();
            async move { Err(Error::new(ErrorKind::Unavailable, work.await?)) }
        };
        let error = block_on(model.group.join("a", work)).unwrap_err();
        let number: usize = error.to_string().parse().unwrap();
        assert!(number >= finished, "call {number} was known to have failed, as one of {finished}");
        model.finished.fetch_max(number + 1, Ordering::SeqCst);
    }
    all_orders([fail, fail]);
}
