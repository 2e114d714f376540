//! Inodes, in their long form, which has times and 32-bit owners.

use super::layout::Shape;
use super::xattr;
use crate::tree::{Inode, Kind};

/// The long form, with the data in blocks, or with its tail behind the inode.
const PLAIN: u16 = 1;
const INLINE: u16 = 1 | 2 << 1;

/// Appends an inode and its extended attributes.
pub(crate) fn encode(inode: &Inode, shape: Shape, links: u32, block: u32, number: u32, into: &mut Vec<u8>) {
    let meta = &inode.meta;
    let format = if shape.tail > 0 { INLINE } else { PLAIN };
    into.extend(format.to_le_bytes());
    into.extend(xattr::count(meta.xattrs()).to_le_bytes());
    into.extend((file_mode(&inode.kind) | meta.mode).to_le_bytes());
    into.extend([0; 2]);
    into.extend(shape.size.to_le_bytes());
    into.extend(device(&inode.kind).unwrap_or(block).to_le_bytes());
    into.extend(number.to_le_bytes());
    into.extend(meta.uid.to_le_bytes());
    into.extend(meta.gid.to_le_bytes());
    into.extend(meta.mtime.secs.to_le_bytes());
    into.extend(meta.mtime.nanos.to_le_bytes());
    into.extend(links.to_le_bytes());
    into.extend([0; 16]);
    xattr::encode(meta.xattrs(), into);
}

/// The type of a file in `st_mode`.
fn file_mode(kind: &Kind) -> u16 {
    match kind {
        Kind::Fifo => 0o010_000,
        Kind::CharDevice(..) => 0o020_000,
        Kind::Directory(_) => 0o040_000,
        Kind::BlockDevice(..) => 0o060_000,
        Kind::File(_) | Kind::LinkBelow(_) => 0o100_000,
        Kind::Symlink(_) => 0o120_000,
    }
}

/// A device's number, as the kernel's `new_encode_dev` packs it.
fn device(kind: &Kind) -> Option<u32> {
    match *kind {
        Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) => {
            Some((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12))
        }
        _ => None,
    }
}
