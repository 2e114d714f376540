//! Checks for unfinished content, and for files that the store did not create.

use std::path::Path;

use hoist_core::{Algorithm, Digest, Reference, Result};

use super::{Check, Finding, Problem};
use crate::fs::dir::{Dir, DirEntry};
use crate::paths::hex_of;

impl Check<'_> {
    /// Leftovers of dead processes in staging and ingest are not faults: the next process sweeps them.
    pub(super) fn places(&mut self) -> Result<()> {
        let is_blob = |name: &str| Algorithm::ALL.iter().any(|&a| Digest::of_hex(a, name).is_some());
        self.strays("staging", |entry| entry.is_dir)?;
        // Directories come from an older version.
        self.strays("ingest", |entry| (entry.is_file || entry.is_dir) && is_blob(hex_of(&entry.name)))?;
        for &algorithm in Algorithm::ALL {
            self.strays(&format!("names/{}", algorithm.as_str()), |entry| {
                entry.is_dir && is_blob(&entry.name)
            })?;
        }
        Ok(())
    }

    /// Reports the entries of a directory that do not belong there.
    pub(super) fn strays(&mut self, path: &str, is_ours: impl Fn(&DirEntry) -> bool) -> Result<()> {
        let Some(dir) = self.store.dir().sub(path)? else { return Ok(()) };
        for entry in dir.entries()? {
            let entry = entry?;
            if !is_ours(&entry) {
                self.stray(&dir, &entry.name)?;
            }
        }
        Ok(())
    }

    pub(super) fn stray(&mut self, dir: &Dir, name: &str) -> Result<()> {
        if self.repair {
            self.store.quarantine_stray(dir, name)?;
        }
        self.found(&dir.path().join(name), Problem::Stray, Vec::new(), self.repair);
        Ok(())
    }

    pub(super) fn found(
        &mut self,
        path: &Path,
        problem: Problem,
        references: Vec<Reference>,
        repaired: bool,
    ) {
        let path = path.strip_prefix(self.store.root()).unwrap_or(path);
        self.checked.findings.push(Finding { path: path.to_owned(), problem, references, repaired });
    }
}
