//! The data of directories: blocks of entries sorted by name, so that the kernel can search them.

use crate::tree::{BLOCK, BLOCK_LEN, InodeId, Inodes, Kind, RootTree};

/// The size of an entry without its name.
const ENTRY: usize = 12;

/// The entries of a directory, `.` and `..` among them, in the order of their names.
pub(crate) fn entries(tree: &RootTree, id: InodeId) -> Vec<(&[u8], InodeId)> {
    let Some(directory) = tree.dir(id) else { return Vec::new() };
    let children = directory.children.iter().filter_map(|(name, child)| Some((&**name, child.inode?)));
    let mut entries: Vec<_> = children.chain([(&b"."[..], id), (&b".."[..], directory.parent)]).collect();
    entries.sort_unstable();
    entries
}

/// The size of a directory's data.
pub(crate) fn size(entries: &[(&[u8], InodeId)]) -> u64 {
    let blocks = blocks(entries);
    let used =
        |block: &[(&[u8], InodeId)]| block.iter().map(|(name, _)| (ENTRY + name.len()) as u64).sum::<u64>();
    blocks.last().map_or(0, |last| (blocks.len() as u64 - 1) * BLOCK + used(last))
}

/// The data of a directory.
pub(crate) fn encode(tree: &RootTree, entries: &[(&[u8], InodeId)], nid: impl Fn(InodeId) -> u64) -> Vec<u8> {
    let mut data = Vec::new();
    for block in blocks(entries) {
        data.resize(data.len().next_multiple_of(BLOCK_LEN), 0);
        let mut offset = block.len() * ENTRY;
        for &(name, id) in block {
            data.extend(nid(id).to_le_bytes());
            data.extend(u16::try_from(offset).expect("it is in the block").to_le_bytes());
            data.extend([file_type(&tree.inode(id).kind), 0]);
            offset += name.len();
        }
        data.extend(block.iter().flat_map(|(name, _)| *name));
    }
    data
}

/// Cuts the entries into those of each block.
fn blocks<'e, 'n>(entries: &'e [(&'n [u8], InodeId)]) -> Vec<&'e [(&'n [u8], InodeId)]> {
    let (mut blocks, mut start, mut used) = (Vec::new(), 0, 0);
    for (at, (name, _)) in entries.iter().enumerate() {
        let size = ENTRY + name.len();
        if used + size > BLOCK_LEN {
            blocks.push(&entries[start..at]);
            (start, used) = (at, 0);
        }
        used += size;
    }
    blocks.push(&entries[start..]);
    blocks
}

/// The types of the kernel's `fs_types.h`.
fn file_type(kind: &Kind) -> u8 {
    match kind {
        Kind::File(_) => 1,
        Kind::Directory(_) => 2,
        Kind::CharDevice(..) => 3,
        Kind::BlockDevice(..) => 4,
        Kind::Fifo => 5,
        Kind::Symlink(_) => 7,
        Kind::LinkBelow(_) => 0,
    }
}
