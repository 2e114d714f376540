//! Collecting: deletes the images that no ref leads to, and the blobs that no image has.

use hoist_core::{Algorithm, Digest, Result};

use crate::fs::dir::Dir;
use crate::fs::lock;
use crate::paths::{images_path, pool_file, pool_path};
use crate::store::Store;

impl Store {
    /// Deletes an image, unless a ref leads to it or it is leased. `true`: it was deleted.
    ///
    /// Naming an image holds a shared lock on it while the ref is written. So an image that is locked
    /// exclusively here, and has no name, cannot get one.
    pub(crate) fn collect(&self, image: &Digest) -> Result<bool> {
        let Some(images) = self.dir().sub(images_path(image.algorithm()))? else { return Ok(false) };
        let Some(_owned) = lock::try_own(&images, image.hex())? else { return Ok(false) };
        if self.is_named(image)? {
            return Ok(false);
        }
        self.dismantle(&images, image)?;
        Ok(true)
    }

    /// Deletes an image. The caller holds an exclusive lock on it.
    ///
    /// It goes in one step, by a rename out of `images/`. Where that cannot be, because an overlay has the image in a
    /// lower layer, it is deleted in place: whoever waits for its lock finds it incomplete, or gone.
    pub(crate) fn dismantle(&self, images: &Dir, image: &Digest) -> Result<()> {
        let scratch = self.scratch()?;
        // First, so that a killed process leaves nothing whose image is gone.
        self.take_derived(image, scratch.dir())?;
        let is_moved = images.rename_dir(image.hex(), scratch.dir(), "image")?;
        let (parent, name) = if is_moved { (scratch.dir(), "image") } else { (images, image.hex()) };
        if !is_moved {
            images.unlink(format!("{name}/index.json"))?; // the first to go, so that what is left is no image
        }
        let mut released = Vec::new();
        for &algorithm in Algorithm::ALL {
            if let Some(blobs) = parent.sub(format!("{name}/{}", pool_path(algorithm)))? {
                for blob in blobs.digests(algorithm)? {
                    let blob = blob?;
                    blobs.unlink(blob.hex())?;
                    released.push(blob);
                }
            }
        }
        if !is_moved {
            images.remove_all(name)?;
        }
        self.release(&released)
    }

    /// Deletes those of a deleted image's blobs that no other image has.
    fn release(&self, blobs: &[Digest]) -> Result<()> {
        let in_use = self.in_use()?;
        for blob in blobs {
            let path = pool_file(blob);
            // Another process may link it at this moment. It then keeps the bytes, and only the pool's name is
            // lost.
            if self.dir().stat(&path)?.is_some_and(|stat| !in_use.has(blob, &stat)) {
                self.dir().unlink(&path)?;
            }
        }
        Ok(())
    }
}
