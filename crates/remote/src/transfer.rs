//! One piece of a blob over one connection: asked for, and taken in as it comes.

use std::ops::Range;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, poll_immediate, select};
use hoist_core::{Descriptor, Error, ErrorKind, Result};
use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use crate::buffers::{Batch, LARGE};
use crate::content_range;
use crate::fetch::Fetch;
use crate::hosts::Need;
use crate::pace::Pace;
use crate::plan::Piece;
use crate::response;

/// How long what comes slowly is gathered before it is handed over.
const GATHER_FOR: Duration = Duration::from_millis(20);

impl Fetch<'_> {
    /// Brings a piece, or as much of it as comes. What is asked for may come in part: then the rest is asked
    /// for again.
    pub(crate) async fn transfer(&self, piece: &Piece) -> Result<()> {
        loop {
            let Some(to_come) = self.to_come(piece) else { return Ok(()) };
            let next = to_come.start;
            let before = self.state().plan.brought(piece);
            let asking = pin!(self.ask(piece, to_come));
            // What was found, or that others bring it.
            let answer = match select(asking, pin!(self.relieved(piece))).await {
                Either::Left((answer, _)) => answer?,
                Either::Right(_) => None,
            };
            let Some((answer, offset)) = answer else { return Ok(()) };
            let host = answer.host;
            if let Err(error) = self.stream(piece, answer, offset).await {
                self.pass_over(piece, host, error)?;
                continue;
            }
            if self.to_come(piece).is_none() {
                self.host.did_well();
            } else if self.state().plan.brought(piece) == before {
                self.pass_over(piece, host, self.broken_off(piece, next))?;
            }
        }
    }

    /// Takes in an answer that begins at this offset of the blob. What came before it broke off is kept.
    async fn stream(&self, piece: &Piece, answer: Answer, offset: u64) -> Result<()> {
        let Answer { response, host } = answer;
        self.check_length(piece, &response, offset)?;
        let mut batch = Batch::new(&self.client.buffers, host, offset);
        let received = self.receive(piece, response, &mut batch).await;
        self.hand_over(piece, &mut batch).await?;
        received
    }

    async fn receive(&self, piece: &Piece, mut answer: Response, batch: &mut Batch) -> Result<()> {
        let blob = self.blobs[piece.blob];
        let mut pace = Pace::new(self.client.stall_timeout);
        // Since when it is this machine that keeps the connection waiting.
        let mut busy = Instant::now();
        while self.to_come(piece).is_some() {
            let mut chunk = pin!(answer.chunk());
            let mut came = poll_immediate(chunk.as_mut()).await;
            if came.is_none() {
                self.state().plan.was_busy(busy.elapsed(), Instant::now());
                came = self.wait_for(piece, chunk, batch, pace.deadline).await?;
                busy = Instant::now();
            }
            let bytes = match came {
                Some(Ok(Some(bytes))) => bytes,
                Some(Ok(None)) => return Ok(()),
                Some(Err(cause)) => return Err(response::failed(&fetching(blob), cause)),
                None if self.to_come(piece).is_none() => return Ok(()),
                None if pace.goes_on() => continue,
                None => {
                    self.host.is_overloaded(pace.began);
                    return Err(self.stalled(piece));
                }
            };
            pace.came(bytes.len());
            if batch.end() + bytes.len() as u64 > blob.size {
                blob.expect_size(batch.end() + bytes.len() as u64)?;
            }
            self.gather(piece, batch, bytes).await?;
        }
        Ok(())
    }

    /// Keeps what came until there is enough to hand over.
    async fn gather(&self, piece: &Piece, batch: &mut Batch, bytes: Bytes) -> Result<()> {
        if bytes.len() >= LARGE {
            self.hand_over(piece, batch).await?;
            let offset = batch.pass_by(bytes.len());
            return self.take_in(piece, batch.host, offset, &bytes).await;
        }
        let mut bytes = &bytes[..];
        while !bytes.is_empty() {
            bytes = batch.add(bytes);
            if batch.is_full() {
                self.hand_over(piece, batch).await?;
            }
        }
        Ok(())
    }

    /// Waits for more of an answer, and hands over what came before if that takes longer. `None`: nothing came
    /// until the deadline, or others bring it.
    async fn wait_for<T>(
        &self,
        piece: &Piece,
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
                Err(_) => self.hand_over(piece, batch).await?,
            }
        }
        match timeout_at(deadline, select(chunk, relieved)).await {
            Ok(Either::Left((chunk, _))) => Ok(Some(chunk)),
            Ok(Either::Right(_)) | Err(_) => Ok(None),
        }
    }

    async fn hand_over(&self, piece: &Piece, batch: &mut Batch) -> Result<()> {
        match batch.turn_over() {
            Some((offset, bytes)) => self.take_in(piece, batch.host, offset, &bytes).await,
            None => Ok(()),
        }
    }

    /// Asks for what is to come, and says where in the blob the answer begins. A registry that is no good at
    /// ranges is asked for the whole. `None`: others bring it.
    async fn ask(&self, piece: &Piece, to_come: Range<u64>) -> Result<Option<(Answer, u64)>> {
        let size = self.blobs[piece.blob].size;
        if self.state().plan.is_divisible(piece.blob) && to_come != (0..size) {
            let next = to_come.start;
            match self.request(piece, Some(to_come)).await {
                Ok(answer) if is_part_from(&answer.response, next) => return Ok(Some((answer, next))),
                Ok(answer) if answer.response.status() != StatusCode::PARTIAL_CONTENT => {
                    self.do_without_ranges(piece);
                    return Ok(self.to_come(piece).map(|_| (answer, 0)));
                }
                Err(error) if *error.kind() != ErrorKind::Unsupported => return Err(error),
                Ok(_) | Err(_) => self.do_without_ranges(piece),
            }
            if self.to_come(piece).is_none() {
                return Ok(None);
            }
        }
        let answer = self.request(piece, None).await?;
        if answer.response.status() == StatusCode::PARTIAL_CONTENT && !is_part_from(&answer.response, 0) {
            let digest = &self.blobs[piece.blob].digest;
            let message = format!("the registry answered a part of {digest}, not the whole");
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        Ok(Some((answer, 0)))
    }

    /// Asks one host after the other for a part of a blob, or for the whole.
    async fn request(&self, piece: &Piece, part: Option<Range<u64>>) -> Result<Answer> {
        let first = part.as_ref().map_or(0, |part| part.start);
        let headers = part.map(|part| (RANGE, range(part))).into_iter().collect();
        let asked = Instant::now();
        let mut attempts = self.route.attempts(Need::Pull, |host| self.sources.is_shunned(piece.blob, host));
        while let Some((host, endpoint)) = attempts.next() {
            let url = endpoint.blob(&self.blobs[piece.blob].digest);
            let answer = self.client.send_once(endpoint, Method::GET, &url, &headers).await;
            let answer = answer.and_then(|response| self.check_mirror(piece, host, response, first));
            match answer {
                Ok(response) => {
                    attempts.succeeded(host);
                    self.sources.brings(piece.blob, host);
                    return Ok(Answer { response, host });
                }
                Err(error) => attempts.failed(host, error)?,
            }
        }
        let error = attempts.into_error();
        if error.is_transient() {
            self.host.is_overloaded(asked);
        }
        Err(error)
    }

    /// Fails where a mirror answers what cannot be the blob, or the part of it from `first` on.
    fn check_mirror(&self, piece: &Piece, host: usize, answer: Response, first: u64) -> Result<Response> {
        if host != self.route.origin_place() {
            let is_part = answer.status() == StatusCode::PARTIAL_CONTENT;
            if is_part && !is_part_from(&answer, first) {
                let message = format!("a mirror answered another part of {}", self.blobs[piece.blob].digest);
                return Err(Error::new(ErrorKind::SizeMismatch, message));
            }
            self.check_length(piece, &answer, if is_part { first } else { 0 })?;
        }
        Ok(answer)
    }

    /// A host's answer was no good: an error, unless it is a mirror's. One that breaks off is left alone for a
    /// time, and fails like any other host if it does so again; one that is wrong is not asked for this blob again.
    fn pass_over(&self, piece: &Piece, host: usize, error: Error) -> Result<()> {
        let is_ours = matches!(error.kind(), ErrorKind::Storage | ErrorKind::NoSpace);
        if is_ours || host == self.route.origin_place() {
            return Err(error);
        }
        if error.is_transient() {
            self.route.was_in_trouble(host);
            if !self.sources.stumbles(piece.blob, host) {
                return Err(error);
            }
        } else {
            self.sources.shun(piece.blob, host);
        }
        tracing::debug!(reason = error.report(), "passing over a mirror");
        Ok(())
    }

    fn do_without_ranges(&self, piece: &Piece) {
        tracing::debug!(registry = self.route.registry, "no good at ranges");
        self.host.lacks_ranges();
        self.state().plan.gather(piece);
    }

    /// An answer of the wrong length is known to be wrong before it has come. A range may come in part.
    fn check_length(&self, piece: &Piece, answer: &Response, offset: u64) -> Result<()> {
        let blob = self.blobs[piece.blob];
        let Some(length) = answer.content_length() else { return Ok(()) };
        let end = offset.saturating_add(length);
        let is_part = answer.status() == StatusCode::PARTIAL_CONTENT;
        if is_part && end <= blob.size { Ok(()) } else { blob.expect_size(end) }
    }

    fn to_come(&self, piece: &Piece) -> Option<Range<u64>> {
        self.state().plan.to_come(piece)
    }

    /// Returns when others bring all of the piece.
    async fn relieved(&self, piece: &Piece) {
        while self.to_come(piece).is_some() {
            piece.relieved.notified().await;
        }
    }

    fn broken_off(&self, piece: &Piece, next: u64) -> Error {
        let Descriptor { digest, size, .. } = self.blobs[piece.blob];
        Error::new(ErrorKind::Unavailable, format!("the blob {digest} broke off at {next} of {size} bytes"))
            .with_help("try again later")
    }

    fn stalled(&self, piece: &Piece) -> Error {
        let limit = self.client.stall_timeout;
        let message =
            format!("{} failed: the registry was silent for {limit:?}", fetching(self.blobs[piece.blob]));
        Error::new(ErrorKind::Unavailable, message).with_help("try again later")
    }
}

/// An answer, and whose it is: the host's place in the route.
struct Answer {
    response: Response,
    host: usize,
}

fn fetching(blob: &Descriptor) -> String {
    format!("fetching the blob {}", blob.digest)
}

/// Whether an answer is a part of the blob, from this offset.
fn is_part_from(answer: &Response, offset: u64) -> bool {
    let stated = answer.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    answer.status() == StatusCode::PARTIAL_CONTENT
        && stated.and_then(content_range::parse).is_some_and(|(first, _)| first == offset)
}

/// A closed range: some registries answer an open one with 416.
fn range(range: Range<u64>) -> HeaderValue {
    let text = format!("bytes={}-{}", range.start, range.end - 1);
    HeaderValue::from_str(&text).expect("digits, `=` and `-` may stand in a header")
}
