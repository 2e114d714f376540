//! The memory that blobs come through: a few buffers that are used over and over.
//!
//! What a connection hands out in small parts is copied into one of these at once. So the connection keeps using
//! the same memory, and what goes to the disk goes in pieces of a good size. What comes in large parts is not copied.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::time::Instant;

/// How much is gathered before it is handed over, in bytes: less costs more wake-ups, more does not fit in a
/// processor's own cache. What is gathered is also what a killed process loses of each connection.
const SIZE: usize = 128 << 10;
/// What comes in parts of so many bytes is handed over as it is. Such a part keeps the connection's whole buffer, of
/// some 400 KiB, until it is written.
pub(crate) const LARGE: usize = 64 << 10;
/// How many are kept for later.
const KEPT: usize = 48;

/// Buffers that nobody uses just now. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    fn take(&self) -> Lent {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Lent { bytes: free.unwrap_or_else(|| Vec::with_capacity(SIZE)), home: self.clone() }
    }
}

/// A buffer that goes back when it is dropped.
#[derive(Debug)]
struct Lent {
    bytes: Vec<u8>,
    home: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut bytes = mem::take(&mut self.bytes);
        bytes.clear();
        let mut free = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(bytes);
        }
    }
}

/// Bytes of a blob that are gathered until there are enough to hand over.
#[derive(Debug)]
pub(crate) struct Batch {
    buffers: Buffers,
    /// Where in the blob they begin.
    offset: u64,
    gathered: Option<(Lent, Instant)>,
}

impl Batch {
    /// For what comes from this offset of a blob.
    pub(crate) fn new(buffers: &Buffers, offset: u64) -> Self {
        Self { buffers: buffers.clone(), offset, gathered: None }
    }

    /// Takes as much of these bytes as there is room for; gives the rest.
    pub(crate) fn add<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (lent, _) = self.gathered.get_or_insert_with(|| (self.buffers.take(), Instant::now()));
        let (fits, rest) = bytes.split_at(bytes.len().min(SIZE - lent.bytes.len()));
        lent.bytes.extend_from_slice(fits);
        rest
    }

    /// Where in the blob they end.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.gathered.as_ref().map_or(0, |(lent, _)| lent.bytes.len() as u64)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.gathered.as_ref().is_some_and(|(lent, _)| lent.bytes.len() == SIZE)
    }

    /// Since when there is something in it.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.gathered.as_ref().map(|(_, since)| *since)
    }

    /// So many bytes come next that are handed over as they are; gives where in the blob they begin. To be called
    /// when nothing is gathered.
    pub(crate) fn pass_by(&mut self, bytes: usize) -> u64 {
        let end = self.end() + bytes as u64;
        mem::replace(&mut self.offset, end)
    }

    /// What was gathered, and where in the blob it begins; more is gathered behind it.
    pub(crate) fn turn_over(&mut self) -> Option<(u64, Bytes)> {
        let end = self.end();
        let (lent, _) = self.gathered.take()?;
        Some((mem::replace(&mut self.offset, end), Bytes::from_owner(lent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_handed_over_in_their_order_and_their_buffer_is_used_again() {
        let buffers = Buffers::default();
        let mut batch = Batch::new(&buffers, 10);
        let more = vec![7; SIZE + 5];
        let rest = batch.add(&more);
        assert!(batch.is_full());
        assert_eq!((rest.len(), batch.end()), (5, 10 + SIZE as u64));
        let (offset, bytes) = batch.turn_over().unwrap();
        assert_eq!((offset, bytes.len(), batch.turn_over()), (10, SIZE, None));
        let first = bytes.as_ptr();
        drop(bytes);
        assert!(batch.add(rest).is_empty());
        let (offset, bytes) = batch.turn_over().unwrap();
        assert_eq!((offset, &bytes[..], bytes.as_ptr()), (10 + SIZE as u64, &[7; 5][..], first));
    }
}
