//! Garbage collection: what no name leads to, what nobody has gone on from, and, to keep a limit, what was not
//! used for the longest time.

mod collect;
pub(crate) mod disk_usage;
mod evict;
pub(crate) mod quarantine;
pub(crate) mod usage;

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

/// How long blobs without an image, and ingests that broke off, are kept for a next try; and what is in
/// quarantine for who wants to look at it.
const KEPT_FOR: Duration = Duration::from_hours(24);

/// What a collection takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[must_use]
pub struct GcOptions {
    /// Whether blobs without an image and ingests that broke off are taken at once, and not a day later.
    pub all: bool,
    /// Whether it is only said what would be taken.
    pub dry_run: bool,
    /// How much the store may hold, in bytes of disk space.
    pub max_size: Option<u64>,
}

impl GcOptions {
    /// Takes blobs without an image and ingests that broke off at once, and not a day later.
    pub fn with_all(self, all: bool) -> Self {
        Self { all, ..self }
    }

    /// Only says what would be taken.
    pub fn with_dry_run(self, dry_run: bool) -> Self {
        Self { dry_run, ..self }
    }

    /// Keeps the store to so many bytes of disk space, in which blobs that images share count once. Where it
    /// holds more, what [`all`](Self::all) takes is taken, and then images with their names: the one that
    /// was not used for the longest time first. Those that are leased stay.
    pub fn with_max_size(self, bytes: u64) -> Self {
        Self { max_size: Some(bytes), ..self }
    }

    /// Whether what was last changed at this time, in seconds since 1970, is taken.
    fn takes(self, changed: i64) -> bool {
        let changed = UNIX_EPOCH + Duration::from_secs(u64::try_from(changed).unwrap_or_default());
        self.all || SystemTime::now().duration_since(changed).is_ok_and(|age| age > KEPT_FOR)
    }
}

/// What a collection took, or would have taken.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Collected {
    /// Images that no name led to, by their manifests.
    pub images: Vec<Digest>,
    /// Images that had to go to keep the limit, in this order.
    pub evicted: Vec<Evicted>,
    /// How many blobs belonged to no image, among them those that only these images had.
    pub blobs: usize,
    /// How many ingests were given up.
    pub ingests: usize,
    /// How much of what was in quarantine was deleted: files.
    pub quarantined: usize,
    /// The disk space of all of that, in bytes.
    pub bytes: u64,
    /// What the store holds now, in bytes of disk space; counted only if there is a limit. It is more than that
    /// where the rest is leased.
    pub held: Option<u64>,
}

/// An image that had to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Evicted {
    /// Its manifest's digest.
    pub digest: Digest,
    /// The names that it had.
    pub references: Vec<Reference>,
}

impl Store {
    /// Deletes what nothing needs: images that no name leads to and that nobody leases, blobs that belong to no
    /// image, and ingests that nobody has gone on from. What a pull is working with is spared.
    ///
    /// Memory does not grow with the number of blobs, but where the file system has no hard links. Waits for the disk: not to be called from asynchronous
    /// code.
    pub fn gc(&self, options: GcOptions) -> Result<Collected> {
        if !options.dry_run {
            sweep(self.dir())?;
        }
        let mut collection =
            Collection { store: self, options, collected: Collected::default(), ledger: Ledger::default() };
        collection.run()?;
        Ok(collection.collected)
    }
}

/// A collection on its way.
pub(crate) struct Collection<'a> {
    pub(crate) store: &'a Store,
    pub(crate) options: GcOptions,
    pub(crate) collected: Collected,
    /// In a dry run: what would be gone.
    pub(crate) ledger: Ledger,
}

impl Collection<'_> {
    fn run(&mut self) -> Result<()> {
        for algorithm in Algorithm::ALL {
            self.unnamed_images(algorithm)?;
        }
        if let Some(limit) = self.options.max_size {
            // What nobody may ever use goes before any image does.
            self.options.all |= self.held()? > limit;
        }
        for algorithm in Algorithm::ALL {
            self.unused_blobs(algorithm)?;
        }
        self.ingests()?;
        self.quarantine()?;
        match self.options.max_size {
            Some(limit) => self.evict(limit),
            None => Ok(()),
        }
    }

    fn unnamed_images(&mut self, algorithm: Algorithm) -> Result<()> {
        let Some(images) = self.store.dir().sub(images_path(algorithm))? else { return Ok(()) };
        for image in images.digests(algorithm)? {
            let image = image?;
            // It is looked at first: afterwards it is gone.
            let holding = self.ledger.holding(&images, &image)?;
            let taken = if self.options.dry_run {
                lock::try_own(&images, image.hex())?.is_some() && !self.store.is_named(&image)?
            } else {
                self.store.collect(&image)?
            };
            if taken {
                if self.options.dry_run {
                    self.ledger.strike(&images, &image)?;
                }
                self.collected.bytes += holding.own;
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
            // Whoever links it in this moment has the bytes; only the pool's name is lost.
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
            // A journal goes with its data, and what is a directory an older version works with.
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
