//! Collecting: deleting the images that no ref leads to, and the blobs that no image has.

use hoist_core::{Algorithm, Digest, Result};

use crate::dir::Dir;
use crate::lock;
use crate::store::{Store, images_path};

impl Store {
    /// Deletes an image, unless a ref leads to it or it is leased. `true`: it was deleted.
    ///
    /// Who names an image holds it shared while the ref is written, so that what is held alone here, and has
    /// no name, cannot get one.
    pub(crate) fn collect(&self, image: &Digest) -> Result<bool> {
        let Some(images) = self.dir().sub(images_path(image.algorithm()))? else { return Ok(false) };
        let Some(_owned) = lock::try_own(&images, image.hex())? else { return Ok(false) };
        if self.is_named(image)? {
            return Ok(false);
        }
        self.dismantle(&images, image)?;
        Ok(true)
    }

    /// Deletes an image that is held alone.
    pub(crate) fn dismantle(&self, images: &Dir, image: &Digest) -> Result<()> {
        let scratch = self.scratch()?;
        images.rename(image.hex(), scratch.dir(), "image")?;
        for algorithm in Algorithm::ALL {
            let path = format!("blobs/{}", algorithm.as_str());
            if let Some(blobs) = scratch.dir().sub(format!("image/{path}"))? {
                self.release(&blobs, &path)?;
            }
        }
        Ok(())
    }

    /// Deletes the links of a removed image, and of their blobs those that have become the last ones.
    fn release(&self, blobs: &Dir, pool: &str) -> Result<()> {
        for entry in blobs.entries()? {
            let entry = entry?;
            blobs.unlink(&entry.name)?;
            let blob = format!("{pool}/{}", entry.name);
            // Somebody may link it in this moment; then the bytes are theirs, and only the pool's name is lost.
            if self.dir().stat(&blob)?.is_some_and(|stat| stat.st_nlink == 1) {
                self.dir().unlink(&blob)?;
            }
        }
        Ok(())
    }
}
