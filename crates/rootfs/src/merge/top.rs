//! A layer of files that the image does not have of itself.

use hoist_core::{Error, ErrorKind, Result};

use crate::layer::Layer;
use crate::limits::Budget;
use crate::tar::Time;
use crate::tree::{Inodes, LayerTree, ROOT, RootTree};

impl RootTree {
    /// Applies a layer of added files. They get this time.
    ///
    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) if one would replace a directory.
    pub(crate) fn add_files(&mut self, mut files: Layer, time: Time, budget: &Budget) -> Result<()> {
        self.check_directories(&files.tree)?;
        for inode in files.tree.inodes_mut() {
            inode.meta.mtime = time;
        }
        self.apply(files, budget)
    }

    fn check_directories(&self, files: &LayerTree) -> Result<()> {
        let mut pairs = vec![(ROOT, ROOT)];
        while let Some((lower, id)) = pairs.pop() {
            let children = files.dir(id).into_iter().flat_map(|directory| &directory.children);
            for (name, inode) in children.filter_map(|(name, child)| Some((name, child.inode?))) {
                let is_implied = files.dir(inode).is_some_and(|directory| directory.is_implied);
                let Some(below) = self.below(lower, name, is_implied) else { continue };
                if files.dir(inode).is_none() {
                    let name = String::from_utf8_lossy(name);
                    let message = format!("an added file would replace the image's directory {name}");
                    let help = "give the path of the file itself, as in `./init:/sbin/init`";
                    return Err(Error::new(ErrorKind::InvalidConfig, message).with_help(help));
                }
                pairs.push((below, inode));
            }
        }
        Ok(())
    }
}

impl Layer {
    /// The time of the layer's newest entry.
    pub(crate) fn newest(&self) -> Time {
        self.tree.inodes().iter().map(|inode| inode.meta.mtime).max().unwrap_or_default()
    }
}
