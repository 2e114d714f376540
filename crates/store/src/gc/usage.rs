//! The disk space of a store, in bytes. Blobs that images share are counted once.

use std::cmp::Reverse;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hoist_core::{Algorithm, Digest, Reference, Result};
use serde::Serialize;

use crate::fs::space::{disk_space, space_below};
use crate::gc::disk_usage::Ledger;
use crate::paths::{images_path, pool_path};
use crate::refs::Names;
use crate::store::Store;

/// The disk space of a store. All sizes are in bytes of disk space.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Usage {
    /// The pool: every blob, once.
    pub pool: u64,
    /// The part of the pool that no image uses: blobs of running or failed pulls.
    pub unused: u64,
    /// Files of images outside of the pool: their own small files, and copies where hard links are not
    /// possible.
    pub beside_pool: u64,
    /// Blobs being fetched.
    pub ingests: u64,
    /// Images being assembled.
    pub staging: u64,
    /// Damaged content.
    pub quarantine: u64,
    /// Content that was made from images, such as root file systems.
    pub derived: u64,
    /// Each image, most recently used first.
    pub images: Vec<ImageUsage>,
}

/// The disk space of one image, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ImageUsage {
    /// Its manifest's digest.
    pub digest: Digest,
    /// Its names, for any platform. Empty: `gc` deletes the image.
    pub references: Vec<Reference>,
    /// When it was last used, in seconds since 1970. `None`: it has no name.
    pub last_used: Option<u64>,
    /// All its files, and the content that was made from it.
    pub total: u64,
    /// The files that no other image has, and the content that was made from it: deleting the image would free this
    /// much.
    pub own: u64,
    /// The content that was made from it, such as root file systems.
    pub derived: u64,
}

impl Usage {
    /// The disk space of the whole store.
    pub fn total(&self) -> u64 {
        self.pool + self.beside_pool + self.ingests + self.staging + self.quarantine + self.derived
    }
}

impl Store {
    /// Measures the store's disk space. It reads the metadata of every file, and the content of no blob.
    ///
    /// Blocks on the disk; do not call it from asynchronous code.
    pub fn usage(&self) -> Result<Usage> {
        let (mut usage, mut images) = (Usage::default(), Vec::new());
        for &algorithm in Algorithm::ALL {
            self.pool_usage(algorithm, &mut usage)?;
            self.image_usage(algorithm, &mut usage, &mut images)?;
        }
        images.sort_by_key(|(last_used, _)| Reverse(*last_used));
        usage.images = images.into_iter().map(|(_, image)| image).collect();
        usage.ingests = self.space_of("ingest")?;
        usage.staging = self.space_of("staging")?;
        usage.quarantine = self.space_of("quarantine")?;
        usage.derived = self.space_of("derived")?;
        Ok(usage)
    }

    fn pool_usage(&self, algorithm: Algorithm, usage: &mut Usage) -> Result<()> {
        let Some(pool) = self.dir().sub(pool_path(algorithm))? else { return Ok(()) };
        let in_use = self.in_use()?;
        for blob in pool.entries()? {
            let name = blob?.name;
            if let Some(stat) = pool.stat(&name)? {
                let is_used = Digest::of_hex(algorithm, &name).is_some_and(|blob| in_use.has(&blob, &stat));
                usage.pool += disk_space(&stat);
                usage.unused += if is_used { 0 } else { disk_space(&stat) };
            }
        }
        Ok(())
    }

    /// Adds the images, each with the exact time of its last use.
    fn image_usage(
        &self,
        algorithm: Algorithm,
        usage: &mut Usage,
        found: &mut Vec<(Option<SystemTime>, ImageUsage)>,
    ) -> Result<()> {
        let (Some(images), ledger) = (self.dir().sub(images_path(algorithm))?, Ledger::default()) else {
            return Ok(());
        };
        for digest in images.digests(algorithm)? {
            let digest = digest?;
            let holding = ledger.holding(&images, &digest)?;
            let Names { references, last_used, .. } = self.names_of_image(&digest)?;
            let since =
                |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
            usage.beside_pool += holding.unpooled;
            let derived = self.derived_space(&digest)?;
            let (total, own) = (holding.total + derived, holding.own + derived);
            let since_1970 = last_used.map(since);
            let image = ImageUsage { digest, references, last_used: since_1970, total, own, derived };
            found.push((last_used, image));
        }
        Ok(())
    }

    pub(crate) fn space_of(&self, path: &str) -> Result<u64> {
        self.dir().sub(path)?.map_or(Ok(0), |dir| space_below(&dir))
    }
}
