//! Which source to ask for a blob next: by tier, then by load, without those that are no good for it.

use std::collections::HashSet;

use hoist_core::{Descriptor, Error, ErrorKind};

use crate::source::{Tier, Verdict};

/// The sources of one blob, by their places in the fetch.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    list: Vec<Candidate>,
    /// The blob turned out wrong: the origin is asked first.
    most_trusted_first: bool,
}

#[derive(Debug)]
struct Candidate {
    tier: Tier,
    source: usize,
    /// It is not asked for this blob again.
    is_out: bool,
    /// What it said last.
    error: Option<Error>,
}

/// How a source is doing, as far as its choice depends on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) is_resting: bool,
    /// Lower is better: how long a new request would take, in any unit.
    pub(crate) load: f64,
}

impl Candidates {
    pub(crate) fn add(&mut self, tier: Tier, source: usize) {
        if self.list.iter().all(|known| known.source != source) {
            self.list.push(Candidate { tier, source, is_out: false, error: None });
        }
    }

    /// The source to ask next, without those that were tried in vain since the last success. `None`: there is no other.
    pub(crate) fn next(&self, tried: &HashSet<usize>, standing: impl Fn(usize) -> Standing) -> Option<usize> {
        let left = || self.usable().filter(|candidate| !tried.contains(&candidate.source));
        let best = |resting: bool| {
            left()
                .map(|candidate| (candidate, standing(candidate.source)))
                .filter(|(candidate, standing)| Self::rests(candidate, standing) == resting)
                .min_by(|(a, x), (b, y)| self.rank(a).cmp(&self.rank(b)).then(x.load.total_cmp(&y.load)))
                .map(|(candidate, _)| candidate.source)
        };
        // What the origin said of the blob is said; where it said nothing, anybody may be asked.
        best(false).or_else(|| if self.origin_is_out() { None } else { best(true) })
    }

    /// Whether this source may be asked now, in place of an equal one.
    pub(crate) fn may_ask(&self, source: usize, standing: impl Fn(usize) -> Standing) -> bool {
        let Some(best) = self.next(&HashSet::new(), standing) else { return false };
        let rank = |source| self.usable().find(|known| known.source == source).map(|known| self.rank(known));
        rank(source).is_some_and(|own| Some(own) == rank(best))
    }

    /// Notes what a source said.
    pub(crate) fn failed(&mut self, source: usize, verdict: Verdict, error: Error) {
        if let Some(known) = self.find(source) {
            known.is_out |= matches!(verdict, Verdict::NotHere | Verdict::Wrong);
            known.error = Some(error);
        }
    }

    /// The blob turned out wrong. Its bytes came from these: none is asked for it again, but for the most trusted one,
    /// which is asked first. Gives those whose bytes have to come again.
    pub(crate) fn suspect(&mut self, brought: &HashSet<usize>) -> HashSet<usize> {
        self.most_trusted_first = true;
        let trusted = self.usable().min_by_key(|known| self.rank(known)).map(|known| known.source);
        let suspects: HashSet<_> =
            brought.iter().copied().filter(|source| Some(*source) != trusted).collect();
        for known in &mut self.list {
            known.is_out |= suspects.contains(&known.source);
        }
        suspects
    }

    /// The error of a blob that no source brought: that of the lowest tier, which was asked last. Only the origin's
    /// word counts for a blob that is not there.
    pub(crate) fn error(&self, blob: &Descriptor) -> Error {
        let said = self.list.iter().filter(|known| known.error.is_some()).max_by_key(|known| known.tier);
        match said.and_then(|known| Some((known.tier, known.error.clone()?))) {
            Some((tier, error)) if tier >= Tier::Origin || *error.kind() != ErrorKind::NotFound => error,
            Some((_, error)) => {
                Error::new(ErrorKind::Unavailable, format!("no source has the blob {}", blob.digest))
                    .with_source(error)
            }
            None => {
                Error::new(ErrorKind::Unavailable, format!("there is no source of the blob {}", blob.digest))
            }
        }
    }

