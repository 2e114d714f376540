//! Sparse files: which parts of a file the archive contains. The rest is zeros.

use hoist_core::{Error, ErrorKind, Result};

use super::header::BLOCK;
use super::malformed;
use super::pax::required;

/// The most parts that one file may have. Each takes memory before its data arrives.
pub(crate) const MAX_PARTS: usize = 1 << 16;

/// The longest line of a map: a number of 64 bits.
const MAX_LINE: usize = 21;

/// The parts of a file that the archive contains, in their order, and the size of the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SparseMap {
    parts: Vec<(u64, u64)>,
    size: u64,
    next: usize,
    at: u64,
}

/// The next step through a sparse file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many zeros that the archive does not contain.
    Hole(u64),
    /// So many bytes of the archive.
    Data(u64),
}

impl SparseMap {
    /// Checks that the parts are in order, inside the file, and together as long as the entry's data.
    pub(crate) fn new(parts: Vec<(u64, u64)>, size: u64, data: u64) -> Result<Self> {
        let (mut end, mut sum) = (0u64, 0u64);
        for &(start, length) in &parts {
            let next = start.checked_add(length).filter(|&next| start >= end && next <= size);
            end = next
                .ok_or_else(|| malformed("the map of a sparse file is out of order, or exceeds the file"))?;
            sum += length;
        }
        if sum != data {
            return Err(malformed("the map of a sparse file does not match the entry's size"));
        }
        Ok(Self { parts, size, next: 0, at: 0 })
    }

    /// The map of a file that the archive contains whole.
    pub(crate) fn dense(size: u64) -> Self {
        Self { parts: vec![(0, size)], size, next: 0, at: 0 }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The next step. `None`: the file has ended.
    pub(crate) fn step(&mut self) -> Option<Step> {
        while let Some(&(start, length)) = self.parts.get(self.next) {
            if start > self.at {
                return Some(self.hole_to(start));
            }
            self.next += 1;
            self.at = start + length;
            if length > 0 {
                return Some(Step::Data(length));
            }
        }
        (self.at < self.size).then(|| self.hole_to(self.size))
    }

    fn hole_to(&mut self, end: u64) -> Step {
        let hole = end - self.at;
        self.at = end;
        Step::Hole(hole)
    }
}

/// Pairs up the numbers of a map.
pub(crate) fn pairs(numbers: &[u64]) -> Result<Vec<(u64, u64)>> {
    if !numbers.len().is_multiple_of(2) {
        return Err(malformed("the map of a sparse file has an offset without a length"));
    }
    check_parts(numbers.len() / 2)?;
    Ok(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

pub(crate) fn check_parts(parts: usize) -> Result<()> {
    if parts > MAX_PARTS {
        let message = format!("a sparse file has more than {MAX_PARTS} parts");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(())
}

/// Reads the map that PAX 1.0 puts before the data: decimal numbers, a line each, padded to whole blocks. The
/// first one is how many pairs follow.
#[derive(Debug, Default)]
pub(crate) struct MapReader {
    text: Vec<u8>,
    lines: usize,
}

impl MapReader {
    /// Takes the next block. `None`: more blocks are needed.
    pub(crate) fn push(&mut self, block: &[u8]) -> Result<Option<Vec<(u64, u64)>>> {
        self.text.extend_from_slice(block);
        self.lines += block.split(|&byte| byte == b'\n').count() - 1;
        if self.text.len() > (self.lines + 1) * MAX_LINE + BLOCK {
            return Err(malformed("the map of a sparse file is not a list of numbers"));
        }
        let mut lines = self.text.split(|&byte| byte == b'\n');
        let first = lines.next().unwrap_or_default();
        if self.lines == 0 {
            return Ok(None);
        }
        let count = usize::try_from(required(first)?).unwrap_or(usize::MAX);
        check_parts(count)?;
        if self.lines < 1 + 2 * count {
            return Ok(None);
        }
        let numbers: Vec<u64> = lines.take(2 * count).map(required).collect::<Result<_>>()?;
        pairs(&numbers).map(Some)
    }
}
