//! The entries of a layer: checked, put into its tree, and their data into its spool.

use std::io;
use std::sync::Arc;

use hoist_core::{Error, Result};

use super::spool::Spool;
use super::unpack::Layer;
use super::xattrs;
use crate::erofs;
use crate::limits::Budget;
use crate::tar::{Entry, EntryKind, malformed};
use crate::tree::{BLOCK, Content, Inode, InodeId, Inodes, Kind, LayerTree, Meta, ROOT, Xattrs};

/// The longest target of a symlink.
const MAX_TARGET: usize = 4095;

/// What `mknod(2)` and EROFS can express: 12 bits and 20 bits.
const MAX_DEVICE: (u64, u64) = (0xfff, 0xf_ffff);

/// What becomes of the entries.
#[derive(Debug)]
pub(crate) struct Entries {
    tree: LayerTree,
    spool: Spool,
    file: Option<Writing>,
    budget: Arc<Budget>,
    /// How many extended attributes were left out.
    left_out: u64,
}

/// A file whose data is arriving.
#[derive(Debug)]
struct Writing {
    /// `None`: nothing shows the file, whose name is a whiteout's.
    inode: Option<InodeId>,
    content: Content,
    /// How much of what goes into whole blocks is missing.
    whole: u64,
    tail: Option<Vec<u8>>,
}

impl Entries {
    pub(crate) fn new(spool: Spool, budget: Arc<Budget>) -> Self {
        Self { tree: LayerTree::new(), spool, file: None, budget, left_out: 0 }
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// An entry begins. If it is a file, its data comes next, and then its end.
    pub(crate) fn begin(&mut self, mut entry: Entry) -> Result<()> {
        let xattrs = std::mem::take(&mut entry.xattrs);
        let (xattrs, left_out) = xattrs::keep(&entry.path, xattrs)?;
        self.left_out += left_out;
        let meta = meta(&entry, xattrs)?;
        match entry.kind {
            EntryKind::HardLink => return self.tree.link(&entry.path, &entry.link, meta, &self.budget),
            EntryKind::File => return self.begin_file(&entry, meta),
            _ => {}
        }
        let inode = inode(&entry, meta)?;
        self.tree.insert(&entry.path, inode, &self.budget).map(drop)
    }

    fn begin_file(&mut self, entry: &Entry, meta: Meta) -> Result<()> {
        let tail = entry.size % BLOCK;
        let is_packed = tail > 0 && erofs::fits_inline(meta.xattrs(), tail);
        let content = Content { layer: 0, block: self.spool.next_block(), size: entry.size, tail: None };
        let whole = if is_packed { entry.size - tail } else { entry.size };
        let inode = self.tree.insert(&entry.path, Inode { meta, kind: Kind::File(content) }, &self.budget)?;
        self.file = Some(Writing { inode, content, whole, tail: is_packed.then(Vec::new) });
        Ok(())
    }

    pub(crate) fn data(&mut self, data: &[u8]) -> Result<()> {
        let Some(file) = self.file.as_mut().filter(|file| file.inode.is_some()) else { return Ok(()) };
        let length = usize::try_from(file.whole).unwrap_or(usize::MAX).min(data.len());
        let (whole, tail) = data.split_at(length);
        file.whole -= whole.len() as u64;
        if let Some(packed) = &mut file.tail {
            packed.extend_from_slice(tail);
        }
        self.spool.append(whole).map_err(cannot_write)
    }

    pub(crate) fn hole(&mut self, count: u64) -> Result<()> {
        self.budget.add_bytes(count)?;
        let Some(file) = self.file.as_mut().filter(|file| file.inode.is_some()) else { return Ok(()) };
        let whole = count.min(file.whole);
        file.whole -= whole;
        if let Some(packed) = &mut file.tail {
            let tail = usize::try_from(count - whole).expect("a tail is shorter than a block");
            packed.resize(packed.len() + tail, 0);
        }
        self.spool.append_zeros(whole).map_err(cannot_write)
    }

    pub(crate) fn end(&mut self) -> Result<()> {
        let Some(Writing { inode: Some(id), mut content, tail, .. }) = self.file.take() else {
            return Ok(());
        };
        self.spool.align().map_err(cannot_write)?;
        if let Some(tail) = tail {
            content.tail = Some(self.spool.put_tail(&tail).map_err(cannot_write)?);
        }
        self.tree.inode_mut(id).kind = Kind::File(content);
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Layer> {
        if self.left_out > 0 {
            let count = self.left_out;
            tracing::warn!(
                count,
                "a layer has extended attributes of another system or of overlayfs: left out"
            );
        }
        let data = self.spool.finish().map_err(cannot_write)?;
        Ok(Layer { tree: self.tree, data })
    }
}

fn meta(entry: &Entry, xattrs: Option<Box<Xattrs>>) -> Result<Meta> {
    let id = |id: u64| u32::try_from(id).ok().filter(|&id| id != u32::MAX);
    let (Some(uid), Some(gid)) = (id(entry.uid), id(entry.gid)) else {
        return Err(refused(entry, "has an owner that Linux cannot have"));
    };
    let mode = u16::try_from(entry.mode & 0o7777).expect("it has twelve bits");
    Ok(Meta { mode, uid, gid, mtime: entry.mtime, xattrs })
}

/// The inode of anything but a file.
fn inode(entry: &Entry, meta: Meta) -> Result<Inode> {
    let kind = match entry.kind {
        EntryKind::Directory => return Ok(Inode::directory(meta, ROOT, false)),
        EntryKind::Symlink => Kind::Symlink(target(entry)?),
        EntryKind::CharDevice if entry.device == (0, 0) => {
            return Err(refused(entry, "is device 0:0, with which overlayfs hides files"));
        }
        EntryKind::CharDevice => device(entry, Kind::CharDevice)?,
        EntryKind::BlockDevice => device(entry, Kind::BlockDevice)?,
        _ => Kind::Fifo,
    };
    Ok(Inode { meta, kind })
}

fn target(entry: &Entry) -> Result<Box<[u8]>> {
    let target = &entry.link;
    if target.is_empty() || target.len() > MAX_TARGET || target.contains(&0) {
        return Err(refused(entry, "is a symlink whose target Linux cannot have"));
    }
    Ok(target.clone().into())
}

fn device(entry: &Entry, kind: fn(u32, u32) -> Kind) -> Result<Kind> {
    match entry.device {
        (major, minor) if major <= MAX_DEVICE.0 && minor <= MAX_DEVICE.1 => {
            let part = |number: u64| u32::try_from(number).expect("it is below the maximum");
            Ok(kind(part(major), part(minor)))
        }
        _ => Err(refused(entry, "is a device whose number Linux cannot have")),
    }
}

fn refused(entry: &Entry, why: &str) -> Error {
    malformed(format!("{} {why}", String::from_utf8_lossy(&entry.path)))
}

fn cannot_write(cause: io::Error) -> Error {
    Error::io("cannot write the data of a layer", cause)
}
