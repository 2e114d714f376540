//! Eviction: deletes images and their names to keep a store within a limit, least recently used first.

use std::time::SystemTime;

use hoist_core::{Algorithm, Digest, Error, Event, Result};

use crate::fs::dir::Dir;
use crate::fs::lock;
use crate::fs::space::disk_space;
use crate::gc::disk_usage::Ledger;
use crate::gc::{Collection, Evicted, GcOptions};
use crate::paths::{images_path, pool_path};
use crate::refs::Names;
use crate::store::Store;

impl Store {
    /// Evicts images to keep the store within its limit, if it has one and an image was added since the last
    /// call. A failure is only logged, because the pull that added the image succeeded. [`name`](Self::name)
    /// calls this; code that adds images without names must call it.
    ///
    /// Blocks on the disk; do not call it from asynchronous code.
    pub fn keep_to_limit(&self) {
        if !self.has_grown() {
            return;
        }
        let Some(limit) = self.options().max_size else { return };
        match self.gc(GcOptions::default().with_max_size(limit)) {
            Ok(collected) => {
                for image in collected.evicted {
                    tracing::info!(digest = %image.digest, names = ?image.references, "evicted an image");
                }
                if collected.held.is_some_and(|held| held > limit) {
                    tracing::warn!(
                        limit,
                        held = collected.held,
                        "the store exceeds its size limit, and its images are in use"
                    );
                }
            }
            Err(error) => tracing::warn!(error = Error::report(&error), "cannot keep the store to its limit"),
        }
    }

    /// Collects images that were refused before, so that they do not make a store with a limit grow. No named
    /// image is evicted for this. An image that was refused just now is still leased, and needs no transfer if
    /// it is admitted soon.
    pub(crate) fn collect_refused(&self) {
        if self.options().max_size.is_some()
            && let Err(error) = self.gc(GcOptions::default())
        {
            tracing::warn!(error = Error::report(&error), "cannot collect images that were not admitted");
        }
    }
}

impl Collection<'_> {
    /// The disk space of the store, not counting what a dry run would have deleted.
    pub(crate) fn held(&self) -> Result<u64> {
        let places = ["ingest", "quarantine", "derived"].map(|place| self.store.space_of(place));
        let mut held = places.into_iter().sum::<Result<u64>>()?;
        for &algorithm in Algorithm::ALL {
            if let Some(pool) = self.store.dir().sub(pool_path(algorithm))? {
                for blob in pool.entries()? {
                    held += pool.stat(blob?.name)?.as_ref().map_or(0, disk_space);
                }
            }
            if let Some(images) = self.store.dir().sub(images_path(algorithm))? {
                for image in images.digests(algorithm)? {
                    held += Ledger::default().holding(&images, &image?)?.unpooled;
                }
            }
        }
        Ok(if self.options.dry_run { held.saturating_sub(self.collected.bytes) } else { held })
    }

    pub(crate) fn evict(&mut self, limit: u64) -> Result<()> {
        let mut held = self.held()?;
        if held > limit {
            let images = self.least_recently_used_first()?;
            for (last_used, image) in &images {
                if held <= limit {
                    break;
                }
                held = held.saturating_sub(self.evict_derived(image, *last_used)?);
            }
            for (last_used, image) in images {
                if held <= limit {
                    break;
                }
                let freed = self.evict_one(&image, last_used)?;
                // Without hard links, the image's blobs in the pool were deleted as well.
                held = if self.store.has_links()? { held.saturating_sub(freed) } else { self.held()? };
            }
        }
        self.collected.held = Some(held);
        Ok(())
    }

    fn least_recently_used_first(&self) -> Result<Vec<(SystemTime, Digest)>> {
        let mut candidates = Vec::new();
        for &algorithm in Algorithm::ALL {
            let Some(images) = self.store.dir().sub(images_path(algorithm))? else { continue };
            for image in images.digests(algorithm)? {
                let image = image?;
                // An image without a name was collected before, or is leased.
                if let Some(last_used) = self.store.names_of_image(&image)?.last_used {
                    candidates.push((last_used, image));
                }
            }
        }
        candidates.sort();
        Ok(candidates)
    }

    /// Deletes what was made from an image, unless the image is leased or was used since. That can be made again without
    /// a download, and so goes before any image. Returns the number of freed bytes.
    fn evict_derived(&mut self, image: &Digest, last_used: SystemTime) -> Result<u64> {
        let Some(images) = self.store.dir().sub(images_path(image.algorithm()))? else { return Ok(0) };
        let Some(_owned) = lock::try_own(&images, image.hex())? else { return Ok(0) };
        if self.store.names_of_image(image)?.last_used != Some(last_used) {
            return Ok(0);
        }
        self.strip(image)
    }

    /// Evicts an image, unless it is leased or was used since. Returns the number of freed bytes.
    fn evict_one(&mut self, image: &Digest, last_used: SystemTime) -> Result<u64> {
        let Some(images) = self.store.dir().sub(images_path(image.algorithm()))? else { return Ok(0) };
        // While it is locked exclusively, no process can lease or name it.
        let Some(_owned) = lock::try_own(&images, image.hex())? else { return Ok(0) };
        let names = self.store.names_of_image(image)?;
        if names.last_used != Some(last_used) {
            return Ok(0);
        }
        let holding = self.ledger.holding(&images, image)?;
        let freed = holding.own + self.derived_left(image)?;
        self.end(&images, image, &names)?;
        self.collected.bytes += freed;
        self.collected.blobs += holding.own_blobs;
        if !self.options.dry_run {
            let event = || Event::evicted(image.clone(), freed);
            self.store.events().emit(event);
        }
        self.collected.evicted.push(Evicted { digest: image.clone(), references: names.references });
        Ok(freed)
    }

    fn end(&mut self, images: &Dir, image: &Digest, names: &Names) -> Result<()> {
        if self.options.dry_run {
            return self.ledger.strike(images, image);
        }
        for place in &names.places {
            self.store.forget(place, |record| record.image == *image)?;
        }
        self.store.dismantle(images, image)
    }
}
