//! The missing ranges of one blob.

use std::collections::VecDeque;
use std::ops::Range;

/// The missing ranges of one blob.
#[derive(Debug)]
pub(super) struct Missing {
    /// The ranges that are not requested yet.
    pub(super) unasked: VecDeque<Range<u64>>,
    /// The number of bytes that are not written yet.
    pub(super) left: u64,
    pub(super) is_divisible: bool,
    /// The number of pieces so far.
    pub(super) pieces: usize,
}

impl Missing {
    /// Cuts off the next piece: of about this size, and not much less.
    pub(super) fn cut(&mut self, size: u64, has_ranges: bool) -> VecDeque<Range<u64>> {
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

pub(super) fn length<'a>(ranges: impl IntoIterator<Item = &'a Range<u64>>) -> u64 {
    ranges.into_iter().fold(0, |sum, range| sum.saturating_add(range.end - range.start))
}
