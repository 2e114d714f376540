//! The keys of `[local]`.

use std::path::PathBuf;

use hoist_core::{Reference, Result};
use serde::Deserialize;

use super::{Config, invalid};

/// `[local]`: a directory that holds an OCI image layout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[non_exhaustive]
pub struct LocalConfig {
    /// The directory. It is asked before any registry; by default there is none.
    pub path: Option<PathBuf>,
    /// What its bare tags are tags of; by default the directory's own name.
    pub repository: Option<Reference>,
    /// Whether `remove` may change it; by default it may not. Where the store answers ([`Config::caches`]), `remove` is
    /// about the store alone, and this is an error.
    pub writable: bool,
    /// Whether the blobs in the directory never change. Then the store links to them if it is on the same file system,
    /// instead of copying them. hoist cannot check this. By default blobs are copied.
    pub immutable: bool,
}

impl LocalConfig {
    /// Fails where one key contradicts another.
    pub(super) fn check(&self) -> Result<()> {
        if self.path.is_none() && (self.writable || self.immutable || self.repository.is_some()) {
            return Err(invalid("`local` is set up, but has no `local.path`")
                .with_help("set `local.path` to a directory with an OCI image layout"));
        }
        if self.writable && self.immutable {
            return Err(invalid("`local.writable` and `local.immutable` contradict each other").with_help(
                "set `local.immutable` for a directory that never changes, or allow `remove` to change it",
            ));
        }
        Ok(())
    }
}

impl Config {
    /// Looks into this directory first.
    pub fn with_local(mut self, path: impl Into<PathBuf>) -> Self {
        self.local.path = Some(path.into());
        self
    }

    /// Makes the directory's bare tags those of this repository.
    pub fn with_local_repository(mut self, repository: Reference) -> Self {
        self.local.repository = Some(repository);
        self
    }

    /// Allows `remove` to change the directory: for a stack [without a cache](Self::without_cache).
    pub fn with_writable_local(mut self) -> Self {
        self.local.writable = true;
        self
    }

    /// Declares that the directory's blobs never change, so that the store may link to them.
    pub fn with_immutable_local(mut self) -> Self {
        self.local.immutable = true;
        self
    }
}
