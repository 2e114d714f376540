//! Whole directories: moved and removed with all that is below them.

use std::path::Path;

use hoist_core::Result;

use super::dir::{Dir, DirEntry};

impl Dir {
    /// Moves all files below this directory to the same places below another, each in one step over what may be
    /// there.
    pub(crate) fn move_all(&self, to: &Self) -> Result<()> {
        for entry in self.entries()? {
            let DirEntry { name, is_dir, .. } = entry?;
            if !is_dir {
                self.rename(&name, to, &name)?;
            } else if let Some(dir) = self.sub(&name)? {
                dir.move_all(&to.make_unsynced(&name)?)?;
            }
        }
        to.sync()
    }

    /// Removes a directory with all that is in it.
    pub(crate) fn remove_all(&self, name: impl AsRef<Path>) -> Result<()> {
        let name = name.as_ref();
        if let Some(dir) = self.sub(name)? {
            for entry in dir.entries()? {
                let entry = entry?;
                if entry.is_dir {
                    dir.remove_all(&entry.name)?;
                } else {
                    dir.unlink(&entry.name)?;
                }
            }
        }
        self.remove_empty(name).map(drop)
    }
}
