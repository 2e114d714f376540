//! Removes names, and the images that no other name leads to.

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

    /// Removes the image's name; a digest loses all names that it has in its repository. Images that no name
    /// leads to any more are deleted. A leased one stays until a later collection. `true`: the image was in the
    /// store.
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

    /// Removes a ref if `if_is` accepts its record. The image itself stays.
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
        // Last of all, so that a process that recreates the directory does not have to wait for this lock.
        self.prune_empty(&place.dir)?;
        Ok(record)
    }

    /// Removes empty directories of refs, from the innermost outwards.
    pub(crate) fn prune_empty(&self, dir: &str) -> Result<()> {
        let mut path = dir;
        while path != "refs" && self.dir().remove_empty(path)? {
            path = path.rsplit_once('/').map_or("refs", |(parent, _)| parent);
        }
        Ok(())
    }
}

/// Removes the files of a ref. The caller holds its directory's lock.
pub(crate) fn unlink_ref(dir: &Dir, place: &Place) -> Result<()> {
    dir.unlink(&place.file)?;
    dir.unlink(place.index())?;
    place.unlink_inner_indexes(dir, |_| false)?;
    dir.sync()
}
