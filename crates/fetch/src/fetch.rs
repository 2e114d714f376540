//! The fetching of one image's blobs: one scheduler for all of them, worked off by several connections.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::ops::Range;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{self, Either};
use futures_util::stream::{BoxStream, FuturesUnordered};
use futures_util::{StreamExt, TryStreamExt, stream};
use hoist_core::{Descriptor, ErrorKind, Event, Events, Result, Source};
use hoist_store::{Claim, Ingest, Staging, WriteQueue};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::candidates::{Candidates, Standing};
use crate::fetcher::{Fetcher, Wanted};
use crate::provenance::{Provenance, joined};
use crate::scheduler::{Piece, Scheduler, Terms};
use crate::source::{BlobSource, Tier};
use crate::source_state::SourceState;

/// How often an idle connection looks whether another has become slow.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How many blobs are open at once for each connection: one comes while another is being verified.
const OPEN_BLOBS: usize = 2;
/// What of a fetch's budget a failed try costs. Bytes that come pay it back.
const PRICE_OF_A_TRY: u64 = 1 << 20;

/// The fetching of one image's blobs.
pub(crate) struct Fetch<'a> {
    pub(crate) fetcher: &'a Fetcher,
    events: &'a Events,
    blobs: Vec<Wanted>,
    state: Mutex<State>,
    /// For those that have nothing to do: there is something.
    work: Notify,
    /// For those that wait for a connection to a source: another one may be the better choice now.
    choice: Notify,
}

/// What the connections of a fetch share.
pub(crate) struct State {
    pub(crate) scheduler: Scheduler,
    /// By the blobs' places.
    pub(crate) candidates: Vec<Candidates>,
    sources: Vec<Known>,
    open: HashMap<usize, Open>,
    provenance: HashMap<usize, Provenance>,
    /// What is left to be spent on tries that bring nothing, in bytes.
    budget: u64,
}

/// A blob that is being fetched.
#[derive(Clone)]
struct Open {
    queue: WriteQueue,
    /// All of it is in the queue.
    is_whole: Arc<Notify>,
}

/// A source of this fetch.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) place: usize,
    pub(crate) source: Arc<dyn BlobSource>,
    pub(crate) state: Arc<SourceState>,
}

type Found = BoxStream<'static, Arc<dyn BlobSource>>;

impl<'a> Fetch<'a> {
    pub(crate) fn new(fetcher: &'a Fetcher, events: &'a Events, blobs: Vec<Wanted>) -> Self {
        let bytes = blobs.iter().fold(0, |sum, wanted| wanted.blob.size.saturating_add(sum));
        let mut state = State {
            scheduler: Scheduler::new(bytes),
            candidates: blobs.iter().map(|_| Candidates::default()).collect(),
            sources: Vec::new(),
            open: HashMap::new(),
            provenance: HashMap::new(),
            budget: most_tries(fetcher),
        };
        for (place, wanted) in blobs.iter().enumerate() {
            for (tier, source) in &wanted.sources.known {
                state.add(fetcher, place, *tier, source.clone());
            }
        }
        let (work, choice) = (Notify::new(), Notify::new());
        Self { fetcher, events, blobs, state: Mutex::new(state), work, choice }
    }

    pub(crate) async fn run(
        &self,
        staging: &Staging,
        check: impl Fn(&Descriptor) -> Result<()>,
    ) -> Result<()> {
        let check = &check;
        let blobs = (0..self.blobs.len()).map(|place| async move {
            self.bring(staging, place).await?;
            check(self.blob(place))
        });
        // A stream must not borrow through a closure's argument, hence the collected futures.
        let blobs: Vec<_> = blobs.collect();
        let connections = self.fetcher.connections;
        let blobs = stream::iter(blobs).buffer_unordered(OPEN_BLOBS * connections);
        let blobs = pin!(blobs.try_collect::<()>());
        let mut workers: FuturesUnordered<_> = (0..connections).map(|_| self.work()).collect();
        match future::select(blobs, workers.try_next()).await {
            Either::Left((done, _)) => done,
            Either::Right((Err(error), _)) => Err(error),
            Either::Right((Ok(Some(never)), _)) => match never {},
            Either::Right((Ok(None), blobs)) => blobs.await,
        }
    }

