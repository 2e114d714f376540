//! A ref's file: its content and its path.

use std::fs::File;

use hoist_core::{Digest, Error, ErrorKind, Platform, Reference, Result};
use serde::{Deserialize, Serialize};

use crate::fs::dir::{Dir, read_bounded};
use crate::store::Store;

pub(crate) const MAX_RECORD: u64 = 64 << 10; // a reference and two digests; a larger file is not ours

/// The content of a ref's file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) reference: Reference,
    pub(crate) image: Digest,
    pub(crate) resolved: Digest,
    /// When the origin was last asked, in seconds since 1970. The file's own modification time is that of its
    /// last use.
    pub(crate) pulled: u64,
    /// The same in nanoseconds. 0 in records of older versions.
    #[serde(default)]
    pub(crate) asked: u64,
}

/// The path of the ref of a (reference, platform) pair.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) dir: String,
    pub(crate) file: String,
}

impl Place {
    pub(crate) fn of(reference: &Reference, platform: &Platform) -> Self {
        let name = reference.name();
        let last = match reference.digest() {
            Some(digest) => format!("_digest/{}-{}", digest.algorithm().as_str(), digest.hex()),
            None => format!("_tag/{}", reference.selector()),
        };
        Self { dir: format!("refs/{name}/{last}"), file: platform.key() }
    }

    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.dir, self.file)
    }

    /// Whether a directory of this name has a subdirectory for each tag, or each digest, of a repository.
    pub(crate) fn is_leaf(name: &str) -> bool {
        name == "_tag" || name == "_digest"
    }

    /// The file name of the raw index that the image was chosen from. No platform's key contains a `~`.
    pub(crate) fn index(&self) -> String {
        format!("{}~index.json", self.file)
    }

    /// The file name of the raw bytes of an index within that one, on the way to the image.
    pub(crate) fn inner_index(&self, digest: &Digest) -> String {
        format!("{}~{}-{}.json", self.file, digest.algorithm().as_str(), digest.hex())
    }

    /// The digest of the inner index that a file beside this ref holds.
    pub(crate) fn inner_index_in(&self, file: &str) -> Option<Digest> {
        let name = file.strip_prefix(&self.file)?.strip_prefix('~')?.strip_suffix(".json")?;
        name.replacen('-', ":", 1).parse().ok()
    }

    /// Removes the inner indexes that `keep` does not name.
    pub(crate) fn unlink_inner_indexes(&self, dir: &Dir, keep: impl Fn(&Digest) -> bool) -> Result<()> {
        for entry in dir.entries()? {
            let name = entry?.name;
            if self.inner_index_in(&name).is_some_and(|digest| !keep(&digest)) {
                dir.unlink(name)?;
            }
        }
        Ok(())
    }

    /// Whether a file beside refs holds an index.
    pub(crate) fn is_index(file: &str) -> bool {
        file.contains('~')
    }

    pub(crate) fn from_path(path: &str) -> Option<Self> {
        let (dir, file) = path.rsplit_once('/')?;
        Some(Self { dir: dir.to_owned(), file: file.to_owned() })
    }
}

impl Record {
    /// The digests that this reference also answers to: the image's, and its index's.
    pub(crate) fn leads_to(&self) -> impl Iterator<Item = &Digest> {
        let index = Some(&self.resolved).filter(|resolved| **resolved != self.image);
        std::iter::once(&self.image).chain(index)
    }
}

impl Store {
    /// The record of the ref at this place. `None`: there is no ref.
    pub(crate) fn record_at(&self, place: &Place) -> Result<Option<Record>> {
        Ok(self.open_record(place)?.map(|(_, record)| record))
    }

    /// The file of the ref at this place, and its record. `None`: there is no ref.
    pub(crate) fn open_record(&self, place: &Place) -> Result<Option<(File, Record)>> {
        let Some(file) = self.dir().open_file(place.path())? else { return Ok(None) };
        let path = self.root().join(place.path());
        let bytes = read_bounded(&file, MAX_RECORD, &path)?;
        let record = serde_json::from_slice(&bytes).map_err(|cause| {
            Error::new(ErrorKind::Storage, format!("{} cannot be read", path.display()))
                .with_source(cause)
                .with_help(
                    "repair the store (`hoist fsck --repair`, or `Store::fsck`), and pull the image again",
                )
        })?;
        Ok(Some((file, record)))
    }
}
