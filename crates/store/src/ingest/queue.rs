//! The write queue of a blob: any number of tasks add bytes to it, and one thread at a time writes them.
//!
//! Blobs have no thread of their own. The first bytes that are queued while no thread writes start one, which
//! runs until the queue is empty. So only few threads run, however many blobs are open.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hoist_core::{Error, ErrorKind, Result};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::writer::HashingWriter;
use crate::store::WRITE_BUDGET;

/// The minimum that a piece counts for in the budget, in bytes. This limits the number of queued pieces.
const SMALLEST_PIECE: usize = 4 << 10;

/// Accepts the bytes of an [`Ingest`](crate::Ingest) from any number of tasks. Cheap to clone; all clones share
/// one queue.
#[derive(Debug, Clone)]
pub struct WriteQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    budget: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pieces: VecDeque<Piece>,
    /// `None` while a thread writes with it, and after writing has ended. If the blob is wrong, it stays here
    /// so that the blob can be opened again.
    writer: Option<HashingWriter>,
    /// The reason why nothing is written any more.
    ended: Option<Error>,
    /// The ranges of a reopened blob whose bytes differ from the previous ones.
    replaced: Vec<Range<u64>>,
}

#[derive(Debug)]
enum Piece {
    Bytes { offset: u64, bytes: Bytes, _budget: OwnedSemaphorePermit },
    Commit(oneshot::Sender<Result<()>>),
    Reopen(Vec<Range<u64>>, oneshot::Sender<Result<()>>),
}

impl WriteQueue {
    /// Creates the queue of this writer, which starts at once on the bytes that an earlier owner left.
    pub(crate) fn new(writer: HashingWriter, budget: Arc<Semaphore>) -> Self {
        let is_resumed = writer.written().end() > 0;
        let state =
            State { pieces: VecDeque::new(), writer: Some(writer), ended: None, replaced: Vec::new() };
        let queue = Self(Arc::new(Shared { budget, state: Mutex::new(state) }));
        if is_resumed {
            queue.begin();
        }
        queue
    }

    /// Queues bytes to be written at this offset. Waits while too many bytes of the store are waiting for the
    /// disk.
    ///
    /// Bytes that are already written stay as they are: each byte is written once, and that one is hashed.
    /// Fails if an earlier write failed, or if the bytes lie outside of the blob.
    pub async fn write(&self, offset: u64, bytes: Bytes) -> Result<()> {
        let size = bytes.len().clamp(SMALLEST_PIECE, WRITE_BUDGET);
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let budget = self.0.budget.clone().acquire_many_owned(size).await.map_err(|_| broken_off())?;
        self.push(Piece::Bytes { offset, bytes, _budget: budget })
    }

    /// Verifies and publishes the blob, after all queued bytes are written.
    pub(crate) async fn commit(&self) -> Result<()> {
        let (done, outcome) = oneshot::channel();
        self.push(Piece::Commit(done))?;
        outcome.await.unwrap_or_else(|_| Err(self.why_ended()))
    }

    /// Continues with a wrong blob, of which these ranges count as missing from now on.
    pub(crate) async fn reopen(&self, ranges: Vec<Range<u64>>) -> Result<()> {
        let (done, outcome) = oneshot::channel();
        {
            let mut state = self.state();
            if state.ended.is_none() || state.writer.is_none() {
                let message = "only a blob that turned out wrong can be opened again";
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            state.ended = None;
            state.replaced.clear();
            state.pieces.push_back(Piece::Reopen(ranges, done));
        }
        self.begin();
        outcome.await.unwrap_or_else(|_| Err(self.why_ended()))
    }

    /// The ranges of a reopened blob whose bytes differ from the previous ones, in order.
    pub(crate) fn replaced(&self) -> Vec<Range<u64>> {
        self.state().replaced.clone()
    }

    /// Discards a blob that was wrong and was not opened again. This may be called in asynchronous code, so a
    /// blocking thread does the work. The next owner waits for that.
    pub(crate) fn give_up(&self) {
        let mut state = self.state();
        let wrong = if state.ended.is_some() { state.writer.take() } else { None };
        drop(state);
        if let (Some(wrong), Ok(runtime)) = (wrong, Handle::try_current()) {
            let busy = wrong.token();
            runtime.spawn_blocking(move || {
                drop(wrong);
                drop(busy);
            });
        }
    }

    fn push(&self, piece: Piece) -> Result<()> {
        let mut state = self.state();
        if let Some(error) = &state.ended {
            return Err(error.clone());
        }
        state.pieces.push_back(piece);
        drop(state);
        self.begin();
        Ok(())
    }

    /// Starts a thread that writes, unless one is running. A runtime that is shutting down drops the work right
    /// here, and that drop ends the writing. So the state must not be locked.
    fn begin(&self) {
        let writer = self.state().writer.take();
        if let Some(writer) = writer {
            let work = Work { queue: self.clone(), writer: Some(writer) };
            tokio::task::spawn_blocking(move || work.run());
        }
    }

    fn end(&self, why: Error) {
        let mut state = self.state();
        state.ended = Some(why);
        state.pieces.clear(); // wakes callers that wait for the commit or the budget
    }

    fn why_ended(&self) -> Error {
        self.state().ended.clone().unwrap_or_else(broken_off)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The work of the writing thread: it writes until the queue is empty.
struct Work {
    queue: WriteQueue,
    writer: Option<HashingWriter>,
}

impl Work {
    fn run(mut self) {
        if let Err(error) = self.write_all() {
            self.writer = None; // releases the claim before any caller gets the error
            self.queue.end(error);
        }
    }

    fn write_all(&mut self) -> Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.catch_up()?;
        loop {
            let mut state = self.queue.state();
            let Some(piece) = state.pieces.pop_front() else {
                state.replaced = writer.replaced().iter().collect();
                state.writer = self.writer.take();
                return Ok(());
            };
            drop(state);
            match piece {
                Piece::Bytes { offset, bytes, _budget } => writer.write(offset, &bytes)?,
                Piece::Commit(done) => {
                    _ = done.send(self.commit());
                    return Ok(());
                }
                Piece::Reopen(ranges, done) => {
                    if let Err(error) = writer.reopen(&ranges) {
                        self.writer = None;
                        self.queue.end(error.clone());
                        _ = done.send(Err(error));
                        return Ok(());
                    }
                    _ = done.send(Ok(()));
                }
            }
        }
    }

    /// Ends the writing. A wrong blob keeps its writer; otherwise the claim is released before the caller gets
    /// the result.
    fn commit(&mut self) -> Result<()> {
        let Some(mut writer) = self.writer.take() else { return Err(broken_off()) };
        let outcome = writer.commit();
        let replaced = writer.replaced().iter().collect();
        let wrong = if writer.is_wrong() { Some(writer) } else { None };
        self.queue.end(outcome.clone().err().unwrap_or_else(broken_off));
        let mut state = self.queue.state();
        (state.writer, state.replaced) = (wrong, replaced);
        outcome
    }
}

/// If the thread panicked or the runtime is gone, ends the writing with an error.
impl Drop for Work {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            self.queue.end(broken_off());
        }
    }
}

fn broken_off() -> Error {
    Error::new(ErrorKind::Storage, "writing the blob was aborted")
}
