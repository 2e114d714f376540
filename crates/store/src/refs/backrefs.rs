//! Back references: which refs lead to an image, to avoid a search for them.
//!
//! `names/<algorithm>/<hex>/` has one marker for each ref that leads to this manifest or index. A marker is
//! written before its ref and may outlive it. So every reader of a marker checks the ref.

use hoist_core::{Digest, Result};

use crate::fs::lock;
use crate::store::Store;

const MAX_MARKER: u64 = 4096; // the longest path that Linux takes

impl Store {
    /// Records that the ref at this path, relative to the root, leads to `digest`.
    pub(crate) fn mark(&self, digest: &Digest, ref_path: &str) -> Result<()> {
        let scratch = self.scratch()?;
        let names = lock::hold(self.dir(), &names_path(digest))?;
        let marker = marker(ref_path);
        if names.stat(&marker)?.is_some() {
            return Ok(());
        }
        scratch.dir().write_new("marker", ref_path.as_bytes())?;
        scratch.dir().rename("marker", &names, &marker)?;
        names.sync()
    }

    /// Whether a marker records that the ref at this path leads to `digest`.
    pub(crate) fn is_marked(&self, digest: &Digest, ref_path: &str) -> Result<bool> {
        Ok(self.dir().stat(format!("{}/{}", names_path(digest), marker(ref_path)))?.is_some())
    }

    /// Removes the marker.
    pub(crate) fn unmark(&self, digest: &Digest, ref_path: &str) -> Result<()> {
        let path = names_path(digest);
        let names = lock::hold(self.dir(), &path)?;
        names.unlink(marker(ref_path))?;
        self.dir().remove_empty(path).map(drop)
    }

    /// The paths of refs that may lead to `digest`.
    pub(crate) fn marked(&self, digest: &Digest) -> Result<Vec<String>> {
        let Some(names) = self.dir().sub(names_path(digest))? else { return Ok(Vec::new()) };
        let mut paths = Vec::new();
        for entry in names.entries()? {
            if let Some(bytes) = names.read(entry?.name, MAX_MARKER)? {
                paths.push(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        Ok(paths)
    }
}

fn names_path(digest: &Digest) -> String {
    format!("names/{}/{}", digest.algorithm().as_str(), digest.hex())
}

/// A marker's name, which has a fixed length whatever the length of the ref's path.
fn marker(ref_path: &str) -> String {
    Digest::sha256(ref_path.as_bytes()).hex().to_owned()
}
