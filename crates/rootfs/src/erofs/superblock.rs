//! The superblock.

use crate::tree::{BLOCK, BLOCK_LEN};

/// Where it is in the first block.
const OFFSET: usize = 1024;

const MAGIC: u32 = 0xE0F5_E1E2;

/// There is a checksum, and times are those of the last modification.
const COMPATIBLE: u32 = 0x1 | 0x2;

pub(crate) struct Superblock {
    pub(crate) root: u16,
    pub(crate) inodes: u64,
    pub(crate) blocks: u32,
    pub(crate) metadata: u32,
    pub(crate) uuid: [u8; 16],
}

impl Superblock {
    /// The first block of the image.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK_LEN];
        let mut put = |at: usize, bytes: &[u8]| block[OFFSET + at..][..bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC.to_le_bytes());
        put(8, &COMPATIBLE.to_le_bytes());
        put(12, &[u8::try_from(BLOCK.ilog2()).expect("it is 12")]);
        put(14, &self.root.to_le_bytes());
        put(16, &self.inodes.to_le_bytes());
        put(36, &self.blocks.to_le_bytes());
        put(40, &self.metadata.to_le_bytes());
        put(48, &self.uuid);
        let checksum = crc32c(&block[OFFSET..]);
        block[OFFSET + 4..][..4].copy_from_slice(&checksum.to_le_bytes());
        block
    }
}

/// The kernel's `crc32c(~0, ..)`, which does not invert the result.
fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg()))
    })
}
