//! A lease on its way from the source that took it to who asked for one, through decorators that know of none.

use std::sync::{Arc, Mutex, PoisonError};

use hoist_store::Lease;

/// What was leased while a pull was made. As long as this is held, nobody can remove it.
pub(crate) type Kept = Arc<Mutex<Vec<Lease>>>;

tokio::task_local! {
    /// Set while a pull is made that a lease is wanted of. Decorators ask what they wrap in the same task.
    static KEPT: Kept;
}

/// Makes a pull, and keeps what the sources lease in it.
pub(crate) async fn keeping<T>(pull: impl Future<Output = T>) -> (T, Kept) {
    let kept = Kept::default();
    (KEPT.scope(kept.clone(), pull).await, kept)
}

/// Whether this pull is one that a lease is wanted of.
pub(super) fn is_wanted() -> bool {
    KEPT.try_with(|_| ()).is_ok()
}

/// Keeps a lease for who wants it, if anybody does.
pub(super) fn keep(lease: Lease) {
    _ = KEPT.try_with(|kept| kept.lock().unwrap_or_else(PoisonError::into_inner).push(lease));
}

#[cfg(test)]
mod tests;
