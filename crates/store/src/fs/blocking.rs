//! Runs blocking disk operations without blocking asynchronous code.

use hoist_core::{Error, ErrorKind, Result};
use tokio::task::JoinError;

/// Runs work that may block on the disk on one of tokio's blocking threads.
///
/// Once started, the work runs to its end, even if the future is dropped. Fails with
/// [`Storage`](ErrorKind::Storage) if the work panics, and otherwise as the work does.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|cause| Err(broken_off(cause)))
}

/// The error of work that panicked, or that did not start because the runtime was shut down.
pub(crate) fn broken_off(cause: JoinError) -> Error {
    Error::new(ErrorKind::Storage, "a disk operation was aborted").with_source(cause)
}
