//! Room for inodes in the blocks of metadata.

use std::collections::BTreeMap;

use super::INODE;
use crate::tree::BLOCK;

/// Inodes begin at multiples of this.
pub(crate) const SLOT: u64 = 32;

/// Gives inodes their places: each in the fullest block that has room for it.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    blocks: u64,
    /// Where room begins in blocks, by how much there is.
    open: BTreeMap<u64, Vec<u64>>,
}

impl Slots {
    /// The place of an inode that takes so many bytes, attributes and tail included.
    pub(crate) fn take(&mut self, size: u64) -> u64 {
        let size = size.next_multiple_of(SLOT);
        let (room, at) = self.best(size).unwrap_or_else(|| self.append(size));
        self.give_back(at + size, room - size);
        at
    }

    /// How many blocks there are.
    pub(crate) fn blocks(&self) -> u64 {
        self.blocks
    }

    fn best(&mut self, size: u64) -> Option<(u64, u64)> {
        let mut entry = self.open.range_mut(size..).next().map(|(&room, places)| (room, places.pop()))?;
        if self.open[&entry.0].is_empty() {
            self.open.remove(&entry.0);
        }
        Some((entry.0, entry.1.take()?))
    }

    fn append(&mut self, size: u64) -> (u64, u64) {
        let (at, room) = (self.blocks * BLOCK, size.next_multiple_of(BLOCK));
        self.blocks += room / BLOCK;
        (room, at)
    }

    fn give_back(&mut self, at: u64, room: u64) {
        if room >= INODE {
            self.open.entry(room).or_default().push(at);
        }
    }
}
