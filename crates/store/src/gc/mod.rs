//! Garbage collection: deletes images without a name, unfinished blobs that no process continues, and, to keep
//! a limit, the least recently used images.

mod collect;
pub(crate) mod derived;
pub(crate) mod disk_usage;
mod evict;
pub(crate) mod quarantine;
pub(crate) mod usage;

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hoist_core::{Algorithm, Digest, Reference, Result};
use serde::Serialize;

use crate::fs::lock;
use crate::fs::space::disk_space;
use crate::gc::disk_usage::Ledger;
use crate::paths::{data_of, journal_of};
use crate::paths::{images_path, pool_path};
use crate::store::Store;
use crate::store::sweep::sweep;

/// How long to keep blobs without an image, and interrupted ingests, for another attempt; and damaged files in
/// quarantine, for inspection.
const KEPT_FOR: Duration = Duration::from_hours(24);

/// What a collection deletes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
#[must_use]
pub struct GcOptions {
    /// Whether to delete blobs without an image and interrupted ingests at once, instead of a day later.
    pub all: bool,
    /// Whether to only report what would be deleted.
    pub dry_run: bool,
    /// The limit on the store's size, in bytes of disk space.
    pub max_size: Option<u64>,
}

impl GcOptions {
    /// Deletes blobs without an image and interrupted ingests at once, instead of a day later.
    pub fn with_all(self, all: bool) -> Self {
        Self { all, ..self }
    }

    /// Only reports what would be deleted.
    pub fn with_dry_run(self, dry_run: bool) -> Self {
        Self { dry_run, ..self }
    }

    /// Limits the store to `bytes` of disk space. Blobs that images share count once. If the store exceeds the
    /// limit, the collection first deletes everything that [`all`](Self::all) does, and then images with their
    /// names, least recently used first. Leased images stay.
    pub fn with_max_size(self, bytes: u64) -> Self {
        Self { max_size: Some(bytes), ..self }
    }

    /// Whether to delete a file that was last changed at this time, in seconds since 1970.
    fn takes(&self, changed: i64) -> bool {
        let changed = UNIX_EPOCH + Duration::from_secs(u64::try_from(changed).unwrap_or_default());
        self.all || SystemTime::now().duration_since(changed).is_ok_and(|age| age > KEPT_FOR)
    }
}

/// What a collection deleted, or would have deleted in a dry run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Collected {
    /// The images that no name led to, by manifest digest.
    pub images: Vec<Digest>,
    /// The images that were evicted to keep the limit, in the order of eviction.
    pub evicted: Vec<Evicted>,
    /// The number of deleted blobs that belonged to no image, including those that only the deleted images had.
    pub blobs: usize,
    /// The number of unfinished ingests that were deleted.
    pub ingests: usize,
    /// The number of times that derived content was deleted without its image: because the image is gone, or to keep
    /// the limit. Content that goes with its image does not count.
    pub derived: usize,
    /// The number of files that were deleted from quarantine.
    pub quarantined: usize,
    /// The disk space of everything that was deleted, in bytes.
    pub bytes: u64,
    /// The store's disk space after the collection, in bytes. Only computed if there is a limit. It exceeds the
    /// limit if the remaining images are leased.
    pub held: Option<u64>,
}

/// An evicted image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Evicted {
    /// Its manifest's digest.
    pub digest: Digest,
    /// The names that it had.
    pub references: Vec<Reference>,
}

impl Store {
    /// Deletes everything that is not needed: images that no name leads to and that are not leased, blobs that
    /// belong to no image, and interrupted ingests. It spares everything that a running pull uses.
    ///
    /// Memory use does not grow with the number of blobs, except on file systems without hard links. Blocks on
    /// the disk; do not call it from asynchronous code.
    pub fn gc(&self, options: GcOptions) -> Result<Collected> {
        if !options.dry_run {
            sweep(self.dir())?;
        }
        let (collected, ledger, stripped) = (Collected::default(), Ledger::default(), HashSet::new());
        let mut collection = Collection { store: self, options, collected, ledger, stripped };
        collection.run()?;
        Ok(collection.collected)
    }
}

