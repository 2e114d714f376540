//! Sources: where the bytes of blobs come from, and what they say when they cannot bring them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use hoist_core::{Descriptor, Error, ErrorKind, Source};

/// Somewhere that the bytes of blobs come from: a registry, a mirror, a peer, an object store.
///
/// A source is asked for one part of a blob at a time, by several tasks at once. Nothing that it says is believed: the
/// store hashes all bytes. So a source checks neither digests nor sizes; the scheduler does.
#[async_trait::async_trait]
pub trait BlobSource: Send + Sync + fmt::Display {
    /// The id under which a [`Fetcher`](crate::Fetcher) keeps the state of this source for all pulls:
    /// connections, pace, ranges, trouble.
    fn id(&self) -> &SourceId;

    /// How events and errors name it.
    fn told_as(&self) -> Source;

    /// Opens the blob's bytes from `range` on, or all of them.
    ///
    /// The answer says where it begins: a source that cannot cut answers with the whole blob. An answer may end before
    /// the range does; the rest is then asked for again.
    async fn open(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobBody, SourceError>;
}

/// Finds sources that turn up while a blob is fetched: peers, mostly.
pub trait SourceFinder: Send + Sync {
    /// Sources that may have this blob, as they are found. The fetch does not wait for the stream: it asks
    /// the other sources meanwhile. It is dropped when the blob is here.
    fn find(&self, blob: &Descriptor) -> BoxStream<'static, Arc<dyn BlobSource>>;
}

/// The name that a source is known by to a [`Fetcher`](crate::Fetcher). Equal ids share one state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(Arc<str>);

impl SourceId {
    /// An id with this text, such as the URL of a registry.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a source ranks among all those of a blob. A lower tier is asked only for what all higher ones lack, get wrong,
/// or are hopelessly slow to bring. Within a tier, the source with the fewest running requests is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Tier {
    /// A peer.
    Peer,
    /// A mirror; each place in the configured order is a tier of its own.
    Mirror(usize),
    /// The origin: its word counts. Only when it lacks a blob is the blob not found.
    Origin,
    /// A URL of a foreign layer, by its place in the descriptor. It is asked only after the origin said that it lacks
    /// the blob.
    Foreign(usize),
}

/// A blob's bytes on their way from a source.
pub struct BlobBody {
    /// Where in the blob the bytes begin.
    pub start: u64,
    /// How many bytes will come, where the source says so.
    pub length: Option<u64>,
    stream: BoxStream<'static, Result<Bytes, SourceError>>,
}

impl BlobBody {
    /// Bytes that begin at `start` of the blob.
    pub fn new(
        start: u64,
        length: Option<u64>,
        stream: impl Stream<Item = Result<Bytes, SourceError>> + Send + 'static,
    ) -> Self {
        Self { start, length, stream: Box::pin(stream) }
    }

    pub(crate) fn stream(&mut self) -> &mut BoxStream<'static, Result<Bytes, SourceError>> {
        &mut self.stream
    }
}

impl fmt::Debug for BlobBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, length, .. } = self;
        f.debug_struct("BlobBody").field("start", start).field("length", length).finish_non_exhaustive()
    }
}

/// What follows from a source's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The source does not have this blob, or does not give it to us. It is not asked for the blob again.
    NotHere,
    /// What it answered cannot be the blob. It is not asked for the blob again.
    Wrong,
    /// It has too much to do. It gets fewer connections, and is asked again after this time, where it said so.
    Busy(Option<Duration>),
    /// It could not be reached, or broke off. It may bring the rest later.
    TryAgain,
    /// No source can help: the disk is full, or the configuration is wrong. The fetch fails.
    Fatal,
}

/// Why a source did not bring what it was asked for.
#[derive(Debug, Clone)]
pub struct SourceError {
    /// What follows from it.
    pub verdict: Verdict,
    /// What a user is to read.
    pub error: Error,
}

impl SourceError {
    /// A failure with this consequence.
    pub fn new(verdict: Verdict, error: Error) -> Self {
        Self { verdict, error }
    }
}

impl From<Error> for SourceError {
    /// The usual consequence of an error of this kind.
    fn from(error: Error) -> Self {
        let verdict = match error.kind() {
            ErrorKind::RateLimited { retry_after } => Verdict::Busy(*retry_after),
            ErrorKind::Unavailable => Verdict::TryAgain,
            ErrorKind::SizeMismatch | ErrorKind::DigestMismatch | ErrorKind::Malformed => Verdict::Wrong,
            ErrorKind::Storage | ErrorKind::NoSpace | ErrorKind::InvalidConfig => Verdict::Fatal,
            _ => Verdict::NotHere,
        };
        Self { verdict, error }
    }
}

/// The sources of one blob: those that are known, and those that may turn up.
#[derive(Clone, Default)]
#[must_use]
pub struct Sources {
    pub(crate) known: Vec<(Tier, Arc<dyn BlobSource>)>,
    pub(crate) finder: Option<Arc<dyn SourceFinder>>,
}

impl Sources {
    /// Adds a source of this tier.
    pub fn with(mut self, tier: Tier, source: Arc<dyn BlobSource>) -> Self {
        self.known.push((tier, source));
        self
    }

    /// The sources that are known, with their tiers.
    pub fn iter(&self) -> impl Iterator<Item = (Tier, &Arc<dyn BlobSource>)> {
        self.known.iter().map(|(tier, source)| (*tier, source))
    }

    /// Has this look for more sources, which become [`Tier::Peer`]s, while the blob is fetched.
    pub fn with_finder(self, finder: Arc<dyn SourceFinder>) -> Self {
        Self { finder: Some(finder), ..self }
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.iter().map(|(tier, source)| (tier, source.id()));
        f.debug_map().entries(known).finish()
    }
}
