//! What to ask for next: the missing bytes of an image's blobs, cut into pieces as connections fall idle.
//!
//! All that is missing is shared out evenly between the connections: the first blobs first, a large one in
//! several pieces, a small one whole. When there is nothing left to share out, a connection that is idle takes
//! over a part of what another is slow to bring, so that no tail is left on a single one. A blob of a
//! registry that is no good at ranges is one piece.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A piece is not smaller unless the blob is: each costs a round trip.
const SMALLEST: u64 = 1 << 20;
/// Nor larger: what is asked for last should not take long.
const LARGEST: u64 = 8 << 20;
/// What another connection is to bring is taken over in parts that are no smaller.
const SMALLEST_SHARE: u64 = 128 << 10;
/// It is left alone if it is done so soon: to take it over costs a round trip, and a connection.
const SOON: Duration = Duration::from_millis(250);
/// How long a connection takes to show its pace.
const WARM_UP: Duration = Duration::from_millis(150);
/// How long one may be mute, or far below what is usual, before all of its piece is taken over; twice as long
/// with each time that the same piece was, so that a registry which is slow by nature gets to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many times slower than usual that is.
const FAR_BELOW: f64 = 8.0;

/// The bytes that are missing, and who is to bring them.
#[derive(Debug)]
pub(crate) struct Plan {
    connections: u64,
    /// The bytes of blobs that it is not known of yet what of them is missing.
    ahead: u64,
    /// By their places in the image.
    blobs: BTreeMap<usize, Missing>,
    flying: BTreeMap<u64, Flight>,
    next: u64,
    /// Whether all that is missing is asked for, so that connections are idle.
    is_shared_out: bool,
    /// Bytes a second of a connection, as seen lately.
    usual: Option<f64>,
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

/// A part of a blob that one connection is to bring.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// The blob's place in the image.
    pub(crate) blob: usize,
    id: u64,
    /// Is told when there is nothing left to bring, because others do it.
    pub(crate) relieved: Arc<Notify>,
}

#[derive(Debug)]
struct Flight {
    blob: usize,
    /// What is still to come: of a divisible blob one range.
    to_come: VecDeque<Range<u64>>,
    since: Instant,
    brought: u64,
    /// What it had brought, and when, as connections fell idle: from then on, what they leave to it is its own.
    lap: Option<(Instant, u64)>,
    patience: Duration,
    relieved: Arc<Notify>,
}

impl Plan {
    /// A plan for blobs of so many bytes in all.
    pub(crate) fn new(connections: usize, bytes: u64) -> Self {
        let connections = connections.max(1) as u64;
        let (blobs, flying) = (BTreeMap::new(), BTreeMap::new());
        Self { connections, ahead: bytes, blobs, flying, next: 0, is_shared_out: false, usual: None }
    }

    /// Of a blob of so many bytes it is known now what is missing.
    pub(crate) fn found(&mut self, size: u64) {
        self.ahead = self.ahead.saturating_sub(size);
    }

    /// Adds a blob of which this is missing. It is asked for in ranges if it is `divisible`.
    pub(crate) fn add(&mut self, blob: usize, gaps: &[Range<u64>], is_divisible: bool) {
        let left = length(gaps);
        let unasked = gaps.iter().cloned().collect();
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

    /// Whether there is anything to do for a connection that is idle.
    pub(crate) fn has_work(&mut self, now: Instant) -> bool {
        let was_shared_out = self.is_shared_out;
        self.is_shared_out = self.blobs.values().all(|missing| missing.unasked.is_empty());
        if self.is_shared_out && !was_shared_out {
            for flight in self.flying.values_mut() {
                flight.lap = Some((now, flight.brought));
            }
        }
        !self.is_shared_out || self.slowest(now).is_some()
    }

    /// The next piece for a connection that is idle.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Piece> {
        let share = self.share();
        let next = self.blobs.iter_mut().find(|(_, missing)| !missing.unasked.is_empty());
        match next {
            Some((&blob, missing)) => {
                let to_come = missing.cut(share);
                Some(self.fly(blob, to_come, now, PATIENCE))
            }
            None => self.take_over(now),
        }
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
    pub(crate) fn accept(&mut self, piece: &Piece, came: Range<u64>) -> Option<Range<u64>> {
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
        flight.brought += part.end - part.start;
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
            flight.lap = flight.lap.map(|(since, brought)| (now.min(since + took), brought));
        }
    }

    /// The piece is done, or given up.
    pub(crate) fn land(&mut self, piece: &Piece, now: Instant) {
        let Some(flight) = self.flying.remove(&piece.id) else { return };
        if let Some(rate) = flight.rate(now) {
            self.usual = Some(self.usual.map_or(rate, |usual| (3.0 * usual + rate) / 4.0));
        }
    }

