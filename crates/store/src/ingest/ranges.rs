//! A set of byte ranges: the parts of a blob that are present.

use std::ops::Range;

use rangemap::RangeSet;

/// Byte offsets, as disjoint ranges that do not touch. Empty ranges are allowed everywhere and add nothing, while
/// [`RangeSet`] panics on them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges(RangeSet<u64>);

impl Ranges {
    /// Adds a range, which may overlap existing ones.
    pub(crate) fn insert(&mut self, range: Range<u64>) {
        if !range.is_empty() {
            self.0.insert(range);
        }
    }

    /// Removes a range.
    pub(crate) fn remove(&mut self, range: &Range<u64>) {
        if !range.is_empty() {
            self.0.remove(range.clone());
        }
    }

    /// The parts of a range that are present, in order.
    pub(crate) fn overlap(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let part = |there: &Range<u64>| there.start.max(range.start)..there.end.min(range.end);
        self.0.overlapping(range).map(part).filter(|part| !part.is_empty()).collect()
    }

    /// The end of the range that contains `offset`, or `offset` itself if there is none.
    pub(crate) fn end_of_run(&self, offset: u64) -> u64 {
        self.0.get(&offset).map_or(offset, |range| range.end)
    }

    /// The end of the last range; 0 if there is none.
    pub(crate) fn end(&self) -> u64 {
        self.0.last().map_or(0, |range| range.end)
    }

    /// The ranges, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.0.iter().cloned()
    }

    /// The missing ranges of `0..size`, in order.
    pub(crate) fn gaps(&self, size: u64) -> Vec<Range<u64>> {
        self.gaps_in(&(0..size))
    }

    /// The missing parts of a range, in order.
    pub(crate) fn gaps_in(&self, wanted: &Range<u64>) -> Vec<Range<u64>> {
        self.0.gaps(wanted).collect()
    }

    /// The number of bytes in the set.
    pub(crate) fn total(&self) -> u64 {
        self.iter().map(|range| range.end - range.start).sum()
    }
}

impl From<Range<u64>> for Ranges {
    fn from(range: Range<u64>) -> Self {
        let mut ranges = Self::default();
        ranges.insert(range);
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(parts: &[Range<u64>]) -> Ranges {
        let mut ranges = Ranges::default();
        parts.iter().cloned().for_each(|range| ranges.insert(range));
        ranges
    }

    #[test]
    fn ranges_that_touch_or_overlap_become_one() {
        let set = ranges(&[0..4, 8..12, 4..8, 20..30, 25..27, 18..21]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0..12, 18..30]);
        assert_eq!(set.total(), 24);
    }

    #[test]
    fn gaps_are_what_is_missing_up_to_the_size() {
        let set = ranges(&[2..4, 6..8]);
        assert_eq!(set.gaps(10), [0..2, 4..6, 8..10]);
        assert_eq!(set.gaps(7), [0..2, 4..6]);
        assert_eq!(ranges(&[]).gaps(3), vec![0..3]);
        assert!(ranges(&[]).gaps(0).is_empty());
        assert!(ranges(&[0..4, 4..9]).gaps(9).is_empty());
    }

    #[test]
    fn gaps_in_a_range_begin_and_end_with_it() {
        let set = ranges(&[2..4, 6..8]);
        assert_eq!(set.gaps_in(&(1..7)), [1..2, 4..6]);
        assert_eq!(set.gaps_in(&(3..6)), vec![4..6]);
        assert!(set.gaps_in(&(2..4)).is_empty());
        assert_eq!(set.gaps_in(&(8..10)), vec![8..10]);
    }

    #[test]
    fn what_is_taken_away_leaves_what_is_beside_it() {
        let mut set = ranges(&[0..4, 6..10, 12..14]);
        assert_eq!(set.overlap(&(3..13)), [3..4, 6..10, 12..13]);
        set.remove(&(1..2));
        set.remove(&(8..20));
        set.remove(&(4..6));
        assert_eq!(set.iter().collect::<Vec<_>>(), [0..1, 2..4, 6..8]);
        set.remove(&(0..u64::MAX));
        assert_eq!(set, Ranges::default());
    }

    #[test]
    fn an_empty_range_changes_nothing() {
        let mut set = Ranges::from(2..8);
        for (start, end) in [(0, 0), (4, 4), (9, 3)] {
            set.insert(start..end);
            set.remove(&(start..end));
            assert!(set.overlap(&(start..end)).is_empty() && set.gaps_in(&(start..end)).is_empty());
        }
        assert_eq!(set, Ranges::from(2..8));
    }

    #[test]
    fn a_run_ends_where_the_bytes_end() {
        let set = ranges(&[0..4, 6..8]);
        assert_eq!((set.end_of_run(0), set.end_of_run(4), set.end_of_run(6)), (4, 4, 8));
    }
}
