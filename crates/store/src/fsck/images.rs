//! Checks images: each must have a sound layout, with all blobs that its manifest names.

use std::collections::HashSet;

use hoist_core::{Algorithm, Digest, MAX_DOCUMENT, Reference, Result};

use super::{Check, Problem};
use crate::fs::dir::{Dir, unless_damaged};
use crate::fs::lock;
use crate::gc::quarantine::is_same;
use crate::image::commit::names_only;
use crate::image::layout::OCI_LAYOUT;
use crate::paths::{images_path, pool_file, pool_path};
use crate::store::integrity::manifest;

impl Check<'_> {
    pub(super) fn images(&mut self, algorithm: Algorithm) -> Result<()> {
        let Some(images) = self.store.dir().sub(images_path(algorithm))? else { return Ok(()) };
        for entry in images.entries()? {
            let entry = entry?;
            match Digest::of_hex(algorithm, &entry.name).filter(|_| entry.is_dir) {
                Some(digest) => self.image(&images, &digest)?,
                None => self.stray(&images, &entry.name)?,
            }
        }
        Ok(())
    }

    fn image(&mut self, images: &Dir, digest: &Digest) -> Result<()> {
        // No process can collect it while it is locked.
        let Some(image) = lock::share(images, digest.hex())? else { return Ok(()) };
        self.checked.images += 1;
        let problems = self.problems(&image, digest)?;
        if problems.is_empty() {
            return Ok(());
        }
        let references = self.references(digest)?;
        if self.repair {
            self.withdraw(images, image, digest, &problems)?;
        }
        for problem in problems {
            self.found(&images.path().join(digest.hex()), problem, references.clone(), self.repair);
        }
        Ok(())
    }

    fn problems(&mut self, image: &Dir, digest: &Digest) -> Result<Vec<Problem>> {
        let mut problems = Vec::new();
        let marker = unless_damaged(image.read("oci-layout", MAX_DOCUMENT))?;
        if marker.as_deref() != Some(OCI_LAYOUT) || !names_only(image, digest)? {
            problems.push(Problem::DamagedLayout);
        }
        let Some(manifest) = unless_damaged(manifest(image, digest))? else {
            problems.push(Problem::HasDamagedBlob { blob: digest.clone() });
            return Ok(problems);
        };
        let blobs: HashSet<_> = manifest.blobs().map(|blob| (&blob.digest, blob.size)).collect();
        for (blob, size) in blobs {
            problems.extend(self.blob_problem(image, blob, size)?);
        }
        Ok(problems)
    }

    fn blob_problem(&mut self, image: &Dir, digest: &Digest, size: u64) -> Result<Option<Problem>> {
        let (path, blob) = (pool_file(digest), digest.clone());
        let Some(stat) = unless_damaged(image.stat(&path))? else {
            return Ok(Some(Problem::LacksBlob { blob }));
        };
        // The pool's own file was hashed before, and need not be hashed again.
        let is_pooled = self.store.dir().stat(&path)?.is_some_and(|pooled| is_same(&pooled, &stat));
        let sound = u64::try_from(stat.st_size) == Ok(size)
            && if is_pooled { !self.damaged.contains(digest) } else { self.is_sound_in(image, digest)? };
        Ok(if sound { None } else { Some(Problem::HasDamagedBlob { blob }) })
    }

    /// Whether a blob that only this image has is sound.
    fn is_sound_in(&mut self, image: &Dir, digest: &Digest) -> Result<bool> {
        let Some(blobs) = image.sub(pool_path(digest.algorithm()))? else { return Ok(false) };
        match unless_damaged(blobs.open_file(digest.hex()))? {
            Some(file) => self.is_sound(&blobs, &file, digest),
            None => Ok(false),
        }
    }

    fn references(&self, image: &Digest) -> Result<Vec<Reference>> {
        let refs = self.store.refs_to(image)?;
        Ok(refs.into_iter().map(|(_, record)| record.reference).collect())
    }

    /// Removes an image's names and its damaged files, so that the next pull sees that it is incomplete and
    /// replaces it. Deletes the image, unless it is leased.
    fn withdraw(&self, images: &Dir, image: Dir, digest: &Digest, problems: &[Problem]) -> Result<()> {
        for (place, _) in self.store.refs_to(digest)? {
            self.store.forget(&place, |record| record.image == *digest)?;
        }
        for problem in problems {
            match problem {
                Problem::HasDamagedBlob { blob } => {
                    if let Some(blobs) = image.sub(pool_path(blob.algorithm()))? {
                        self.store.quarantine(&blobs, blob)?;
                    }
                }
                Problem::DamagedLayout => _ = image.unlink("index.json")?,
                _ => {}
            }
        }
        drop(image);
        match lock::try_own(images, digest.hex())? {
            Some(owned) if !crate::store::integrity::is_whole(&owned, digest)? => {
                self.store.dismantle(images, digest)
            }
            _ => Ok(()),
        }
    }
}
