//! Puts the entries of an archive into the tree of its layer, in the order of the archive: of two entries with one
//! path, the later counts.

use hoist_core::{Error, ErrorKind, Result};

use super::path::{Place, components, place};
use crate::limits::Budget;
use crate::tar::malformed;
use crate::tree::{Child, Inode, InodeId, Inodes, Kind, LayerTree, Meta, ROOT, Through};

impl LayerTree {
    /// A layer without entries.
    pub(crate) fn new() -> Self {
        Self { inodes: vec![Inode::directory(Meta::implied(), ROOT, true)], through: Vec::new() }
    }

    /// Puts an entry, other than a hard link, at its path. Returns its inode, or `None` if it is a whiteout.
    pub(crate) fn insert(&mut self, path: &[u8], inode: Inode, budget: &Budget) -> Result<Option<InodeId>> {
        match place(path)? {
            Place::Root => self.set_root(inode).map(Some),
            Place::Name(parents, name) => {
                let parent = self.parent(path, &parents, true, budget)?;
                self.put(parent, name, inode, budget).map(Some)
            }
            other => self.hide(path, other, budget).map(|()| None),
        }
    }

    /// Makes another name for the file at `target`. If this layer has no such file, a lower layer has to.
    pub(crate) fn link(&mut self, path: &[u8], target: &[u8], meta: Meta, budget: &Budget) -> Result<()> {
        let (parents, name) = match place(path)? {
            Place::Name(parents, name) => (parents, name),
            Place::Root => return Err(cannot(path, "is a hard link, and the root")),
            other => return self.hide(path, other, budget),
        };
        let names = components(target)?;
        let found = self.find(&names);
        if found.is_some_and(|id| self.dir(id).is_some()) || names.is_empty() {
            return Err(cannot(path, "is a hard link to a directory"));
        }
        let parent = self.parent(path, &parents, true, budget)?;
        if let Some(inode) = found {
            let child = self.child_mut(parent, name, budget)?;
            (child.inode, child.through) = (Some(inode), None);
            return Ok(());
        }
        let target = names.join(&b'/').into();
        self.put(parent, name, Inode { meta, kind: Kind::LinkBelow(target) }, budget).map(drop)
    }

