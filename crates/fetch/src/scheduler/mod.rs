//! The scheduler decides which range to request next. It cuts the missing bytes of an image's blobs into pieces as
//! connections fall idle.
//!
//! A piece is measured in time: it takes a connection one second at most. So a fast link takes whole blobs, and a slow
//! one gets a part of a blob. The range that continues a blob's contiguous front goes first, since bytes ahead of the
//! front have to be read back to be hashed. When every range is requested, an idle connection takes over a piece from a
//! hopelessly slow one. A source without ranges brings a blob in one piece.

mod in_flight;
mod missing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use in_flight::InFlight;
use missing::{Missing, length};

/// The smallest piece, unless the blob is smaller: each piece costs a round trip.
const SMALLEST: u64 = 1 << 20;
/// The largest piece of a source of unknown pace.
const FIRST: u64 = 8 << 20;
/// The same for a near source, which begins with few connections: most layers are one piece then.
const FIRST_NEAR: u64 = 32 << 20;
/// The longest time of a piece, in seconds: long enough that requests cost little, short enough to learn from.
const LONGEST: f64 = 1.0;
/// The shortest time of a piece, in seconds, even if less is left to share out.
const SHORTEST: f64 = 0.1;
/// The smallest part that a piece in flight is split into.
const SMALLEST_SHARE: u64 = 128 << 10;
/// A piece that ends within this many seconds is not split: a split costs a round trip, and a connection.
const SOON: f64 = 0.25;
/// How long a connection may be mute, or far below the usual pace, before its piece is taken over. The time doubles
/// with each takeover of the same piece, so that a source that is slow by nature gets to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many times slower than the usual pace is far below it.
const FAR_BELOW: f64 = 8.0;
/// A connection below this pace, in bytes a second, is slow if there is another source.
const SLOW: f64 = 64e3;

/// The missing bytes of an image's blobs, and the pieces in flight.
#[derive(Debug)]
pub(crate) struct Scheduler {
    /// The bytes of blobs whose missing ranges are not known yet.
    ahead: u64,
    /// The blobs, by their places in the image.
    blobs: BTreeMap<usize, Missing>,
    in_flight: BTreeMap<u64, InFlight>,
    next: u64,
    /// Whether every missing range is requested, so that connections are idle.
    is_shared_out: bool,
    /// The recent pace of a connection, in bytes a second.
    usual: Option<f64>,
    /// The number of bytes that arrived over all connections.
    came: u64,
}

/// A part of a blob that one connection transfers.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// The blob's place in the image.
    pub(crate) blob: usize,
    id: u64,
    /// Notified when other connections have taken over the rest.
    pub(crate) relieved: Arc<Notify>,
}

/// How to request from a source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// Its place in the fetch.
    pub(crate) source: usize,
    pub(crate) connections: usize,
    /// The pace of one connection, in bytes a second.
    pub(crate) pace: Option<f64>,
    pub(crate) has_ranges: bool,
    /// Whether more connections may raise the sum: it is not known that they do not.
    pub(crate) may_gain: bool,
}

impl Scheduler {
    /// A scheduler for blobs of `bytes` bytes in all.
    pub(crate) fn new(bytes: u64) -> Self {
        let (blobs, in_flight) = (BTreeMap::new(), BTreeMap::new());
        Self { ahead: bytes, blobs, in_flight, next: 0, is_shared_out: false, usual: None, came: 0 }
    }

    /// Notes that the missing ranges of a blob of `size` bytes are known now.
    pub(crate) fn found(&mut self, size: u64) {
        self.ahead = self.ahead.saturating_sub(size);
    }

    /// Adds a blob with these missing ranges. It is requested in pieces if it `is_divisible`.
    pub(crate) fn add(&mut self, blob: usize, gaps: &[Range<u64>], is_divisible: bool) {
        let left = length(gaps);
        let unasked = gaps.iter().filter(|gap| !gap.is_empty()).cloned().collect();
        self.blobs.insert(blob, Missing { unasked, left, is_divisible, pieces: 0 });
    }

    /// Removes a blob, and returns the number of its pieces.
    pub(crate) fn remove(&mut self, blob: usize) -> usize {
        self.blobs.remove(&blob).map_or(0, |missing| missing.pieces)
    }

