//! A source in memory, which goes wrong as it is told to and counts what it sends.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use hoist_core::{Descriptor, Error, ErrorKind, Source};
use hoist_fetch::{BlobBody, BlobSource, SourceError, SourceId, Verdict};

use super::{SourceMaker, Trouble};
use crate::image::{Blob, flip_a_bit};

/// How much comes at a time.
const PART: usize = 64 << 10;

/// Serves one blob from memory.
#[derive(Debug)]
pub struct MemorySource {
    id: SourceId,
    content: Bytes,
    trouble: Trouble,
    has_failed: AtomicBool,
    requests: AtomicUsize,
    ranges: AtomicUsize,
    sent: Arc<AtomicU64>,
}

impl MemorySource {
    /// A source of this name that serves this blob, unless this goes wrong.
    pub fn new(name: &str, blob: &Blob, trouble: Trouble) -> Self {
        Self {
            id: SourceId::new(name),
            content: blob.bytes.clone(),
            trouble,
            has_failed: AtomicBool::new(false),
            requests: AtomicUsize::new(0),
            ranges: AtomicUsize::new(0),
            sent: Arc::default(),
        }
    }

    /// How often it was asked.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// How often it was asked for a range.
    pub fn range_requests(&self) -> usize {
        self.ranges.load(Ordering::Relaxed)
    }

    /// How many bytes it has sent.
    pub fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn is_first_failure(&self) -> bool {
        !self.has_failed.swap(true, Ordering::Relaxed)
    }

    /// The range that is served in the place of what was asked for.
    fn served(&self, range: Option<Range<u64>>) -> Range<u64> {
        let all = 0..self.content.len() as u64;
        match (range, self.trouble) {
            (Some(range), Trouble::OtherRange) => (range.start + 1).min(range.end)..range.end,
            (None, _) | (_, Trouble::NoRanges) => all,
            (Some(range), _) => range.start..range.end.min(all.end),
        }
    }
}

#[async_trait::async_trait]
impl BlobSource for MemorySource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn told_as(&self) -> Source {
        Source::Registry(self.id.to_string().into())
    }

    async fn open(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobBody, SourceError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.ranges.fetch_add(usize::from(range.is_some()), Ordering::Relaxed);
        let failed = |kind: ErrorKind, why: &str| Error::new(kind, format!("{self} {why} {}", blob.digest));
        match self.trouble {
            Trouble::Dead => return Err(failed(ErrorKind::Unavailable, "cannot be reached for").into()),
            Trouble::Lacking => return Err(failed(ErrorKind::NotFound, "does not have").into()),
            Trouble::BusyOnce if self.is_first_failure() => {
                let error = failed(ErrorKind::RateLimited { retry_after: None }, "is too busy for");
                return Err(SourceError::new(Verdict::Busy(None), error));
            }
            _ => {}
        }
        let served = self.served(range);
        let index = |at: u64| usize::try_from(at).expect("an offset in memory");
        let mut bytes = self.content.slice(index(served.start)..index(served.end));
        if self.trouble == Trouble::Lie {
            bytes = flip_a_bit(&bytes);
        }
        let length = bytes.len() as u64;
        let ends_at = match self.trouble {
            Trouble::CutOnce if self.is_first_failure() => length / 2,
            Trouble::CutAlways => length / 2,
            Trouble::Stall(after) => after.min(length),
            _ => length,
        };
        let parts = bytes.slice(..index(ends_at));
        let broken = failed(ErrorKind::Unavailable, "broke off");
        let end: BoxStream<'static, _> = match self.trouble {
            Trouble::Stall(_) if ends_at < length => stream::pending().boxed(),
            Trouble::CutOnce | Trouble::CutAlways if ends_at < length => {
                stream::iter([Err(SourceError::from(broken))]).boxed()
            }
            _ => stream::empty().boxed(),
        };
        let parts: Vec<_> =
            (0..parts.len()).step_by(PART).map(|at| parts.slice(at..parts.len().min(at + PART))).collect();
        let sent = self.sent.clone();
        let parts = stream::iter(parts).map(move |part| {
            sent.fetch_add(part.len() as u64, Ordering::Relaxed);
            Ok(part)
        });
        Ok(BlobBody::new(served.start, Some(length), parts.chain(end)))
    }
}

impl fmt::Display for MemorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)
    }
}

/// Makes sources in memory.
#[derive(Debug, Clone, Copy)]
pub struct InMemory;

#[async_trait::async_trait]
impl SourceMaker for InMemory {
    async fn make(&self, blob: &Blob, trouble: Trouble) -> Arc<dyn BlobSource> {
        Arc::new(MemorySource::new("memory", blob, trouble))
    }
}