    /// Brings one blob into the image. Of one that turns out wrong, what the suspects brought comes again: all sources
    /// but the most trusted one, and what an earlier pull had left. Then it comes whole, in one piece, from that one.
    async fn bring(&self, staging: &Staging, place: usize) -> Result<()> {
        let blob = self.blob(place);
        let claim = staging.claim(blob).await?;
        self.state().scheduler.found(blob.size);
        let Claim::Fetch(ingest) = claim else {
            self.events.emit(|| Event::BlobFound { digest: blob.digest.clone(), size: blob.size });
            return Ok(());
        };
        tracing::info!(digest = %blob.digest, size = blob.size, resumed = ingest.is_resumed(), "fetching a blob");
        let mut missing = ingest.missing().to_vec();
        self.state().provenance.insert(place, Provenance::of_rest(&missing, blob.size));
        self.tell_start(place, &missing);
        let mut finder = self.blobs[place].sources.finder.as_ref().map(|finder| finder.find(blob));
        let (mut in_pieces, mut suspected) = (true, Vec::new());
        loop {
            let pieces = self.fetch(place, &ingest, &missing, in_pieces, &mut finder).await;
            match ingest.commit().await {
                Err(error) if *error.kind() == ErrorKind::DigestMismatch => {
                    let parts = self.suspects(place);
                    missing = if !parts.is_empty() {
                        joined(&parts)
                    } else if in_pieces
                        && (pieces > 1
                            || missing.iter().map(|gap| gap.end - gap.start).sum::<u64>() < blob.size)
                    {
                        in_pieces = false;
                        self.state().provenance.remove(&place);
                        std::iter::once(0..blob.size).collect()
                    } else {
                        return Err(error);
                    };
                    suspected.extend(parts);
                    tracing::warn!(digest = %blob.digest, "a blob is wrong; fetching a part of it again");
                    ingest.reopen(&missing).await?;
                    self.tell_start(place, &missing);
                }
                outcome => {
                    outcome?;
                    self.name_liars(place, &suspected, &ingest.replaced());
                    self.events.emit(|| Event::BlobVerified { digest: blob.digest.clone() });
                    return Ok(());
                }
            }
        }
    }

    /// Has what is missing of a blob fetched; says in how many pieces. Sources that are found meanwhile are added.
    async fn fetch(
        &self,
        place: usize,
        ingest: &Ingest,
        missing: &[Range<u64>],
        in_pieces: bool,
        finder: &mut Option<Found>,
    ) -> usize {
        let is_whole = Arc::new(Notify::new());
        let has_choice = {
            let mut state = self.state();
            state.scheduler.add(place, missing, in_pieces);
            state.open.insert(place, Open { queue: ingest.queue().clone(), is_whole: is_whole.clone() });
            state.sources.len() > 1
        };
        if has_choice {
            self.announce();
        } else {
            self.work.notify_waiters(); // to wake all others for each of many small blobs is dear
        }
        loop {
            let whole = is_whole.notified();
            if self.state().scheduler.is_written(place) {
                break;
            }
            let Some(found) = finder else {
                whole.await;
                continue;
            };
            match future::select(pin!(whole), found.next()).await {
                Either::Left(_) => {}
                Either::Right((None, _)) => *finder = None,
                Either::Right((Some(source), _)) => {
                    self.state().add(self.fetcher, place, Tier::Peer, source);
                    self.announce();
                }
            }
        }
        let mut state = self.state();
        state.open.remove(&place);
        state.scheduler.remove(place)
    }

    /// What of a wrong blob has to come again, with who brought it.
    fn suspects(&self, place: usize) -> Vec<(Range<u64>, Option<usize>)> {
        let mut state = self.state();
        let State { candidates, provenance, .. } = &mut *state;
        let Some(provenance) = provenance.get_mut(&place) else { return Vec::new() };
        let suspects = candidates[place].suspect(&provenance.sources());
        provenance.take(&suspects)
    }

