//! Copies between files inside the kernel: sharing the blocks where the file system can, and keeping holes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, copy_file_range, seek};
use rustix::io::Errno;

/// Copied at once where the kernel cannot do it.
const BUFFER: usize = 1 << 20;

/// Copies so many bytes into a part of `to` that nothing was written to.
pub(crate) fn copy_range(from: &File, at: u64, to: &File, to_at: u64, count: u64) -> io::Result<()> {
    let (end, mut next) = (at + count, at);
    while next < end {
        let Some((start, stop)) = data_after(from, next, end)? else { return Ok(()) };
        copy_data(from, start, to, to_at + (start - at), stop - start)?;
        next = stop;
    }
    Ok(())
}

/// The next part of a file that is no hole.
fn data_after(file: &File, at: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
    let start = match seek(file, SeekFrom::Data(at)) {
        Ok(start) if start < end => start,
        Ok(_) | Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((at, end))), // it knows of no holes
        Err(cause) => return Err(cause.into()),
    };
    Ok(Some((start, seek(file, SeekFrom::Hole(start))?.min(end))))
}

fn copy_data(from: &File, mut at: u64, to: &File, mut to_at: u64, mut count: u64) -> io::Result<()> {
    while count > 0 {
        let most = usize::try_from(count).unwrap_or(usize::MAX).min(1 << 30);
        let copied = match copy_file_range(from, Some(&mut at), to, Some(&mut to_at), most) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(copied) => copied,
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                return copy_by_hand(from, at, to, to_at, count);
            }
            Err(cause) => return Err(cause.into()),
        };
        count -= copied as u64;
    }
    Ok(())
}

fn copy_by_hand(from: &File, mut at: u64, to: &File, mut to_at: u64, mut count: u64) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    while count > 0 {
        let now = usize::try_from(count).unwrap_or(usize::MAX).min(BUFFER);
        from.read_exact_at(&mut buffer[..now], at)?;
        to.write_all_at(&buffer[..now], to_at)?;
        (at, to_at, count) = (at + now as u64, to_at + now as u64, count - now as u64);
    }
    Ok(())
}
