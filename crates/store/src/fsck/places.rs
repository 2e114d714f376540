//! What is on its way, and what the store did not put where it is.

use std::path::Path;

use hoist_core::{Algorithm, Digest, Reference, Result};

use super::{Check, Finding, Problem};
use crate::dir::Dir;

impl Check<'_> {
    /// What dead processes left in staging and ingest is no finding: the next one sweeps it.
    pub(super) fn places(&mut self) -> Result<()> {
        let is_blob = |name: &str| Algorithm::ALL.iter().any(|&a| Digest::of_hex(a, name).is_some());
        self.strays("staging", |_| true)?;
        self.strays("ingest", |name| is_blob(name.split('+').next().unwrap_or_default()))?;
        for algorithm in Algorithm::ALL {
            self.strays(&format!("names/{}", algorithm.as_str()), is_blob)?;
        }
        Ok(())
    }

    /// Reports what is in a directory and is no directory of such a name.
    fn strays(&mut self, path: &str, is_ours: impl Fn(&str) -> bool) -> Result<()> {
        let Some(dir) = self.store.dir().sub(path)? else { return Ok(()) };
        for entry in dir.entries()? {
            let entry = entry?;
            if !entry.is_dir || !is_ours(&entry.name) {
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
