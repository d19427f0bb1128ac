//! A set of numbers as ranges, for what of a spool still waits: few ranges, however many numbers.

use std::ops::Range;

/// Disjoint, non-empty ranges in order, none touching the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RangeSet(Vec<Range<u64>>);

impl RangeSet {
    /// Adds the numbers of a range.
    pub(super) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let from = self.0.partition_point(|known| known.end < range.start);
        let to = self.0.partition_point(|known| known.start <= range.end);
        let touching = &self.0[from..to];
        let start = touching.first().map_or(range.start, |first| first.start.min(range.start));
        let end = touching.last().map_or(range.end, |last| last.end.max(range.end));
        self.0.splice(from..to, std::iter::once(start..end));
    }

    /// Takes at most `count` of the lowest numbers, all of one range.
    pub(super) fn take_first(&mut self, count: u64) -> Option<Range<u64>> {
        let first = self.0.first_mut()?;
        let end = first.end.min(first.start.saturating_add(count));
        let taken = first.start..end;
        first.start = end;
        if first.is_empty() {
            self.0.remove(0);
        }
        Some(taken)
    }

    /// Forgets the numbers below.
    pub(super) fn remove_below(&mut self, number: u64) {
        self.0.retain_mut(|range| {
            range.start = range.start.max(number);
            !range.is_empty()
        });
    }

    /// Forgets the numbers from here on.
    pub(super) fn remove_from(&mut self, number: u64) {
        self.0.retain_mut(|range| {
            range.end = range.end.min(number);
            !range.is_empty()
        });
    }

    /// The end of the range that this number lies in.
    pub(super) fn end_of(&self, number: u64) -> Option<u64> {
        let at = self.0.partition_point(|range| range.end <= number);
        self.0.get(at).filter(|range| range.start <= number).map(|range| range.end)
    }

    /// Whether the number lies in a range or next to one.
    pub(super) fn touches(&self, number: u64) -> bool {
        let at = self.0.partition_point(|range| range.end < number);
        self.0.get(at).is_some_and(|range| range.start <= number.saturating_add(1))
    }

    /// The lowest number.
    pub(super) fn first(&self) -> Option<u64> {
        self.0.first().map(|range| range.start)
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers.
    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// The ranges, in order.
    pub(super) fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }
}

impl FromIterator<Range<u64>> for RangeSet {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> RangeSet {
        let mut set = RangeSet::default();
        ranges.into_iter().for_each(|range| set.insert(range));
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(Range<u64>),
        Take(u64),
        RemoveBelow(u64),
        RemoveFrom(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0u64..60, 0u64..9).prop_map(|(from, length)| Step::Insert(from..from + length)),
            (1u64..9).prop_map(Step::Take),
            (0u64..60).prop_map(Step::RemoveBelow),
            (0u64..60).prop_map(Step::RemoveFrom),
        ];
        proptest::collection::vec(step, 0..40)
    }

    proptest! {
        #[test]
        fn it_holds_what_a_set_of_numbers_would(steps in steps()) {
            let (mut set, mut model) = (RangeSet::default(), BTreeSet::new());
            for step in steps {
                match step {
                    Step::Insert(range) => {
                        set.insert(range.clone());
                        model.extend(range);
                    }
                    Step::Take(count) => {
                        let taken: Vec<u64> = set.take_first(count).into_iter().flatten().collect();
                        prop_assert!(taken.len() as u64 <= count && (taken.is_empty() == model.is_empty()));
                        prop_assert!(model.iter().take(taken.len()).eq(&taken));
                        taken.iter().for_each(|number| assert!(model.remove(number)));
                    }
                    Step::RemoveBelow(number) => {
                        set.remove_below(number);
                        model = model.split_off(&number);
                    }
                    Step::RemoveFrom(number) => {
                        set.remove_from(number);
                        drop(model.split_off(&number));
                    }
                }
                prop_assert!(set.ranges().iter().cloned().flatten().eq(model.iter().copied()));
                prop_assert!(set.ranges().windows(2).all(|pair| pair[0].end < pair[1].start));
                prop_assert_eq!((set.len(), set.first()), (model.len() as u64, model.first().copied()));
            }
        }
    }
}
