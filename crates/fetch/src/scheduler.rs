//! What to ask for next: the missing bytes of an image's blobs, cut into pieces as connections fall idle.
//!
//! A piece is measured in time: at most what its connection brings in a second, so that a fast link takes whole blobs
//! and a slow one shares a blob out. What continues a blob's contiguous front goes first, since bytes ahead of the front
//! are read back to be hashed. When all is shared out, an idle connection takes over what another one is hopelessly slow
//! to bring. A source without ranges brings a blob in one piece.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A piece is not smaller unless the blob is: each costs a round trip.
const SMALLEST: u64 = 1 << 20;
/// A piece is not larger while the pace of its source is not known.
const FIRST: u64 = 8 << 20;
/// The same for a near source, which begins with few connections: most layers are whole then.
const FIRST_NEAR: u64 = 32 << 20;
/// How long a piece takes at most, in seconds: long enough that requests cost little, short enough to learn from.
const LONGEST: f64 = 1.0;
/// How long a piece takes at least, in seconds, though less is left to share out.
const SHORTEST: f64 = 0.1;
/// What another connection is to bring is split in parts that are no smaller.
const SMALLEST_SHARE: u64 = 128 << 10;
/// It is left alone if it is done so soon, in seconds: to split it costs a round trip, and a connection.
const SOON: f64 = 0.25;
/// A connection whose pace grew by more than this when others fell idle had shared a line with them.
const SHARED: f64 = 1.25;
/// How long a connection takes to show its pace.
const WARM_UP: Duration = Duration::from_millis(150);
/// How long a connection may be mute, or far below the usual, before all of its piece is taken over; twice as long each
/// time that the same piece is, so that a source which is slow by nature gets to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many times slower than the usual that is.
const FAR_BELOW: f64 = 8.0;
/// Slower than this, in bytes a second, is slow wherever there is another source to ask.
const SLOW: f64 = 64e3;

/// The bytes that are missing, and who brings them.
#[derive(Debug)]
pub(crate) struct Scheduler {
    /// The bytes of blobs of which it is not known yet what is missing.
    ahead: u64,
    /// By their places in the image.
    blobs: BTreeMap<usize, Missing>,
    flying: BTreeMap<u64, InFlight>,
    next: u64,
    /// Whether all that is missing is asked for, so that connections are idle.
    is_shared_out: bool,
    /// Bytes a second of a connection, as seen lately.
    usual: Option<f64>,
    /// Bytes that have come over all connections.
    came: u64,
}

/// What of one blob is missing.
#[derive(Debug)]
struct Missing {
    /// What nobody is asked for yet.
    unasked: VecDeque<Range<u64>>,
    /// How many bytes are not written yet.
    left: u64,
    is_divisible: bool,
    /// How many pieces it was asked for in.
    pieces: usize,
}

/// A part of a blob that one connection brings.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// The blob's place in the image.
    pub(crate) blob: usize,
    id: u64,
    /// Is told when there is nothing left to bring, because others do it.
    pub(crate) relieved: Arc<Notify>,
}

/// A piece on its way.
#[derive(Debug)]
struct InFlight {
    blob: usize,
    source: usize,
    /// What is still to come: of a divisible blob one range.
    to_come: VecDeque<Range<u64>>,
    since: Instant,
    brought: u64,
    /// When it last brought something, and what had come over all connections by then.
    last: (Instant, u64),
    /// When connections fell idle, and what it had brought by then.
    lap: Option<(Instant, u64)>,
    patience: Duration,
    relieved: Arc<Notify>,
}

/// How a source may be asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// Its place in the fetch.
    pub(crate) source: usize,
    pub(crate) connections: usize,
    /// What one connection brings in a second, in bytes.
    pub(crate) pace: Option<f64>,
    pub(crate) has_ranges: bool,
    /// More connections may raise the sum: it is not known that they do not.
    pub(crate) may_gain: bool,
}

impl Scheduler {
    /// A scheduler for blobs of so many bytes in all.
    pub(crate) fn new(bytes: u64) -> Self {
        let (blobs, flying) = (BTreeMap::new(), BTreeMap::new());
        Self { ahead: bytes, blobs, flying, next: 0, is_shared_out: false, usual: None, came: 0 }
    }

    /// Of a blob of so many bytes it is known now what is missing.
    pub(crate) fn found(&mut self, size: u64) {
        self.ahead = self.ahead.saturating_sub(size);
    }

