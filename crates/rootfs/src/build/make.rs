//! Makes a root file system of an image in a store.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hoist_core::{Descriptor, Digest, Error, ErrorKind, Result};
use hoist_store::Layout;

use super::options::{Format, RootFsOptions};
use super::threads::{Source, buffered, unpack};
use super::{add, image};
use crate::layer::{Entries, Layer, Spool};
use crate::limits::Budget;
use crate::tree::RootTree;
use crate::verity::{self, Verity};

/// The version of what is written. It changes whenever the same image and options give other bytes: with a change of
/// ours, or of `mkext4`.
pub(super) const WRITER: &str = "hoist-rootfs 1";

/// A root file system that is yet to be made.
#[derive(Debug)]
pub struct Plan {
    layout: Layout,
    options: RootFsOptions,
    layers: Vec<Source<Descriptor>>,
    added: Option<Layer>,
    budget: Arc<Budget>,
    identity: Digest,
}

impl Plan {
    /// Reads what the image says of its layers, and the files to add. The layers' and the added files' data will be put
    /// into unnamed files in `spools`.
    ///
    /// Fails with [`InvalidConfig`](hoist_core::ErrorKind::InvalidConfig) if the options contradict each other, or a
    /// file to add is not there, and with [`Malformed`](hoist_core::ErrorKind::Malformed) if the image contradicts
    /// itself.
    pub fn new(layout: Layout, options: &RootFsOptions, spools: &Path) -> Result<Self> {
        options.check()?;
        let layers = image::layers(&layout)?;
        let budget = Arc::new(Budget::new(options.limits.clone()));
        let added = match options.added.as_slice() {
            [] => None,
            files => Some(add::read(files, Entries::new(Spool::new(spool(spools)?), budget.clone()))?),
        };
        let (added, digest) = added.unzip();
        let identity = identity(options, &layers, digest.as_ref());
        Ok(Self { layout, options: options.clone(), layers, added, budget, identity })
    }

    /// What the bytes of the root file system follow from, as a digest: its layers, options and added files, and the
    /// version of this crate's writers.
    pub fn identity(&self) -> &Digest {
        &self.identity
    }

    /// What it will be written as.
    pub fn format(&self) -> Format {
        self.options.format
    }

    /// Whether it has files of this machine.
    pub fn has_added_files(&self) -> bool {
        self.added.is_some()
    }

    /// Unpacks the layers, and writes the root file system into an empty file. Setting `stop` makes it fail soon. Returns
    /// what dm-verity has to know, if the options want a hash tree.
    ///
    /// Fails with [`DigestMismatch`](hoist_core::ErrorKind::DigestMismatch) if a layer's bytes are not those that the
    /// image says; and as [`Unpacker`](crate::Unpacker), [`RootTree::merge`] and the writers do.
    pub fn write(self, out: &File, spools: &Path, stop: &AtomicBool) -> Result<Option<Verity>> {
        let (options, identity) = (self.options.clone(), self.identity.clone());
        let (tree, uuid) = (self.tree(spools, stop)?, uuid(&identity));
        match options.format {
            Format::Erofs => tree.write_erofs(out, uuid),
            Format::Ext4 => tree.write_ext4(out, uuid, options.size),
            Format::Directory => {
                let message = "a directory cannot be written as a file";
                Err(Error::new(ErrorKind::InvalidConfig, message).with_help("use `erofs` or `ext4`"))
            }
        }?;
        options.verity.then(|| verity::append(out, &identity, uuid, stop)).transpose()
    }

    /// Unpacks the layers, and writes the root file system as a new directory. Setting `stop` makes it fail soon.
    ///
    /// Fails as [`write`](Self::write) and [`RootTree::write_directory`] do.
    pub fn write_directory(self, path: &Path, spools: &Path, stop: &AtomicBool) -> Result<()> {
        self.tree(spools, stop)?.write_directory(path, stop)
    }

    /// Unpacks and merges the layers.
    fn tree(self, spools: &Path, stop: &AtomicBool) -> Result<RootTree> {
        let open = |blob: &Descriptor| self.layout.open_blob(blob).map(buffered);
        let layers = unpack(&self.layers, open, spools, &self.budget, stop)?;
        let newest = layers.last().map(Layer::newest).unwrap_or_default();
        let mut tree = RootTree::merge(layers, &self.budget)?;
        if let Some(added) = self.added {
            tree.add_files(added, newest, &self.budget)?;
        }
        Ok(tree)
    }
}

fn identity(options: &RootFsOptions, layers: &[Source<Descriptor>], added: Option<&Digest>) -> Digest {
    let mut text = format!("{WRITER}\n{}\n", options.format);
    text += if options.verity { "verity\n" } else { "" };
    text += &options.size.map_or(String::new(), |size| format!("size {size}\n"));
    text.extend(layers.iter().map(|layer| format!("{}\n", layer.diff_id)));
    text += &added.map_or(String::new(), |digest| format!("added {digest}\n"));
    Digest::sha256(text.as_bytes())
}

/// The beginning of the digest, marked as a UUID of one's own scheme (RFC 9562, "version 8").
pub(super) fn uuid(identity: &Digest) -> [u8; 16] {
    let mut uuid: [u8; 16] = std::array::from_fn(|at| {
        u8::from_str_radix(&identity.hex()[2 * at..2 * at + 2], 16).expect("a digest is hexadecimal")
    });
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

fn spool(directory: &Path) -> Result<File> {
    let failed = |e| Error::io(format!("cannot create a file in {}", directory.display()), e);
    tempfile::tempfile_in(directory).map_err(failed)
}
