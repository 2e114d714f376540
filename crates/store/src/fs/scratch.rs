//! A directory of one's own below `staging/`, gone when its guard is dropped.

use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use hoist_core::Result;

use crate::fs::dir::Dir;
use crate::fs::lock;

/// Tells the scratch directories of one process apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A locked directory below `staging/`. Dropping it removes it; if the process dies first, the next one
/// to sweep finds its lock free.
#[derive(Debug)]
#[must_use]
pub(crate) struct Scratch {
    staging: Dir,
    name: String,
    dir: Dir,
}

impl Scratch {
    /// Makes a directory that nobody else has.
    pub(crate) fn new(root: &Dir) -> Result<Self> {
        // What is in there is of no use to anybody after a power cut, so its name need not last.
        let staging = root.make_unsynced("staging")?;
        loop {
            let name = format!("{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            // A name that is there belongs to a process of another PID namespace, or to a dead one.
            if staging.stat(&name)?.is_none()
                && let Some(dir) = lock::own(&staging, &name)?
            {
                return Ok(Self { staging, name, dir });
            }
        }
    }

    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = self.staging.remove_all(&self.name) {
            tracing::warn!(error = error.report(), "cannot clean up a staging directory");
        }
    }
}
