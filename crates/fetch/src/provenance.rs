//! Which source brought which bytes of a blob: so that of a wrong blob only the suspects' part comes again.

use std::collections::HashSet;
use std::ops::Range;

/// The parts of one blob, with the source of each by its place in the fetch. `None` is the store: an earlier pull had
/// left them there.
#[derive(Debug, Default)]
pub(crate) struct Provenance(Vec<(Range<u64>, Option<usize>)>);

impl Provenance {
    /// The parts that the store had, around the missing ranges of `0..size`.
    pub(crate) fn of_rest(missing: &[Range<u64>], size: u64) -> Self {
        let starts = std::iter::once(0).chain(missing.iter().map(|gap| gap.end));
        let ends = missing.iter().map(|gap| gap.start).chain([size]);
        let parts = starts.zip(ends).map(|(start, end)| (start..end, None));
        Self(parts.filter(|(range, _)| !range.is_empty()).collect())
    }

    /// This source brought this part.
    pub(crate) fn note(&mut self, part: Range<u64>, source: usize) {
        match self.0.last_mut() {
            Some((last, by)) if *by == Some(source) && last.end == part.start => last.end = part.end,
            _ => self.0.push((part, Some(source))),
        }
    }

    /// The sources that brought a part.
    pub(crate) fn sources(&self) -> HashSet<usize> {
        self.0.iter().filter_map(|(_, source)| *source).collect()
    }

    /// Takes out what these sources brought, and what the store had: the ranges that have to come again, in order.
    pub(crate) fn take(&mut self, suspects: &HashSet<usize>) -> Vec<(Range<u64>, Option<usize>)> {
        let is_suspect = |source: &Option<usize>| source.is_none_or(|source| suspects.contains(&source));
        let (mut taken, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.0).into_iter().partition(|(_, source)| is_suspect(source));
        self.0 = kept;
        taken.sort_by_key(|(range, _)| range.start);
        taken
    }
}

/// Ranges in order, those that touch as one.
pub(crate) fn joined(parts: &[(Range<u64>, Option<usize>)]) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for (part, _) in parts {
        match ranges.last_mut() {
            Some(last) if last.end >= part.start => last.end = last.end.max(part.end),
            _ => ranges.push(part.clone()),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_suspects_brought_and_what_was_left_comes_again() {
        let mut provenance = Provenance::of_rest(&[10..20, 30..60], 60);
        provenance.note(10..15, 1);
        provenance.note(15..20, 1);
        provenance.note(45..60, 2);
        provenance.note(30..45, 3);
        assert_eq!(provenance.sources(), HashSet::from([1, 2, 3]));
        let again = provenance.take(&HashSet::from([1, 2]));
        assert_eq!(joined(&again), [0..30, 45..60]);
        assert_eq!(provenance.sources(), HashSet::from([3]));
    }
}
