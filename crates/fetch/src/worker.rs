//! One piece of a blob over one connection: asked for, taken in as it comes, and taken elsewhere where that fails.

use std::collections::HashSet;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{Either, poll_immediate, select};
use hoist_core::{Descriptor, Error, ErrorKind, Result};
use tokio::time::{Instant, timeout_at};

use crate::batch::{Batch, LARGE};
use crate::fetch::{Fetch, Known};
use crate::limiter::Slot;
use crate::retry::Retry;
use crate::scheduler::Piece;
use crate::source::{BlobBody, SourceError, Verdict};
use crate::stall::StallDetector;

/// What came of asking a source.
type Brought<T> = std::result::Result<T, SourceError>;

/// How long what comes slowly is gathered before it is handed over.
const GATHER_FOR: Duration = Duration::from_millis(20);

impl Fetch<'_> {
    /// Brings a piece. A broken connection costs only what it had not brought yet. What one source does not bring, the
    /// next one is asked for; when none is left, all are asked again after a time.
    pub(crate) async fn carry(&self, piece: &Piece, source: Known, slot: Slot<'_>) -> Result<()> {
        let outcome = self.carry_on(piece, source, slot).await;
        self.state().scheduler.finish(piece, Instant::now());
        outcome
    }

    async fn carry_on(&self, piece: &Piece, mut source: Known, slot: Slot<'_>) -> Result<()> {
        let mut retry = Retry::new(self.fetcher.retries);
        let mut tried = HashSet::new();
        let before = self.state().scheduler.brought(piece);
        let mut outcome = self.transfer(piece, &source).await;
        drop(slot);
        let mut brought = self.state().scheduler.brought(piece) - before;
        loop {
            let Err(failure) = outcome else { return Ok(()) };
            let SourceError { verdict, error } = failure;
            if verdict == Verdict::Fatal {
                return Err(error);
            }
            // What others bring by now need not be asked for again; but all that came has to be written.
            if self.to_come(piece).is_none() && error.is_transient() {
                return Ok(());
            }
            self.note_failure(piece, &source, verdict, &error);
            if brought > 0 {
                (retry, tried) = (Retry::new(self.fetcher.retries), HashSet::new()); // it does get on
            } else {
                tried.insert(source.place);
            }
            let mut next = self.state().after(piece.blob, &tried);
            if next.as_ref().is_none_or(|next| next.place == source.place) {
                if brought == 0 && !self.state().spend_a_try() {
                    return Err(error);
                }
                let why = if next.is_some() { error } else { self.why(piece) };
                retry.after(why).await?;
                tried.clear();
                next = self.state().after(piece.blob, &tried);
            }
            source = next.ok_or_else(|| self.why(piece))?;
            let state = source.state.clone();
            let slot = state.limiter.enter().await;
            self.state().goes_to(piece, &source, Instant::now());
            self.announce();
            let before = self.state().scheduler.brought(piece);
            outcome = self.transfer(piece, &source).await;
            drop(slot);
            brought = self.state().scheduler.brought(piece) - before;
        }
    }

    fn note_failure(&self, piece: &Piece, source: &Known, verdict: Verdict, error: &Error) {
        tracing::debug!(source = %source.source, reason = error.report(), "a source did not bring a part of a blob");
        match verdict {
            Verdict::TryAgain | Verdict::Busy(_) => source.state.was_in_trouble(),
            _ if *error.kind() == ErrorKind::Tls => source.state.was_in_trouble(),
            _ => {}
        }
        self.state().candidates[piece.blob].failed(source.place, verdict, error.clone());
    }

    /// Why no source brought the piece.
    fn why(&self, piece: &Piece) -> Error {
        self.state().candidates[piece.blob].error(self.blob(piece.blob))
    }

    /// Brings a piece from one source, or as much of it as comes. What is asked for may come in part: then the rest is
    /// asked for again.
    async fn transfer(&self, piece: &Piece, source: &Known) -> Brought<()> {
        loop {
            let Some(to_come) = self.to_come(piece) else { return Ok(()) };
            let next = to_come.start;
            let before = self.state().scheduler.brought(piece);
            let asked = Instant::now();
            let asking = pin!(self.ask(piece, source, to_come));
            let body = match select(asking, pin!(self.relieved(piece))).await {
                Either::Left((body, _)) => body,
                Either::Right(_) => return Ok(()),
            };
            let body = body.inspect_err(|failure| {
                if matches!(failure.verdict, Verdict::TryAgain | Verdict::Busy(_)) {
                    source.state.limiter.is_overloaded(asked);
                }
            })?;
            self.stream(piece, source, body).await?;
            self.learn_pace(piece, source, asked, before);
            if self.to_come(piece).is_none() {
                source.state.limiter.did_well();
                source.state.did_well();
            } else if self.state().scheduler.brought(piece) == before {
                return Err(self.broken_off(piece, next).into());
            }
        }
    }

    #[expect(clippy::cast_precision_loss)]
    fn learn_pace(&self, piece: &Piece, source: &Known, asked: Instant, before: u64) {
        let brought = self.state().scheduler.brought(piece) - before;
        if brought >= 1 << 20 {
            source.state.came_at(brought as f64 / asked.elapsed().as_secs_f64().max(1e-6));
        }
    }

    /// Opens what is to come. A source that is no good at ranges is asked for all that is missing of the blob.
    async fn ask(&self, piece: &Piece, source: &Known, to_come: Range<u64>) -> Brought<BlobBody> {
        let blob = self.blob(piece.blob);
        let is_whole = to_come == (0..blob.size);
        let divides = self.state().scheduler.is_divisible(piece.blob) && source.state.has_ranges();
        let range = (divides && !is_whole).then_some(to_come);
        let body = source.source.open(blob, range.clone()).await?;
        let first = range.as_ref().map_or(0, |range| range.start);
        if range.is_some() && body.start == 0 && (first > 0 || is_more_than(&body, range.as_ref())) {
            tracing::debug!(source = %source.source, "no good at ranges");
            source.state.lacks_ranges();
            self.state().scheduler.gather(piece);
        } else if body.start != first {
            let message =
                format!("{} answered another part of {} than it was asked for", source.source, blob.digest);
            return Err(SourceError::new(Verdict::Wrong, Error::new(ErrorKind::SizeMismatch, message)));
        }
        check_length(blob, &body, source.state.has_ranges() && range.is_some())?;
        Ok(body)
    }

    /// Takes in an answer. What came before it broke off is kept.
    async fn stream(&self, piece: &Piece, source: &Known, body: BlobBody) -> Brought<()> {
        let mut batch = Batch::new(&self.fetcher.buffers, body.start);
        let received = self.receive(piece, source, body, &mut batch).await;
        self.hand_over(piece, source, &mut batch).await?;
        received
    }

    async fn receive(
        &self,
        piece: &Piece,
        source: &Known,
        mut body: BlobBody,
        batch: &mut Batch,
    ) -> Brought<()> {
        let blob = self.blob(piece.blob);
        let mut stall = StallDetector::new(self.fetcher.stall_timeout);
        // Since when it is this machine that keeps the connection waiting.
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
            self.gather(piece, source, batch, bytes).await?;
        }
        Ok(())
    }

    /// Keeps what came until there is enough to hand over.
    async fn gather(&self, piece: &Piece, source: &Known, batch: &mut Batch, bytes: Bytes) -> Result<()> {
        if bytes.len() >= LARGE {
            self.hand_over(piece, source, batch).await?;
            let offset = batch.pass_by(bytes.len());
            return self.take_in(piece, source, offset, &bytes).await;
        }
        let mut bytes = &bytes[..];
        while !bytes.is_empty() {
            bytes = batch.add(bytes);
            if batch.is_full() {
                self.hand_over(piece, source, batch).await?;
            }
        }
        Ok(())
    }

    /// Waits for more of an answer, and hands over what came before if that takes longer. `None`: nothing came
    /// until the deadline, or others bring it.
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
                Err(_) => self.hand_over(piece, source, batch).await?,
            }
        }
        match timeout_at(deadline, select(chunk, relieved)).await {
            Ok(Either::Left((chunk, _))) => Ok(Some(chunk)),
            Ok(Either::Right(_)) | Err(_) => Ok(None),
        }
    }

    async fn hand_over(&self, piece: &Piece, source: &Known, batch: &mut Batch) -> Result<()> {
        match batch.turn_over() {
            Some((offset, bytes)) => self.take_in(piece, source, offset, &bytes).await,
            None => Ok(()),
        }
    }

    fn to_come(&self, piece: &Piece) -> Option<Range<u64>> {
        self.state().scheduler.to_come(piece)
    }

    /// Returns when others bring all of the piece.
    async fn relieved(&self, piece: &Piece) {
        while self.to_come(piece).is_some() {
            piece.relieved.notified().await;
        }
    }

    fn broken_off(&self, piece: &Piece, next: u64) -> Error {
        let Descriptor { digest, size, .. } = self.blob(piece.blob);
        Error::new(ErrorKind::Unavailable, format!("the blob {digest} broke off at {next} of {size} bytes"))
            .with_help("try again later")
    }

    fn stalled(&self, piece: &Piece, source: &Known) -> Error {
        let (limit, digest) = (self.fetcher.stall_timeout, &self.blob(piece.blob).digest);
        let message =
            format!("fetching the blob {digest} failed: {} was silent for {limit:?}", source.source);
        Error::new(ErrorKind::Unavailable, message).with_help("try again later")
    }
}

/// Whether an answer has more than the range that was asked for, as a source says that ignores ranges.
fn is_more_than(body: &BlobBody, range: Option<&Range<u64>>) -> bool {
    body.length.zip(range).is_some_and(|(length, range)| length > range.end - range.start)
}

/// An answer of the wrong length is known to be wrong before it has come. A range may come in part.
fn check_length(blob: &Descriptor, body: &BlobBody, is_part: bool) -> Brought<()> {
    let Some(length) = body.length else { return Ok(()) };
    let end = body.start.saturating_add(length);
    if is_part && end <= blob.size { Ok(()) } else { blob.expect_size(end).map_err(SourceError::from) }
}
