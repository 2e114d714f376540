//! Calls: what a store does for one caller, who may drop it; and when all of that has ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hoist_core::{Error, ErrorKind, Result};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::fs::blocking::blocking;
use crate::store::Store;

/// One call on a store. When this is dropped, the call's handles give no more names.
///
/// A name is given under the lock that the drop takes, from the last look whether the call still goes on until the
/// file is renamed. So after the drop returned, a thread that was about to give a name does not.
#[derive(Debug)]
#[must_use = "the call ends when it is dropped"]
pub struct Call(Arc<Mutex<bool>>);

impl Drop for Call {
    fn drop(&mut self) {
        *lock(&self.0) = true;
    }
}

/// What a handle knows of the call that it is for.
#[derive(Debug)]
pub(crate) struct Scope {
    has_ended: Arc<Mutex<bool>>,
    /// The call in which this one was begun.
    outer: Option<Arc<Scope>>,
    /// For as long as anybody has the handle, the store has something to do.
    _busy: TaskTrackerToken,
}

/// That a call goes on, for as long as this is held.
#[must_use]
pub(crate) struct GoesOn<'a>(#[expect(dead_code, reason = "they are held")] Vec<MutexGuard<'a, bool>>);

impl Store {
    /// A handle for one call, and the call. When the call was dropped, the handle and its clones give no more
    /// names; all else goes on to its end, and [`idle`](Self::idle) waits for it.
    ///
    /// The call is to be kept where the caller drops it: in the future that was handed out.
    pub fn call(&self) -> (Self, Call) {
        let call = Call(Arc::default());
        let (has_ended, outer) = (call.0.clone(), self.scope.clone());
        let scope = Scope { has_ended, outer, _busy: self.tracker().token() };
        let mut store = self.clone();
        store.scope = Some(Arc::new(scope));
        (store, call)
    }

    /// Waits until all [calls](Self::call) on this store have ended, in all clones of this handle: with what they
    /// had begun on the disk and what they left to be cleaned up. Calls that are begun meanwhile are waited for as
    /// well.
    pub async fn idle(&self) {
        self.tracker().wait().await;
    }

    /// As [`blocking`](crate::blocking()), on this store, so that [`idle`](Self::idle) waits for it.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (store, _call) = self.call();
        // Whoever drops the outcome, a lease, say, drops the handle after it.
        let (outcome, _store) = blocking(move || Ok((work(&store), store))).await?;
        outcome
    }

    /// Fails where the call that this handle is for was dropped; else it goes on until what is returned is dropped.
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

/// Counts calls; to be waited for at any time.
pub(crate) fn tracker() -> TaskTracker {
    let tracker = TaskTracker::new();
    tracker.close(); // only then does it say when it is empty; calls are counted all the same
    tracker
}

fn lock(has_ended: &Mutex<bool>) -> MutexGuard<'_, bool> {
    has_ended.lock().unwrap_or_else(PoisonError::into_inner)
}
