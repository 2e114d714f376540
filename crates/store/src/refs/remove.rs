//! Forgetting names, and what no other name leads to.

use hoist_core::{Digest, Platform, Reference, Result};

use super::record::{Place, Record};
use crate::fs::dir::Dir;
use crate::fs::lock;
use crate::store::Store;

impl Store {
    /// Deletes an image that no name leads to. `false`: there is no such image, it has a name, or it is leased.
    pub fn remove_unnamed(&self, image: &Digest) -> Result<bool> {
        self.collect(image)
    }

    /// Forgets the image under this name; a digest is forgotten under all names that it has in its
    /// repository. What no name leads to any more is deleted, unless it is leased: then it is deleted by the
    /// next to collect it. `true`: it was here.
    pub fn remove(&self, reference: &Reference, platform: &Platform) -> Result<bool> {
        let mut found = false;
        let digest = reference.digest().cloned();
        let mut places = vec![Place::of(reference, platform)];
        if let Some(digest) = &digest {
            places.extend(self.aliases(reference, digest, platform)?);
        }
        for place in places {
            found |= self.remove_ref(&place)?;
        }
        Ok(found)
    }

    fn remove_ref(&self, place: &Place) -> Result<bool> {
        let Some(record) = self.forget(place, |_| true)? else { return Ok(false) };
        let whole = self.has_image(&record.image)?;
        self.collect(&record.image)?;
        Ok(whole)
    }

    /// Removes a ref, if what it holds is as it should be for that; its image stays as it is.
    pub(crate) fn forget(&self, place: &Place, if_is: impl Fn(&Record) -> bool) -> Result<Option<Record>> {
        if self.record_at(place)?.is_none() {
            return Ok(None);
        }
        let dir = lock::hold(self.dir(), &place.dir)?;
        let record = self.record_at(place)?.filter(if_is);
        if let Some(record) = &record {
            unlink_ref(&dir, place)?;
            for digest in record.leads_to() {
                self.unmark(digest, &place.path())?;
            }
        }
        // Last of all: whoever makes the directory anew need not wait for who holds this one.
        self.prune_empty(&place.dir)?;
        Ok(record)
    }

    /// Removes directories of refs that have become empty, from the innermost outwards.
    pub(crate) fn prune_empty(&self, dir: &str) -> Result<()> {
        let mut path = dir;
        while path != "refs" && self.dir().remove_empty(path)? {
            path = path.rsplit_once('/').map_or("refs", |(parent, _)| parent);
        }
        Ok(())
    }
}

/// Removes the files of a ref, whose directory is held.
pub(crate) fn unlink_ref(dir: &Dir, place: &Place) -> Result<()> {
    dir.unlink(&place.file)?;
    dir.unlink(place.index())?;
    dir.sync()
}
