//! Content that was made from images, such as root file systems: `derived/<kind>/<algorithm>/<hex>/` belongs to the
//! image of that digest, and is deleted with it.
//!
//! A program that adds content holds a lease of the image, and a shared lock on that directory. So nothing is added
//! while either is locked exclusively here.

use hoist_core::{Algorithm, Digest, Result};

use crate::fs::dir::Dir;
use crate::fs::lock;
use crate::fs::space::space_below;
use crate::gc::Collection;
use crate::paths::{derived_path, images_path};
use crate::store::Store;

impl Store {
    /// The kinds of derived content. Other names in `derived/` are not ours.
    pub(crate) fn derived_kinds(&self) -> Result<Vec<String>> {
        let Some(derived) = self.dir().sub("derived")? else { return Ok(Vec::new()) };
        let mut kinds = Vec::new();
        for entry in derived.entries()? {
            let entry = entry?;
            if entry.is_dir && is_kind(&entry.name) {
                kinds.push(entry.name);
            }
        }
        Ok(kinds)
    }

    /// The disk space of all content that was made from this image.
    pub(crate) fn derived_space(&self, image: &Digest) -> Result<u64> {
        let spaces = self.derived_kinds()?.into_iter().map(|kind| {
            let path = format!("{}/{}", derived_path(&kind, image.algorithm()), image.hex());
            self.space_of(&path)
        });
        spaces.sum()
    }

    /// Moves all content that was made from this image to a directory that is about to be removed. The caller holds an
    /// exclusive lock on the image.
    pub(crate) fn take_derived(&self, image: &Digest, to: &Dir) -> Result<()> {
        for kind in self.derived_kinds()? {
            if let Some(images) = self.dir().sub(derived_path(&kind, image.algorithm()))?
                && images.has_dir(image.hex())?
            {
                images.move_dir(image.hex(), to, &format!("derived-{kind}"))?;
            }
        }
        Ok(())
    }

    /// Looks at content of one kind, with the image that it was made from. If the image is gone and no process uses the
    /// content, returns its disk space, and deletes it if told to.
    pub(crate) fn orphan(&self, images: &Dir, image: &Digest, delete: bool) -> Result<Option<u64>> {
        let path = format!("{}/{}", images_path(image.algorithm()), image.hex());
        if self.dir().has_dir(&path)? {
            return Ok(None);
        }
        let Some(owned) = lock::try_own(images, image.hex())? else { return Ok(None) };
        // A process may have brought the image again before the lock, and added content.
        if self.dir().has_dir(&path)? {
            return Ok(None);
        }
        let space = space_below(&owned)?;
        if delete {
            images.move_dir(image.hex(), self.scratch()?.dir(), "derived")?;
        }
        Ok(Some(space))
    }
}

impl Collection<'_> {
    /// Deletes derived content whose image is gone.
    pub(super) fn orphans(&mut self) -> Result<()> {
        for kind in self.store.derived_kinds()? {
            for &algorithm in Algorithm::ALL {
                let Some(images) = self.store.dir().sub(derived_path(&kind, algorithm))? else { continue };
                for image in images.digests(algorithm)? {
                    if let Some(space) = self.store.orphan(&images, &image?, !self.options.dry_run)? {
                        self.collected.derived += 1;
                        self.collected.bytes += space;
                    }
                }
            }
        }
        Ok(())
    }

    /// The disk space of the content made from this image, unless a dry run would have deleted it already.
    pub(super) fn derived_left(&self, image: &Digest) -> Result<u64> {
        if self.stripped.contains(image) { Ok(0) } else { self.store.derived_space(image) }
    }

    /// Deletes the content made from an image, which the caller has locked exclusively. Returns the number of freed
    /// bytes.
    pub(super) fn strip(&mut self, image: &Digest) -> Result<u64> {
        let space = self.derived_left(image)?;
        if space == 0 {
            return Ok(0);
        }
        if self.options.dry_run {
            self.stripped.insert(image.clone());
        } else {
            self.store.take_derived(image, self.store.scratch()?.dir())?;
        }
        self.collected.derived += 1;
        self.collected.bytes += space;
        Ok(space)
    }
}

/// Whether a directory in `derived/` may have this name. A kind that this version does not know may be a newer one's.
pub(crate) fn is_kind(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') && !name.is_empty()
}