    /// The registry is no good at ranges: this piece becomes all that is missing of its blob, and whoever
    /// else brings parts of it is relieved.
    pub(crate) fn gather(&mut self, piece: &Piece) {
        let Some(missing) = self.blobs.get_mut(&piece.blob).filter(|missing| missing.is_divisible) else {
            return;
        };
        missing.is_divisible = false;
        let mut gaps = Vec::from(std::mem::take(&mut missing.unasked));
        for (&id, flight) in &mut self.flying {
            if flight.blob == piece.blob {
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

    /// What each connection has to bring, were all to be done at once.
    fn share(&self) -> u64 {
        let unasked = self.blobs.values().flat_map(|missing| &missing.unasked);
        let flying = self.flying.values().flat_map(|flight| &flight.to_come);
        let all = self.ahead.saturating_add(length(unasked.chain(flying)));
        (all / self.connections).clamp(SMALLEST, LARGEST)
    }

    fn fly(
        &mut self,
        blob: usize,
        to_come: VecDeque<Range<u64>>,
        since: Instant,
        patience: Duration,
    ) -> Piece {
        let id = self.next;
        self.next += 1;
        let flight =
            Flight { blob, to_come, since, brought: 0, lap: None, patience, relieved: Arc::default() };
        let piece = Piece { blob, id, relieved: flight.relieved.clone() };
        self.flying.insert(id, flight);
        piece
    }

    /// Takes over what another connection is slow to bring: so much that both are done at once, or all.
    fn take_over(&mut self, now: Instant) -> Option<Piece> {
        let id = self.slowest(now)?;
        let flight = self.flying.get_mut(&id)?;
        let (rate, usual) = (flight.rate(now).unwrap_or(0.0), self.usual.unwrap_or(0.0));
        let is_hopeless = rate * FAR_BELOW <= usual && flight.age(now) > flight.patience;
        let gap = flight.to_come.back_mut()?;
        #[expect(clippy::cast_precision_loss, clippy::cast_sign_loss, clippy::cast_possible_truncation)]
        let stays = ((gap.end - gap.start) as f64 * rate / (rate + usual.max(rate))) as u64;
        let stays = if is_hopeless || stays < SMALLEST_SHARE { 0 } else { stays };
        let patience = if stays == 0 { flight.patience * 2 } else { PATIENCE };
        let taken = gap.start + stays..gap.end;
        gap.end = taken.start;
        if gap.is_empty() {
            flight.to_come.pop_back();
            flight.relieved.notify_one();
        }
        let blob = flight.blob;
        self.blobs.get_mut(&blob)?.pieces += 1;
        Some(self.fly(blob, [taken].into(), now, patience))
    }

    /// The piece that will be done last, if it is worth the trouble to take over a part of it.
    fn slowest(&self, now: Instant) -> Option<u64> {
        let slow = self.flying.iter().filter(|(_, flight)| self.is_divisible(flight.blob));
        let slow = slow.filter_map(|(&id, flight)| Some((id, flight.time_left(now)?)));
        slow.filter(|(_, left)| *left > SOON.as_secs_f64())
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(id, _)| id)
    }
}

impl Missing {
    /// Cuts off the next piece: about a share, and not much less.
    fn cut(&mut self, share: u64) -> VecDeque<Range<u64>> {
        self.pieces += 1;
        if !self.is_divisible {
            return std::mem::take(&mut self.unasked);
        }
        let Some(gap) = self.unasked.front_mut() else { return VecDeque::new() };
        let length = gap.end - gap.start;
        let pieces = (length.saturating_add(share / 2) / share).max(1);
        let piece = gap.start..gap.start + length.div_ceil(pieces);
        gap.start = piece.end;
        if gap.is_empty() {
            self.unasked.pop_front();
        }
        [piece].into()
    }
}

impl Flight {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Bytes a second; `None`: it has brought nothing, or it is too early to say. Who had to share a line with
    /// connections that are idle now was slow on their account.
    fn rate(&self, now: Instant) -> Option<f64> {
        let whole = rate(self.brought, self.age(now));
        let Some((since, before)) = self.lap.filter(|_| whole.is_some()) else { return whole };
        let age = now.saturating_duration_since(since);
        match rate(self.brought - before, age) {
            None if age > WARM_UP => whole,
            lap => lap,
        }
    }

    /// Seconds until it has come, as it goes; `None`: there is too little left to divide, or it is too early
    /// to say.
    #[expect(clippy::cast_precision_loss)]
    fn time_left(&self, now: Instant) -> Option<f64> {
        let left = length(&self.to_come);
        match self.rate(now) {
            Some(rate) if left >= 2 * SMALLEST_SHARE || self.age(now) > self.patience => {
                Some(left as f64 / rate)
            }
            None if left > 0 && self.age(now) > self.patience => Some(f64::INFINITY),
            _ => None,
        }
    }
}

/// Bytes a second.
#[expect(clippy::cast_precision_loss)]
fn rate(brought: u64, age: Duration) -> Option<f64> {
    (brought > 0 && age > WARM_UP).then(|| brought as f64 / age.as_secs_f64())
}

fn length<'a>(ranges: impl IntoIterator<Item = &'a Range<u64>>) -> u64 {
    ranges.into_iter().fold(0, |sum, range| sum.saturating_add(range.end - range.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A plan for one blob, of which all is missing.
    fn plan(connections: usize, size: u64) -> Plan {
        let mut plan = Plan::new(connections, size);
        plan.found(size);
        plan.add(0, std::slice::from_ref(&(0..size)), true);
        plan
    }

    fn bring(plan: &mut Plan, piece: &Piece, bytes: u64) {
        let start = plan.to_come(piece).unwrap().start;
        assert_eq!(plan.accept(piece, start..start + bytes), Some(start..start + bytes));
        plan.written(piece, bytes);
    }

    #[test]
    fn what_is_missing_is_shared_out_evenly_and_once() {
        let now = Instant::now();
        let mut plan = plan(4, 10 * MIB);
        let pieces: Vec<_> = std::iter::from_fn(|| plan.take(now)).collect();
        let ranges: Vec<_> = pieces.iter().filter_map(|piece| plan.to_come(piece)).collect();
        assert_eq!(ranges.len(), 4);
        assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start), "{ranges:?}");
        assert!(ranges.iter().all(|range| range.end - range.start == 10 * MIB / 4), "{ranges:?}");
        for piece in &pieces {
            bring(&mut plan, piece, 10 * MIB / 4);
        }
        assert!(plan.is_written(0));
    }

    #[test]
    fn a_small_blob_is_asked_for_whole_and_the_first_first() {
        let (now, size) = (Instant::now(), MIB + MIB / 3);
        let mut plan = Plan::new(16, 3 * size);
        for blob in [2, 0, 1] {
            plan.found(size);
            plan.add(blob, std::slice::from_ref(&(0..size)), true);
        }
        let pieces: Vec<_> = std::iter::from_fn(|| plan.take(now)).collect();
        assert_eq!(pieces.iter().map(|piece| piece.blob).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn who_is_idle_takes_over_half_of_what_is_slow() {
        let now = Instant::now();
        let mut plan = plan(1, 8 * MIB);
        let slow = plan.take(now).unwrap();
        bring(&mut plan, &slow, 2 * MIB);
        let later = now + Duration::from_millis(500);
        let other = plan.take(later).unwrap();
        assert_eq!(plan.to_come(&slow), Some(2 * MIB..5 * MIB));
        assert_eq!(plan.to_come(&other), Some(5 * MIB..8 * MIB));
    }

    #[test]
    fn what_will_be_done_soon_is_left_alone() {
        let now = Instant::now();
        let mut plan = plan(1, 8 * MIB);
        let piece = plan.take(now).unwrap();
        bring(&mut plan, &piece, 4 * MIB);
        assert!(plan.take(now + Duration::from_millis(100)).is_none());
    }

    #[test]
    fn the_time_that_this_machine_takes_is_not_the_connections() {
        let now = Instant::now();
        let mut plan = plan(1, 8 * MIB);
        let piece = plan.take(now).unwrap();
        bring(&mut plan, &piece, 4 * MIB);
        let later = now + Duration::from_secs(1);
        plan.was_busy(Duration::from_millis(900), later);
        assert!(plan.take(later).is_none());
    }

    #[test]
    fn who_was_slow_among_others_is_given_time_when_they_are_done() {
        let now = Instant::now();
        let mut plan = plan(2, 16 * MIB);
        let (slow, quick) = (plan.take(now).unwrap(), plan.take(now).unwrap());
        bring(&mut plan, &slow, MIB);
        bring(&mut plan, &quick, 8 * MIB);
        let idle = now + Duration::from_millis(500);
        plan.land(&quick, idle);
        assert!(!plan.has_work(idle), "it may be as quick as the other now");
        bring(&mut plan, &slow, 4 * MIB);
        assert!(!plan.has_work(idle + WARM_UP * 2), "it is");
        assert!(plan.has_work(idle + WARM_UP * 20), "it was");
    }

    #[test]
    fn who_is_mute_is_relieved_of_everything_and_each_time_later() {
        let now = Instant::now();
        let mut plan = plan(1, MIB);
        let mute = plan.take(now).unwrap();
        let later = now + PATIENCE * 3 / 2;
        let second = plan.take(later).unwrap();
        assert_eq!((plan.to_come(&mute), plan.to_come(&second)), (None, Some(0..MIB)));
        assert!(plan.take(later + PATIENCE * 3 / 2).is_none(), "it has twice the time");
        assert!(plan.take(later + PATIENCE * 5 / 2).is_some());
    }

    #[test]
    fn without_ranges_one_piece_becomes_all_that_is_missing() {
        let now = Instant::now();
        let mut plan = plan(4, 10 * MIB);
        let pieces: Vec<_> = (0..3).filter_map(|_| plan.take(now)).collect();
        bring(&mut plan, &pieces[0], MIB);
        plan.gather(&pieces[1]);
        plan.gather(&pieces[2]); // who finds it out as well has nothing to do
        assert_eq!(
            pieces.iter().map(|p| plan.to_come(p)).collect::<Vec<_>>(),
            [None, Some(MIB..10 * MIB), None]
        );
        assert!(plan.take(now + Duration::from_mins(1)).is_none(), "it is not divided again");
        assert_eq!(plan.accept(&pieces[1], 0..2 * MIB), Some(MIB..2 * MIB), "what is here is passed over");
    }
}
