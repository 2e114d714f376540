//! Eviction: deleting images, with their names, to keep a store to a limit; least recently used first.

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
    /// Keeps the store to its limit, if it has one and an image was added since the last time: after a pull that
    /// succeeded whatever becomes of this. [`name`](Self::name) does it by itself; who adds images without names has to.
    ///
    /// Waits for the disk: not to be called from asynchronous code.
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
                    tracing::warn!(limit, held = collected.held, "the store is larger than it should be");
                }
            }
            Err(error) => tracing::warn!(error = Error::report(&error), "cannot keep the store to its limit"),
        }
    }

    /// Takes what was refused before, so that a store with a limit does not grow by it; nothing that has a name goes for
    /// it. What is refused just now is leased still, and costs no transfer if it is admitted soon.
    pub(crate) fn collect_refused(&self) {
        if self.options().max_size.is_some()
            && let Err(error) = self.gc(GcOptions::default())
        {
            tracing::warn!(error = Error::report(&error), "what was refused cannot be collected");
        }
    }
}

impl Collection<'_> {
    /// What the store holds, without what a dry run would have taken.
    pub(crate) fn held(&self) -> Result<u64> {
        let mut held = self.store.space_of("ingest")? + self.store.space_of("quarantine")?;
        for algorithm in Algorithm::ALL {
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
            for (last_used, image) in self.least_recently_used_first()? {
                if held <= limit {
                    break;
                }
                let freed = self.evict_one(&image, last_used)?;
                // Without links, the pool's blobs of the image went as well.
                held = if self.store.has_links()? { held.saturating_sub(freed) } else { self.held()? };
            }
        }
        self.collected.held = Some(held);
        Ok(())
    }

    fn least_recently_used_first(&self) -> Result<Vec<(SystemTime, Digest)>> {
        let mut candidates = Vec::new();
        for algorithm in Algorithm::ALL {
            let Some(images) = self.store.dir().sub(images_path(algorithm))? else { continue };
            for image in images.digests(algorithm)? {
                let image = image?;
                // What has no name was taken before, or is leased.
                if let Some(last_used) = self.store.names_of_image(&image)?.last_used {
                    candidates.push((last_used, image));
                }
            }
        }
        candidates.sort();
        Ok(candidates)
    }

    /// Evicts an image, unless it is leased, or was used since; says how many bytes that freed.
    fn evict_one(&mut self, image: &Digest, last_used: SystemTime) -> Result<u64> {
        let Some(images) = self.store.dir().sub(images_path(image.algorithm()))? else { return Ok(0) };
        // Nobody can lease or name it as long as it is held alone.
        let Some(_owned) = lock::try_own(&images, image.hex())? else { return Ok(0) };
        let names = self.store.names_of_image(image)?;
        if names.last_used != Some(last_used) {
            return Ok(0);
        }
        let holding = self.ledger.holding(&images, image)?;
        self.end(&images, image, &names)?;
        self.collected.bytes += holding.own;
        self.collected.blobs += holding.own_blobs;
        if !self.options.dry_run {
            let event = || Event::Evicted { digest: image.clone(), bytes: holding.own };
            self.store.events().emit(event);
        }
        self.collected.evicted.push(Evicted { digest: image.clone(), references: names.references });
        Ok(holding.own)
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
