//! Whole directories: moves and removes them with everything below.

use std::path::Path;

use hoist_core::Result;

use super::dir::{Dir, DirEntry};

impl Dir {
    /// Moves every file below this directory to the same path below another directory. Each move is atomic, and
    /// replaces an existing file.
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

    /// Moves a directory with everything in it: in one step, or file by file where an overlay has it in a lower layer.
    pub(crate) fn move_dir(&self, name: &str, to: &Self, new: &str) -> Result<()> {
        if self.rename_dir(name, to, new)? {
            return Ok(());
        }
        if let Some(dir) = self.sub(name)? {
            dir.move_all(&to.make_unsynced(new)?)?;
        }
        self.remove_all(name)
    }

    /// Removes a directory with everything in it.
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
