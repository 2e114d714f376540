//! Reads the data of a file in the layers' data.

use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use crate::tree::{BLOCK, Content, RootTree};

pub(crate) struct FileReader<'a> {
    tree: &'a RootTree,
    content: Content,
    at: u64,
}

impl<'a> FileReader<'a> {
    pub(crate) fn new(tree: &'a RootTree, content: Content) -> Self {
        Self { tree, content, at: 0 }
    }

    /// Where the next bytes are, and how many lie there.
    fn next(&self) -> (u64, u64) {
        let Content { block, size, tail, .. } = self.content;
        let whole = if tail.is_some() { size - size % BLOCK } else { size };
        match tail {
            Some(tail) if self.at >= whole => (tail + (self.at - whole), size - self.at),
            _ => (block * BLOCK + self.at, whole - self.at),
        }
    }
}

impl Read for FileReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (place, left) = self.next();
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        self.tree.data[self.content.layer as usize].read_exact_at(&mut buffer[..most], place)?;
        self.at += most as u64;
        Ok(most)
    }
}
