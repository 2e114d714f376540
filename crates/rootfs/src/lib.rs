//! Turns the layers of an image into a bootable root file system.
//!
//! The core does no I/O but to the files that it is given. An [`Unpacker`] takes the uncompressed bytes of a layer as
//! they arrive, verifies them, and puts the data of files into a [`Spool`]. [`RootTree::merge`] merges the layers by
//! the image spec, and [`RootTree::write_erofs`] writes an image.

mod build;
mod copy;
mod directory;
mod erofs;
mod ext4;
mod layer;
mod limits;
mod merge;
mod tar;
mod tree;
mod verity;

pub use build::{AddedFile, Format, Plan, RootFsOptions, root_fs, write, write_scratch};
pub use layer::{Decoder, Layer, Spool, Unpacker};
pub use limits::{Budget, Limits};
pub use tree::RootTree;
pub use verity::Verity;
