//! Follows paths and symlinks inside the tree. Nothing leads out of it: the root is its own parent.

use hoist_core::Result;

use super::malformed;
use crate::limits::Budget;
use crate::tree::{Directory, Inode, InodeId, Inodes, Kind, Meta, ROOT, RootTree};

/// As many symlinks as Linux follows in one path.
const MAX_LINKS: usize = 40;

/// The longest name of a file.
const MAX_NAME: usize = 255;

/// How far along a path one is: the directory, and the names that are left, the next one last.
struct Walk {
    at: InodeId,
    left: Vec<Box<[u8]>>,
    links: usize,
}

impl RootTree {
    /// The directory that this path leads to from `at`. `None`: it does not exist.
    pub(super) fn existing(&self, at: InodeId, path: &[u8]) -> Result<Option<InodeId>> {
        let mut walk = Walk::new(at, path);
        Ok(self.advance(&mut walk, path)?.is_none().then_some(walk.at))
    }

    /// The directory that this path leads to from `at`. Missing directories are made.
    pub(super) fn make(&mut self, at: InodeId, path: &[u8], budget: &Budget) -> Result<InodeId> {
        let mut walk = Walk::new(at, path);
        while let Some(name) = self.advance(&mut walk, path)? {
            budget.add_entry(name.len())?;
            let id = self.add(Inode::directory(Meta::implied(), walk.at, false));
            self.directory(walk.at).children.entry(name).or_default().inode = Some(id);
            walk.at = id;
        }
        Ok(walk.at)
    }

    /// The file at this path from the root, which is not followed if it is a symlink.
    pub(super) fn file(&self, path: &[u8]) -> Result<Option<InodeId>> {
        let split = path.iter().rposition(|&byte| byte == b'/');
        let (parents, name) = split.map_or((&b""[..], path), |at| (&path[..at], &path[at + 1..]));
        let Some(parent) = self.existing(ROOT, parents)? else { return Ok(None) };
        Ok(self.child(parent, name).and_then(|child| child.inode))
    }

    /// A directory that is known to be one.
    pub(super) fn directory(&mut self, id: InodeId) -> &mut Directory {
        self.dir_mut(id).expect("it is a directory")
    }

    /// Goes on until the end of the path, or a name that is missing.
    fn advance(&self, walk: &mut Walk, path: &[u8]) -> Result<Option<Box<[u8]>>> {
        while let Some(name) = walk.left.pop() {
            match &*name {
                b"" | b"." => continue,
                b".." => {
                    walk.at = self.dir(walk.at).map_or(ROOT, |directory| directory.parent);
                    continue;
                }
                long if long.len() > MAX_NAME => {
                    return Err(malformed(path, "contains a name of over 255 bytes"));
                }
                _ => {}
            }
            let Some(id) = self.child(walk.at, &name).and_then(|child| child.inode) else {
                return Ok(Some(name));
            };
            match &self.inode(id).kind {
                Kind::Directory(_) => walk.at = id,
                Kind::Symlink(target) if walk.links < MAX_LINKS => walk.follow(target),
                Kind::Symlink(_) => return Err(malformed(path, "leads through too many symlinks")),
                _ => return Err(malformed(path, "leads through a file that is not a directory")),
            }
        }
        Ok(None)
    }
}

impl Walk {
    fn new(at: InodeId, path: &[u8]) -> Self {
        let mut walk = Self { at, left: Vec::new(), links: 0 };
        walk.push(path);
        walk
    }

    fn follow(&mut self, target: &[u8]) {
        self.links += 1;
        self.push(target);
    }

    fn push(&mut self, path: &[u8]) {
        if path.first() == Some(&b'/') {
            self.at = ROOT;
        }
        self.left.extend(path.split(|&byte| byte == b'/').rev().map(Into::into));
    }
}
