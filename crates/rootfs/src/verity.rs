//! Appends a hash tree, by which a guest's kernel verifies each block that it reads: dm-verity, format 1.
//!
//! ```text
//! blocks 0..n    the root file system
//! block n        the superblock
//! blocks n+1..   hashes of hashes, the topmost level first; then hashes of the root file system's blocks
//! ```
//!
//! The format is [the kernel's](https://docs.kernel.org/admin-guide/device-mapper/verity.html), and the superblock is
//! that of [cryptsetup](https://gitlab.com/cryptsetup/cryptsetup/-/wikis/DMVerity).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hoist_core::{Digest, Error, ErrorKind, Result};
use sha2::{Digest as _, Sha256};

use crate::tree::{BLOCK, BLOCK_LEN};

const SIGNATURE: &[u8; 8] = b"verity\0\0";
const HASH_LEN: usize = 32;
const PER_BLOCK: u64 = BLOCK / HASH_LEN as u64;

/// How many blocks are read and hashed at once.
const BATCH: u64 = 256;

type Hash = [u8; HASH_LEN];

/// What dm-verity has to know of an image with a hash tree, besides the image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verity {
    /// The hash of the whole tree, which a guest has to get by a way that it trusts. Hexadecimal.
    pub root_hash: String,
    /// Where the tree's superblock is in the file, in bytes. The root file system ends there.
    pub hash_offset: u64,
    /// What is hashed before each block. Hexadecimal; the superblock has it too.
    pub salt: String,
}

impl Verity {
    /// Reads what dm-verity has to know of an image that was made with a hash tree. Reads two blocks.
    ///
    /// Fails with [`Storage`](ErrorKind::Storage) if the file has no such tree.
    pub fn read(image: &File) -> Result<Self> {
        let failed = |cause| Error::io("cannot read a hash tree", cause);
        let length = image.metadata().map_err(failed)?.len();
        let none = || Error::new(ErrorKind::Storage, "the root file system has no hash tree at its end");
        let blocks = data_blocks(length / BLOCK).ok_or_else(none)?;
        let (mut superblock, mut top) = ([0; BLOCK_LEN], [0; BLOCK_LEN]);
        image.read_exact_at(&mut superblock, blocks * BLOCK).map_err(failed)?;
        if !superblock.starts_with(SIGNATURE) {
            return Err(none());
        }
        let salt: Hash = std::array::from_fn(|at| superblock[88 + at]);
        // A tree of one block has no level above that block.
        let at = if levels(blocks).is_empty() { 0 } else { (blocks + 1) * BLOCK };
        image.read_exact_at(&mut top, at).map_err(failed)?;
        Ok(Self::new(&hash(&salt, &top), blocks, &salt))
    }

    fn new(root: &Hash, blocks: u64, salt: &Hash) -> Self {
        Self { root_hash: hex(root), hash_offset: blocks * BLOCK, salt: hex(salt) }
    }
}

/// Appends the hash tree to an image, whose bytes are not changed. Salt and UUID follow from `identity`. Setting `stop`
/// makes it fail soon.
pub(crate) fn append(image: &File, identity: &Digest, uuid: [u8; 16], stop: &AtomicBool) -> Result<Verity> {
    let failed = |cause| Error::io("cannot write the hash tree of a root file system", cause);
    let salt: Hash = Sha256::digest(format!("salt {identity}")).into();
    let blocks = image.metadata().map_err(failed)?.len().div_ceil(BLOCK);
    let root = append_tree(image, blocks, &salt, stop).map_err(failed)?;
    image.write_all_at(&superblock(blocks, &salt, uuid), blocks * BLOCK).map_err(failed)?;
    Ok(Verity::new(&root, blocks, &salt))
}

fn append_tree(image: &File, blocks: u64, salt: &Hash, stop: &AtomicBool) -> io::Result<Hash> {
    let levels = levels(blocks);
    let end = blocks + 1 + levels.iter().sum::<u64>();
    image.set_len(end * BLOCK)?;
    let (mut from, mut count, mut to) = (0, blocks, end);
    for &level in &levels {
        to -= level;
        hash_blocks(image, from, count, to, salt, stop)?;
        (from, count) = (to, level);
    }
    let mut top = [0; BLOCK_LEN];
    image.read_exact_at(&mut top, from * BLOCK)?;
    Ok(hash(salt, &top))
}

