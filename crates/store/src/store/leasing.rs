//! Leasing: while somebody wants a lease of what is pulled, all that is named or hit is leased.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hoist_core::{Digest, Result};

use crate::store::Store;
use crate::store::lease::Lease;

/// Leases of what was named and hit since this was begun; see [`Store::leasing`].
#[derive(Debug)]
#[must_use = "the leases end when it is dropped"]
pub struct Leasing(Arc<Leases>);

/// By image. The descriptors of an image's leases are one.
type Leases = Mutex<HashMap<Digest, Lease>>;

/// Those that are wanted now.
#[derive(Debug, Default)]
pub(crate) struct Leasings(Mutex<Vec<Weak<Leases>>>);

impl Leasing {
    /// The lease of this image, if it was named or hit meanwhile.
    pub fn take(&self, digest: &Digest) -> Option<Lease> {
        lock(&self.0).remove(digest)
    }
}

impl Leasings {
    fn open(&self) -> Leasing {
        let leases = Arc::default();
        let mut all = lock(&self.0);
        all.retain(|leases| leases.strong_count() > 0);
        all.push(Arc::downgrade(&leases));
        Leasing(leases)
    }

    fn all(&self) -> Vec<Arc<Leases>> {
        lock(&self.0).iter().filter_map(Weak::upgrade).collect()
    }
}

impl Store {
    /// From now on, and until what is returned is dropped, each image that any clone of this handle names or hits
    /// is leased, by whatever call, before anybody could remove it.
    ///
    /// So a lease is had of what a registry pulled that knows nothing of leases, whatever is put around it:
    /// [`take`](Leasing::take) the one of the image that the pull answered with.
    pub fn leasing(&self) -> Leasing {
        self.leasings().open()
    }

    /// Whether anybody wants leases now.
    pub(crate) fn is_leasing(&self) -> bool {
        lock(&self.leasings().0).iter().any(|leases| leases.strong_count() > 0)
    }

    /// Leases this image, for all who want leases, as it is leased already.
    pub(crate) fn lease_named(&self, lease: &Lease) -> Result<()> {
        for leases in self.leasings().all() {
            let mut leases = lock(&leases);
            if !leases.contains_key(lease.digest()) {
                leases.insert(lease.digest().clone(), lease.again()?);
            }
        }
        Ok(())
    }

    /// Leases this image, for all who want leases. `false`: it has gone.
    pub(crate) fn lease_found(&self, digest: &Digest) -> Result<bool> {
        if !self.is_leasing() {
            return Ok(true);
        }
        let Some(lease) = self.lease(digest)? else { return Ok(false) };
        self.lease_named(&lease)?;
        Ok(true)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
