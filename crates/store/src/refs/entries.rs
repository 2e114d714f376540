//! All names of a store with the content that they lead to, for programs that serve a store.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use hoist_core::{Candidate, Digest, Document, Error, ErrorKind, MAX_DOCUMENT, Platform, Reference, Result};

use super::record::{Place, Record};
use crate::fs::dir::{Dir, fail, unless_damaged};
use crate::paths::{images_path, pool_file};
use crate::store::Store;

/// A name of the store, for one platform.
#[derive(Debug)]
#[non_exhaustive]
pub struct Entry {
    /// The name, by tag or by digest.
    pub reference: Reference,
    /// The digest of the manifest of the image that it leads to.
    pub image: Digest,
    /// The digest that it resolved to: the image's, or that of the outermost index.
    pub resolved: Digest,
    /// The indexes whose bytes the store has: the outermost one first.
    pub indexes: Vec<Digest>,
    /// When its registry was asked, in nanoseconds since 1970.
    pub asked: u64,
    place: Place,
}

/// Names by the path of the ref, with its inode and the time of its last change.
type Known = HashMap<String, (State, Arc<Entry>)>;
type State = (u64, i64, i64);

/// The names of a store, kept in memory. A [refresh](Self::refresh) reads only those that have changed.
#[derive(Debug, Default)]
pub struct Entries {
    known: Known,
}

impl Entries {
    /// Reads the names that were added or changed since the last call, and forgets those that are gone. A name that
    /// cannot be read is left out. Blocks on the disk.
    pub fn refresh(&mut self, store: &Store) -> Result<()> {
        let mut now = HashMap::with_capacity(self.known.len());
        if let Some(refs) = store.dir().sub("refs")? {
            self.refresh_below(store, &refs, "refs", &mut now)?;
        }
        self.known = now;
        Ok(())
    }

    /// The names, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.known.values().map(|(_, entry)| entry)
    }

    fn refresh_below(&self, store: &Store, dir: &Dir, path: &str, now: &mut Known) -> Result<()> {
        for entry in dir.entries()? {
            let entry = entry?;
            let below = format!("{path}/{}", entry.name);
            if entry.is_dir {
                // Another process may remove it meanwhile.
                if let Some(sub) = dir.sub(&entry.name)? {
                    self.refresh_below(store, &sub, &below, now)?;
                }
            } else if !Place::is_index(&entry.name) {
                let Some(stat) = dir.stat(&entry.name)? else { continue };
                #[allow(clippy::useless_conversion, reason = "not of these types on every architecture")]
                let state =
                    (stat.st_ino, stat.st_ctime.into(), i64::try_from(stat.st_ctime_nsec).unwrap_or(0));
                let known = self.known.get(&below).filter(|(known, _)| *known == state);
                let place = Place { dir: path.to_owned(), file: entry.name };
                let found = match known {
                    Some((_, entry)) => Some(entry.clone()),
                    None => unless_damaged(store.entry_at(place))?.map(Arc::new),
                };
                now.extend(found.map(|entry| (below, (state, entry))));
            }
        }
        Ok(())
    }
}