/// Writes the hashes of some blocks from the block `to` on, on all processors.
fn hash_blocks(
    image: &File,
    from: u64,
    count: u64,
    to: u64,
    salt: &Hash,
    stop: &AtomicBool,
) -> io::Result<()> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(8) as u64;
    let share = count.div_ceil(workers).next_multiple_of(PER_BLOCK);
    let part = |start: u64| {
        let stop_at = (start + share).min(count);
        hash_part(image, from, start..stop_at, to, salt, stop)
    };
    thread::scope(|scope| {
        let starts = (0..count).step_by(usize::try_from(share).unwrap_or(usize::MAX));
        let threads: Vec<_> = starts.map(|start| scope.spawn(move || part(start))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Writes the hashes of these blocks, counted from the block `from` on.
fn hash_part(
    image: &File,
    from: u64,
    part: std::ops::Range<u64>,
    to: u64,
    salt: &Hash,
    stop: &AtomicBool,
) -> io::Result<()> {
    let (mut buffer, mut hashes) = (Vec::new(), Vec::new());
    let mut next = part.start;
    while next < part.end {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let now = BATCH.min(part.end - next);
        buffer.resize(usize::try_from(now * BLOCK).expect("a batch is small"), 0);
        image.read_exact_at(&mut buffer, (from + next) * BLOCK)?;
        hashes.clear();
        hashes.extend(buffer.chunks_exact(BLOCK_LEN).flat_map(|block| hash(salt, block)));
        image.write_all_at(&hashes, to * BLOCK + next * HASH_LEN as u64)?;
        next += now;
    }
    Ok(())
}

fn hash(salt: &Hash, block: &[u8]) -> Hash {
    Sha256::new_with_prefix(salt).chain_update(block).finalize().into()
}

/// The number of blocks of each level of the tree, that of the data's hashes first. None for a single block.
fn levels(data: u64) -> Vec<u64> {
    let above = |&below: &u64| (below > 1).then(|| below.div_ceil(PER_BLOCK));
    std::iter::successors(above(&data), above).collect()
}

/// How many blocks of data an image with a hash tree has, that has so many blocks with it.
fn data_blocks(all: u64) -> Option<u64> {
    let with_tree = |data: u64| data + 1 + levels(data).iter().sum::<u64>();
    let (mut least, mut most) = (1, all);
    while least < most {
        let middle = least + (most - least) / 2;
        if with_tree(middle) < all { least = middle + 1 } else { most = middle }
    }
    (with_tree(least) == all).then_some(least)
}

fn superblock(blocks: u64, salt: &Hash, uuid: [u8; 16]) -> Vec<u8> {
    let mut bytes = vec![0; BLOCK_LEN];
    let mut put = |at: usize, field: &[u8]| bytes[at..][..field.len()].copy_from_slice(field);
    put(0, SIGNATURE);
    put(8, &1_u32.to_le_bytes()); // the superblock's version
    put(12, &1_u32.to_le_bytes()); // the tree's format: the salt comes first
    put(16, &uuid);
    put(32, b"sha256");
    put(64, &BLOCK.to_le_bytes()[..4]); // of the data
    put(68, &BLOCK.to_le_bytes()[..4]); // of the hashes
    put(72, &blocks.to_le_bytes());
    put(80, &HASH_LEN.to_le_bytes()[..2]); // of the salt
    put(88, salt);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_ends_where_the_length_of_the_file_says() {
        for data in (1..2000).chain([16_384, 16_385, 2_097_152, 2_097_153, 1 << 32]) {
            let all = data + 1 + levels(data).iter().sum::<u64>();
            assert_eq!(data_blocks(all), Some(data));
        }
        assert_eq!((levels(1), levels(2), levels(129)), (vec![], vec![1], vec![2, 1]));
    }
}
