//! Which hosts brought what of an image's blobs, and which are not to be asked for one again.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Of each blob, by its place in the image.
#[derive(Debug, Default)]
pub(crate) struct Sources(Mutex<HashMap<usize, Source>>);

/// Hosts, by their places in the route.
#[derive(Debug, Default)]
struct Source {
    brought: HashSet<usize>,
    stumbled: HashSet<usize>,
    shunned: HashSet<usize>,
}

impl Sources {
    /// This host brings a part of this blob.
    pub(crate) fn brings(&self, blob: usize, host: usize) {
        self.all().entry(blob).or_default().brought.insert(host);
    }

    /// This host began to bring this blob, and did not get on. Whether it is so for the first time.
    pub(crate) fn stumbles(&self, blob: usize, host: usize) -> bool {
        self.all().entry(blob).or_default().stumbled.insert(host)
    }

    /// This host is not to be asked for this blob again.
    pub(crate) fn shun(&self, blob: usize, host: usize) {
        self.all().entry(blob).or_default().shunned.insert(host);
    }

    pub(crate) fn is_shunned(&self, blob: usize, host: usize) -> bool {
        self.all().get(&blob).is_some_and(|source| source.shunned.contains(&host))
    }

    /// The blob is wrong: none of the mirrors that brought a part of it is asked for it again. Whether there was
    /// one. `origin` is the place of who is no mirror.
    pub(crate) fn blame(&self, blob: usize, origin: usize) -> bool {
        let mut all = self.all();
        let Some(source) = all.get_mut(&blob) else { return false };
        let before = source.shunned.len();
        source.shunned.extend(source.brought.drain().filter(|&host| host != origin));
        source.shunned.len() > before
    }

    fn all(&self) -> MutexGuard<'_, HashMap<usize, Source>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
