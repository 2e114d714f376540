//! The write queue of a blob: bytes are handed over by any number of tasks, and written by one thread at a time.
//!
//! There is no thread for each blob. The first bytes that are handed over while no thread writes have one begin, and it
//! goes on until there is nothing left to write. So few threads are awake however many blobs are open.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hoist_core::{Error, ErrorKind, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::writer::HashingWriter;
use crate::store::WRITE_BUDGET;

/// What a piece counts for at least, in bytes, so that there cannot be too many of them.
const SMALLEST_PIECE: usize = 4 << 10;

/// Takes the bytes of an [`Ingest`](crate::Ingest), from any number of tasks. Cheap to clone; clones are one queue.
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
    /// Not here while a thread writes with it, and when the writing has ended; but where the blob is wrong, it is here
    /// still, for the blob to be opened again.
    writer: Option<HashingWriter>,
    /// Why nothing is written any more.
    ended: Option<Error>,
    /// What of a blob that was opened again differs from what was there before.
    replaced: Vec<Range<u64>>,
}

#[derive(Debug)]
enum Piece {
    Bytes { offset: u64, bytes: Bytes, _budget: OwnedSemaphorePermit },
    Commit(oneshot::Sender<Result<()>>),
    Reopen(Vec<Range<u64>>, oneshot::Sender<Result<()>>),
}

impl WriteQueue {
    /// The queue of this writer, which begins at once with what an earlier one left.
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

    /// Hands over the bytes at this offset. Waits while too much is waiting for the disk.
    ///
    /// What is there already stays as it is: a byte is written once, and that is the one that is hashed. Fails
    /// where an earlier write did, and where the bytes do not belong to the blob.
    pub async fn write(&self, offset: u64, bytes: Bytes) -> Result<()> {
        let size = bytes.len().clamp(SMALLEST_PIECE, WRITE_BUDGET);
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let budget = self.0.budget.clone().acquire_many_owned(size).await.map_err(|_| broken_off())?;
        self.push(Piece::Bytes { offset, bytes, _budget: budget })
    }

    /// Has the blob verified and published, when all that was handed over is written.
    pub(crate) async fn commit(&self) -> Result<()> {
        let (done, outcome) = oneshot::channel();
        self.push(Piece::Commit(done))?;
        outcome.await.unwrap_or_else(|_| Err(self.why_ended()))
    }

    /// Goes on with a blob that is wrong, of which these ranges are missing from now on.
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

    /// What of a blob that was opened again differs from what was there before, in order.
    pub(crate) fn replaced(&self) -> Vec<Range<u64>> {
        self.state().replaced.clone()
    }

    /// Throws a blob away that turned out wrong, and was not opened again.
    pub(crate) fn give_up(&self) {
        let mut state = self.state();
        let wrong = if state.ended.is_some() { state.writer.take() } else { None };
        drop(state);
        drop(wrong);
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

    /// Has a thread write, unless one does. A runtime that is shutting down drops the work here and now, which ends it:
    /// so the state must not be locked.
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
        state.pieces.clear(); // who waits for the commit, or for the budget, goes on
    }

    fn why_ended(&self) -> Error {
        self.state().ended.clone().unwrap_or_else(broken_off)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a thread does: it writes until there is nothing left to write.
struct Work {
    queue: WriteQueue,
    writer: Option<HashingWriter>,
}

impl Work {
    fn run(mut self) {
        if let Err(error) = self.write_all() {
            self.writer = None; // whoever waits for the claim may have it, before anybody hears of this
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

    /// Ends the writing. A blob that is wrong keeps its writer; else the claim is free before anybody hears of this.
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

/// Work that did not come to its end, since the thread panicked or the runtime is gone, ends the writing.
impl Drop for Work {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            self.queue.end(broken_off());
        }
    }
}

fn broken_off() -> Error {
    Error::new(ErrorKind::Storage, "the writing of a blob was broken off")
}
