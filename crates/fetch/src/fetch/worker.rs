//! One connection's work: it takes a piece, requests it from a source, and moves on to the next source on failure.

use std::collections::HashSet;
use std::convert::Infallible;
use std::ops::Range;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use hoist_core::{Descriptor, Error, ErrorKind, Result};
use tokio::time::{Instant, timeout};

use super::{Fetch, Known};
use crate::limiter::Slot;
use crate::retry::Retry;
use crate::scheduler::Piece;
use crate::source::{BlobBody, SourceError, Verdict};

/// The result of a request to a source.
pub(super) type Brought<T> = std::result::Result<T, SourceError>;

/// The interval at which an idle connection checks whether another one has become slow.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Fetch<'_> {
    /// Transfers one piece after another, until the fetch is dropped.
    pub(super) async fn work(&self) -> Result<Infallible> {
        loop {
            let (work, choice) = (self.work.notified(), self.choice.notified());
            let next = self.state().next_source(Instant::now());
            let Some(source) = next else {
                _ = timeout(LOOK_AGAIN, work).await;
                continue;
            };
            // While this waits for a slot, a better source may turn up.
            let Either::Left((slot, _)) = select(pin!(source.state.limiter.enter()), pin!(choice)).await
            else {
                continue;
            };
            let piece = self.state().take(&source, Instant::now());
            if let Some(piece) = piece {
                self.transfer(&piece, source.clone(), slot).await?;
            }
        }
    }

    /// Transfers a piece. The bytes that arrived before a connection broke are kept. The next source is asked for the
    /// rest; when no source is left, all are tried again after a delay.
    async fn transfer(&self, piece: &Piece, source: Known, slot: Slot<'_>) -> Result<()> {
        let outcome = self.try_sources(piece, source, slot).await;
        self.state().scheduler.finish(piece, Instant::now());
        outcome
    }

    async fn try_sources(&self, piece: &Piece, mut source: Known, slot: Slot<'_>) -> Result<()> {
        let mut retry = Retry::new(self.fetcher.retries);
        let mut tried = HashSet::new();
        let before = self.state().scheduler.brought(piece);
        let mut outcome = self.transfer_from(piece, &source).await;
        drop(slot);
        let mut brought = self.state().scheduler.brought(piece) - before;
        loop {
            let Err(failure) = outcome else { return Ok(()) };
            let SourceError { verdict, error } = failure;
            if verdict == Verdict::Fatal {
                return Err(error);
            }
            // If other connections took over the rest, a transient error needs no retry. Any other error still counts:
            // all bytes that arrived have to be written.
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
            outcome = self.transfer_from(piece, &source).await;
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

    /// The error of a piece that no source could bring.
    fn why(&self, piece: &Piece) -> Error {
        self.state().candidates[piece.blob].error(self.blob(piece.blob))
    }

    /// Transfers a piece, or a part of it, from one source. An answer may be shorter than the request; the rest is then
    /// requested again.
    async fn transfer_from(&self, piece: &Piece, source: &Known) -> Brought<()> {
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

    /// Requests a range. A source without ranges is asked for the whole blob, and its piece grows to all missing
    /// ranges.
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
            self.state().scheduler.merge(piece);
        } else if body.start != first {
            let message =
                format!("{} answered another part of {} than it was asked for", source.source, blob.digest);
            return Err(SourceError::new(Verdict::Wrong, Error::new(ErrorKind::SizeMismatch, message)));
        }
        check_length(blob, &body, source.state.has_ranges() && range.is_some())?;
        Ok(body)
    }

    pub(super) fn to_come(&self, piece: &Piece) -> Option<Range<u64>> {
        self.state().scheduler.to_come(piece)
    }

    /// Returns when other connections have taken over all of the piece.
    pub(super) async fn relieved(&self, piece: &Piece) {
        while self.to_come(piece).is_some() {
            piece.relieved.notified().await;
        }
    }

    fn broken_off(&self, piece: &Piece, next: u64) -> Error {
        let Descriptor { digest, size, .. } = self.blob(piece.blob);
        Error::new(ErrorKind::Unavailable, format!("the blob {digest} broke off at {next} of {size} bytes"))
            .with_help("try again later")
    }
}

/// Whether an answer is longer than the requested range: its source ignores ranges.
fn is_more_than(body: &BlobBody, range: Option<&Range<u64>>) -> bool {
    body.length.zip(range).is_some_and(|(length, range)| length > range.end - range.start)
}

/// Fails early where the announced length does not fit the blob. A range may be answered in part.
fn check_length(blob: &Descriptor, body: &BlobBody, is_part: bool) -> Brought<()> {
    let Some(length) = body.length else { return Ok(()) };
    let end = body.start.saturating_add(length);
    if is_part && end <= blob.size { Ok(()) } else { blob.expect_size(end).map_err(SourceError::from) }
}
