//! Calls: the work that a store does for one caller, which the caller can drop; and waiting until all of it has ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hoist_core::{Error, ErrorKind, Result};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::fs::blocking::blocking;
use crate::store::Store;

/// One call on a store. After this is dropped, the call's handles write no more names.
///
/// A handle writes a name under the lock that the drop takes. It holds the lock from the last check that the
/// call goes on until the file is renamed. So once the drop has returned, a thread that was about to write a
/// name does not.
#[derive(Debug)]
#[must_use = "the call ends when it is dropped"]
pub struct Call(Arc<Mutex<bool>>);

impl Drop for Call {
    fn drop(&mut self) {
        *lock(&self.0) = true;
    }
}

/// The state of the call that a handle belongs to.
#[derive(Debug)]
pub(crate) struct Scope {
    has_ended: Arc<Mutex<bool>>,
    /// The call in which this one began.
    outer: Option<Arc<Scope>>,
    /// Keeps the store busy for as long as the handle exists.
    _busy: TaskTrackerToken,
}

/// Proof that a call goes on, for as long as this is held.
#[must_use]
pub(crate) struct GoesOn<'a>(#[expect(dead_code, reason = "they are held")] Vec<MutexGuard<'a, bool>>);

impl Store {
    /// Returns a handle for one call, and the call. After the call is dropped, the handle and its clones write
    /// no more names. All other work continues to its end, and [`idle`](Self::idle) waits for it.
    ///
    /// Keep the call in the future that the caller holds, so that dropping the future drops the call.
    pub fn call(&self) -> (Self, Call) {
        let call = Call(Arc::default());
        let (has_ended, outer) = (call.0.clone(), self.scope.clone());
        let scope = Scope { has_ended, outer, _busy: self.tracker().token() };
        let mut store = self.clone();
        store.scope = Some(Arc::new(scope));
        (store, call)
    }

    /// Waits until all [calls](Self::call) on this store have ended, in all clones of this handle, with the
    /// disk work that they started and the cleanup that they left. Also waits for calls that begin while it
    /// waits.
    pub async fn idle(&self) {
        self.tracker().wait().await;
    }

    /// Like [`blocking`](crate::blocking()), for work on this store that [`idle`](Self::idle) waits for.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (store, _call) = self.call();
        // The outcome, a lease for example, is dropped before the handle.
        let (outcome, _store) = blocking(move || Ok((work(&store), store))).await?;
        outcome
    }

    /// Fails if the call of this handle was dropped. Otherwise the call goes on until the returned value is
    /// dropped.
    pub(crate) fn goes_on(&self) -> Result<GoesOn<'_>> {
        let (mut held, mut scope) = (Vec::new(), self.scope.as_ref());
        while let Some(call) = scope {
            let has_ended = lock(&call.has_ended);
            if *has_ended {
                let message = "the call was dropped before it gave the image its name";
                return Err(Error::new(ErrorKind::Storage, message));
            }
            held.push(has_ended);
            scope = call.outer.as_ref();
        }
        Ok(GoesOn(held))
    }
}

/// Counts calls. It can be waited for at any time.
pub(crate) fn tracker() -> TaskTracker {
    let tracker = TaskTracker::new();
    tracker.close(); // a closed tracker reports when it is empty, and still counts calls
    tracker
}

fn lock(has_ended: &Mutex<bool>) -> MutexGuard<'_, bool> {
    has_ended.lock().unwrap_or_else(PoisonError::into_inner)
}