    fn usable(&self) -> impl Iterator<Item = &Candidate> {
        let may_go_elsewhere = self.origin_lacks_it() || !self.has_origin();
        self.list.iter().filter(move |known| {
            !known.is_out && (may_go_elsewhere || !matches!(known.tier, Tier::Foreign(_)))
        })
    }

    /// The origin said that it does not have the blob.
    fn origin_lacks_it(&self) -> bool {
        let lacks = |error: &Error| *error.kind() == ErrorKind::NotFound;
        self.list.iter().any(|known| {
            known.tier == Tier::Origin && known.is_out && known.error.as_ref().is_some_and(lacks)
        })
    }

    fn has_origin(&self) -> bool {
        self.list.iter().any(|known| known.tier == Tier::Origin)
    }

    fn origin_is_out(&self) -> bool {
        self.list.iter().any(|known| known.tier == Tier::Origin && known.is_out)
    }

    /// The origin never rests, nor do the sources after it: no other source could take their place.
    fn rests(candidate: &Candidate, standing: &Standing) -> bool {
        standing.is_resting && candidate.tier < Tier::Origin
    }

    fn rank(&self, candidate: &Candidate) -> (bool, Tier) {
        (self.most_trusted_first && candidate.tier != Tier::Origin, candidate.tier)
    }

    fn find(&mut self, source: usize) -> Option<&mut Candidate> {
        self.list.iter_mut().find(|known| known.source == source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Standing = Standing { is_resting: false, load: 0.0 };

    /// Peers 0 and 1, a mirror 2, the origin 3, a foreign address 4.
    fn candidates() -> Candidates {
        let mut candidates = Candidates::default();
        let tiers = [Tier::Peer, Tier::Peer, Tier::Mirror(0), Tier::Origin, Tier::Foreign(0)];
        tiers.into_iter().enumerate().for_each(|(source, tier)| candidates.add(tier, source));
        candidates
    }

    fn not_found() -> Error {
        Error::new(ErrorKind::NotFound, "no such blob")
    }

    fn next(candidates: &Candidates) -> Option<usize> {
        candidates.next(&HashSet::new(), |_| IDLE)
    }

    #[test]
    fn a_lower_tier_is_asked_for_what_all_above_lack() {
        let mut candidates = candidates();
        let mut asked = Vec::new();
        while let Some(source) = next(&candidates) {
            asked.push(source);
            candidates.failed(source, Verdict::NotHere, not_found());
        }
        assert_eq!(asked, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn of_equals_the_one_with_the_least_to_do_is_asked() {
        let load = |source| Standing { load: if source == 0 { 2.0 } else { 1.0 }, ..IDLE };
        assert_eq!(candidates().next(&HashSet::new(), load), Some(1));
        assert!(candidates().may_ask(0, load) && !candidates().may_ask(3, load));
    }

    #[test]
    fn who_rests_is_asked_last_and_not_once_the_origin_has_spoken() {
        let mut candidates = candidates();
        let resting = |source| Standing { is_resting: source < 3, ..IDLE };
        assert_eq!(candidates.next(&HashSet::new(), resting), Some(3));
        assert_eq!(candidates.next(&HashSet::from([3]), resting), Some(0), "the origin cannot be reached");
        candidates.failed(3, Verdict::NotHere, not_found());
        assert_eq!(candidates.next(&HashSet::from([4]), resting), None);
    }

    #[test]
    fn only_the_origin_says_that_there_is_no_such_blob() {
        let blob = Descriptor::of("text/plain", b"");
        let mut candidates = candidates();
        candidates.failed(2, Verdict::NotHere, not_found());
        assert_eq!(*candidates.error(&blob).kind(), ErrorKind::Unavailable);
        candidates.failed(3, Verdict::NotHere, not_found());
        assert_eq!(*candidates.error(&blob).kind(), ErrorKind::NotFound);
    }

    #[test]
    fn of_a_wrong_blob_all_but_the_most_trusted_are_suspects() {
        let mut candidates = candidates();
        assert_eq!(candidates.suspect(&HashSet::from([0, 2, 3])), HashSet::from([0, 2]));
        assert_eq!(next(&candidates), Some(3));
    }
}
