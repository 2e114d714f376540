//! Limits on the files and connections that this process opens for pulls, so that it never runs out of
//! descriptors. Where the limit on open files is low, fewer blobs are fetched at once, over fewer connections.
//!
//! All pulls of a process share this limit, in all stores. Leases belong to the caller and do not count.

use std::sync::{Arc, LazyLock};

use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// The minimum to use of a low limit. Pulls work with this much, and it fits a limit of 64.
const LEAST: u64 = 48;
/// The maximum to use of a high limit. More would not make pulls faster.
const MOST: u64 = 256;

static BUDGET: LazyLock<usize> = LazyLock::new(|| of_limit(getrlimit(Resource::Nofile).current));
static BLOBS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(open_blobs())));
static CHECKS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(*BUDGET / 24));

/// The number of descriptors that all pulls together may use under this limit on open files.
fn of_limit(limit: Option<u64>) -> usize {
    let quarter = limit.map_or(MOST, |limit| limit / 4);
    usize::try_from(quarter.clamp(LEAST, MOST)).unwrap_or_default()
}

/// How many blobs may be open for writing at once. Each has one file open, and a second one while its bytes
/// arrive out of order. [`claim`](crate::Staging::claim) waits until it may open another.
pub fn open_blobs() -> usize {
    *BUDGET / 6
}

/// How many connections may be open at once, to all hosts together.
pub fn connections() -> usize {
    *BUDGET / 4
}

/// Waits for permission to open the files of one more blob. `None` never happens: the semaphore is never
/// closed.
pub(crate) async fn open_blob() -> Option<OwnedSemaphorePermit> {
    BLOBS.clone().acquire_owned().await.ok()
}

/// Waits for permission to hash or copy one more blob of the pool. `None` never happens: the semaphore is never
/// closed.
pub(crate) async fn check_blob() -> Option<SemaphorePermit<'static>> {
    CHECKS.acquire().await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_limit_is_taken_and_never_too_little_or_more_than_helps() {
        let limits = [Some(64), Some(256), Some(400), Some(1024), Some(1 << 20), None];
        assert_eq!(limits.map(of_limit), [48, 64, 100, 256, 256, 256]);
    }
}
