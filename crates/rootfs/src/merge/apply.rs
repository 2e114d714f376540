//! The second and third step of a layer: its hard links to files below it, and its own entries.

use std::collections::{HashMap, VecDeque};

use hoist_core::Result;

use super::malformed;
use crate::layer::Layer;
use crate::limits::Budget;
use crate::tree::{Child, Inode, InodeId, Inodes, Kind, LayerTree, ROOT, RootTree, Through};

/// What one layer adds.
#[derive(Default)]
struct Addition {
    /// The files below that the layer's hard links lead to, by the link.
    links: HashMap<InodeId, InodeId>,
    /// Directories to merge: that of the tree, and that of the layer.
    pairs: Vec<(InodeId, InodeId)>,
    /// What goes through symlinks, in its order.
    through: VecDeque<Through>,
    /// Where directories of the layer have gone.
    merged: HashMap<InodeId, InodeId>,
}

impl RootTree {
    /// Applies the next layer.
    pub(super) fn apply(&mut self, layer: Layer, budget: &Budget) -> Result<()> {
        self.hide(&layer.tree);
        let links = self.links_below(&layer.tree)?;
        let index = u32::try_from(self.data.len()).expect("a manifest has fewer layers");
        self.data.push(layer.data);
        let (base, through) = self.absorb(layer.tree, index);
        let links = links.into_iter().map(|(link, file)| (link + base, file)).collect();
        let mut addition = Addition { links, pairs: vec![(ROOT, base)], ..Addition::default() };
        self.describe(ROOT, base);
        self.merge_pairs(&mut addition);
        // What goes through symlinks of lower layers first, then what goes through those of the layer itself.
        addition.through.extend(through);
        while let Some(Through { at, target, directory }) = addition.through.pop_front() {
            let at = addition.merged.get(&at).copied();
            let at = at.ok_or_else(|| malformed(&target, "leads on from a directory that was replaced"))?;
            addition.pairs.push((self.make(at, &target, budget)?, directory));
            self.merge_pairs(&mut addition);
        }
        Ok(())
    }

    /// Looks up the files that the layer's hard links lead to.
    fn links_below(&self, upper: &LayerTree) -> Result<Vec<(InodeId, InodeId)>> {
        let mut links = Vec::new();
        for (id, inode) in (0..).zip(&upper.inodes) {
            let Kind::LinkBelow(target) = &inode.kind else { continue };
            let file = self.file(target)?.filter(|&file| self.dir(file).is_none());
            let file = file.ok_or_else(|| malformed(target, "is no file, and has a hard link to it"))?;
            links.push((id, file));
        }
        Ok(links)
    }

    /// Takes the layer's inodes in. Returns how much their numbers grew by.
    fn absorb(&mut self, upper: LayerTree, index: u32) -> (InodeId, Vec<Through>) {
        let base = InodeId::try_from(self.inodes.len()).expect("fewer entries than the limit");
        self.inodes.extend(upper.inodes.into_iter().map(|inode| renumbered(inode, base, index)));
        let through = upper.through.into_iter().map(|through| Through {
            at: through.at + base,
            directory: through.directory + base,
            ..through
        });
        (base, through.collect())
    }

    fn merge_pairs(&mut self, addition: &mut Addition) {
        while let Some((into, from)) = addition.pairs.pop() {
            addition.merged.insert(from, into);
            // A directory that is new here is both, and its children are put back where they were.
            for (name, child) in std::mem::take(&mut self.directory(from).children) {
                self.add_child(addition, into, name, child);
            }
        }
    }

    fn add_child(&mut self, addition: &mut Addition, into: InodeId, name: Box<[u8]>, child: Child) {
        let Some(id) = child.inode else { return };
        let id = addition.links.get(&id).copied().unwrap_or(id);
        let Some(directory) = self.dir(id) else { return self.set_child(into, name, id) };
        if !directory.has_content {
            return; // it had whiteouts only
        }
        let is_implied = directory.is_implied;
        let before = self.child(into, &name).and_then(|child| child.inode);
        match before.map(|before| (before, &self.inode(before).kind)) {
            Some((before, Kind::Directory(_))) => {
                self.describe(before, id);
                addition.pairs.push((before, id));
            }
            Some((_, Kind::Symlink(target))) if is_implied => {
                let target = target.clone();
                addition.merged.insert(into, into);
                addition.through.push_back(Through { at: into, target, directory: id });
            }
            _ => {
                let directory = self.directory(id);
                (directory.parent, directory.is_implied) = (into, false);
                self.set_child(into, name, id);
                addition.pairs.push((id, id));
            }
        }
    }

    fn set_child(&mut self, into: InodeId, name: Box<[u8]>, id: InodeId) {
        let child = Child { inode: Some(id), ..Child::default() };
        self.directory(into).children.insert(name, child);
    }

    /// Gives a directory what the layer says of it, if it says something.
    fn describe(&mut self, before: InodeId, id: InodeId) {
        if self.dir(id).is_some_and(|directory| !directory.is_implied) {
            self.inode_mut(before).meta = self.inode(id).meta.clone();
        }
    }
}

fn renumbered(mut inode: Inode, base: InodeId, index: u32) -> Inode {
    match &mut inode.kind {
        Kind::Directory(directory) => {
            directory.parent += base;
            for child in directory.children.values_mut() {
                child.inode = child.inode.map(|id| id + base);
            }
        }
        Kind::File(content) => content.layer = index,
        _ => {}
    }
    inode
}
