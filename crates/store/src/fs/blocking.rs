//! Waiting for the disk without keeping asynchronous code waiting.

use hoist_core::{Error, ErrorKind, Result};
use tokio::task::JoinError;

/// Runs what may wait for the disk where waiting is allowed: on one of tokio's threads for that.
///
/// Once begun, the work goes on to its end, also if the future is dropped. Fails with
/// [`Storage`](ErrorKind::Storage) where it panics, and otherwise as it does.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|cause| Err(broken_off(cause)))
}

/// The error of work that panicked, or that a runtime which was shut down did not begin.
pub(crate) fn broken_off(cause: JoinError) -> Error {
    Error::new(ErrorKind::Storage, "work on the disk was broken off").with_source(cause)
}