    /// Adds a blob of which this is missing. It is asked for in ranges if it is `divisible`.
    pub(crate) fn add(&mut self, blob: usize, gaps: &[Range<u64>], is_divisible: bool) {
        let left = length(gaps);
        let unasked = gaps.iter().filter(|gap| !gap.is_empty()).cloned().collect();
        self.blobs.insert(blob, Missing { unasked, left, is_divisible, pieces: 0 });
    }

    /// Forgets a blob; says in how many pieces it was asked for.
    pub(crate) fn remove(&mut self, blob: usize) -> usize {
        self.blobs.remove(&blob).map_or(0, |missing| missing.pieces)
    }

    /// Whether ranges of a blob may be asked for.
    pub(crate) fn is_divisible(&self, blob: usize) -> bool {
        self.blobs.get(&blob).is_some_and(|missing| missing.is_divisible)
    }

    /// Whether all of a blob was written.
    pub(crate) fn is_written(&self, blob: usize) -> bool {
        self.blobs.get(&blob).is_none_or(|missing| missing.left == 0)
    }

    /// The blobs that somebody has to be asked for, in their order.
    pub(crate) fn unasked(&self) -> impl Iterator<Item = usize> {
        self.blobs.iter().filter(|(_, missing)| !missing.unasked.is_empty()).map(|(&blob, _)| blob)
    }

    /// The blob of the piece that its source, which is given too, is hopelessly slow to bring.
    pub(crate) fn hopeless(
        &self,
        now: Instant,
        has_others: impl Fn(usize, usize) -> bool,
    ) -> Option<(usize, usize)> {
        let id = self.slowest(now, has_others)?;
        self.flying.get(&id).map(|flight| (flight.blob, flight.source))
    }

    /// The next piece for a connection to this source, of the blobs that it may be asked for.
    pub(crate) fn take(
        &mut self,
        terms: &Terms,
        may_ask: impl Fn(usize) -> bool,
        now: Instant,
    ) -> Option<Piece> {
        let size = self.piece_size(terms);
        let begun = |blob: usize| self.flying.values().any(|flight| flight.blob == blob);
        let open = |(blob, missing): (&usize, &Missing)| {
            (!missing.unasked.is_empty() && may_ask(*blob)).then_some((*blob, missing.pieces > 0))
        };
        // A blob that nobody else brings goes on at its front; of these, one that was begun is finished first.
        let fronts = self.blobs.iter().filter_map(open).filter(|&(blob, _)| !begun(blob));
        let next = fronts.min_by_key(|&(_, was_begun)| !was_begun);
        let next = next.or_else(|| self.blobs.iter().find_map(open));
        let (blob, _) = next?;
        let missing = self.blobs.get_mut(&blob)?;
        let to_come = missing.cut(size, terms.has_ranges);
        Some(self.start(blob, terms.source, to_come, now, PATIENCE))
    }

    /// Takes over a piece that another connection is hopelessly slow to bring.
    pub(crate) fn take_over(
        &mut self,
        terms: &Terms,
        has_others: impl Fn(usize, usize) -> bool,
        now: Instant,
    ) -> Option<(Piece, usize)> {
        let id = self.slowest(now, has_others)?;
        let flight = self.flying.get_mut(&id)?;
        let to_come = std::mem::take(&mut flight.to_come);
        flight.relieved.notify_one();
        let (blob, source, patience) = (flight.blob, flight.source, flight.patience * 2);
        self.blobs.get_mut(&blob)?.pieces += 1;
        Some((self.start(blob, terms.source, to_come, now, patience), source))
    }

    /// Notes whether connections are idle, since all that is missing is asked for.
    pub(crate) fn look(&mut self, now: Instant) {
        let was_shared_out = self.is_shared_out;
        let is_shared_out = self.unasked().next().is_none();
        self.is_shared_out = is_shared_out;
        if self.is_shared_out && !was_shared_out {
            for flight in self.flying.values_mut() {
                flight.lap = Some((now, flight.brought));
            }
        }
    }

    /// The blob of the piece that an idle connection could bring a part of, with its source.
    pub(crate) fn divided(&self, now: Instant) -> Option<(usize, usize)> {
        let id = self.last_to_end(now)?;
        self.flying.get(&id).map(|flight| (flight.blob, flight.source))
    }

