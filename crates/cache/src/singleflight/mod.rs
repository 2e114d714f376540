//! Singleflight: equal calls that overlap share one call in flight, which is a task, and so its outcome.

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;

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

/// A call in flight. Any number of callers wait for it, and the last one that is dropped ends it.
type InFlight<T> = Shared<Work<T>>;
type Work<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// The calls in flight, by their keys. Clones share them.
#[derive(Debug)]
pub(crate) struct SingleFlight<K, T>(Arc<Mutex<State<K, T>>>);

#[derive(Debug)]
struct State<K, T> {
    calls: HashMap<K, (u64, WeakShared<Work<T>>)>,
    /// The number of calls so far, which numbers them.
    count: u64,
}

impl<K, T> SingleFlight<K, T>
where
    K: Eq + Hash + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Returns the outcome of `work`, or of an equal call in flight.
    ///
    /// The call is a task, which goes on whether or not its callers are polled. Dropping one caller does not affect the
    /// others. Dropping the last one ends the call, before that drop returns. Every caller that waits gets the outcome;
    /// callers that come later start a new call.
    pub(crate) async fn join<F>(&self, key: K, work: impl FnOnce() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.join_or_start(key, work).await
    }

    /// Lets no later caller join the call in flight for this key.
    pub(crate) fn close(&self, key: &K) {
        self.lock().calls.remove(key);
    }

    /// Lets no later caller join any call that is in flight now.
    pub(crate) fn close_all(&self) {
        self.lock().calls.clear();
    }

    fn join_or_start<F>(&self, key: K, work: impl FnOnce() -> F) -> InFlight<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        // Dropping the last handle of a call ends it, and its end takes the lock. So these are dropped after the lock.
        let mut others = Vec::new();
        let mut state = self.lock();
        if let Some(call) = state.calls.get(&key).and_then(|(_, call)| call.upgrade()) {
            return call;
        }
        state.calls.retain(|_, (_, call)| match call.upgrade() {
            Some(call) => {
                others.push(call);
                true
            }
            None => false,
        });
        state.count += 1;
        let number = state.count;
        let (all, of, work) = (self.clone(), key.clone(), work());
        let task: Work<T> = Box::pin(owned(async move {
            let outcome = work.await;
            all.finish(&of, number);
            outcome
        }));
        let call = task.shared();
        if let Some(known) = call.downgrade() {
            state.calls.insert(key, (number, known));
        }
        call
    }

    fn finish(&self, key: &K, number: u64) {
        let mut state = self.lock();
        if state.calls.get(key).is_some_and(|(there, _)| *there == number) {
            state.calls.remove(key);
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
        Self(Arc::new(Mutex::new(State { calls: HashMap::new(), count: 0 })))
    }
}
