//! The first step of a layer: what it hides of those below it.

use crate::tree::{InodeId, Inodes, Kind, LayerTree, ROOT, RootTree};

impl RootTree {
    /// Removes what the layer hides.
    pub(super) fn hide(&mut self, upper: &LayerTree) {
        let mut pairs = vec![(ROOT, ROOT)];
        while let Some((lower, id)) = pairs.pop() {
            self.hide_in(lower, upper, id, &mut pairs);
        }
    }

    /// Hides what one directory of the layer hides, and adds the pairs of directories below it.
    fn hide_in(
        &mut self,
        lower: InodeId,
        upper: &LayerTree,
        id: InodeId,
        pairs: &mut Vec<(InodeId, InodeId)>,
    ) {
        let Some(directory) = upper.dir(id) else { return };
        if directory.is_opaque {
            self.directory(lower).children.clear();
            return;
        }
        for (name, child) in &directory.children {
            if child.is_whiteout {
                self.directory(lower).children.remove(name);
                continue;
            }
            let Some(inode) = child.inode else { continue };
            let Some(above) = upper.dir(inode) else { continue };
            if let Some(below) = self.below(lower, name, above.is_implied) {
                pairs.push((below, inode));
            }
        }
    }

    /// The directory that a directory of the layer merges with.
    pub(super) fn below(&self, lower: InodeId, name: &[u8], is_implied: bool) -> Option<InodeId> {
        let inode = self.child(lower, name)?.inode?;
        match &self.inode(inode).kind {
            Kind::Directory(_) => Some(inode),
            // What cannot be followed has nothing to hide.
            Kind::Symlink(target) if is_implied => self.existing(lower, target).ok().flatten(),
            _ => None,
        }
    }
}
