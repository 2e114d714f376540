//! The file system below a store's root, without symlinks: directories, locks, scratch space, hashing, and the
//! threads that wait for the disk.

pub(crate) mod blocking;
pub mod descriptors;
pub(crate) mod dir;
pub(crate) mod error;
pub(crate) mod hash;
pub(crate) mod lock;
pub(crate) mod network;
pub(crate) mod openat2;
pub(crate) mod rename;
pub(crate) mod scratch;
pub(crate) mod space;
mod tree;
