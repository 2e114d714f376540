//! Images, and what erofs-rs reads in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use erofs_rs::EroFS;
use erofs_rs::backend::SliceImage;
use hoist_core::{Digest, Error, Result};
use hoist_rootfs::{Budget, Layer, Limits, RootTree, Spool, Unpacker};

use super::Archive;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Node {
    pub(crate) kind: String,
    pub(crate) mode: u16,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: (i64, u32),
    pub(crate) links: u32,
    /// The content of a file, or where a symlink leads.
    pub(crate) content: Vec<u8>,
    pub(crate) device: Option<(u32, u32)>,
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
    pub(crate) number: u64,
}

/// An image, and all that is in it, by its path from the root without a slash. The root's path is empty.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) bytes: Vec<u8>,
    pub(crate) nodes: BTreeMap<String, Node>,
}

impl Image {
    pub(crate) fn read(bytes: Vec<u8>) -> Self {
        let image = EroFS::new(SliceImage::new(&bytes)).unwrap();
        let root = image.super_block().root_inode_id();
        let mut nodes = BTreeMap::from([(String::new(), node(&image, root))]);
        for entry in image.walk_dir("/").unwrap() {
            let entry = entry.unwrap();
            let path =
                String::from_utf8_lossy(entry.dir_entry.path().as_bytes()).trim_start_matches('/').to_owned();
            assert!(nodes.insert(path, node(&image, entry.inode.id())).is_none(), "a name appears twice");
        }
        Self { bytes, nodes }
    }

    /// The paths, without the root.
    pub(crate) fn paths(&self) -> Vec<&str> {
        self.nodes.keys().map(String::as_str).filter(|path| !path.is_empty()).collect()
    }

    pub(crate) fn node(&self, path: &str) -> &Node {
        self.nodes.get(path).unwrap_or_else(|| panic!("no {path} in {:?}", self.paths()))
    }

    /// The content of a file, or where a symlink leads.
    pub(crate) fn text(&self, path: &str) -> String {
        String::from_utf8(self.node(path).content.clone()).unwrap()
    }
}

fn node(image: &EroFS<SliceImage<'_>>, number: u64) -> Node {
    let inode = image.get_inode(number).unwrap();
    let kind = if inode.is_dir() {
        "directory"
    } else if inode.is_file() {
        "file"
    } else {
        "other"
    };
    let mut content = Vec::new();
    if inode.is_file() {
        content.resize(usize::try_from(inode.data_size()).unwrap(), 0);
        let (file, mut at) = (image.open_inode_file(inode).unwrap(), 0);
        while at < content.len() {
            let read = file.read_at(&mut content[at..], at as u64).unwrap();
            assert!(read > 0, "a file is shorter than its size");
            at += read;
        }
    } else if inode.is_symlink() {
        content = image.read_link_inode(inode).unwrap().as_bytes().to_vec();
    }
    let xattrs = image.xattrs_inode(inode).unwrap().into_iter();
    Node {
        kind: if inode.is_symlink() { "symlink" } else { kind }.to_owned(),
        mode: inode.permissions() & 0o7777,
        owner: (inode.uid(), inode.gid()),
        mtime: inode.modified_unix(),
        links: inode.nlink(),
        content,
        device: inode.device(),
        xattrs: xattrs.map(|(name, value)| (String::from_utf8(name).unwrap(), value)).collect(),
        number,
    }
}

/// Unpacks a layer whose uncompressed bytes arrive in pieces of this size.
pub(crate) fn layer(archive: &[u8], piece: usize, budget: &Arc<Budget>) -> Result<Layer> {
    let spool = Spool::new(tempfile::tempfile().unwrap());
    let mut unpacker = Unpacker::new(spool, Digest::sha256(archive), budget.clone());
    archive.chunks(piece).try_for_each(|piece| unpacker.push(piece))?;
    unpacker.finish()
}

/// Builds the image of these layers, the lowest first.
pub(crate) fn build_with(layers: &[Archive], piece: usize, limits: Limits) -> Result<Image> {
    let budget = Arc::new(Budget::new(limits));
    let layers = layers
        .iter()
        .map(|archive| layer(&archive.clone().end(), piece, &budget))
        .collect::<Result<Vec<_>>>()?;
    let out = tempfile::NamedTempFile::new().unwrap();
    RootTree::merge(layers, &budget)?.write_erofs(out.as_file(), [7; 16])?;
    Ok(Image::read(std::fs::read(out.path()).unwrap()))
}

pub(crate) fn build(layers: &[Archive]) -> Image {
    build_with(layers, 1 << 20, Limits::default()).unwrap()
}

/// The error of layers that are refused.
pub(crate) fn refusal(layers: &[Archive]) -> Error {
    match build_with(layers, 1 << 20, Limits::default()) {
        Ok(image) => panic!("accepted: {:?}", image.paths()),
        Err(error) => error,
    }
}
