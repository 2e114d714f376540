//! How many files and connections this process may have open for what it pulls, so that it never runs out of
//! descriptors: fewer blobs come at once, and over fewer connections, where the limit is low.
//!
//! All pulls of a process share this, whatever store they fill. Leases are the caller's, and not counted.

use std::sync::{Arc, LazyLock};

use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is taken of a low limit: as little as pulls can do with, where that is 64.
const LEAST: u64 = 48;
/// What is taken of a high one: more would make nothing faster.
const MOST: u64 = 256;

static BUDGET: LazyLock<usize> = LazyLock::new(|| of_limit(getrlimit(Resource::Nofile).current));
static BLOBS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(open_blobs())));

/// How many descriptors of this limit pulls may have together.
fn of_limit(limit: Option<u64>) -> usize {
    let quarter = limit.map_or(MOST, |limit| limit / 4);
    usize::try_from(quarter.clamp(LEAST, MOST)).unwrap_or_default()
}

/// How many blobs may be on their way at once. Each has a file open, and a second one while it comes out of order;
/// [`claim`](crate::Staging::claim) waits for its turn.
pub fn open_blobs() -> usize {
    *BUDGET / 6
}

/// How many connections may be open at once, to all hosts together.
pub fn connections() -> usize {
    *BUDGET / 4
}

/// The right to have a blob's files open, when there are not too many. `None`: never, which does not happen.
pub(crate) async fn open_blob() -> Option<OwnedSemaphorePermit> {
    BLOBS.clone().acquire_owned().await.ok()
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
