//! Where everything goes: a number for each inode, and blocks for what does not fit behind it.

use hoist_core::{Error, ErrorKind, Result};

use super::slots::{SLOT, Slots};
use super::{INODE, directory, fits_inline, xattr};
use crate::tree::{BLOCK, Content, Inode, InodeId, Inodes, Kind, ROOT, RootTree};

/// The bytes before the root's inode: a directory entry whose number is 0 would count as none.
const RESERVED: u64 = 64;

/// The first block after the superblock.
const FIRST: u64 = 1;

/// Where an image puts things, by the inodes' index in the tree.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The inodes that paths lead to, parents before their children.
    pub(crate) order: Vec<InodeId>,
    /// How many names each has.
    pub(crate) links: Vec<u32>,
    /// Where each inode is in the metadata.
    pub(crate) places: Vec<u64>,
    /// The first block of each inode's data.
    pub(crate) blocks: Vec<u32>,
    /// The files that have whole blocks, in the order of these.
    pub(crate) files: Vec<InodeId>,
    /// The first block of the metadata, and the number of all blocks.
    pub(crate) metadata: u32,
    pub(crate) end: u32,
}

/// How an inode's data is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) size: u64,
    /// Blocks of its own.
    pub(crate) blocks: u64,
    /// Bytes behind the inode.
    pub(crate) tail: u64,
}

impl Layout {
    pub(crate) fn new(tree: &RootTree) -> Result<Self> {
        let (order, links) = walk(tree);
        let mut layout = Self {
            order,
            links,
            places: vec![0; tree.inodes().len()],
            blocks: vec![0; tree.inodes().len()],
            files: Vec::new(),
            metadata: 0,
            end: 0,
        };
        let end = layout.place_files(tree)?;
        let end = layout.place_others(tree, end)?;
        layout.metadata = number(end)?;
        layout.end = number(end + layout.place_inodes(tree))?;
        Ok(layout)
    }

    /// The number by which directories know an inode.
    pub(crate) fn nid(&self, id: InodeId) -> u64 {
        self.places[id as usize] / SLOT
    }

    /// Files' data goes first, in the order in which the layers have it.
    fn place_files(&mut self, tree: &RootTree) -> Result<u64> {
        let has_blocks = |&id: &InodeId| content(tree, id).is_some() && shape(tree, id).blocks > 0;
        self.files = self.order.iter().copied().filter(has_blocks).collect();
        self.files.sort_unstable_by_key(|&id| content(tree, id));
        let mut next = FIRST;
        for &id in &self.files {
            self.blocks[id as usize] = number(next)?;
            next += shape(tree, id).blocks;
        }
        Ok(next)
    }

    fn place_others(&mut self, tree: &RootTree, mut next: u64) -> Result<u64> {
        for &id in self.order.iter().filter(|&&id| content(tree, id).is_none()) {
            let blocks = shape(tree, id).blocks;
            if blocks > 0 {
                self.blocks[id as usize] = number(next)?;
                next += blocks;
            }
        }
        Ok(next)
    }

    /// Returns the number of blocks that the inodes take.
    fn place_inodes(&mut self, tree: &RootTree) -> u64 {
        let mut slots = Slots::default();
        slots.take(RESERVED);
        for &id in &self.order {
            let xattrs = tree.inode(id).meta.xattrs();
            self.places[id as usize] = slots.take(INODE + xattr::size(xattrs) + shape(tree, id).tail);
        }
        slots.blocks()
    }
}

/// How the data of an inode is stored.
pub(crate) fn shape(tree: &RootTree, id: InodeId) -> Shape {
    let inode = tree.inode(id);
    match &inode.kind {
        Kind::File(Content { size, tail, .. }) => cut(*size, tail.is_some()),
        Kind::Directory(_) => packed(inode, directory::size(&directory::entries(tree, id))),
        Kind::Symlink(target) => packed(inode, target.len() as u64),
        _ => Shape { size: 0, blocks: 0, tail: 0 },
    }
}

fn packed(inode: &Inode, size: u64) -> Shape {
    cut(size, fits_inline(inode.meta.xattrs(), size % BLOCK))
}

fn cut(size: u64, is_packed: bool) -> Shape {
    let blocks = if is_packed { size / BLOCK } else { size.div_ceil(BLOCK) };
    Shape { size, blocks, tail: if is_packed { size % BLOCK } else { 0 } }
}

pub(crate) fn content(tree: &RootTree, id: InodeId) -> Option<&Content> {
    match &tree.inode(id).kind {
        Kind::File(content) => Some(content),
        _ => None,
    }
}

/// All inodes that paths lead to, and the number of names of each.
fn walk(tree: &RootTree) -> (Vec<InodeId>, Vec<u32>) {
    let mut links = vec![0; tree.inodes().len()];
    let (mut order, mut open) = (Vec::new(), vec![ROOT]);
    links[ROOT as usize] = 2;
    while let Some(id) = open.pop() {
        order.push(id);
        let Some(directory) = tree.dir(id) else { continue };
        for child in directory.children.values().rev().filter_map(|child| child.inode) {
            let is_directory = tree.dir(child).is_some();
            if links[child as usize] == 0 {
                open.push(child);
            }
            // A directory has its name and `.`, and each directory in it has `..`.
            links[child as usize] += 1 + u32::from(is_directory);
            links[id as usize] += u32::from(is_directory);
        }
    }
    (order, links)
}

/// A block's number, which has 32 bits.
fn number(block: u64) -> Result<u32> {
    let too_large =
        |_| Error::new(ErrorKind::TooLarge, "the root file system is larger than EROFS can be: 16 TiB");
    u32::try_from(block).map_err(too_large)
}