    /// Of those whose part came again, the ones whose bytes were others are named, and rest for long.
    fn name_liars(&self, place: usize, suspected: &[(Range<u64>, Option<usize>)], replaced: &[Range<u64>]) {
        let overlaps = |part: &Range<u64>| replaced.iter().any(|r| r.start < part.end && part.start < r.end);
        let liars: HashSet<_> =
            suspected.iter().filter(|(part, _)| overlaps(part)).filter_map(|(_, source)| *source).collect();
        let state = self.state();
        for liar in liars {
            let Known { source, state: known, .. } = &state.sources[liar];
            known.lied();
            tracing::warn!(digest = %self.blob(place).digest, %source, "a source sent wrong bytes");
        }
    }

    /// What one connection does, until all blobs are there.
    async fn work(&self) -> Result<Infallible> {
        loop {
            let (work, choice) = (self.work.notified(), self.choice.notified());
            let next = self.state().next_source(Instant::now());
            let Some(source) = next else {
                _ = timeout(LOOK_AGAIN, work).await;
                continue;
            };
            // While this waits for a connection, another source may turn up.
            let Either::Left((slot, _)) =
                future::select(pin!(source.state.limiter.enter()), pin!(choice)).await
            else {
                continue;
            };
            let piece = self.state().take(&source, Instant::now());
            if let Some(piece) = piece {
                self.carry(&piece, source.clone(), slot).await?;
            }
        }
    }

    /// Hands over what came of a blob, as far as the piece is to bring it. Says how much that was.
    pub(crate) async fn take_in(
        &self,
        piece: &Piece,
        source: &Known,
        offset: u64,
        bytes: &bytes::Bytes,
    ) -> Result<()> {
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
        state.budget = most_tries(self.fetcher).min(state.budget.saturating_add(bytes));
        state.scheduler.written(piece, bytes);
        if state.scheduler.is_written(piece.blob)
            && let Some(open) = state.open.get(&piece.blob)
        {
            open.is_whole.notify_waiters();
        }
    }

    /// There is something that other connections may do, or better do.
    pub(crate) fn announce(&self) {
        self.work.notify_waiters();
        self.choice.notify_waiters();
    }

    fn tell_start(&self, place: usize, missing: &[Range<u64>]) {
        let Descriptor { digest, size, .. } = self.blob(place);
        self.events.emit(|| Event::BlobStarted { digest: digest.clone(), size: *size });
        let left = missing.iter().map(|gap| gap.end - gap.start).sum::<u64>();
        self.progress(place, size - left, || Source::Store);
    }

    fn progress(&self, place: usize, bytes: u64, from: impl FnOnce() -> Source) {
        if bytes > 0 {
            let digest = || self.blob(place).digest.clone();
            self.events.emit(|| Event::BlobProgress { digest: digest(), bytes, from: from() });
        }
    }

    pub(crate) fn blob(&self, place: usize) -> &Descriptor {
        &self.blobs[place].blob
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, fetcher: &Fetcher, blob: usize, tier: Tier, source: Arc<dyn BlobSource>) {
        let known = self.sources.iter().find(|known| Arc::ptr_eq(&known.source, &source));
        let place = known.map(|known| known.place);
        let place = place.unwrap_or_else(|| {
            let (place, state) = (self.sources.len(), fetcher.state(source.id()));
            self.sources.push(Known { place, source, state });
            place
        });
        self.candidates[blob].add(tier, place);
    }

    /// The source to open a connection to. `None`: there is nothing to do for now.
    fn next_source(&mut self, now: Instant) -> Option<Known> {
        self.scheduler.look(now);
        let standing = |source| self.standing(source);
        let next =
            self.scheduler.unasked().find_map(|blob| self.candidates[blob].next(&HashSet::new(), standing));
        next.or_else(|| self.rescuer(now)).or_else(|| self.helper(now)).map(|source| self.source(source))
    }

    /// The source that takes over what another one is hopelessly slow to bring, or does so itself over another
    /// connection.
    fn rescuer(&self, now: Instant) -> Option<usize> {
        let (blob, slow) = self.scheduler.hopeless(now, |blob, slow| self.has_others(blob, slow))?;
        Some(self.other(blob, slow).unwrap_or(slow))
    }

