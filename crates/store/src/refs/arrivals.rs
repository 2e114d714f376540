//! How content came into the store: notes by which a program that serves a store tells what is public.
//!
//! `arrivals/<registry>/<repository>/_content` has a line for each blob, manifest and index that was brought in while an
//! image of that repository was pulled or loaded: how it came, and its digest. What was found in the pool gets no line:
//! the pool may have it from a repository that not everybody may read. The notes are not synced, and a lost one only
//! makes content private.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use hoist_core::{Digest, Reference, Result};

use crate::fs::dir::{Dir, cannot_write, fail, read_bounded};
use crate::fs::scratch::Scratch;
use crate::paths::pool_file;
use crate::store::Store;
use crate::store::arrival::Arrival;
use crate::store::lease::Lease;

const ROOT: &str = "arrivals";
/// The file with a repository's notes. No component of a repository begins with `_`.
const FILE: &str = "_content";
/// A line has less than 150 bytes, so this is enough for the content of a hundred thousand images.
const MAX_NOTES: u64 = 256 << 20;

/// The notes of a store, kept in memory. A [refresh](Self::refresh) reads only those files that have changed.
#[derive(Debug, Default)]
pub struct Arrivals {
    repositories: HashMap<String, Notes>,
}

/// The notes of one repository.
#[derive(Debug, Default)]
struct Notes {
    /// The file's inode and size when it was read.
    read: (u64, u64),
    content: HashMap<Digest, Vec<Arrival>>,
}

impl Store {
    /// Notes how the content of this image came.
    pub(super) fn note_arrivals(
        &self,
        reference: &Reference,
        lease: &Lease,
        index: Option<&Digest>,
    ) -> Result<()> {
        let Some(arrived) = lease.arrived() else { return Ok(()) };
        let Some(by) = arrived.by else { return Ok(()) };
        let inner = arrived.inner_indexes.iter().map(|(digest, _)| digest);
        let digests = arrived.blobs.iter().chain(index).chain(inner);
        let lines: Vec<_> = digests.map(|digest| format!("{} {digest}\n", by.as_str())).collect();
        let lines = lines.concat();
        if lines.is_empty() {
            return Ok(());
        }
        loop {
            if let Some((file, _, end)) = lock_notes(&self.arrivals_of(reference)?)? {
                return file.write_all_at(lines.as_bytes(), end).map_err(|e| fail("write", self.root(), e));
            }
        }
    }

    /// The directory of a repository's notes. Of its path, only the first part survives any power cut.
    fn arrivals_of(&self, reference: &Reference) -> Result<Dir> {
        let mut dir = self.dir().make(ROOT)?;
        for part in reference.name().split('/') {
            dir = dir.make_unsynced(part)?;
        }
        Ok(dir)
    }

    /// Forgets the notes about content that is gone, in repositories without a name, and notes that are there twice.
    pub(crate) fn collect_arrivals(&self) -> Result<()> {
        let Some(root) = self.dir().sub(ROOT)? else { return Ok(()) };
        let mut files = HashSet::new();
        find(&root, "", &mut files)?;
        for name in files {
            let Some(dir) = root.sub(&name)? else { continue };
            match self.shorten(&dir, &name) {
                Err(error) if cannot_write(&error) => return Ok(()),
                outcome => outcome?,
            }
        }
        Ok(())
    }