impl Store {
    /// The names of this tag or digest, one for each platform that it was pulled for; the one that was asked for last
    /// is the first. Reads a few small files.
    pub fn entries_of(&self, reference: &Reference) -> Result<Vec<Entry>> {
        let path = Place::of(reference, &Platform::host()).dir;
        let Some(dir) = self.dir().sub(&path)? else { return Ok(Vec::new()) };
        let mut entries = Vec::new();
        for file in dir.entries()? {
            let file = file?;
            if file.is_file && !Place::is_index(&file.name) {
                entries.extend(unless_damaged(self.entry_at(Place { dir: path.clone(), file: file.name }))?);
            }
        }
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.asked));
        Ok(entries)
    }

    /// The tags that this repository has in the store, sorted.
    pub fn tags_of(&self, repository: &Reference) -> Result<Vec<String>> {
        let Some(dir) = self.dir().sub(format!("refs/{}/_tag", repository.name()))? else {
            return Ok(Vec::new());
        };
        let names = dir.entries()?.map(|entry| entry.map(|entry| entry.name));
        let mut tags = names.collect::<Result<Vec<_>>>()?;
        tags.sort();
        Ok(tags)
    }

    /// Whether the name still leads where the entry says.
    pub fn still_leads(&self, entry: &Entry) -> Result<bool> {
        let record = unless_damaged(self.record_at(&entry.place))?;
        Ok(record.is_some_and(|now| now.image == entry.image && now.resolved == entry.resolved))
    }

    /// The bytes of an index that an entry leads to. `None`: it is not here any more, or damaged.
    pub fn index_bytes(&self, entry: &Entry, digest: &Digest) -> Result<Option<Vec<u8>>> {
        self.index_beside(&entry.place, digest, *digest == entry.resolved)
    }

    /// Fails if the image of this entry is not [admitted](Self::with_admission). Where there are
    /// [policies](Self::has_admission), it may block.
    pub fn admit_entry(&self, entry: &Entry) -> Result<()> {
        let unknown =
            || Error::new(ErrorKind::Storage, format!("{} has an unknown platform", entry.reference));
        if !self.has_admission() {
            return Ok(());
        }
        let platform = platform(&entry.place.file).ok_or_else(unknown)?;
        let Entry { reference, resolved, image, .. } = entry;
        self.admit(&Candidate::new(reference, &platform, resolved, image, &self.image_path(image)))
    }

    /// Opens a blob, manifest included, that the image with this manifest has, and returns its size. `None`: it is not
    /// here. The content is not hashed again.
    pub fn open_content(&self, digest: &Digest, image: &Digest) -> Result<Option<(File, u64)>> {
        let pooled = self.dir().open_file(pool_file(digest))?;
        let file = if pooled.is_some() {
            pooled
        } else {
            // Without hard links, only the image may have it.
            let image = format!("{}/{}", images_path(image.algorithm()), image.hex());
            self.dir().open_file(format!("{image}/{}", pool_file(digest)))?
        };
        let Some(file) = file else { return Ok(None) };
        let size = file.metadata().map_err(|e| fail("read", self.root(), e))?.size();
        Ok(Some((file, size)))
    }

    fn entry_at(&self, place: Place) -> Result<Option<Entry>> {
        let Some(record) = self.record_at(&place)? else { return Ok(None) };
        let Record { reference, image, resolved, asked, .. } = record;
        let mut indexes = Vec::new();
        if resolved != image {
            let inner = self.inner_indexes(&place)?;
            self.gather_indexes(&place, &resolved, &inner, &mut indexes)?;
        }
        Ok(Some(Entry { reference, image, resolved, indexes, asked, place }))
    }

    /// Adds this index, and those within it whose bytes are here.
    fn gather_indexes(
        &self,
        place: &Place,
        index: &Digest,
        inner: &[Digest],
        found: &mut Vec<Digest>,
    ) -> Result<()> {
        let Some(bytes) = self.index_beside(place, index, found.is_empty())? else { return Ok(()) };
        found.push(index.clone());
        if inner.is_empty() {
            return Ok(());
        }
        let Ok(Document::Index(document)) = Document::parse(&bytes, None) else { return Ok(()) };
        for within in document.manifests.iter().map(|within| &within.digest) {
            if inner.contains(within) && !found.contains(within) {
                self.gather_indexes(place, within, inner, found)?;
            }
        }
        Ok(())
    }

    /// The inner indexes beside a ref. An earlier image of the name may have left some of them.
    fn inner_indexes(&self, place: &Place) -> Result<Vec<Digest>> {
        let Some(dir) = self.dir().sub(&place.dir)? else { return Ok(Vec::new()) };
        let names = dir.entries()?.map(|entry| entry.map(|entry| place.inner_index_in(&entry.name)));
        names.filter_map(Result::transpose).collect()
    }

    fn index_beside(&self, place: &Place, digest: &Digest, is_outermost: bool) -> Result<Option<Vec<u8>>> {
        let file = if is_outermost { place.index() } else { place.inner_index(digest) };
        let bytes = self.dir().read(format!("{}/{file}", place.dir), MAX_DOCUMENT)?;
        Ok(bytes.filter(|bytes| digest.verify(bytes).is_ok()))
    }
}

/// The platform of a ref, by the name of its file.
fn platform(key: &str) -> Option<Platform> {
    let (base, more) = key.split_at(key.find(['@', '+']).unwrap_or(key.len()));
    let version = more.strip_prefix('@').map(|more| more.split('+').next().unwrap_or_default());
    let spelled = match (version, base.split_once('-')) {
        (Some(version), Some((os, rest))) => format!("{os}({version})/{}", rest.replacen('-', "/", 1)),
        _ => base.replacen('-', "/", 2),
    };
    spelled.parse().ok().filter(|platform: &Platform| platform.key() == key)
}
