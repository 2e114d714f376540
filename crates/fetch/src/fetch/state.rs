//! The state that the connections of a fetch share: the scheduler, the sources, and the budget of failed tries.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hoist_store::WriteQueue;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::candidates::{Candidates, Standing};
use crate::fetcher::{Fetcher, Wanted};
use crate::provenance::Provenance;
use crate::scheduler::{Piece, Scheduler, Terms};
use crate::source::{BlobSource, Tier};
use crate::source_state::SourceState;

/// The price of a failed try, taken from the fetch's budget. Bytes that arrive pay it back.
const PRICE_OF_A_TRY: u64 = 1 << 20;

/// The state that the connections of a fetch share.
pub(super) struct State {
    pub(super) scheduler: Scheduler,
    /// One for each blob, by its place in the image.
    pub(super) candidates: Vec<Candidates>,
    pub(super) sources: Vec<Known>,
    pub(super) open: HashMap<usize, Open>,
    pub(super) provenance: HashMap<usize, Provenance>,
    /// The rest of the budget for tries that bring nothing, in bytes.
    pub(super) budget: u64,
}

/// A blob that is being fetched.
#[derive(Clone)]
pub(super) struct Open {
    pub(super) queue: WriteQueue,
    /// Notified when all of the blob is in the queue.
    pub(super) is_whole: Arc<Notify>,
}

/// A source of this fetch.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) place: usize,
    pub(super) source: Arc<dyn BlobSource>,
    pub(super) state: Arc<SourceState>,
}

impl State {
    pub(super) fn new(fetcher: &Fetcher, blobs: &[Wanted]) -> Self {
        let bytes = blobs.iter().fold(0, |sum, wanted| wanted.blob.size.saturating_add(sum));
        let mut state = Self {
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
        state
    }

    pub(super) fn add(&mut self, fetcher: &Fetcher, blob: usize, tier: Tier, source: Arc<dyn BlobSource>) {
        let known = self.sources.iter().find(|known| Arc::ptr_eq(&known.source, &source));
        let place = known.map(|known| known.place);
        let place = place.unwrap_or_else(|| {
            let (place, state) = (self.sources.len(), fetcher.state(source.id()));
            self.sources.push(Known { place, source, state });
            place
        });
        self.candidates[blob].add(tier, place);
    }

    /// The source to request from next. `None`: there is no work for now.
    pub(super) fn next_source(&mut self, now: Instant) -> Option<Known> {
        self.scheduler.look(now);
        let standing = |source| self.standing(source);
        let next =
            self.scheduler.unasked().find_map(|blob| self.candidates[blob].next(&HashSet::new(), standing));
        next.or_else(|| self.rescuer(now)).or_else(|| self.helper(now)).map(|source| self.source(source))
    }

    /// The source that takes over a piece from a hopelessly slow one. If there is no other source, the slow one is
    /// asked again over another connection.
    fn rescuer(&self, now: Instant) -> Option<usize> {
        let (blob, slow) = self.scheduler.hopeless(now, |blob, slow| self.has_others(blob, slow))?;
        Some(self.other(blob, slow).unwrap_or(slow))
    }

    /// The source that takes a part of the piece that will end last, if another connection may raise its throughput.
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
    pub(super) fn take(&mut self, source: &Known, now: Instant) -> Option<Piece> {
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

    /// Moves a piece to this source.
    pub(super) fn goes_to(&mut self, piece: &Piece, source: &Known, now: Instant) {
        self.scheduler.goes_to(piece, &terms(source), now);
    }

    pub(super) fn source(&self, place: usize) -> Known {
        self.sources[place].clone()
    }

    /// The next source for a piece of a blob, after these sources were tried in vain.
    pub(super) fn after(&self, blob: usize, tried: &HashSet<usize>) -> Option<Known> {
        let next = self.candidates[blob].next(tried, |source| self.standing(source));
        next.map(|source| self.source(source))
    }

    fn standing(&self, source: usize) -> Standing {
        standing(&self.sources, source)
    }

    /// Pays for another try after one that brought nothing. `false`: the budget is used up.
    pub(super) fn spend_a_try(&mut self) -> bool {
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

/// The load of a source grows with the number of its running requests. A source of unknown pace counts as the fastest
/// one, so that its pace is found out.
#[expect(clippy::cast_precision_loss)]
fn standing(sources: &[Known], source: usize) -> Standing {
    let known = &sources[source].state;
    let best = || sources.iter().filter_map(|known| known.state.pace()).fold(0.0, f64::max);
    let pace = known.pace().unwrap_or_else(best).max(1.0);
    let load = (known.limiter.in_use() + 1) as f64 / pace;
    Standing { is_resting: known.is_resting(), load }
}

/// The budget for tries that bring nothing: enough for each connection to use up its retries.
pub(super) fn most_tries(fetcher: &Fetcher) -> u64 {
    PRICE_OF_A_TRY.saturating_mul(fetcher.retries.saturating_mul(fetcher.connections) as u64)
}
