//! Sparse members: files that an archive holds without their holes, in the formats of GNU tar
//! ([tar manual, Sparse Formats](https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html)).

use std::collections::HashMap;

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use super::blocks::{BLOCK, Blocks, Stop, padded};

/// The pax record with the name of a sparse member.
pub(super) const NAME: &str = "GNU.sparse.name";
/// The pax record with a member's map, in format 0.1. Format 0.0 has a record for each number instead.
pub(super) const MAP: &str = "GNU.sparse.map";

const MAX_PIECES: usize = 1 << 20; // of 512 bytes or more each: far more than a layer with holes has
const MAX_DIGITS: usize = 20; // of a number in a map; u64 has no more

/// A piece of a member that is in the archive. All bytes of the member outside its pieces are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Where it begins in the member.
    pub(super) at: u64,
    /// Where it begins in the archive.
    pub(super) start: u64,
    pub(super) length: u64,
}

/// A member's content: its size with all holes, and its pieces in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) size: u64,
    pub(super) pieces: Vec<Piece>,
}

impl Content {
    /// A member without holes.
    pub(super) fn plain(start: u64, size: u64) -> Self {
        Self { size, pieces: vec![Piece { at: 0, start, length: size }] }
    }

    /// Lays pieces, each with its place in the member and its length, one after the other into the archive.
    fn of_map(size: u64, map: &[(u64, u64)], start: u64, end: u64) -> Option<Self> {
        let (mut pieces, mut start, mut last) = (Vec::new(), start, 0);
        for &(at, length) in map {
            let fits = at >= last && at.checked_add(length)? <= size && start.checked_add(length)? <= end;
            if !fits {
                return None;
            }
            if length > 0 {
                pieces.push(Piece { at, start, length });
            }
            (last, start) = (at + length, start + length);
        }
        Some(Self { size, pieces })
    }
}

/// The content of a member of type `S`, and where its data ends. `data` is where the header ends, and `stored` the
/// number of bytes in the archive.
pub(super) fn old_gnu(
    blocks: &Blocks<'_>,
    header: &Header,
    data: u64,
    stored: u64,
) -> Result<(Content, u64), Stop> {
    let gnu = header.as_gnu().ok_or(Stop::Damaged)?;
    let mut map = Vec::new();
    note(&mut map, &gnu.sparse)?;
    let (mut more, mut data) = (gnu.is_extended(), data);
    while more {
        let mut extension = GnuExtSparseHeader::new();
        extension.as_mut_bytes().copy_from_slice(&blocks.read(data, BLOCK)?);
        note(&mut map, extension.sparse())?;
        more = extension.is_extended();
        data += BLOCK;
    }
    let size = gnu.real_size().map_err(|_| Stop::Damaged)?;
    let end = data.checked_add(stored).ok_or(Stop::Damaged)?;
    let content = Content::of_map(size, &map, data, end).ok_or(Stop::Damaged)?;
    blocks.check(data, stored)?;
    Ok((content, data + padded(stored)))
}

fn note(map: &mut Vec<(u64, u64)>, pieces: &[GnuSparseHeader]) -> Result<(), Stop> {
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        let (Ok(at), Ok(length)) = (piece.offset(), piece.length()) else { return Err(Stop::Damaged) };
        map.push((at, length));
    }
    if map.len() > MAX_PIECES { Err(Stop::Damaged) } else { Ok(()) }
}

/// The content of a member whose pax records say that it is sparse. `None`: they do not say so.
pub(super) fn pax(
    blocks: &Blocks<'_>,
    records: &HashMap<String, String>,
    data: u64,
    stored: u64,
) -> Result<Option<Content>, Stop> {
    let number = |key: &str| records.get(key).map(|value| value.parse().map_err(|_| Stop::Damaged));
    let end = data.checked_add(stored).ok_or(Stop::Damaged)?;
    let (size, map, start) = if records.contains_key("GNU.sparse.major") {
        let size = number("GNU.sparse.realsize").ok_or(Stop::Damaged)??;
        let (map, length) = leading_map(blocks, data, stored)?;
        (size, map, data + length)
    } else if let Some(map) = records.get(MAP) {
        let numbers: Option<Vec<u64>> = map.split(',').map(|number| number.parse().ok()).collect();
        let map = pairs(&numbers.ok_or(Stop::Damaged)?).ok_or(Stop::Damaged)?;
        (number("GNU.sparse.size").ok_or(Stop::Damaged)??, map, data)
    } else {
        return Ok(None);
    };
    Content::of_map(size, &map, start, end).ok_or(Stop::Damaged).map(Some)
}

/// The map of format 1.0: decimal numbers at the beginning of the data, each with a line of its own.
fn leading_map(blocks: &Blocks<'_>, data: u64, stored: u64) -> Result<(Vec<(u64, u64)>, u64), Stop> {
    let (mut numbers, mut digits, mut length) = (Vec::new(), String::new(), 0);
    let is_whole =
        |numbers: &[u64]| numbers.first().is_some_and(|n| numbers.len() as u64 > n.saturating_mul(2));
    while !is_whole(&numbers) {
        if length >= stored || numbers.len() > 2 * MAX_PIECES {
            return Err(Stop::Damaged);
        }
        for byte in blocks.read(data + length, BLOCK)? {
            match byte {
                _ if is_whole(&numbers) => break,
                b'\n' => numbers.push(std::mem::take(&mut digits).parse().map_err(|_| Stop::Damaged)?),
                digit if digit.is_ascii_digit() && digits.len() < MAX_DIGITS => digits.push(digit.into()),
                _ => return Err(Stop::Damaged),
            }
        }
        length += BLOCK;
    }
    Ok((pairs(&numbers[1..]).ok_or(Stop::Damaged)?, length))
}

fn pairs(numbers: &[u64]) -> Option<Vec<(u64, u64)>> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    (rest.is_empty() && pairs.len() <= MAX_PIECES)
        .then(|| pairs.iter().map(|&[at, length]| (at, length)).collect())
}
