//! The body of an answer that is a part of a file.
//!
//! What costs is the copy and the hop to another thread. So pieces are read on the thread of the connection, as long as
//! the page cache has them (`RWF_NOWAIT`), into buffers that are used again.

mod buffers;

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use rustix::io::{Errno, ReadWriteFlags};
use tokio::task::JoinHandle;

use buffers::Buffer;
pub(crate) use buffers::Buffers;

/// After so many bytes in a row, other connections of the thread get their turn.
const TURN: u64 = 1 << 20;

/// A range of a file.
#[derive(Debug)]
pub(crate) struct FileBody {
    file: Arc<File>,
    left: Range<u64>,
    buffers: Arc<Buffers>,
    /// The bytes that were sent in this turn.
    sent: u64,
    /// A read that has to wait for the disk.
    reading: Option<JoinHandle<io::Result<(Buffer, usize)>>>,
}

impl FileBody {
    pub(crate) fn new(file: Arc<File>, range: Range<u64>, buffers: Arc<Buffers>) -> Self {
        Self { file, left: range, buffers, sent: 0, reading: None }
    }

    /// Reads the next piece, if that needs no waiting.
    fn read_now(&mut self) -> io::Result<(Buffer, usize)> {
        let mut buffer = self.buffers.take();
        let length = wanted(&buffer, &self.left);
        let slice = &mut buffer.bytes_mut()[..length];
        let offset = self.left.start;
        match rustix::io::preadv2(&self.file, &mut [IoSliceMut::new(slice)], offset, ReadWriteFlags::NOWAIT) {
            Ok(count) => Ok((buffer, count)),
            // The file system does not know the flag.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Err(io::Error::from(io::ErrorKind::WouldBlock)),
            Err(error) => Err(error.into()),
        }
    }

    fn start_reading(&self) -> JoinHandle<io::Result<(Buffer, usize)>> {
        let (file, left, mut buffer) = (self.file.clone(), self.left.clone(), self.buffers.take());
        tokio::task::spawn_blocking(move || {
            let length = wanted(&buffer, &left);
            let count = file.read_at(&mut buffer.bytes_mut()[..length], left.start)?;
            Ok((buffer, count))
        })
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<(Buffer, usize)>> {
        if self.reading.is_none() {
            match self.read_now() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
        let mut reading = self.reading.take().unwrap_or_else(|| self.start_reading());
        match Pin::new(&mut reading).poll(context) {
            Poll::Ready(outcome) => Poll::Ready(outcome.map_err(io::Error::other).flatten()),
            Poll::Pending => {
                self.reading = Some(reading);
                Poll::Pending
            }
        }
    }
}

fn wanted(buffer: &Buffer, left: &Range<u64>) -> usize {
    let most = buffer.capacity();
    usize::try_from(left.end - left.start).map_or(most, |left| left.min(most))
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        if self.sent >= TURN {
            self.sent = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let (buffer, count) = ready!(self.poll_read(context))?;
        if count == 0 {
            // The length was promised, so the answer cannot end well.
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        self.left.start += count as u64;
        self.sent += count as u64;
        Poll::Ready(Some(Ok(Frame::data(buffer.into_bytes(count)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.end - self.left.start)
    }
}