    fn hide(&mut self, path: &[u8], place: Place<'_>, budget: &Budget) -> Result<()> {
        match place {
            Place::Opaque(parents) => {
                let parent = self.parent(path, &parents, false, budget)?;
                self.dir_mut(parent).expect("a parent is a directory").is_opaque = true;
            }
            Place::Whiteout(parents, name) => {
                let parent = self.parent(path, &parents, false, budget)?;
                self.child_mut(parent, name, budget)?.is_whiteout = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn set_root(&mut self, inode: Inode) -> Result<InodeId> {
        if inode.as_directory().is_none() {
            return Err(malformed("the root of a layer is not a directory"));
        }
        self.describe(ROOT, inode.meta);
        Ok(ROOT)
    }

    /// Puts an entry into a directory. A directory that is there already keeps its children.
    fn put(&mut self, parent: InodeId, name: &[u8], mut inode: Inode, budget: &Budget) -> Result<InodeId> {
        let before = self.child(parent, name).and_then(|child| child.inode);
        if let Some(there) =
            before.filter(|&there| self.dir(there).is_some() && inode.as_directory().is_some())
        {
            self.describe(there, inode.meta);
            return Ok(there);
        }
        if let Kind::Directory(directory) = &mut inode.kind {
            directory.parent = parent;
            directory.has_content = true;
        }
        budget.add_entry(name.len() + inode.size_in_memory())?;
        let id = self.add(inode);
        let child = self.child_mut(parent, name, budget)?;
        (child.inode, child.through) = (Some(id), None);
        Ok(id)
    }

    /// Gives a directory what an entry says of it.
    fn describe(&mut self, id: InodeId, meta: Meta) {
        self.inode_mut(id).meta = meta;
        let directory = self.dir_mut(id).expect("it is a directory");
        (directory.is_implied, directory.has_content) = (false, true);
    }

    fn child_mut(&mut self, parent: InodeId, name: &[u8], budget: &Budget) -> Result<&mut Child> {
        let children = &mut self.dir_mut(parent).expect("a parent is a directory").children;
        if !children.contains_key(name) {
            budget.add_entry(name.len())?;
        }
        Ok(children.entry(name.into()).or_default())
    }

    /// The directory that these names lead to, with all directories on the way. If `has_content`, they will have more
    /// than whiteouts.
    fn parent(
        &mut self,
        path: &[u8],
        names: &[&[u8]],
        has_content: bool,
        budget: &Budget,
    ) -> Result<InodeId> {
        let mut at = ROOT;
        self.note_content(at, has_content);
        for name in names {
            if !has_content && self.is_symlink(at, name) {
                return Err(cannot(path, "is a whiteout below a symlink of its own layer"));
            }
            at = self.enter(path, at, name, budget)?;
            self.note_content(at, has_content);
        }
        Ok(at)
    }

    fn is_symlink(&self, at: InodeId, name: &[u8]) -> bool {
        let inode = self.child(at, name).and_then(|child| child.inode);
        inode.is_some_and(|id| matches!(self.inode(id).kind, Kind::Symlink(_)))
    }

    fn note_content(&mut self, id: InodeId, has_content: bool) {
        self.dir_mut(id).expect("a parent is a directory").has_content |= has_content;
    }

    /// The directory of this name, or that to which the symlink of this name leads.
    fn enter(&mut self, path: &[u8], at: InodeId, name: &[u8], budget: &Budget) -> Result<InodeId> {
        let child = self.child(at, name).unwrap_or_default();
        if let Some(through) = child.through {
            return Ok(self.through[through as usize].directory);
        }
        match child.inode.map(|id| (id, &self.inode(id).kind)) {
            Some((id, Kind::Directory(_))) => Ok(id),
            Some((_, Kind::Symlink(target))) => {
                let target = target.clone();
                self.enter_symlink(at, name, target, budget)
            }
            Some(_) => Err(cannot(path, "is below a file that is not a directory")),
            None => {
                budget.add_entry(name.len())?;
                let id = self.add(Inode::directory(Meta::implied(), at, true));
                self.child_mut(at, name, budget)?.inode = Some(id);
                Ok(id)
            }
        }
    }

    fn enter_symlink(
        &mut self,
        at: InodeId,
        name: &[u8],
        target: Box<[u8]>,
        budget: &Budget,
    ) -> Result<InodeId> {
        budget.add_entry(target.len())?;
        let directory = self.add(Inode::directory(Meta::implied(), at, true));
        let index = u32::try_from(self.through.len()).expect("fewer entries than the limit");
        self.through.push(Through { at, target, directory });
        self.child_mut(at, name, budget)?.through = Some(index);
        Ok(directory)
    }

    /// The file at a path in this layer. A symlink on the way is followed only to what this layer put there.
    fn find(&self, names: &[&[u8]]) -> Option<InodeId> {
        let (last, parents) = names.split_last()?;
        let mut at = ROOT;
        for name in parents {
            let child = self.child(at, name)?;
            at = match child.through {
                Some(through) => self.through[through as usize].directory,
                None => child.inode?,
            };
        }
        self.child(at, last)?.inode
    }
}

impl Inode {
    /// The bytes that this takes beyond its own size.
    fn size_in_memory(&self) -> usize {
        let xattrs: usize =
            self.meta.xattrs().iter().map(|(name, value)| name.len() + value.len() + 32).sum();
        xattrs + if let Kind::Symlink(to) | Kind::LinkBelow(to) = &self.kind { to.len() } else { 0 }
    }
}

fn cannot(path: &[u8], why: &str) -> Error {
    Error::new(ErrorKind::Malformed, format!("{} {why}", String::from_utf8_lossy(path)))
}
