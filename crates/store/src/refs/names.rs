//! Finds the names of an image, and the images that no name leads to.

use std::time::SystemTime;

use hoist_core::{Algorithm, Digest, Platform, Reference, Result};

use super::record::{Place, Record};
use crate::fs::space::modified;
use crate::paths::images_path;
use crate::store::Store;

/// The names of an image.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Sorted.
    pub(crate) references: Vec<Reference>,
    pub(crate) places: Vec<Place>,
    /// The last use by any of its names.
    pub(crate) last_used: Option<SystemTime>,
}

impl Store {
    /// The names of this image, or of the index that it was chosen from, for this platform: in all
    /// repositories, sorted.
    pub fn names_of(&self, digest: &Digest, platform: &Platform) -> Result<Vec<Reference>> {
        let mut references = Vec::new();
        for (place, record) in self.refs_by(digest)? {
            if place.file == platform.key() {
                references.push(record.reference);
            }
        }
        references.sort_by_cached_key(ToString::to_string);
        Ok(references)
    }

    /// The images that no name leads to, for any platform. A tag that moved leaves such images behind.
    /// [`gc`](Self::gc) deletes those that are not leased.
    pub fn unnamed(&self) -> Result<Vec<Digest>> {
        let mut unnamed = Vec::new();
        for &algorithm in Algorithm::ALL {
            let Some(images) = self.dir().sub(images_path(algorithm))? else { continue };
            for image in images.digests(algorithm)? {
                let image = image?;
                if !self.is_named(&image)? {
                    unnamed.push(image);
                }
            }
        }
        unnamed.sort();
        Ok(unnamed)
    }

    /// The refs that lead to this image, for any platform.
    pub(crate) fn refs_to(&self, image: &Digest) -> Result<Vec<(Place, Record)>> {
        let mut refs = self.refs_by(image)?;
        refs.retain(|(_, record)| record.image == *image);
        Ok(refs)
    }

    /// The refs that lead to this image or index, for any platform.
    pub(super) fn refs_by(&self, digest: &Digest) -> Result<Vec<(Place, Record)>> {
        let mut refs = Vec::new();
        for place in self.marked(digest)?.iter().filter_map(|path| Place::from_path(path)) {
            let leads = |record: &Record| record.leads_to().any(|to| to == digest);
            if let Some(record) = self.record_at(&place)?.filter(leads) {
                refs.push((place, record));
            }
        }
        Ok(refs)
    }

    /// The names of this image, for any platform.
    pub(crate) fn names_of_image(&self, image: &Digest) -> Result<Names> {
        let mut names = Names::default();
        for (place, record) in self.refs_to(image)? {
            let Some(stat) = self.dir().stat(place.path())? else { continue };
            names.last_used = names.last_used.max(Some(modified(&stat)));
            names.references.push(record.reference);
            names.places.push(place);
        }
        names.references.sort_by_cached_key(ToString::to_string);
        names.references.dedup();
        Ok(names)
    }

    /// Whether any ref leads to this image.
    pub(crate) fn is_named(&self, image: &Digest) -> Result<bool> {
        Ok(!self.refs_to(image)?.is_empty())
    }
}