    /// Whether ranges of a blob may be requested.
    pub(crate) fn is_divisible(&self, blob: usize) -> bool {
        self.blobs.get(&blob).is_some_and(|missing| missing.is_divisible)
    }

    /// Whether all of a blob is written.
    pub(crate) fn is_written(&self, blob: usize) -> bool {
        self.blobs.get(&blob).is_none_or(|missing| missing.left == 0)
    }

    /// The blobs with ranges that are not requested yet, in their order.
    pub(crate) fn unasked(&self) -> impl Iterator<Item = usize> {
        self.blobs.iter().filter(|(_, missing)| !missing.unasked.is_empty()).map(|(&blob, _)| blob)
    }

    /// The blob and the source of the piece that is hopelessly slow.
    pub(crate) fn hopeless(
        &self,
        now: Instant,
        has_others: impl Fn(usize, usize) -> bool,
    ) -> Option<(usize, usize)> {
        let id = self.slowest(now, has_others)?;
        self.in_flight.get(&id).map(|flight| (flight.blob, flight.source))
    }

    /// The next piece for a connection to this source, from the blobs that `may_ask` allows.
    pub(crate) fn take(
        &mut self,
        terms: &Terms,
        may_ask: impl Fn(usize) -> bool,
        now: Instant,
    ) -> Option<Piece> {
        let size = self.piece_size(terms);
        let begun = |blob: usize| self.in_flight.values().any(|flight| flight.blob == blob);
        let open = |(blob, missing): (&usize, &Missing)| {
            (!missing.unasked.is_empty() && may_ask(*blob)).then_some((*blob, missing.pieces > 0))
        };
        // A blob without a piece in flight goes on at its front. Of these, one that was begun is finished first.
        let fronts = self.blobs.iter().filter_map(open).filter(|&(blob, _)| !begun(blob));
        let next = fronts.min_by_key(|&(_, was_begun)| !was_begun);
        let next = next.or_else(|| self.blobs.iter().find_map(open));
        let (blob, _) = next?;
        let missing = self.blobs.get_mut(&blob)?;
        let to_come = missing.cut(size, terms.has_ranges);
        Some(self.start(blob, terms.source, to_come, now, PATIENCE))
    }

    /// Takes over the piece of a hopelessly slow connection.
    pub(crate) fn take_over(
        &mut self,
        terms: &Terms,
        has_others: impl Fn(usize, usize) -> bool,
        now: Instant,
    ) -> Option<(Piece, usize)> {
        let id = self.slowest(now, has_others)?;
        let flight = self.in_flight.get_mut(&id)?;
        let to_come = std::mem::take(&mut flight.to_come);
        flight.relieved.notify_one();
        let (blob, source, patience) = (flight.blob, flight.source, flight.patience * 2);
        self.blobs.get_mut(&blob)?.pieces += 1;
        Some((self.start(blob, terms.source, to_come, now, patience), source))
    }

    /// Notes whether every missing range is requested, so that connections fall idle.
    pub(crate) fn look(&mut self, now: Instant) {
        let was_shared_out = self.is_shared_out;
        let is_shared_out = self.unasked().next().is_none();
        self.is_shared_out = is_shared_out;
        if self.is_shared_out && !was_shared_out {
            for flight in self.in_flight.values_mut() {
                flight.lap = Some((now, flight.brought));
            }
        }
    }

    /// The blob and the source of the piece that an idle connection could take a part of.
    pub(crate) fn divided(&self, now: Instant) -> Option<(usize, usize)> {
        let id = self.last_to_end(now)?;
        self.in_flight.get(&id).map(|flight| (flight.blob, flight.source))
    }

    /// Takes half of a piece in flight, so that both connections end at once. Where each connection has a pace of its
    /// own, this raises the sum.
    pub(crate) fn divide(&mut self, terms: &Terms, now: Instant) -> Option<Piece> {
        let id = self.last_to_end(now).filter(|_| terms.may_gain && terms.has_ranges)?;
        let usual = self.usual.unwrap_or(0.0);
        let flight = self.in_flight.get_mut(&id)?;
        let rate = flight.rate_alone(now)?;
        let gap = flight.to_come.back_mut()?;
        #[expect(clippy::cast_precision_loss, clippy::cast_sign_loss, clippy::cast_possible_truncation)]
        let stays = ((gap.end - gap.start) as f64 * rate / (rate + usual.max(rate))) as u64;
        let taken = gap.start + stays.max(SMALLEST_SHARE)..gap.end;
        gap.end = taken.start;
        let blob = flight.blob;
        self.blobs.get_mut(&blob)?.pieces += 1;
        Some(self.start(blob, terms.source, [taken].into(), now, PATIENCE))
    }

