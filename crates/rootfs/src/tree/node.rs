//! Inodes and directories.

use std::collections::BTreeMap;
use std::fs::File;

use crate::tar::Time;

/// The block size of the images that are written, and so of the layers' data.
pub(crate) const BLOCK: u64 = 4096;

/// The same, of bytes in memory.
pub(crate) const BLOCK_LEN: usize = 4096;

/// An inode's index in its tree.
pub(crate) type InodeId = u32;

/// The name and the value of an extended attribute.
pub(crate) type Xattr = (Box<[u8]>, Box<[u8]>);

/// Extended attributes, sorted by their names.
pub(crate) type Xattrs = Box<[Xattr]>;

/// What every file has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The permissions, setuid, setgid and the sticky bit.
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Time,
    /// `None`: it has none.
    pub(crate) xattrs: Option<Box<Xattrs>>,
}

impl Meta {
    /// A directory that no entry describes.
    pub(crate) fn implied() -> Self {
        Self { mode: 0o755, uid: 0, gid: 0, mtime: Time::default(), xattrs: None }
    }

    pub(crate) fn xattrs(&self) -> &[Xattr] {
        self.xattrs.as_ref().map_or(&[], |xattrs| xattrs)
    }
}

/// Where a file's data lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Content {
    /// The index of the layer that has it.
    pub(crate) layer: u32,
    /// The number of the first block in the layer's data.
    pub(crate) block: u64,
    pub(crate) size: u64,
    /// Where the bytes after the last whole block lie. `None`: in a block that is filled up with zeros.
    pub(crate) tail: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Inode {
    pub(crate) meta: Meta,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Directory(Box<Directory>),
    File(Content),
    Symlink(Box<[u8]>),
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
    /// In a layer: a hard link to a file that this layer does not have.
    LinkBelow(Box<[u8]>),
}

#[derive(Debug, Default)]
pub(crate) struct Directory {
    pub(crate) children: BTreeMap<Box<[u8]>, Child>,
    /// The directory that this one is in; the root's is the root.
    pub(crate) parent: InodeId,
    /// In a layer: no entry describes it.
    pub(crate) is_implied: bool,
    /// In a layer: it hides what lower layers have in it.
    pub(crate) is_opaque: bool,
    /// In a layer: it, or a directory below it, has more than whiteouts.
    pub(crate) has_content: bool,
}

/// What a name in a directory stands for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Child {
    pub(crate) inode: Option<InodeId>,
    /// In a layer: lower layers' entry of this name is removed.
    pub(crate) is_whiteout: bool,
    /// In a layer: the index of what goes through the symlink of this name.
    pub(crate) through: Option<u32>,
}

/// Entries of a layer whose path leads through a symlink of the same layer.
#[derive(Debug)]
pub(crate) struct Through {
    /// The directory that the symlink is in.
    pub(crate) at: InodeId,
    pub(crate) target: Box<[u8]>,
    /// What to merge into the directory that the symlink leads to.
    pub(crate) directory: InodeId,
}

/// The entries of one layer.
#[derive(Debug)]
pub(crate) struct LayerTree {
    pub(crate) inodes: Vec<Inode>,
    pub(crate) through: Vec<Through>,
}

/// The files of an image: all layers merged, with the data of each layer.
#[derive(Debug)]
pub struct RootTree {
    pub(crate) inodes: Vec<Inode>,
    pub(crate) data: Vec<File>,
}

/// The root directory of any tree.
pub(crate) const ROOT: InodeId = 0;

impl RootTree {
    /// A root directory without files.
    pub(crate) fn empty() -> Self {
        Self { inodes: vec![Inode::directory(Meta::implied(), ROOT, false)], data: Vec::new() }
    }
}

impl Inode {
    pub(crate) fn directory(meta: Meta, parent: InodeId, is_implied: bool) -> Self {
        let directory = Directory { parent, is_implied, ..Directory::default() };
        Self { meta, kind: Kind::Directory(Box::new(directory)) }
    }

    pub(crate) fn as_directory(&self) -> Option<&Directory> {
        match &self.kind {
            Kind::Directory(directory) => Some(directory),
            _ => None,
        }
    }
}

/// Inodes by their index.
pub(crate) trait Inodes {
    fn inodes(&self) -> &Vec<Inode>;
    fn inodes_mut(&mut self) -> &mut Vec<Inode>;

    fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes()[id as usize]
    }

    fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        &mut self.inodes_mut()[id as usize]
    }

    /// Adds an inode. The limit of entries keeps their number far below the index's range.
    fn add(&mut self, inode: Inode) -> InodeId {
        let id = InodeId::try_from(self.inodes().len()).expect("fewer entries than the limit");
        self.inodes_mut().push(inode);
        id
    }

    fn dir(&self, id: InodeId) -> Option<&Directory> {
        self.inode(id).as_directory()
    }

    fn dir_mut(&mut self, id: InodeId) -> Option<&mut Directory> {
        match &mut self.inode_mut(id).kind {
            Kind::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    fn child(&self, id: InodeId, name: &[u8]) -> Option<Child> {
        self.dir(id)?.children.get(name).copied()
    }
}

impl Inodes for LayerTree {
    fn inodes(&self) -> &Vec<Inode> {
        &self.inodes
    }

    fn inodes_mut(&mut self) -> &mut Vec<Inode> {
        &mut self.inodes
    }
}

impl Inodes for RootTree {
    fn inodes(&self) -> &Vec<Inode> {
        &self.inodes
    }

    fn inodes_mut(&mut self) -> &mut Vec<Inode> {
        &mut self.inodes
    }
}
