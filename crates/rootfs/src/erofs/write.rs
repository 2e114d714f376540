//! Writes the parts of an image: data, metadata, and last the superblock, without which it is none.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use hoist_core::{Error, Result};

use super::layout::{Layout, Shape, content, shape};
use super::superblock::Superblock;
use super::{directory, inode};
use crate::copy::copy_range;
use crate::tree::{BLOCK, InodeId, Inodes, Kind, ROOT, RootTree};

/// Metadata is written this many bytes at a time.
const BUFFER: usize = 1 << 20;

pub(crate) struct Image<'a> {
    pub(crate) tree: &'a RootTree,
    pub(crate) layout: &'a Layout,
    pub(crate) out: &'a File,
}

impl Image<'_> {
    /// Writes the image, and returns its size.
    pub(crate) fn write(&self, uuid: [u8; 16]) -> Result<u64> {
        let size = u64::from(self.layout.end) * BLOCK;
        let parts = || -> io::Result<()> {
            self.out.set_len(size)?;
            self.write_files()?;
            self.write_others()?;
            self.write_inodes()?;
            self.out.write_all_at(&self.superblock(uuid).encode(), 0)
        };
        parts().map_err(|e| Error::io("cannot write a root file system", e))?;
        Ok(size)
    }

    /// Copies the files' blocks, as many at once as lie together.
    fn write_files(&self) -> io::Result<()> {
        let mut run: Option<Run> = None;
        for &id in &self.layout.files {
            let content = content(self.tree, id).expect("it is a file");
            let blocks = shape(self.tree, id).blocks;
            let next = Run {
                layer: content.layer,
                from: content.block,
                to: self.layout.blocks[id as usize],
                blocks,
            };
            match &mut run {
                Some(run) if run.layer == next.layer && run.from + run.blocks == next.from => {
                    run.blocks += blocks;
                }
                _ => run.replace(next).map_or(Ok(()), |run| self.copy(&run))?,
            }
        }
        run.map_or(Ok(()), |run| self.copy(&run))
    }

    fn copy(&self, &Run { layer, from, to, blocks }: &Run) -> io::Result<()> {
        let data = &self.tree.data[layer as usize];
        copy_range(data, from * BLOCK, self.out, u64::from(to) * BLOCK, blocks * BLOCK)
    }

    /// Writes the blocks of large directories and of long symlinks.
    fn write_others(&self) -> io::Result<()> {
        for &id in &self.layout.order {
            let Shape { blocks, size, .. } = shape(self.tree, id);
            if blocks > 0 && content(self.tree, id).is_none() {
                let data = self.data(id);
                let whole = usize::try_from((blocks * BLOCK).min(size)).expect("it is in memory");
                self.out.write_all_at(&data[..whole], u64::from(self.layout.blocks[id as usize]) * BLOCK)?;
            }
        }
        Ok(())
    }

    fn write_inodes(&self) -> io::Result<()> {
        let mut order: Vec<_> =
            self.layout.order.iter().map(|&id| (self.layout.places[id as usize], id)).collect();
        order.sort_unstable();
        let base = u64::from(self.layout.metadata) * BLOCK;
        let (mut buffer, mut start) = (Vec::with_capacity(2 * BUFFER), 0);
        for (number, (place, id)) in (1..).zip(order) {
            if buffer.len() >= BUFFER {
                self.out.write_all_at(&buffer, base + start)?;
                buffer.clear();
                start = place;
            }
            buffer.resize(usize::try_from(place - start).expect("it is near the last one"), 0);
            self.encode_inode(id, number, &mut buffer)?;
        }
        self.out.write_all_at(&buffer, base + start)
    }

    /// Appends an inode, its attributes and its tail.
    fn encode_inode(&self, id: InodeId, number: u32, buffer: &mut Vec<u8>) -> io::Result<()> {
        let (shape, at) = (shape(self.tree, id), id as usize);
        let (links, block) = (self.layout.links[at], self.layout.blocks[at]);
        inode::encode(self.tree.inode(id), shape, links, block, number, buffer);
        if shape.tail > 0 {
            let tail = self.tail(id, shape)?;
            buffer.extend(tail);
        }
        Ok(())
    }

    fn tail(&self, id: InodeId, shape: Shape) -> io::Result<Vec<u8>> {
        let Some(content) = content(self.tree, id) else {
            let data = self.data(id);
            return Ok(data[usize::try_from(shape.size - shape.tail).expect("it is in memory")..].to_vec());
        };
        let mut tail = vec![0; usize::try_from(shape.tail).expect("it is shorter than a block")];
        let at = content.tail.expect("it has a tail");
        self.tree.data[content.layer as usize].read_exact_at(&mut tail, at)?;
        Ok(tail)
    }

    /// The data of a directory or symlink.
    fn data(&self, id: InodeId) -> Vec<u8> {
        match &self.tree.inode(id).kind {
            Kind::Symlink(target) => target.to_vec(),
            _ => directory::encode(self.tree, &directory::entries(self.tree, id), |id| self.layout.nid(id)),
        }
    }

    fn superblock(&self, uuid: [u8; 16]) -> Superblock {
        Superblock {
            root: u16::try_from(self.layout.nid(ROOT)).expect("the root is first"),
            inodes: self.layout.order.len() as u64,
            blocks: self.layout.end,
            metadata: self.layout.metadata,
            uuid,
        }
    }
}

/// Blocks that lie together in a layer's data and in the image.
struct Run {
    layer: u32,
    from: u64,
    to: u32,
    blocks: u64,
}
