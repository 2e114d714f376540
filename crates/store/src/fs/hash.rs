//! Hashes the content of files.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use hoist_core::{Algorithm, Digest, Hasher, Result};

use crate::fs::dir::fail;

const READ_BUFFER: usize = 256 << 10;

/// Hashes a whole file, and returns its size as well.
pub(crate) fn hash(file: &File, path: &Path, algorithm: Algorithm) -> Result<(Digest, u64)> {
    let size = file.metadata().map_err(|e| fail("read", path, e))?.len();
    let mut hasher = Hasher::new(algorithm);
    hash_range(file, path, 0..size, &mut hasher, &mut Vec::new())?;
    Ok((hasher.finish(), size))
}

/// Adds a range of a file to a hash. `buffer` is scratch space that the caller can reuse.
pub(crate) fn hash_range(
    file: &File,
    path: &Path,
    range: Range<u64>,
    hasher: &mut Hasher,
    buffer: &mut Vec<u8>,
) -> Result<()> {
    each_chunk(file, path, range, buffer, |_, bytes| hasher.update(bytes))
}

/// Reads a range of a file in chunks, and passes each with its offset to `see`.
pub(crate) fn each_chunk(
    file: &File,
    path: &Path,
    range: Range<u64>,
    buffer: &mut Vec<u8>,
    mut see: impl FnMut(u64, &[u8]),
) -> Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    buffer.resize(READ_BUFFER, 0);
    let mut offset = range.start;
    while offset < range.end {
        let wanted = usize::try_from(range.end - offset).unwrap_or(READ_BUFFER).min(READ_BUFFER);
        file.read_exact_at(&mut buffer[..wanted], offset).map_err(|e| fail("read", path, e))?;
        see(offset, &buffer[..wanted]);
        offset += wanted as u64;
    }
    Ok(())
}
