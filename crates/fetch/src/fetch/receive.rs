//! The answer to one request: its bytes are read, buffered, and flushed into the store's write queue.

use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{Either, poll_immediate, select};
use hoist_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, timeout_at};

use super::worker::Brought;
use super::{Fetch, Known, state};
use crate::batch::{Batch, LARGE};
use crate::scheduler::Piece;
use crate::source::{BlobBody, SourceError};
use crate::stall::StallDetector;

/// How long slowly arriving bytes are buffered before they are flushed.
const GATHER_FOR: Duration = Duration::from_millis(20);

impl Fetch<'_> {
    /// Reads an answer. The bytes that arrived before it broke off are kept.
    pub(super) async fn stream(&self, piece: &Piece, source: &Known, body: BlobBody) -> Brought<()> {
        let mut batch = Batch::new(&self.fetcher.buffers, body.start);
        let received = self.read(piece, source, body, &mut batch).await;
        self.flush(piece, source, &mut batch).await?;
        received
    }

    async fn read(
        &self,
        piece: &Piece,
        source: &Known,
        mut body: BlobBody,
        batch: &mut Batch,
    ) -> Brought<()> {
        let blob = self.blob(piece.blob);
        let mut stall = StallDetector::new(self.fetcher.stall_timeout);
        // Since when this machine keeps the connection waiting.
        let mut busy = Instant::now();
        while self.to_come(piece).is_some() {
            let mut chunk = pin!(body.stream().next());
            let mut came = poll_immediate(chunk.as_mut()).await;
            if came.is_none() {
                self.state().scheduler.was_busy(busy.elapsed(), Instant::now());
                came = self.wait_for(piece, source, chunk, batch, stall.deadline).await?;
                busy = Instant::now();
            }
            let bytes = match came {
                Some(Some(Ok(bytes))) => bytes,
                Some(Some(Err(failure))) => return Err(failure),
                Some(None) => return Ok(()),
                None if self.to_come(piece).is_none() => return Ok(()),
                None if stall.goes_on() => continue,
                None => {
                    source.state.limiter.is_overloaded(stall.began);
                    return Err(self.stalled(piece, source).into());
                }
            };
            stall.came(bytes.len());
            let end = batch.end() + bytes.len() as u64;
            if end > blob.size {
                blob.expect_size(end).map_err(SourceError::from)?;
            }
            self.buffer(piece, source, batch, bytes).await?;
        }
        Ok(())
    }

    /// Buffers bytes until there are enough to flush. Large chunks are passed on without a copy.
    async fn buffer(&self, piece: &Piece, source: &Known, batch: &mut Batch, bytes: Bytes) -> Result<()> {
        if bytes.len() >= LARGE {
            self.flush(piece, source, batch).await?;
            let offset = batch.pass_by(bytes.len());
            return self.receive(piece, source, offset, &bytes).await;
        }
        let mut bytes = &bytes[..];
        while !bytes.is_empty() {
            bytes = batch.add(bytes);
            if batch.is_full() {
                self.flush(piece, source, batch).await?;
            }
        }
        Ok(())
    }

    /// Waits for more of an answer, and flushes the buffer if that takes longer. `None`: nothing arrived before the
    /// deadline, or other connections took over the piece.
    async fn wait_for<T>(
        &self,
        piece: &Piece,
        source: &Known,
        mut chunk: Pin<&mut impl Future<Output = T>>,
        batch: &mut Batch,
        deadline: Instant,
    ) -> Result<Option<T>> {
        let mut relieved = pin!(self.relieved(piece));
        if let Some(since) = batch.since() {
            match timeout_at(deadline.min(since + GATHER_FOR), select(chunk.as_mut(), relieved.as_mut()))
                .await
            {
                Ok(Either::Left((chunk, _))) => return Ok(Some(chunk)),
                Ok(Either::Right(_)) => return Ok(None),
                Err(_) => self.flush(piece, source, batch).await?,
            }
        }
        match timeout_at(deadline, select(chunk, relieved)).await {
            Ok(Either::Left((chunk, _))) => Ok(Some(chunk)),
            Ok(Either::Right(_)) | Err(_) => Ok(None),
        }
    }

    async fn flush(&self, piece: &Piece, source: &Known, batch: &mut Batch) -> Result<()> {
        match batch.turn_over() {
            Some((offset, bytes)) => self.receive(piece, source, offset, &bytes).await,
            None => Ok(()),
        }
    }

    /// Receives bytes of a blob: writes those that the piece still lacks to the store's queue.
    async fn receive(&self, piece: &Piece, source: &Known, offset: u64, bytes: &Bytes) -> Result<()> {
        let came = offset..offset + bytes.len() as u64;
        let index = |at: u64| usize::try_from(at - offset).expect("an offset in a buffer");
        let now = Instant::now();
        loop {
            let (part, queue) = {
                let mut state = self.state();
                let Some(part) = state.scheduler.accept(piece, came.clone(), now) else { return Ok(()) };
                state.provenance.entry(piece.blob).or_default().note(part.clone(), source.place);
                (part, state.open.get(&piece.blob).map(|open| open.queue.clone()))
            };
            let count = part.end - part.start;
            source.state.limiter.brought(count, now);
            if let Some(queue) = queue {
                queue.write(part.start, bytes.slice(index(part.start)..index(part.end))).await?;
            }
            self.progress(piece.blob, count, || source.source.told_as());
            self.written(piece, count);
        }
    }

    fn written(&self, piece: &Piece, bytes: u64) {
        let mut state = self.state();
        state.budget = state::most_tries(self.fetcher).min(state.budget.saturating_add(bytes));
        state.scheduler.written(piece, bytes);
        if state.scheduler.is_written(piece.blob)
            && let Some(open) = state.open.get(&piece.blob)
        {
            open.is_whole.notify_waiters();
        }
    }

    fn stalled(&self, piece: &Piece, source: &Known) -> Error {
        let (limit, digest) = (self.fetcher.stall_timeout, &self.blob(piece.blob).digest);
        let message =
            format!("fetching the blob {digest} failed: {} was silent for {limit:?}", source.source);
        Error::new(ErrorKind::Unavailable, message).with_help("try again later")
    }
}
