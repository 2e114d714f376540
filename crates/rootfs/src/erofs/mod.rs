//! Writes EROFS images: one file, blocks of 4 KiB, uncompressed, for Linux 5.4 and newer.
//!
//! ```text
//! block 0         superblock
//! blocks 1..      data of files: layer by layer, in the order of the archive, without what no path leads to
//!                 data of large directories and symlinks
//! meta_blkaddr..  inodes, each with its extended attributes and the tail of its data; the root's is the first
//! ```
//!
//! The kernel's `fs/erofs/erofs_fs.h` describes the format. All that is written follows from the tree and the UUID.

mod directory;
mod inode;
mod layout;
mod slots;
mod superblock;
mod write;
mod xattr;

use std::fs::File;

use hoist_core::Result;

use crate::tree::{BLOCK, RootTree, Xattr};

/// The size of an inode.
const INODE: u64 = 64;

impl RootTree {
    /// Writes the files as an EROFS image with this UUID into an empty file, and returns the image's size.
    ///
    /// Fails with [`TooLarge`](hoist_core::ErrorKind::TooLarge) beyond 16 TiB, and as the disk does.
    pub fn write_erofs(&self, out: &File, uuid: [u8; 16]) -> Result<u64> {
        let layout = layout::Layout::new(self)?;
        write::Image { tree: self, layout: &layout, out }.write(uuid)
    }
}

/// Whether the tail of a file fits behind its inode and attributes. The kernel wants all of it in one block.
pub(crate) fn fits_inline(xattrs: &[Xattr], tail: u64) -> bool {
    INODE + xattr::size(xattrs) + tail <= BLOCK
}
