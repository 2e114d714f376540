//! Where a blob's bytes go in: handed over by any number of tasks, written by one thread at a time.
//!
//! There is no thread for each blob. Who hands over bytes while nobody writes has a thread begin, and that goes on
//! until there is nothing left to write. So few threads are awake however many blobs are open.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hoist_core::{Error, ErrorKind, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::store::WRITE_BUDGET;
use crate::writer::Writer;

/// What a piece counts for at least, in bytes, so that there cannot be too many of them.
const SMALLEST_PIECE: usize = 4 << 10;

/// Where the bytes of an [`Ingest`](crate::Ingest) go in, from as many tasks as there are clones.
#[derive(Debug, Clone)]
pub struct Inlet(Arc<Desk>);

#[derive(Debug)]
struct Desk {
    budget: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pieces: VecDeque<Piece>,
    /// Who writes. Not here while it does so.
    writer: Option<Writer>,
    /// Why nothing is written any more.
    ended: Option<Error>,
}

#[derive(Debug)]
enum Piece {
    Bytes { offset: u64, bytes: Bytes, _budget: OwnedSemaphorePermit },
    Commit(oneshot::Sender<Result<()>>),
}

impl Inlet {
    /// Bytes go to this writer, which begins at once with what an earlier one left.
    pub(crate) fn new(writer: Writer, budget: Arc<Semaphore>) -> Self {
        let is_resumed = writer.scribe().written().end() > 0;
        let state = State { pieces: VecDeque::new(), writer: Some(writer), ended: None };
        let desk = Arc::new(Desk { budget, state: Mutex::new(state) });
        if is_resumed {
            desk.begin();
        }
        Self(desk)
    }

    /// Hands over the bytes at this offset. Waits while too much is waiting for the disk.
    ///
    /// What is there already stays as it is: a byte is written once, and that is the one that is hashed. Fails
    /// where an earlier write did, and where the bytes do not belong to the blob.
    pub async fn write(&self, offset: u64, bytes: Bytes) -> Result<()> {
        let size = bytes.len().clamp(SMALLEST_PIECE, WRITE_BUDGET);
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let budget = self.0.budget.clone().acquire_many_owned(size).await.map_err(|_| broken_off())?;
        self.0.hand_in(Piece::Bytes { offset, bytes, _budget: budget })
    }

    /// Has the blob verified and published, when all that was handed over is written.
    pub(crate) async fn commit(&self) -> Result<()> {
        let (done, outcome) = oneshot::channel();
        self.0.hand_in(Piece::Commit(done))?;
        outcome.await.unwrap_or_else(|_| Err(self.0.why_ended()))
    }
}

impl Desk {
    fn hand_in(self: &Arc<Self>, piece: Piece) -> Result<()> {
        let mut state = self.state();
        if let Some(error) = &state.ended {
            return Err(error.clone());
        }
        state.pieces.push_back(piece);
        drop(state);
        self.begin();
        Ok(())
    }

    /// Has a thread write, unless one does. A runtime that is shutting down drops the shift here and now, which ends it:
    /// so the state must not be locked.
    fn begin(self: &Arc<Self>) {
        let writer = self.state().writer.take();
        if let Some(writer) = writer {
            let shift = Shift { desk: self.clone(), writer: Some(writer) };
            tokio::task::spawn_blocking(move || shift.work());
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread's turn at writing, until there is nothing left to write.
struct Shift {
    desk: Arc<Desk>,
    writer: Option<Writer>,
}

impl Shift {
    fn work(mut self) {
        if let Err(error) = self.write_all() {
            self.writer = None; // whoever waits for the claim may have it, before anybody hears of this
            self.desk.end(error);
        }
    }

    fn write_all(&mut self) -> Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.catch_up()?;
        loop {
            let mut state = self.desk.state();
            let Some(piece) = state.pieces.pop_front() else {
                state.writer = self.writer.take();
                return Ok(());
            };
            drop(state);
            match piece {
                Piece::Bytes { offset, bytes, _budget } => writer.write(offset, &bytes)?,
                Piece::Commit(done) => {
                    let outcome = writer.commit();
                    self.writer = None;
                    self.desk.end(outcome.clone().err().unwrap_or_else(broken_off));
                    _ = done.send(outcome);
                    return Ok(());
                }
            }
        }
    }
}

/// A turn that did not come to its end, since the thread panicked or the runtime is gone, ends the writing.
impl Drop for Shift {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            self.desk.end(broken_off());
        }
    }
}

fn broken_off() -> Error {
    Error::new(ErrorKind::Storage, "the writing of a blob was broken off")
}