    fn shorten(&self, dir: &Dir, name: &str) -> Result<()> {
        let Some((file, path, _)) = lock_notes(dir)? else { return Ok(()) };
        let bytes = read_bounded(&file, MAX_NOTES, &path)?;
        let text = String::from_utf8_lossy(&bytes);
        let is_named = self.dir().sub(format!("refs/{name}"))?.is_some();
        let mut seen = HashSet::new();
        let mut kept = String::new();
        for line in text.lines().filter(|line| seen.insert(*line)) {
            let Some((_, digest)) = parse(line) else { continue };
            if is_named || self.dir().stat(pool_file(&digest))?.is_some() {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        if kept.is_empty() {
            dir.unlink(FILE)?;
            return self.prune_arrivals(name);
        }
        if kept.len() < bytes.len() {
            let scratch = Scratch::new(self.dir())?;
            scratch.dir().write_new(FILE, kept.as_bytes())?;
            let new = scratch.dir().open_file(FILE)?;
            new.map_or(Ok(()), |new| scratch.dir().unseal(&new, FILE))?;
            scratch.dir().rename(FILE, dir, FILE)?;
        }
        Ok(())
    }

    fn prune_arrivals(&self, name: &str) -> Result<()> {
        let mut path = format!("{ROOT}/{name}");
        while path != ROOT && self.dir().remove_empty(&path)? {
            path = path.rsplit_once('/').map_or(ROOT, |(parent, _)| parent).to_owned();
        }
        Ok(())
    }
}

impl Arrivals {
    /// Reads the notes that were added since the last call. Blocks on the disk.
    pub fn refresh(&mut self, store: &Store) -> Result<()> {
        let mut files = HashSet::new();
        if let Some(root) = store.dir().sub(ROOT)? {
            find(&root, "", &mut files)?;
        }
        self.repositories.retain(|name, _| files.contains(name));
        for name in files {
            let Some(file) = store.dir().open_file(format!("{ROOT}/{name}/{FILE}"))? else { continue };
            let meta = file.metadata().map_err(|e| fail("read", store.root(), e))?;
            let state = (meta.ino(), meta.size());
            match self.repositories.entry(name) {
                Entry::Occupied(known) if known.get().read == state => {}
                entry => {
                    let path = store.root().join(ROOT);
                    let bytes = read_bounded(&file, MAX_NOTES, &path)?;
                    let notes = Notes { read: state, content: content(&String::from_utf8_lossy(&bytes)) };
                    entry.insert_entry(notes);
                }
            }
        }
        Ok(())
    }

    /// Everything that is noted: the repository, such as `ghcr.io/org/app`, the content, and how it came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Digest, &[Arrival])> {
        self.repositories.iter().flat_map(|(name, notes)| {
            notes.content.iter().map(move |(digest, arrivals)| (name.as_str(), digest, &arrivals[..]))
        })
    }

    /// How this content came, in each repository that it came from: `ghcr.io/org/app`, with the ways.
    pub fn of<'a>(&'a self, digest: &'a Digest) -> impl Iterator<Item = (&'a str, &'a [Arrival])> {
        self.repositories.iter().filter_map(move |(name, notes)| {
            notes.content.get(digest).map(|arrivals| (name.as_str(), &arrivals[..]))
        })
    }
}

/// Opens a repository's notes, creates them if they are missing, and waits for the right to change them. With their path
/// and size. `None`: they were replaced meanwhile; try again.
fn lock_notes(dir: &Dir) -> Result<Option<(File, PathBuf, u64)>> {
    let (file, path) = (dir.open_or_create(FILE)?, dir.path().join(FILE));
    file.lock().map_err(|e| fail("lock", &path, e))?;
    let meta = file.metadata().map_err(|e| fail("read", &path, e))?;
    let is_there = dir.stat(FILE)?.is_some_and(|stat| stat.st_ino == meta.ino());
    Ok(is_there.then(|| (file, path, meta.size())))
}

/// Finds the repositories with notes, at and below this path.
fn find(dir: &Dir, path: &str, found: &mut HashSet<String>) -> Result<()> {
    for entry in dir.entries()? {
        let entry = entry?;
        if entry.is_dir {
            let path = if path.is_empty() { entry.name.clone() } else { format!("{path}/{}", entry.name) };
            if let Some(sub) = dir.sub(&entry.name)? {
                find(&sub, &path, found)?;
            }
        } else if entry.name == FILE {
            found.insert(path.to_owned());
        }
    }
    Ok(())
}

fn content(text: &str) -> HashMap<Digest, Vec<Arrival>> {
    let mut content = HashMap::<_, Vec<_>>::new();
    for (arrival, digest) in text.lines().filter_map(parse) {
        let arrivals = content.entry(digest).or_default();
        if !arrivals.contains(&arrival) {
            arrivals.push(arrival);
        }
    }
    content
}

/// `None`: the line was cut off by a crash, or is from a newer version.
fn parse(line: &str) -> Option<(Arrival, Digest)> {
    let (arrival, digest) = line.split_once(' ')?;
    let arrival = Arrival::ALL.into_iter().find(|known| known.as_str() == arrival)?;
    Some((arrival, digest.parse().ok()?))
}