    /// The missing bytes of the piece: from the first byte to behind the last one. `None`: it is done.
    pub(crate) fn to_come(&self, piece: &Piece) -> Option<Range<u64>> {
        let to_come = &self.in_flight.get(&piece.id)?.to_come;
        Some(to_come.front()?.start..to_come.back()?.end)
    }

    /// The number of bytes that the piece has brought.
    pub(crate) fn brought(&self, piece: &Piece) -> u64 {
        self.in_flight.get(&piece.id).map_or(0, |flight| flight.brought)
    }

    /// The first part of the bytes that the piece lacks. The caller has to write it, and then to call
    /// [`written`](Self::written).
    pub(crate) fn accept(&mut self, piece: &Piece, came: Range<u64>, now: Instant) -> Option<Range<u64>> {
        let flight = self.in_flight.get_mut(&piece.id)?;
        let gap = flight.to_come.front_mut()?;
        let part = gap.start.max(came.start)..gap.end.min(came.end);
        if part.is_empty() || part.start != gap.start {
            return None; // bytes behind a gap are of no use yet
        }
        gap.start = part.end;
        if gap.is_empty() {
            flight.to_come.pop_front();
        }
        let length = part.end - part.start;
        flight.brought += length;
        self.came += length;
        flight.last = (now, self.came);
        Some(part)
    }

    /// Notes that bytes of a piece were written.
    pub(crate) fn written(&mut self, piece: &Piece, bytes: u64) {
        if let Some(missing) = self.blobs.get_mut(&piece.blob) {
            missing.left = missing.left.saturating_sub(bytes);
        }
    }

    /// Notes how long this machine was busy with bytes that had arrived. This time does not count for the connection,
    /// nor for the others, which waited meanwhile.
    pub(crate) fn was_busy(&mut self, took: Duration, now: Instant) {
        for flight in self.in_flight.values_mut() {
            flight.since = now.min(flight.since + took);
            flight.last.0 = now.min(flight.last.0 + took);
            flight.lap = flight.lap.map(|(since, brought)| (now.min(since + took), brought));
        }
    }

    /// Moves the piece to another source. If it is larger than a new piece would be, the rest is shared out again.
    pub(crate) fn goes_to(&mut self, piece: &Piece, terms: &Terms, now: Instant) {
        let (came, size) = (self.came, self.piece_size(terms));
        let divides = terms.has_ranges && self.is_divisible(piece.blob);
        let Some(flight) = self.in_flight.get_mut(&piece.id) else { return };
        (flight.source, flight.since, flight.last, flight.lap) = (terms.source, now, (now, came), None);
        let Some(missing) = self.blobs.get_mut(&piece.blob).filter(|_| divides) else { return };
        let Some(first) = flight.to_come.front_mut() else { return };
        let end = first.end.min(first.start.saturating_add(size));
        let rest = end..first.end;
        first.end = end;
        let rest = std::iter::once(rest).filter(|rest| !rest.is_empty()).chain(flight.to_come.drain(1..));
        missing.unasked.extend(rest);
        missing.unasked.make_contiguous().sort_by_key(|gap| gap.start);
    }

    /// Removes a piece that is done, or given up. Returns its pace, in bytes a second.
    pub(crate) fn finish(&mut self, piece: &Piece, now: Instant) -> Option<f64> {
        let rate = self.in_flight.remove(&piece.id)?.rate_of_all(now)?;
        self.usual = Some(self.usual.map_or(rate, |usual| (3.0 * usual + rate) / 4.0));
        Some(rate)
    }

