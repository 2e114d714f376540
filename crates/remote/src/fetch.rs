//! Fetching a blob: what is missing of it, streamed to the store while it is hashed.

use std::ops::Range;

use hoist_core::{Descriptor, Error, ErrorKind, Event, Events, Result};
use hoist_store::Ingest;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
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

    /// Makes one request for `next..end`, and moves `next` as far as its answer brings it.
    async fn stream(&self, ingest: &Ingest, next: &mut u64, end: u64) -> Result<()> {
        let whole = *next == 0 && end == self.blob.size;
        let mut headers = HeaderMap::new();
        if !whole {
            headers.insert(RANGE, range(*next..end));
        }
        let url = self.endpoint.blob(&self.blob.digest);
        let mut answer = self.client.send_once(self.endpoint, Method::GET, &url, &headers).await?;
        let mut offset = self.offset(&answer, *next, end)?;
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
        if *next == end { Ok(()) } else { Err(self.broken_off(*next)) }
    }

    /// Where in the blob an answer begins: at what was asked for, or at 0 where the range was ignored.
    fn offset(&self, answer: &Response, next: u64, end: u64) -> Result<u64> {
        let length = answer.content_length();
        if answer.status() != StatusCode::PARTIAL_CONTENT {
            length.map_or(Ok(()), |length| self.expect_length(length, self.blob.size))?;
            return Ok(0);
        }
        let begins = format!("bytes {next}-");
        let stated = answer.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        if !stated.is_some_and(|range| range.starts_with(&begins)) {
            let message =
                format!("the registry answered another range of {} than was asked for", self.blob.digest);
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        length.map_or(Ok(()), |length| self.expect_length(next + length, end))?;
        Ok(next)
    }

    /// An answer of the wrong length is known to be wrong before it has come.
    fn expect_length(&self, found: u64, expected: u64) -> Result<()> {
        if found == expected { Ok(()) } else { self.blob.expect_size(found) }
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

/// A closed range: some registries answer an open one with 416.
fn range(range: Range<u64>) -> HeaderValue {
    let text = format!("bytes={}-{}", range.start, range.end - 1);
    HeaderValue::from_str(&text).expect("digits, `=` and `-` may stand in a header")
}
