//! Garbage collection: what no name leads to, and what nobody has gone on from.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hoist_core::{Algorithm, Digest, Result};
use rustix::fs::Stat;

use crate::dir::Dir;
use crate::lock;
use crate::store::{Store, images_path, pool_path};
use crate::sweep::sweep;

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
    /// Whether it is only said what would be taken; blobs that several such images share are not counted then.
    pub dry_run: bool,
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
}

/// What a collection took, or would have taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Collected {
    /// Images that no name led to, by their manifests.
    pub images: Vec<Digest>,
    /// How many blobs belonged to no image, among them those that only these images had.
    pub blobs: usize,
    /// How many ingests were given up.
    pub ingests: usize,
    /// How much of what was in quarantine was deleted: files.
    pub quarantined: usize,
    /// The disk space of all of that, in bytes.
    pub bytes: u64,
}

impl Store {
    /// Deletes what nothing needs: images that no name leads to and that nobody leases, blobs that belong to no
    /// image, and ingests that nobody has gone on from. What a pull is working with is spared.
    ///
    /// Waits for the disk: not to be called from asynchronous code.
    pub fn gc(&self, options: GcOptions) -> Result<Collected> {
        let mut collected = Collected::default();
        if !options.dry_run {
            sweep(self.dir())?;
        }
        for algorithm in Algorithm::ALL {
            self.gc_images(algorithm, options, &mut collected)?;
            self.gc_blobs(algorithm, options, &mut collected)?;
        }
        self.gc_ingests(options, &mut collected)?;
        self.gc_quarantine(options, &mut collected)?;
        Ok(collected)
    }

    fn gc_images(&self, algorithm: Algorithm, options: GcOptions, collected: &mut Collected) -> Result<()> {
        let Some(images) = self.dir().sub(images_path(algorithm))? else { return Ok(()) };
        for image in digests(&images, algorithm)? {
            let image = image?;
            // The blobs are looked at first: afterwards they are gone.
            let own = blobs_of_its_own(&images, &image)?;
            let taken = if options.dry_run {
                lock::try_own(&images, image.hex())?.is_some() && !self.is_named(&image)?
            } else {
                self.collect(&image)?
            };
            if taken {
                collected.bytes += own.iter().map(|(_, bytes)| bytes).sum::<u64>();
                collected.blobs += own.len();
                collected.images.push(image);
            }
        }
        Ok(())
    }

    fn gc_blobs(&self, algorithm: Algorithm, options: GcOptions, collected: &mut Collected) -> Result<()> {
        let Some(pool) = self.dir().sub(pool_path(algorithm))? else { return Ok(()) };
        for blob in digests(&pool, algorithm)? {
            let blob = blob?;
            let Some(stat) = pool.stat(blob.hex())?.filter(|stat| stat.st_nlink == 1) else { continue };
            // Whoever links it in this moment has the bytes; only the pool's name is lost.
            if options.takes(stat.st_ctime) && (options.dry_run || pool.unlink(blob.hex())?) {
                collected.bytes += disk_space(&stat);
                collected.blobs += 1;
            }
        }
        Ok(())
    }

    fn gc_ingests(&self, options: GcOptions, collected: &mut Collected) -> Result<()> {
        let Some(ingests) = self.dir().sub("ingest")? else { return Ok(()) };
        for entry in ingests.entries()? {
            let entry = entry?;
            let Some(owned) = lock::try_own(&ingests, &entry.name)? else { continue };
            let data = owned.stat("data")?;
            if data.as_ref().is_some_and(|data| !options.takes(data.st_mtime)) {
                continue;
            }
            if !options.dry_run {
                ingests.remove_all(&entry.name)?;
            }
            collected.ingests += 1;
            collected.bytes += data.as_ref().map_or(0, disk_space);
        }
        Ok(())
    }

    fn gc_quarantine(&self, options: GcOptions, collected: &mut Collected) -> Result<()> {
        let Some(quarantine) = self.dir().sub("quarantine")? else { return Ok(()) };
        for entry in quarantine.entries()? {
            let entry = entry?;
            let Some(stat) = quarantine.stat(&entry.name)?.filter(|stat| options.takes(stat.st_ctime)) else {
                continue;
            };
            match (options.dry_run, entry.is_dir) {
                (true, _) => {}
                (false, true) => quarantine.remove_all(&entry.name)?,
                (false, false) => _ = quarantine.unlink(&entry.name)?,
            }
            collected.quarantined += 1;
            collected.bytes += if stat.st_nlink == 1 { disk_space(&stat) } else { 0 };
        }
        Ok(())
    }
}

impl GcOptions {
    /// Whether what was last changed at this time, in seconds since 1970, is taken.
    fn takes(self, changed: i64) -> bool {
        let changed = UNIX_EPOCH + Duration::from_secs(u64::try_from(changed).unwrap_or_default());
        self.all || SystemTime::now().duration_since(changed).is_ok_and(|age| age > KEPT_FOR)
    }
}

/// The blobs that no other image has, with the disk space of each.
fn blobs_of_its_own(images: &Dir, image: &Digest) -> Result<Vec<(Digest, u64)>> {
    let mut own = Vec::new();
    for algorithm in Algorithm::ALL {
        let path = format!("{}/{}", image.hex(), pool_path(algorithm));
        let Some(blobs) = images.sub(path)? else { continue };
        for digest in digests(&blobs, algorithm)? {
            let digest = digest?;
            // Its links are the image's own, and the pool's, if that still has it.
            match blobs.stat(digest.hex())? {
                Some(stat) if stat.st_nlink <= 2 => own.push((digest, disk_space(&stat))),
                _ => {}
            }
        }
    }
    Ok(own)
}

/// What in a directory is called by a digest; anything else is not ours to take.
fn digests(dir: &Dir, algorithm: Algorithm) -> Result<impl Iterator<Item = Result<Digest>>> {
    Ok(dir
        .entries()?
        .filter_map(move |entry| entry.map(|entry| Digest::of_hex(algorithm, &entry.name)).transpose()))
}

/// A file's space on the disk, in bytes: `stat(2)` counts blocks of 512, whatever the file system's are.
fn disk_space(stat: &Stat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or_default() * 512
}
