//! A tree of files in memory: of one layer, or of all layers merged.

mod node;

pub use self::node::RootTree;
pub(crate) use self::node::{
    BLOCK, BLOCK_LEN, Child, Content, Directory, Inode, InodeId, Inodes, Kind, LayerTree, Meta, ROOT,
    Through, Xattr, Xattrs,
};
