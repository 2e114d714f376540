//! Fetching a blob: what is missing of it, streamed to the store while it is hashed.

use std::ops::Range;

use hoist_core::{Descriptor, Error, ErrorKind, Event, Events, Result};
use hoist_store::Ingest;
use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};

use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::response;
use crate::retry::Retry;

/// Fetches one blob of one repository.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fetch<'a> {
    pub(crate) client: &'a Client,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) events: &'a Events,
    pub(crate) blob: &'a Descriptor,
}

impl Fetch<'_> {
    /// Fetches what is missing, and puts the verified blob into the store.
    pub(crate) async fn run(self, ingest: Ingest) -> Result<()> {
        let Descriptor { digest, size, .. } = self.blob;
        tracing::info!(%digest, size, resumed = ingest.is_resumed(), "fetching a blob");
        self.events.emit(|| Event::BlobStarted { digest: digest.clone(), size: *size });
        let missing = ingest.missing().to_vec();
        let resumed = size - missing.iter().map(|gap| gap.end - gap.start).sum::<u64>();
        self.progress(resumed);
        for gap in missing {
            self.fill(&ingest, gap).await?;
        }
        ingest.commit().await?;
        self.events.emit(|| Event::BlobVerified { digest: digest.clone() });
        Ok(())
    }

    /// Fetches one range. A broken connection costs only what it had not brought yet.
    async fn fill(&self, ingest: &Ingest, gap: Range<u64>) -> Result<()> {
        let mut next = gap.start;
        let mut retry = Retry::new(self.client.retries);
        while next < gap.end {
            let before = next;
            if let Err(error) = self.stream(ingest, &mut next, gap.end).await {
                if next > before {
                    retry = Retry::new(self.client.retries); // it does get on
                }
                retry.after(error).await?;
            }
        }
        Ok(())
    }

    /// Asks for `next..end`, and moves `next` as far as the answer brings it: it may be a part.
    async fn stream(&self, ingest: &Ingest, next: &mut u64, end: u64) -> Result<()> {
        let before = *next;
        let (mut answer, mut offset) = self.ask(*next, end).await?;
        self.check_length(&answer, offset)?;
        let doing = format!("fetching the blob {}", self.blob.digest);
        while let Some(mut bytes) = answer.chunk().await.map_err(|cause| response::failed(&doing, cause))? {
            let start = offset;
            offset += bytes.len() as u64;
            if offset > self.blob.size {
                self.blob.expect_size(offset)?;
            }
            // A registry that ignores the range sends what is here already, and what is not asked for.
            bytes.truncate(usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX));
            let known = usize::try_from(next.saturating_sub(start)).unwrap_or(usize::MAX).min(bytes.len());
            let new = bytes.split_off(known);
            if !new.is_empty() {
                let count = new.len() as u64;
                ingest.write(*next, new).await?;
                *next += count;
                self.progress(count);
            }
            if *next == end {
                return Ok(());
            }
        }
        if *next > before { Ok(()) } else { Err(self.broken_off(*next)) }
    }

    /// Asks for `next..end`, and says where in the blob the answer begins: there, or at 0 where the range
    /// was ignored. A registry that refuses the range or sends another one is asked for the whole.
    async fn ask(&self, next: u64, end: u64) -> Result<(Response, u64)> {
        if next > 0 || end < self.blob.size {
            match self.request(Some(next..end)).await {
                Ok(answer) => {
                    if let Some(offset) = offset(&answer, next) {
                        return Ok((answer, offset));
                    }
                }
                Err(error) if *error.kind() == ErrorKind::Unsupported => {}
                Err(error) => return Err(error),
            }
        }
        let answer = self.request(None).await?;
        let offset = offset(&answer, 0).ok_or_else(|| {
            let message = format!("the registry answered a part of {}, not the whole", self.blob.digest);
            Error::new(ErrorKind::Unavailable, message)
        })?;
        Ok((answer, offset))
    }

    async fn request(&self, part: Option<Range<u64>>) -> Result<Response> {
        let headers = part.map(|part| (RANGE, range(part))).into_iter().collect();
        let url = self.endpoint.blob(&self.blob.digest);
        self.client.send_once(self.endpoint, Method::GET, &url, &headers).await
    }

    /// An answer of the wrong length is known to be wrong before it has come. A range may come in part.
    fn check_length(&self, answer: &Response, offset: u64) -> Result<()> {
        let Some(length) = answer.content_length() else { return Ok(()) };
        let end = offset.saturating_add(length);
        let is_part = answer.status() == StatusCode::PARTIAL_CONTENT;
        if is_part && end <= self.blob.size { Ok(()) } else { self.blob.expect_size(end) }
    }

    fn broken_off(&self, next: u64) -> Error {
        let Descriptor { digest, size, .. } = self.blob;
        Error::new(ErrorKind::Unavailable, format!("the blob {digest} broke off at {next} of {size} bytes"))
    }

    fn progress(&self, bytes: u64) {
        if bytes > 0 {
            self.events.emit(|| Event::BlobProgress { digest: self.blob.digest.clone(), bytes });
        }
    }
}

/// Where in the blob an answer begins, if at `next`, or at 0 as a whole.
fn offset(answer: &Response, next: u64) -> Option<u64> {
    if answer.status() != StatusCode::PARTIAL_CONTENT {
        return Some(0);
    }
    let stated = answer.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    stated.starts_with(&format!("bytes {next}-")).then_some(next)
}

/// A closed range: some registries answer an open one with 416.
fn range(range: Range<u64>) -> HeaderValue {
    let text = format!("bytes={}-{}", range.start, range.end - 1);
    HeaderValue::from_str(&text).expect("digits, `=` and `-` may stand in a header")
}
