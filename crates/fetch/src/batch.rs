//! The buffers that blobs pass through: a few, which are reused.
//!
//! Small chunks of an answer are copied into a buffer at once. So the connection keeps using the same memory, and the
//! disk gets writes of a good size. Large chunks are not copied.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::time::Instant;

/// The size of a buffer, in bytes: less costs more wake-ups, more does not fit in a processor's own cache. A killed
/// process loses the buffered bytes of each connection.
const SIZE: usize = 128 << 10;
/// A chunk of at least this size is passed on without a copy. It keeps the connection's whole buffer, of some 400 KiB,
/// until it is written.
pub(crate) const LARGE: usize = 64 << 10;
/// The number of free buffers that are kept.
const KEPT: usize = 48;

/// The free buffers. Clones share them.
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

/// Bytes of a blob that are buffered until there are enough to flush.
#[derive(Debug)]
pub(crate) struct Batch {
    buffers: Buffers,
    /// Where in the blob they begin.
    offset: u64,
    buffered: Option<(Lent, Instant)>,
}

impl Batch {
    /// A batch for bytes from this offset of a blob.
    pub(crate) fn new(buffers: &Buffers, offset: u64) -> Self {
        Self { buffers: buffers.clone(), offset, buffered: None }
    }

    /// Copies as many bytes as there is room for, and returns the rest.
    pub(crate) fn add<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (lent, _) = self.buffered.get_or_insert_with(|| (self.buffers.take(), Instant::now()));
        let (fits, rest) = bytes.split_at(bytes.len().min(SIZE - lent.bytes.len()));
        lent.bytes.extend_from_slice(fits);
        rest
    }

    /// Where in the blob they end.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.buffered.as_ref().map_or(0, |(lent, _)| lent.bytes.len() as u64)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.buffered.as_ref().is_some_and(|(lent, _)| lent.bytes.len() == SIZE)
    }

    /// Since when there is something in it.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.buffered.as_ref().map(|(_, since)| *since)
    }

    /// Skips bytes that are passed on without a copy, and returns their offset in the blob. The batch must be empty.
    pub(crate) fn pass_by(&mut self, bytes: usize) -> u64 {
        let end = self.end() + bytes as u64;
        mem::replace(&mut self.offset, end)
    }

    /// Takes the buffered bytes, with their offset in the blob. The batch goes on behind them.
    pub(crate) fn turn_over(&mut self) -> Option<(u64, Bytes)> {
        let end = self.end();
        let (lent, _) = self.buffered.take()?;
        Some((mem::replace(&mut self.offset, end), Bytes::from_owner(lent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_flushed_in_their_order_and_their_buffer_is_used_again() {
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