    /// Notes that the source of a piece has no ranges: merges all its pieces of the blob, and the ranges that are not
    /// requested yet, into this piece.
    pub(crate) fn merge(&mut self, piece: &Piece) {
        let flight = self.in_flight.get(&piece.id).filter(|flight| !flight.to_come.is_empty());
        let Some(source) = flight.map(|flight| flight.source) else { return };
        let Some(missing) = self.blobs.get_mut(&piece.blob) else { return };
        let mut gaps = Vec::from(std::mem::take(&mut missing.unasked));
        for (&id, flight) in &mut self.in_flight {
            if flight.blob == piece.blob && flight.source == source {
                gaps.extend(flight.to_come.drain(..));
                if id != piece.id {
                    flight.relieved.notify_one();
                }
            }
        }
        gaps.sort_by_key(|gap| gap.start);
        if let Some(flight) = self.in_flight.get_mut(&piece.id) {
            flight.to_come = gaps.into();
        }
    }

    /// The size of the next piece: a connection's share of the missing bytes, within the limits on its time.
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation)]
    fn piece_size(&self, terms: &Terms) -> u64 {
        let unasked = self.blobs.values().flat_map(|missing| &missing.unasked);
        let in_flight = self.in_flight.values().flat_map(|flight| &flight.to_come);
        let all = self.ahead.saturating_add(length(unasked.chain(in_flight)));
        let share = all / terms.connections.max(1) as u64;
        let size = match terms.pace {
            None => share.min(if terms.may_gain { FIRST } else { FIRST_NEAR }),
            Some(pace) => share.clamp((pace * SHORTEST) as u64, (pace * LONGEST) as u64),
        };
        size.max(SMALLEST)
    }

    fn start(
        &mut self,
        blob: usize,
        source: usize,
        to_come: VecDeque<Range<u64>>,
        since: Instant,
        patience: Duration,
    ) -> Piece {
        let id = self.next;
        self.next += 1;
        let last = (since, self.came);
        let flight = InFlight {
            blob,
            source,
            to_come,
            since,
            brought: 0,
            last,
            lap: None,
            patience,
            relieved: Arc::default(),
        };
        let piece = Piece { blob, id, relieved: flight.relieved.clone() };
        self.in_flight.insert(id, flight);
        piece
    }

    /// The hopelessly slow piece that will end last. Only there a cut is worth its cost: a connection, and the bytes in
    /// its buffers.
    fn slowest(&self, now: Instant, has_others: impl Fn(usize, usize) -> bool) -> Option<u64> {
        let slow = self.in_flight.iter().filter(|(_, flight)| {
            self.is_divisible(flight.blob)
                && self.is_hopeless(flight, has_others(flight.blob, flight.source), now)
        });
        slow.max_by(|a, b| a.1.time_left(now).total_cmp(&b.1.time_left(now))).map(|(&id, _)| id)
    }

    /// The piece that will end last, if it is large enough to split.
    fn last_to_end(&self, now: Instant) -> Option<u64> {
        let running = self.in_flight.iter().filter(|(_, flight)| self.is_divisible(flight.blob));
        let left = running.filter_map(|(&id, flight)| {
            let left = length(&flight.to_come);
            let rate = flight.rate_alone(now).filter(|_| left >= 2 * SMALLEST_SHARE)?;
            #[expect(clippy::cast_precision_loss)]
            Some((id, left as f64 / rate))
        });
        left.filter(|(_, left)| *left > SOON).max_by(|a, b| a.1.total_cmp(&b.1)).map(|(id, _)| id)
    }

    /// Whether a connection is mute while others get bytes, or far below the usual pace.
    #[expect(clippy::cast_precision_loss)]
    fn is_hopeless(&self, flight: &InFlight, has_others: bool, now: Instant) -> bool {
        if flight.to_come.is_empty() || flight.age(now) <= flight.patience {
            return false;
        }
        let (since, came) = flight.last;
        let mute_for = now.saturating_duration_since(since);
        // Without processor time or network, no connection gets bytes: that is not the fault of this one.
        let others_bring = self.came - came >= SMALLEST / 4 || self.in_flight.len() == 1;
        if mute_for > flight.patience && others_bring {
            return true;
        }
        let rate = flight.brought as f64 / flight.age(now).as_secs_f64();
        let left = length(&flight.to_come) as f64;
        let is_far_below = self.usual.is_some_and(|usual| rate * FAR_BELOW <= usual);
        let is_far_below = is_far_below || (has_others && rate < SLOW);
        is_far_below && left > rate * flight.patience.as_secs_f64()
    }
}