/// A running collection.
pub(crate) struct Collection<'a> {
    pub(crate) store: &'a Store,
    pub(crate) options: GcOptions,
    pub(crate) collected: Collected,
    /// In a dry run: the links that would be gone.
    pub(crate) ledger: Ledger,
    /// In a dry run: the images whose derived content would be gone.
    stripped: HashSet<Digest>,
}

impl Collection<'_> {
    fn run(&mut self) -> Result<()> {
        for &algorithm in Algorithm::ALL {
            self.unnamed_images(algorithm)?;
        }
        self.orphans()?;
        if let Some(limit) = self.options.max_size {
            // Files that may never be used again are deleted before any image.
            self.options.all |= self.held()? > limit;
        }
        for &algorithm in Algorithm::ALL {
            self.unused_blobs(algorithm)?;
        }
        self.ingests()?;
        self.quarantine()?;
        if !self.options.dry_run {
            self.store.collect_arrivals()?;
        }
        match self.options.max_size {
            Some(limit) => self.evict(limit),
            None => Ok(()),
        }
    }

    fn unnamed_images(&mut self, algorithm: Algorithm) -> Result<()> {
        let Some(images) = self.store.dir().sub(images_path(algorithm))? else { return Ok(()) };
        for image in images.digests(algorithm)? {
            let image = image?;
            // Measured first, because the image is gone afterwards.
            let holding = self.ledger.holding(&images, &image)?;
            let derived = self.store.derived_space(&image)?;
            let taken = if self.options.dry_run {
                lock::try_own(&images, image.hex())?.is_some() && !self.store.is_named(&image)?
            } else {
                self.store.collect(&image)?
            };
            if taken {
                if self.options.dry_run {
                    self.ledger.strike(&images, &image)?;
                }
                self.collected.bytes += holding.own + derived;
                self.collected.blobs += holding.own_blobs;
                self.collected.images.push(image);
            }
        }
        Ok(())
    }

    fn unused_blobs(&mut self, algorithm: Algorithm) -> Result<()> {
        let Some(pool) = self.store.dir().sub(pool_path(algorithm))? else { return Ok(()) };
        let in_use = self.store.in_use()?;
        for blob in pool.digests(algorithm)? {
            let blob = blob?;
            let Some(stat) = pool.stat(blob.hex())?.filter(|stat| !in_use.has(&blob, stat)) else { continue };
            // A process that links it at this moment has the bytes; only the pool's name is lost.
            if self.options.takes(stat.st_ctime) && (self.options.dry_run || pool.unlink(blob.hex())?) {
                self.collected.bytes += disk_space(&stat);
                self.collected.blobs += 1;
            }
        }
        Ok(())
    }

    fn ingests(&mut self) -> Result<()> {
        let Some(ingests) = self.store.dir().sub("ingest")? else { return Ok(()) };
        for entry in ingests.entries()? {
            let entry = entry?;
            // A journal is deleted with its data. A directory is in use by an older version.
            if entry.is_dir || data_of(&entry.name).is_some() {
                continue;
            }
            let Some((_owned, data)) = lock::try_own_file(&ingests, &entry.name)? else { continue };
            if !self.options.takes(data.mtime()) {
                continue;
            }
            let journal = ingests.stat(journal_of(&entry.name))?;
            if !self.options.dry_run {
                ingests.unlink(journal_of(&entry.name))?;
                ingests.unlink(&entry.name)?;
            }
            self.collected.ingests += 1;
            self.collected.bytes += data.blocks() * 512 + journal.as_ref().map_or(0, disk_space);
        }
        Ok(())
    }

    fn quarantine(&mut self) -> Result<()> {
        let Some(quarantine) = self.store.dir().sub("quarantine")? else { return Ok(()) };
        for entry in quarantine.entries()? {
            let entry = entry?;
            let stat = quarantine.stat(&entry.name)?.filter(|stat| self.options.takes(stat.st_ctime));
            let Some(stat) = stat else { continue };
            self.collected.quarantined += 1;
            self.collected.bytes += match entry.is_dir {
                true => self.store.space_of(&format!("quarantine/{}", entry.name))?,
                false if stat.st_nlink == 1 => disk_space(&stat),
                false => 0,
            };
            match (self.options.dry_run, entry.is_dir) {
                (true, _) => {}
                (false, true) => quarantine.remove_all(&entry.name)?,
                (false, false) => _ = quarantine.unlink(&entry.name)?,
            }
        }
        Ok(())
    }
}
