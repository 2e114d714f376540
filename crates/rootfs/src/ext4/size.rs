//! How large an ext4 image has to be.

use crate::tree::{BLOCK, Content, Inode, Kind, RootTree};

/// ext4 puts sixteen inodes into a block.
const INODES_PER_BLOCK: u64 = 16;

/// What an image has besides its files, at least: the journal and the groups' descriptors.
const OVERHEAD: u64 = 16 << 20;

/// mke2fs has an inode for so many bytes.
const BYTES_PER_INODE: u64 = 16_384;

/// A symlink of up to so many bytes is in its inode.
const FAST_SYMLINK: usize = 59;

/// The size for the files of a tree, and a quarter more.
pub(crate) fn least(tree: &RootTree) -> u64 {
    let blocks: u64 = tree.inodes.iter().map(blocks).sum();
    let blocks = blocks + count(tree) / INODES_PER_BLOCK;
    (blocks * BLOCK * 5 / 4 + OVERHEAD).next_multiple_of(1 << 20)
}

/// How many inodes an image of this size has: as many as usual, and at least a quarter more than it has files.
pub(crate) fn inodes(tree: &RootTree, size: u64) -> u32 {
    u32::try_from(count(tree).max(size / BYTES_PER_INODE)).unwrap_or(u32::MAX)
}

fn count(tree: &RootTree) -> u64 {
    let files = tree.inodes.len() as u64;
    files + files / 4 + 64
}

/// The blocks of a file's data and attributes.
fn blocks(inode: &Inode) -> u64 {
    let data = match &inode.kind {
        Kind::File(Content { size, .. }) => size.div_ceil(BLOCK),
        // Its blocks are three quarters full.
        Kind::Directory(directory) => {
            let bytes: usize = directory.children.keys().map(|name| 12 + name.len()).sum();
            1 + bytes as u64 * 4 / 3 / BLOCK
        }
        Kind::Symlink(target) => u64::from(target.len() > FAST_SYMLINK),
        _ => 0,
    };
    data + u64::from(!inode.meta.xattrs().is_empty())
}
