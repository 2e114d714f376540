//! Merges the layers of an image by the rules of the
//! [image spec](https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md).
//!
//! A layer applies in three steps. Whiteouts and opaque markers hide entries of lower layers, and of no others,
//! wherever they are in the archive. Then hard links to files of lower layers are looked up. Then the layer's own
//! entries are added. An entry replaces one of its name, unless both are directories: those merge.
//!
//! Where a lower layer has a symlink, and this one has entries below its name without an entry for a directory of
//! that name, they go into the directory that the symlink leads to in the image, as umoci and containerd do it.

mod apply;
mod hide;
mod resolve;
mod top;

use hoist_core::{Error, ErrorKind, Result};

use crate::layer::Layer;
use crate::limits::Budget;
use crate::tree::{Inode, Meta, ROOT, RootTree};

impl RootTree {
    /// Merges layers, the lowest first.
    ///
    /// Fails with [`Malformed`](ErrorKind::Malformed) if a hard link leads nowhere, or a symlink that other entries
    /// lead through leads in a circle or to a file, and with [`TooLarge`](ErrorKind::TooLarge) beyond the limit of entries.
    pub fn merge(layers: impl IntoIterator<Item = Layer>, budget: &Budget) -> Result<Self> {
        let root = Inode::directory(Meta::implied(), ROOT, false);
        let mut tree = Self { inodes: vec![root], data: Vec::new() };
        for layer in layers {
            tree.apply(layer, budget)?;
        }
        Ok(tree)
    }
}

fn malformed(path: &[u8], why: &str) -> Error {
    Error::new(ErrorKind::Malformed, format!("{} {why}", String::from_utf8_lossy(path)))
}
