//! Private directories below `staging/`, removed when their guard is dropped.

use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use hoist_core::Result;

use crate::fs::dir::Dir;
use crate::fs::lock;

/// Numbers the scratch directories of this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A locked directory below `staging/`, removed on drop. If the process dies first, the lock is released, and
/// the next sweep removes the directory.
#[derive(Debug)]
#[must_use]
pub(crate) struct Scratch {
    staging: Dir,
    name: String,
    dir: Dir,
}

impl Scratch {
    /// Creates a directory that no other process uses.
    pub(crate) fn new(root: &Dir) -> Result<Self> {
        // The content is useless after a power cut, so its name need not be durable.
        let staging = root.make_unsynced("staging")?;
        loop {
            let name = format!("{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            // An existing name belongs to a process in another PID namespace, or to a dead one.
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
