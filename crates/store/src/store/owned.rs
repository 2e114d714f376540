//! Calls that own their work: it runs in a task, whether or not the caller polls its future, and ends with the
//! call.
//!
//! A future that is not polled stands still and keeps everything that it holds: permits, locks, connections. A
//! task keeps running, but an aborted task ends some time later, while a future ends as it is dropped. So the
//! future lives in a [`Slot`], where the task polls it. Dropping the call drops the future in the slot, with
//! everything that it holds.

use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread::{self, ThreadId};
use std::time::Duration;

use hoist_core::{Error, ErrorKind, Result, in_current_pull};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;
use tracing::instrument::WithSubscriber;

use crate::store::Store;

/// How long a drop waits for a thread that is polling the future. A poll takes microseconds. One that takes
/// longer than this may be waiting for something that the dropping thread holds, such as a lock in an event
/// callback.
const LONGEST_POLL: Duration = Duration::from_secs(1);

/// Runs this work in a task of the current tokio runtime, and waits for its outcome.
///
/// After the future is polled once, the work continues whether or not it is polled again, in the span and with
/// the `tracing` subscriber of the caller, and as a part of the caller's [pull](in_current_pull). Dropping the
/// future drops the work before the drop returns. If a thread is polling the work at that moment, the drop waits
/// for the end of that poll, for one second at most. A panic in the work is resumed in the caller.
///
/// Fails with [`Unsupported`](ErrorKind::Unsupported) outside of a runtime, with
/// [`Storage`](ErrorKind::Storage) if the runtime is shut down first, and otherwise as the work does.
pub fn owned<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> impl Future<Output = Result<T>> + Send {
    run(Box::pin(in_current_pull(work).in_current_span().with_current_subscriber()), Drops::Waiting)
}

impl Store {
    /// Like [`owned`], for work that is one [call](Self::call) on this store. The work gets a handle that
    /// writes no more names after the future is dropped.
    ///
    /// Dropping the future does not wait for a running poll, so the work may end a moment later.
    /// [`idle`](Self::idle) waits for that end.
    pub fn owned<T, F>(&self, work: impl FnOnce(Self) -> F) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let (store, call) = self.call();
        let work = Box::pin(in_current_pull(work(store)).in_current_span().with_current_subscriber());
        async move {
            let _call = call;
            run(work, Drops::Later).await
        }
    }
}

/// What a drop does if a thread is polling the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drops {
    /// Waits for the poll to end: the future may hold calls of others, which must end first.
    Waiting,
    /// Leaves the future to that thread.
    Later,
}

async fn run<T, F>(work: Pin<Box<F>>, drops: Drops) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let runtime = Handle::try_current().map_err(|cause| {
        Error::new(ErrorKind::Unsupported, "there is no tokio runtime to work in")
            .with_source(cause)
            .with_help("call it within a tokio runtime, or use the blocking front")
    })?;
    let slot = Arc::new(Slot::new(work));
    let mut task = AbortOnDropHandle::new(runtime.spawn(Running(slot.clone())));
    let _end = End { slot, drops }; // dropped before the task is aborted
    match (&mut task).await {
        Ok(Some(outcome)) => outcome,
        Ok(None) => Err(shut_down()),
        Err(broken) => match broken.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(cancelled) => Err(shut_down().with_source(cancelled)),
        },
    }
}

fn shut_down() -> Error {
    Error::new(ErrorKind::Storage, "the tokio runtime was shut down before the call had ended")
}

/// Holds a future that its task polls, and that the task or the call drops, whichever is first.
struct Slot<F> {
    state: Mutex<State<F>>,
    changed: Condvar,
}

enum State<F> {
    Waiting(Pin<Box<F>>),
    /// This thread is polling or dropping the future.
    Busy {
        by: ThreadId,
        /// Whether to drop the future after the poll.
        doomed: bool,
    },
    Gone,
}

impl<F> Slot<F> {
    fn new(future: Pin<Box<F>>) -> Self {
        Self { state: Mutex::new(State::Waiting(future)), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the future out, if no other thread has it. It is this thread's until the turn is dropped.
    fn take(&self) -> Option<Turn<'_, F>> {
        let mut state = self.lock();
        if !matches!(*state, State::Waiting(_)) {
            return None;
        }
        let busy = State::Busy { by: thread::current().id(), doomed: false };
        match std::mem::replace(&mut *state, busy) {
            State::Waiting(future) => Some(Turn { slot: self, future: Some(future), keeps: false }),
            _ => None,
        }
    }

    /// Drops the future, or makes the thread that has it do so.
    fn clear(&self, drops: Drops) {
        if self.take().is_some() {
            return; // the end of the turn dropped it
        }
        let mut state = self.lock();
        if let State::Busy { by, doomed } = &mut *state {
            *doomed = true;
            if drops == Drops::Waiting && *by != thread::current().id() {
                let is_busy = |state: &mut State<F>| matches!(state, State::Busy { .. });
                _ = self.changed.wait_timeout_while(state, LONGEST_POLL, is_busy);
            }
        }
    }
}

/// A thread's turn with the future. Ending the turn drops the future outside of any lock, unless `keeps` is
/// set.
struct Turn<'a, F> {
    slot: &'a Slot<F>,
    future: Option<Pin<Box<F>>>,
    keeps: bool,
}

impl<F> Drop for Turn<'_, F> {
    fn drop(&mut self) {
        let mut state = self.slot.lock();
        if self.keeps
            && !matches!(*state, State::Busy { doomed: true, .. })
            && let Some(future) = self.future.take()
        {
            *state = State::Waiting(future);
        } else {
            drop(state);
            self.future = None;
            *self.slot.lock() = State::Gone;
            self.slot.changed.notify_all(); // threads only wait for a doomed future
        }
    }
}

/// The task's future: polls the future in the slot.
struct Running<F>(Arc<Slot<F>>);

impl<F: Future> Future for Running<F> {
    type Output = Option<F::Output>;

    /// `None`: the work was dropped.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(mut turn) = self.0.take() else { return Poll::Ready(None) };
        let Some(future) = &mut turn.future else { return Poll::Ready(None) };
        let polled = future.as_mut().poll(context);
        turn.keeps = polled.is_pending();
        drop(turn);
        Poll::Ready(Some(ready!(polled)))
    }
}

/// A runtime that shuts down drops its tasks, and with them the work.
impl<F> Drop for Running<F> {
    fn drop(&mut self) {
        self.0.clear(Drops::Later);
    }
}

/// Ends the call when it is dropped, however that comes about.
struct End<F> {
    slot: Arc<Slot<F>>,
    drops: Drops,
}

impl<F> Drop for End<F> {
    fn drop(&mut self) {
        self.slot.clear(self.drops);
    }
}
