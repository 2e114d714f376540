//! Leasing: collects leases of all images that are named or hit while a caller wants them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hoist_core::{Digest, Result};

use crate::store::Store;
use crate::store::lease::Lease;

/// The leases of images that were named or hit since this was created; see [`Store::leasing`].
#[derive(Debug)]
#[must_use = "the leases end when it is dropped"]
pub struct Leasing(Arc<Leases>);

/// One lease per image. Leases of the same image share it.
type Leases = Mutex<HashMap<Digest, Lease>>;

/// The collections that are wanted now.
#[derive(Debug, Default)]
pub(crate) struct Leasings(Mutex<Vec<Weak<Leases>>>);

impl Leasing {
    /// Takes the lease of this image, if the image was named or hit since [`Store::leasing`].
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
    /// Until the returned value is dropped, leases every image that a clone of this handle names or hits, in
    /// any call, before any process could remove it.
    ///
    /// This gives the caller a lease of an image that was pulled through a registry without lease support,
    /// whatever layers are around it: [`take`](Leasing::take) the lease of the image that the pull returned.
    pub fn leasing(&self) -> Leasing {
        self.leasings().open()
    }

    /// Whether any caller wants leases now.
    pub(crate) fn is_leasing(&self) -> bool {
        lock(&self.leasings().0).iter().any(|leases| leases.strong_count() > 0)
    }

    /// Adds a copy of this lease to every collection that wants leases.
    pub(crate) fn lease_named(&self, lease: &Lease) -> Result<()> {
        for leases in self.leasings().all() {
            let mut leases = lock(&leases);
            if !leases.contains_key(lease.digest()) {
                leases.insert(lease.digest().clone(), lease.again()?);
            }
        }
        Ok(())
    }

    /// Leases this image for every collection that wants leases. `false`: the image is gone.
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
