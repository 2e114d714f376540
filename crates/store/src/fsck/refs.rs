//! Checks refs: each must be readable, lead to an image, and have a marker there.

use hoist_core::{Platform, Reference, Result};

use super::{Check, Problem};
use crate::fs::dir::{Dir, is_damage, unless_damaged};
use crate::fs::lock;
use crate::refs::record::Place;
use crate::refs::unlink_ref;

impl Check<'_> {
    pub(super) fn refs(&mut self) -> Result<()> {
        match self.store.dir().sub("refs")? {
            Some(refs) => self.refs_below(&refs, "refs"),
            None => Ok(()),
        }
    }

    fn refs_below(&mut self, dir: &Dir, path: &str) -> Result<()> {
        for entry in dir.entries()? {
            let entry = entry?;
            if entry.is_dir {
                if let Some(sub) = dir.sub(&entry.name)? {
                    self.refs_below(&sub, &format!("{path}/{}", entry.name))?;
                }
            } else if !Place::is_index(&entry.name) {
                self.named(&Place { dir: path.to_owned(), file: entry.name })?;
            }
        }
        Ok(())
    }

    fn named(&mut self, place: &Place) -> Result<()> {
        self.checked.refs += 1;
        if self.ref_problem(place)?.is_none() {
            return Ok(());
        }
        // It may have been in the middle of a change. While its directory is locked, no process writes or
        // removes it.
        let dir = lock::hold(self.store.dir(), &place.dir)?;
        let Some(problem) = self.ref_problem(place)? else {
            return self.store.prune_empty(&place.dir);
        };
        let reference = unless_damaged(self.store.record_at(place))?.map(|record| record.reference);
        if self.repair {
            match &problem {
                Problem::UnmarkedRef { digest } => self.store.mark(digest, &place.path())?,
                _ => unlink_ref(&dir, place).and_then(|()| self.store.prune_empty(&place.dir))?,
            }
        }
        let is_lost = !matches!(problem, Problem::UnmarkedRef { .. });
        let references: Vec<Reference> = reference.filter(|_| is_lost).into_iter().collect();
        self.found(&self.store.root().join(place.path()), problem, references, self.repair);
        Ok(())
    }

    fn ref_problem(&self, place: &Place) -> Result<Option<Problem>> {
        let record = match self.store.record_at(place) {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(None),
            Err(error) if is_damage(&error) => return Ok(Some(Problem::DamagedRef)),
            Err(error) => return Err(error),
        };
        if Place::of(&record.reference, &Platform::host()).dir != place.dir {
            return Ok(Some(Problem::DamagedRef));
        }
        match self.store.has_image(&record.image) {
            Ok(true) => {}
            Ok(false) => return Ok(Some(Problem::DanglingRef { image: record.image })),
            Err(error) if is_damage(&error) => {} // the check of the images reported it
            Err(error) => return Err(error),
        }
        for digest in record.leads_to() {
            if !self.store.is_marked(digest, &place.path())? {
                return Ok(Some(Problem::UnmarkedRef { digest: digest.clone() }));
            }
        }
        Ok(None)
    }
}
