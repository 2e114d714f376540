//! Whether an image is whole: the check on every hit, which does not read the layers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use hoist_core::{Digest, Document, MAX_DOCUMENT, Manifest, Result};
use rustix::fs::FileType;

use crate::fs::dir::Dir;
use crate::fs::lock;
use crate::paths::{images_path, pool_file, pool_path};
use crate::store::Store;

impl Store {
    /// Whether the image with this manifest is here, with all its files in the right sizes. This hashes the
    /// manifest again; `fsck` does so for all other files.
    pub(crate) fn has_whole(&self, digest: &Digest) -> Result<bool> {
        let Some(images) = self.dir().sub(images_path(digest.algorithm()))? else { return Ok(false) };
        match images.sub(digest.hex())? {
            // An image that is opened while it is being deleted may still have some of its files.
            Some(image) => Ok(is_whole(&image, digest)? && lock::is_at(&image, &images, digest.hex())?),
            None => Ok(false),
        }
    }
}

/// Whether this image has all its files, in the right sizes.
pub(crate) fn is_whole(image: &Dir, digest: &Digest) -> Result<bool> {
    let Some(manifest) = manifest(image, digest)? else { return Ok(false) };
    for name in ["index.json", "oci-layout"] {
        if !image.stat(name)?.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file()) {
            return Ok(false);
        }
    }
    let mut dirs = HashMap::new();
    for blob in manifest.blobs() {
        let blobs = match dirs.entry(blob.digest.algorithm()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(image.sub(pool_path(blob.digest.algorithm()))?),
        };
        let stat = blobs.as_ref().map(|blobs| blobs.stat(blob.digest.hex())).transpose()?.flatten();
        let size = stat.map(|stat| u64::try_from(stat.st_size));
        if size != Some(Ok(blob.size)) {
            tracing::warn!(image = %digest, blob = %blob.digest, "an image is damaged: it lacks a blob");
            return Ok(false);
        }
    }
    Ok(true)
}

/// The manifest of an image. `None`: it is missing, or does not match its digest.
pub(crate) fn manifest(image: &Dir, digest: &Digest) -> Result<Option<Manifest>> {
    let Some(bytes) = image.read(pool_file(digest), MAX_DOCUMENT)? else { return Ok(None) };
    let document = digest.verify(&bytes).and_then(|()| Document::parse(&bytes, None));
    let manifest = if let Ok(Document::Manifest(manifest)) = document { Some(manifest) } else { None };
    if manifest.is_none() {
        tracing::warn!(image = %digest, "an image is damaged: its manifest has the wrong content");
    }
    Ok(manifest)
}
