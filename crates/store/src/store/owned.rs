//! Calls that own their work: it goes on in a task whether or not the caller's future is polled, and ends with it.
//!
//! A future that nobody polls stands still, with all that it holds: permits, locks, connections. A task does not. But
//! a task that is aborted ends some time later, where a future ends as it is dropped. So the future is kept in a
//! [`Slot`] that the task polls it in, and whoever drops the call drops it there, with all that it holds.

use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread::{self, ThreadId};
use std::time::Duration;

use hoist_core::{Error, ErrorKind, Result};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;
use tracing::instrument::WithSubscriber;

use crate::store::Store;

/// How long a drop waits for a thread that polls the future just then. A poll takes microseconds; one that takes this
/// long may be waiting for something that the dropping thread holds, such as a lock in a function for events.
const LONGEST_POLL: Duration = Duration::from_secs(1);

/// Runs this in a task of the current tokio runtime, and waits for its outcome.
///
/// The work goes on whether or not the future is polled again after the first time, in the span and with the
/// `tracing` subscriber of the caller. Dropping the future drops the work before the drop returns; if a thread is
/// polling the work at that moment, the drop waits for the end of that poll, for one second at most. A panic of the
/// work is resumed in the caller.
///
/// Fails with [`Unsupported`](ErrorKind::Unsupported) outside of a runtime, with [`Storage`](ErrorKind::Storage)
/// where the runtime is shut down first, and otherwise as the work does.
pub fn owned<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> impl Future<Output = Result<T>> + Send {
    run(Box::pin(work.in_current_span().with_current_subscriber()), Drops::Waiting)
}

impl Store {
    /// As [`owned`], of work that is one [call](Self::call) on this store: it is given a handle that gives no names
    /// once the future was dropped.
    ///
    /// Dropping the future waits for no poll, so the work itself may end a moment later; [`idle`](Self::idle) says
    /// when.
    pub fn owned<T, F>(&self, work: impl FnOnce(Self) -> F) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let (store, call) = self.call();
        let work = Box::pin(work(store).in_current_span().with_current_subscriber());
        async move {
            let _call = call;
            run(work, Drops::Later).await
        }
    }
}

/// What a drop does about a thread that polls the future just then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drops {
    /// It waits for it: what the future holds may be calls of others, which have to end first.
    Waiting,
    /// It leaves the future to that thread.
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

/// Where a future is polled by its task, and dropped by whoever comes first.
struct Slot<F> {
    state: Mutex<State<F>>,
    changed: Condvar,
}

enum State<F> {
    Waiting(Pin<Box<F>>),
    /// This thread polls the future, or drops it.
    Busy {
        by: ThreadId,
        /// Whether it is to be dropped when it was polled.
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

    /// Takes the future out, if it is there and nobody else has it. It is this thread's until the turn is dropped.
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

    /// Drops the future, or has that thread do so which has it.
    fn clear(&self, drops: Drops) {
        if self.take().is_some() {
            return; // the turn's end has dropped it
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

/// A thread's turn with the future. Unless it keeps it, it drops it, outside of any lock.
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
            self.slot.changed.notify_all(); // only a future that is doomed is waited for
        }
    }
}

/// The task's future: what is in the slot.
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

/// The end of the call, however it comes.
struct End<F> {
    slot: Arc<Slot<F>>,
    drops: Drops,
}

impl<F> Drop for End<F> {
    fn drop(&mut self) {
        self.slot.clear(self.drops);
    }
}
