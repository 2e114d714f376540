//! Listing: the names of all images in the store for a platform.
//!
//! A store may hold very many images. So each ref costs only a handful of system calls, and several threads
//! divide the repositories among them.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::thread::{available_parallelism, scope};

use hoist_core::{Algorithm, Platform, Reference, Result};

use crate::fs::dir::{Dir, read_bounded};
use crate::paths::images_path;
use crate::refs::record::{MAX_RECORD, Place, Record};
use crate::store::Store;

/// The number of names that justifies another thread.
const FOR_A_THREAD: usize = 1000;

/// A directory below `refs/` with a subdirectory for each tag or digest of a repository, and the names of
/// those.
struct Leaf {
    path: String,
    names: Vec<String>,
}

/// The data of one search.
struct Search<'a> {
    refs: &'a Dir,
    /// One per algorithm; it may be missing.
    images: Vec<Option<Dir>>,
    /// The name of a ref's file.
    file: String,
}

impl Store {
    /// The references of all images for this platform, sorted.
    pub fn list(&self, platform: &Platform) -> Result<Vec<Reference>> {
        let Some(refs) = self.dir().sub("refs")? else { return Ok(Vec::new()) };
        let mut leaves = Vec::new();
        gather(&refs, "", &mut leaves)?;
        let images = Algorithm::ALL.iter().map(|&algorithm| self.dir().sub(images_path(algorithm)));
        let search = Search { refs: &refs, images: images.collect::<Result<_>>()?, file: platform.key() };
        let mut references = search.all(&leaves)?;
        references.sort_by_cached_key(ToString::to_string);
        Ok(references)
    }
}

/// Finds the leaves at and below this path of `refs/`.
fn gather(dir: &Dir, path: &str, leaves: &mut Vec<Leaf>) -> Result<()> {
    for entry in dir.entries()? {
        let entry = entry?;
        let Some(sub) = entry.is_dir.then(|| dir.sub(&entry.name)).transpose()?.flatten() else { continue };
        let path = if path.is_empty() { entry.name.clone() } else { format!("{path}/{}", entry.name) };
        if Place::is_leaf(&entry.name) {
            let names = sub.entries()?.map(|entry| entry.map(|entry| entry.name));
            leaves.push(Leaf { path, names: names.collect::<Result<_>>()? });
        } else {
            gather(&sub, &path, leaves)?;
        }
    }
    Ok(())
}

impl Search<'_> {
    fn all(&self, leaves: &[Leaf]) -> Result<Vec<Reference>> {
        let names: usize = leaves.iter().map(|leaf| leaf.names.len()).sum();
        let threads = available_parallelism().map_or(1, NonZeroUsize::get).min(names.div_ceil(FOR_A_THREAD));
        if threads <= 1 {
            return self.some(leaves);
        }
        let shares = leaves.chunks(leaves.len().div_ceil(threads));
        let found: Result<Vec<_>> = scope(|scope| {
            let threads: Vec<_> = shares.map(|share| scope.spawn(|| self.some(share))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        Ok(found?.into_iter().flatten().collect())
    }

    fn some(&self, leaves: &[Leaf]) -> Result<Vec<Reference>> {
        let mut references = Vec::new();
        for leaf in leaves {
            // Another process may have removed its last name in the meantime.
            let Some(dir) = self.refs.sub(&leaf.path)? else { continue };
            for name in &leaf.names {
                references.extend(self.one(&dir, name)?);
            }
        }
        Ok(references)
    }

    /// The reference of this tag or digest, if it has an image for the platform. `None` as well if its file is
    /// not a record.
    fn one(&self, leaf: &Dir, name: &str) -> Result<Option<Reference>> {
        let path = format!("{name}/{}", self.file);
        let Some(file) = leaf.open_file(&path)? else { return Ok(None) };
        let bytes = read_bounded(&file, MAX_RECORD, &leaf.path().join(path))?;
        let Ok(record) = serde_json::from_slice::<Record>(&bytes) else { return Ok(None) };
        let Some(images) = &self.images[record.image.algorithm() as usize] else { return Ok(None) };
        let is_here = images.open_file(format!("{}/index.json", record.image.hex()))?.is_some();
        Ok(is_here.then_some(record.reference))
    }
}