    /// Takes half of what another connection is to bring, so that both are done at once: where each connection has a
    /// pace of its own, this raises the sum.
    pub(crate) fn divide(&mut self, terms: &Terms, now: Instant) -> Option<Piece> {
        let id = self.last_to_end(now).filter(|_| terms.may_gain && terms.has_ranges)?;
        let usual = self.usual.unwrap_or(0.0);
        let flight = self.flying.get_mut(&id)?;
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

    /// What the piece is still to bring: the first byte, and the one behind the last. `None`: it is done.
    pub(crate) fn to_come(&self, piece: &Piece) -> Option<Range<u64>> {
        let to_come = &self.flying.get(&piece.id)?.to_come;
        Some(to_come.front()?.start..to_come.back()?.end)
    }

    /// How much the piece has brought.
    pub(crate) fn brought(&self, piece: &Piece) -> u64 {
        self.flying.get(&piece.id).map_or(0, |flight| flight.brought)
    }

    /// The first part of what came that the piece is to bring: the caller has to write it, and to say so.
    pub(crate) fn accept(&mut self, piece: &Piece, came: Range<u64>, now: Instant) -> Option<Range<u64>> {
        let flight = self.flying.get_mut(&piece.id)?;
        let gap = flight.to_come.front_mut()?;
        let part = gap.start.max(came.start)..gap.end.min(came.end);
        if part.is_empty() || part.start != gap.start {
            return None; // what comes later in the blob than it should is of no use yet
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

    /// So many bytes of a piece were written.
    pub(crate) fn written(&mut self, piece: &Piece, bytes: u64) {
        if let Some(missing) = self.blobs.get_mut(&piece.blob) {
            missing.left = missing.left.saturating_sub(bytes);
        }
    }

    /// So long this machine was busy with what a connection had brought. That is not the connection's time, nor that
    /// of the others, which meanwhile waited as well.
    pub(crate) fn was_busy(&mut self, took: Duration, now: Instant) {
        for flight in self.flying.values_mut() {
            flight.since = now.min(flight.since + took);
            flight.last.0 = now.min(flight.last.0 + took);
            flight.lap = flight.lap.map(|(since, brought)| (now.min(since + took), brought));
        }
    }

    /// The piece goes on at another source. What is more than it would be given of the blob is shared out anew.
    pub(crate) fn goes_to(&mut self, piece: &Piece, terms: &Terms, now: Instant) {
        let (came, size) = (self.came, self.piece_size(terms));
        let divides = terms.has_ranges && self.is_divisible(piece.blob);
        let Some(flight) = self.flying.get_mut(&piece.id) else { return };
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

    /// The piece is done, or given up. Gives the pace that it came at, in bytes a second.
    pub(crate) fn finish(&mut self, piece: &Piece, now: Instant) -> Option<f64> {
        let rate = self.flying.remove(&piece.id)?.rate_of_all(now)?;
        self.usual = Some(self.usual.map_or(rate, |usual| (3.0 * usual + rate) / 4.0));
        Some(rate)
    }

    /// The source is no good at ranges: this piece becomes all that is missing of its blob, and what else it brings of
    /// the blob is given up.
    pub(crate) fn gather(&mut self, piece: &Piece) {
        let flight = self.flying.get(&piece.id).filter(|flight| !flight.to_come.is_empty());
        let Some(source) = flight.map(|flight| flight.source) else { return };
        let Some(missing) = self.blobs.get_mut(&piece.blob) else { return };
        let mut gaps = Vec::from(std::mem::take(&mut missing.unasked));
        for (&id, flight) in &mut self.flying {
            if flight.blob == piece.blob && flight.source == source {
                gaps.extend(flight.to_come.drain(..));
                if id != piece.id {
                    flight.relieved.notify_one();
                }
            }
        }
        gaps.sort_by_key(|gap| gap.start);
        if let Some(flight) = self.flying.get_mut(&piece.id) {
            flight.to_come = gaps.into();
        }
    }

    /// How large a piece is to be: what comes in half a second, but no more than a connection's share of what is left.
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation)]
    fn piece_size(&self, terms: &Terms) -> u64 {
        let unasked = self.blobs.values().flat_map(|missing| &missing.unasked);
        let flying = self.flying.values().flat_map(|flight| &flight.to_come);
        let all = self.ahead.saturating_add(length(unasked.chain(flying)));
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
        self.flying.insert(id, flight);
        piece
    }

    /// The piece that will be done last of those that are hopelessly slow: only then a cut, which costs a connection and
    /// what is in its buffers, is worth it.
    fn slowest(&self, now: Instant, has_others: impl Fn(usize, usize) -> bool) -> Option<u64> {
        let slow = self.flying.iter().filter(|(_, flight)| {
            self.is_divisible(flight.blob)
                && self.is_hopeless(flight, has_others(flight.blob, flight.source), now)
        });
        slow.max_by(|a, b| a.1.time_left(now).total_cmp(&b.1.time_left(now))).map(|(&id, _)| id)
    }

    /// The piece that will be done last, if it is worth the trouble to split it.
    fn last_to_end(&self, now: Instant) -> Option<u64> {
        let running = self.flying.iter().filter(|(_, flight)| self.is_divisible(flight.blob));
        let left = running.filter_map(|(&id, flight)| {
            let left = length(&flight.to_come);
            let rate = flight.rate_alone(now).filter(|_| left >= 2 * SMALLEST_SHARE)?;
            #[expect(clippy::cast_precision_loss)]
            Some((id, left as f64 / rate))
        });
        left.filter(|(_, left)| *left > SOON).max_by(|a, b| a.1.total_cmp(&b.1)).map(|(id, _)| id)
    }

    /// Whether a connection is mute while others bring something, or far below the usual.
    #[expect(clippy::cast_precision_loss)]
    fn is_hopeless(&self, flight: &InFlight, has_others: bool, now: Instant) -> bool {
        if flight.to_come.is_empty() || flight.age(now) <= flight.patience {
            return false;
        }
        let (since, came) = flight.last;
        let mute_for = now.saturating_duration_since(since);
        // A process that gets no processor, or no network, hears from nobody: that is not the connection's fault.
        let others_bring = self.came - came >= SMALLEST / 4 || self.flying.len() == 1;
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

impl Missing {
    /// Cuts off the next piece: about this size, and not much less.
    fn cut(&mut self, size: u64, has_ranges: bool) -> VecDeque<Range<u64>> {
        self.pieces += 1;
        if !self.is_divisible || !has_ranges {
            return std::mem::take(&mut self.unasked);
        }
        let Some(gap) = self.unasked.front_mut() else { return VecDeque::new() };
        let length = gap.end - gap.start;
        let pieces = (length.saturating_add(size / 2) / size).max(1);
        let piece = gap.start..gap.start + length.div_ceil(pieces);
        gap.start = piece.end;
        if gap.is_empty() {
            self.unasked.pop_front();
        }
        [piece].into()
    }
}

impl InFlight {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Bytes a second of all that it brought; `None`: that is too little, or came too soon, to tell.
    #[expect(clippy::cast_precision_loss)]
    fn rate_of_all(&self, now: Instant) -> Option<f64> {
        let age = self.age(now);
        let tells = self.brought >= SMALLEST || age > WARM_UP;
        (self.brought > 0 && tells && !age.is_zero()).then(|| self.brought as f64 / age.as_secs_f64())
    }

    /// Bytes a second now that others are idle; `None`: that cannot be told yet, or it shared a line with them and has more
    /// of it now.
    #[expect(clippy::cast_precision_loss)]
    fn rate_alone(&self, now: Instant) -> Option<f64> {
        let rate = |brought: u64, span: Duration| {
            (brought > 0 && span > WARM_UP).then(|| brought as f64 / span.as_secs_f64())
        };
        let Some((since, before)) = self.lap else { return rate(self.brought, self.age(now)) };
        let alone = rate(self.brought - before, now.saturating_duration_since(since))?;
        let shared = rate(before, since.saturating_duration_since(self.since));
        Some(alone).filter(|alone| shared.is_none_or(|shared| *alone <= shared * SHARED))
    }

    /// Seconds until it has come, as it goes.
    #[expect(clippy::cast_precision_loss)]
    fn time_left(&self, now: Instant) -> f64 {
        let rate = self.brought as f64 / self.age(now).as_secs_f64().max(f64::MIN_POSITIVE);
        length(&self.to_come) as f64 / rate.max(f64::MIN_POSITIVE)
    }
}

fn length<'a>(ranges: impl IntoIterator<Item = &'a Range<u64>>) -> u64 {
    ranges.into_iter().fold(0, |sum, range| sum.saturating_add(range.end - range.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const FAR: Terms = Terms { source: 0, connections: 4, pace: None, has_ranges: true, may_gain: true };

    /// A scheduler for blobs of these sizes, of which all is missing.
    fn scheduler(sizes: &[u64]) -> Scheduler {
        let mut scheduler = Scheduler::new(sizes.iter().sum());
        for (blob, &size) in sizes.iter().enumerate() {
            scheduler.found(size);
            scheduler.add(blob, std::slice::from_ref(&(0..size)), true);
        }
        scheduler
    }

    fn take(scheduler: &mut Scheduler, terms: &Terms, now: Instant) -> Option<Piece> {
        scheduler.take(terms, |_| true, now)
    }

    fn take_over(scheduler: &mut Scheduler, now: Instant) -> Option<Piece> {
        scheduler.take_over(&FAR, |_, _| false, now).map(|(piece, _)| piece)
    }

    fn bring(scheduler: &mut Scheduler, piece: &Piece, bytes: u64, now: Instant) {
        let start = scheduler.to_come(piece).unwrap().start;
        assert_eq!(scheduler.accept(piece, start..start + bytes, now), Some(start..start + bytes));
        scheduler.written(piece, bytes);
    }

    #[test]
    fn what_is_missing_is_shared_out_evenly_and_once() {
        let now = Instant::now();
        let mut scheduler = scheduler(&[10 * MIB]);
        let mut pieces = Vec::new();
        while let Some(piece) = take(&mut scheduler, &FAR, now) {
            pieces.push(piece);
        }
        let ranges: Vec<_> = pieces.iter().filter_map(|piece| scheduler.to_come(piece)).collect();
        assert_eq!(ranges.len(), 4);
        assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start), "{ranges:?}");
        assert!(ranges.iter().all(|range| range.end - range.start == 10 * MIB / 4), "{ranges:?}");
        for piece in &pieces {
            bring(&mut scheduler, piece, 10 * MIB / 4, now);
        }
        assert!(scheduler.is_written(0));
    }

    #[test]
    fn a_piece_takes_about_a_second_and_no_more_than_its_share() {
        let (now, pace) = (Instant::now(), |mib: f64| Some(mib * 1024.0 * 1024.0));
        for (pace, size) in [(None, 8), (pace(20.0), 20), (pace(500.0), 100), (pace(0.5), 1)] {
            let mut scheduler = scheduler(&[400 * MIB]);
            let piece = take(&mut scheduler, &Terms { pace, ..FAR }, now).unwrap();
            assert_eq!(scheduler.to_come(&piece), Some(0..size * MIB), "{pace:?}");
        }
    }

    #[test]
    fn of_a_near_source_most_layers_are_whole_from_the_beginning() {
        let mut scheduler = scheduler(&[30 * MIB, 700 * MIB]);
        let near = Terms { may_gain: false, ..FAR };
        let pieces: Vec<_> = (0..2).filter_map(|_| take(&mut scheduler, &near, Instant::now())).collect();
        let ranges: Vec<_> = pieces.iter().filter_map(|piece| scheduler.to_come(piece)).collect();
        assert_eq!((ranges[0].end, ranges[1].end.div_ceil(MIB)), (30 * MIB, 32));
    }

    #[test]
    fn what_continues_a_front_goes_first() {
        let now = Instant::now();
        let mut scheduler = scheduler(&[32 * MIB, 32 * MIB, 32 * MIB]);
        let pieces: Vec<_> = (0..4).filter_map(|_| take(&mut scheduler, &FAR, now)).collect();
        let places: Vec<_> = pieces.iter().map(|piece| piece.blob).collect();
        assert_eq!(places, [0, 1, 2, 0], "blobs that nobody brings, then the first one");
        bring(&mut scheduler, &pieces[1], 8 * MIB, now);
        scheduler.finish(&pieces[1], now);
        let next = take(&mut scheduler, &FAR, now).unwrap();
        assert_eq!((next.blob, scheduler.to_come(&next).unwrap().start), (1, 8 * MIB));
    }

    #[test]
    fn small_blobs_are_asked_for_whole_and_the_first_first() {
        let (now, size) = (Instant::now(), MIB + MIB / 3);
        let mut scheduler = scheduler(&[size; 3]);
        let mut pieces = Vec::new();
        while let Some(piece) = take(&mut scheduler, &Terms { connections: 16, ..FAR }, now) {
            pieces.push((piece.blob, scheduler.to_come(&piece)));
        }
        assert_eq!(pieces, [0, 1, 2].map(|blob| (blob, Some(0..size))));
    }

    #[test]
    fn an_answer_that_gets_on_is_left_alone() {
        let now = Instant::now();
        let mut scheduler = scheduler(&[8 * MIB, 8 * MIB]);
        let pieces: Vec<_> = (0..2).filter_map(|_| take(&mut scheduler, &FAR, now)).collect();
        while take(&mut scheduler, &FAR, now).is_some() {}
        let later = now + PATIENCE * 3;
        bring(&mut scheduler, &pieces[0], 3 * MIB, later);
        bring(&mut scheduler, &pieces[1], MIB, later);
        let busy: Vec<_> = [&pieces[0], &pieces[1]].map(|piece| scheduler.to_come(piece)).into();
        _ = take_over(&mut scheduler, later + PATIENCE / 2);
        assert_eq!(busy, [&pieces[0], &pieces[1]].map(|piece| scheduler.to_come(piece)));
    }

    #[test]
    fn an_idle_connection_takes_half_of_what_takes_long_where_that_raises_the_sum() {
        let now = Instant::now();
        let divided = |may_gain: bool, alone: u64| {
            let mut scheduler = scheduler(&[16 * MIB]);
            let slow = take(&mut scheduler, &Terms { connections: 1, ..FAR }, now).unwrap();
            let quick = take(&mut scheduler, &Terms { connections: 1, ..FAR }, now).unwrap();
            bring(&mut scheduler, &slow, 2 * MIB, now);
            bring(&mut scheduler, &quick, 8 * MIB, now);
            let idle = now + Duration::from_secs(1);
            scheduler.finish(&quick, idle);
            scheduler.look(idle);
            assert!(scheduler.divided(idle).is_none(), "it may be as quick as the other now");
            bring(&mut scheduler, &slow, alone, idle);
            let later = idle + Duration::from_secs(1);
            scheduler
                .divide(&Terms { may_gain, ..FAR }, later)
                .map(|piece| scheduler.to_come(&piece).unwrap())
        };
        let half = divided(true, 2 * MIB).unwrap();
        assert!(half.start > 4 * MIB && half.end == 8 * MIB, "{half:?}");
        assert_eq!(divided(false, 2 * MIB), None, "the source has shown that it brings no more");
        assert_eq!(divided(true, 4 * MIB), None, "it got what the other had");
    }

    #[test]
    fn a_mute_connection_is_relieved_of_everything_and_each_time_later() {
        let now = Instant::now();
        let mut scheduler = scheduler(&[MIB]);
        let mute = take(&mut scheduler, &FAR, now).unwrap();
        let later = now + PATIENCE * 3 / 2;
        let second = take_over(&mut scheduler, later).unwrap();
        assert_eq!((scheduler.to_come(&mute), scheduler.to_come(&second)), (None, Some(0..MIB)));
        scheduler.finish(&mute, later);
        assert!(take_over(&mut scheduler, later + PATIENCE * 3 / 2).is_none(), "it has twice the time");
        assert!(take_over(&mut scheduler, later + PATIENCE * 5 / 2).is_some());
    }

    /// Where nothing comes over any connection, it is this machine or its link that stands still.
    #[test]
    fn a_process_that_hears_from_nobody_cuts_nothing() {
        let now = Instant::now();
        let mut scheduler = scheduler(&[MIB, MIB]);
        let pieces: Vec<_> = (0..2).filter_map(|_| take(&mut scheduler, &FAR, now)).collect();
        assert!(take_over(&mut scheduler, now + PATIENCE * 2).is_none());
        bring(&mut scheduler, &pieces[1], MIB / 2, now + PATIENCE * 2);
        assert_eq!(take_over(&mut scheduler, now + PATIENCE * 2).unwrap().blob, 0);
    }

    #[test]
    fn the_time_that_this_machine_takes_is_not_the_connections() {
        let now = Instant::now();
        let mut scheduler = scheduler(&[MIB]);
        _ = take(&mut scheduler, &FAR, now).unwrap();
        let later = now + PATIENCE * 3 / 2;
        scheduler.was_busy(PATIENCE, later);
        assert!(take_over(&mut scheduler, later).is_none());
    }

    #[test]
    fn a_source_without_ranges_brings_all_that_is_missing_in_one_piece() {
        let now = Instant::now();
        let mut scheduler = scheduler(&[10 * MIB]);
        let pieces: Vec<_> = (0..3).filter_map(|_| take(&mut scheduler, &FAR, now)).collect();
        bring(&mut scheduler, &pieces[0], MIB, now);
        scheduler.gather(&pieces[1]);
        scheduler.gather(&pieces[2]); // another connection that finds it out as well has nothing to do
        assert_eq!(
            pieces.iter().map(|piece| scheduler.to_come(piece)).collect::<Vec<_>>(),
            [None, Some(MIB..10 * MIB), None]
        );
        let came = scheduler.accept(&pieces[1], 0..2 * MIB, now);
        assert_eq!(came, Some(MIB..2 * MIB), "what is here is passed over");
    }
}