    /// The source that brings a part of what takes longest, if it may gain by that.
    fn helper(&self, now: Instant) -> Option<usize> {
        let (blob, _) = self.scheduler.divided(now)?;
        let source = self.candidates[blob].next(&HashSet::new(), |source| self.standing(source))?;
        Some(source).filter(|&source| self.sources[source].state.limiter.may_gain())
    }

    fn other(&self, blob: usize, source: usize) -> Option<usize> {
        self.candidates[blob].next(&HashSet::from([source]), |source| self.standing(source))
    }

    fn has_others(&self, blob: usize, source: usize) -> bool {
        self.other(blob, source).is_some()
    }

    /// The next piece for a connection to this source.
    fn take(&mut self, source: &Known, now: Instant) -> Option<Piece> {
        let terms = terms(source);
        let may: HashSet<_> = {
            let may_ask =
                |&blob: &usize| self.candidates[blob].may_ask(source.place, |place| self.standing(place));
            self.scheduler.unasked().filter(may_ask).collect()
        };
        if let Some(piece) = self.scheduler.take(&terms, |blob| may.contains(&blob), now) {
            return Some(piece);
        }
        if self.scheduler.unasked().next().is_some() {
            return None;
        }
        let is = |chosen: Option<usize>| chosen == Some(source.place);
        let rescuer = self.rescuer(now);
        if is(rescuer) {
            self.take_over(&terms, now)
        } else if rescuer.is_none() && is(self.helper(now)) {
            self.scheduler.divide(&terms, now)
        } else {
            None
        }
    }

    fn take_over(&mut self, terms: &Terms, now: Instant) -> Option<Piece> {
        let Self { scheduler, candidates, sources, .. } = self;
        let has_others = |blob: usize, slow: usize| {
            candidates[blob].next(&HashSet::from([slow]), |source| standing(sources, source)).is_some()
        };
        let (piece, slow) = scheduler.take_over(terms, has_others, now)?;
        if slow != terms.source {
            self.sources[slow].state.was_in_trouble();
        }
        Some(piece)
    }

    /// A piece goes on at this source.
    pub(crate) fn goes_to(&mut self, piece: &Piece, source: &Known, now: Instant) {
        self.scheduler.goes_to(piece, &terms(source), now);
    }

    pub(crate) fn source(&self, place: usize) -> Known {
        self.sources[place].clone()
    }

    /// Where pieces of a blob go on that were tried in vain at these sources.
    pub(crate) fn after(&self, blob: usize, tried: &HashSet<usize>) -> Option<Known> {
        let next = self.candidates[blob].next(tried, |source| self.standing(source));
        next.map(|source| self.source(source))
    }

    fn standing(&self, source: usize) -> Standing {
        standing(&self.sources, source)
    }

    /// Whether there may be another try, of one that brought nothing.
    pub(crate) fn spend_a_try(&mut self) -> bool {
        let left = self.budget.checked_sub(PRICE_OF_A_TRY);
        self.budget = left.unwrap_or(self.budget);
        left.is_some()
    }
}

fn terms(source: &Known) -> Terms {
    Terms {
        source: source.place,
        connections: source.state.limiter.allowed(),
        pace: source.state.pace(),
        has_ranges: source.state.has_ranges(),
        may_gain: source.state.limiter.may_gain(),
    }
}

/// A request takes the longer the more run already; a source whose pace is not known gets to show it.
#[expect(clippy::cast_precision_loss)]
fn standing(sources: &[Known], source: usize) -> Standing {
    let known = &sources[source].state;
    let best = || sources.iter().filter_map(|known| known.state.pace()).fold(0.0, f64::max);
    let pace = known.pace().unwrap_or_else(best).max(1.0);
    let load = (known.limiter.in_use() + 1) as f64 / pace;
    Standing { is_resting: known.is_resting(), load }
}

/// How much a fetch may spend on tries that bring nothing: each connection may use up its own.
fn most_tries(fetcher: &Fetcher) -> u64 {
    PRICE_OF_A_TRY.saturating_mul(fetcher.retries.saturating_mul(fetcher.connections) as u64)
}
