//! What differs between two stretches of time: which patterns came, went, grew or shrank, and which values of fields.
//!
//! A pattern is compared by its rate, since a pattern that comes twice as often is news by itself. A value is compared by
//! its share of all records of its side: when traffic doubles, every value comes twice as often, and none of them is news.

use std::collections::{BTreeMap, BTreeSet};

use taffrail_ingest::log_store::{Facet, PatternCount, PatternId};

use super::pattern_change::{Change, SCORE_MIN, Stretch};

/// A pattern that differs.
#[derive(Clone, Debug)]
pub struct PatternDifference<'a> {
    /// The pattern, as the side has it where it came last.
    pub pattern: &'a PatternCount,
    /// What became of it.
    pub change: Change,
    /// How surely; growth is positive.
    pub score: f64,
    /// The first side.
    pub before: Stretch,
    /// The second side.
    pub after: Stretch,
}

/// A value of a field whose share differs.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueDifference {
    /// The value.
    pub value: String,
    /// What became of it.
    pub change: Change,
    /// How surely; growth is positive.
    pub score: f64,
    /// Records of the first side; at most so many where the field had too many values to tell.
    pub before: u64,
    /// Records of the second side, in the same way.
    pub after: u64,
}

/// Patterns by how much they differ, the most first; those that come as before are left out.
pub fn patterns<'a>(
    (before, before_seconds): (&'a [PatternCount], f64),
    (after, after_seconds): (&'a [PatternCount], f64),
) -> Vec<PatternDifference<'a>> {
    let mut sides: BTreeMap<PatternId, (Option<&PatternCount>, Option<&PatternCount>)> = BTreeMap::new();
    for pattern in before {
        sides.entry(pattern.id).or_default().0 = Some(pattern);
    }
    for pattern in after {
        sides.entry(pattern.id).or_default().1 = Some(pattern);
    }
    let count = |side: Option<&PatternCount>| side.map_or(0, |pattern| pattern.count);
    let mut differing: Vec<PatternDifference> = sides
        .into_values()
        .filter_map(|(earlier, later)| {
            let before = Stretch { count: count(earlier), seconds: before_seconds };
            let after = Stretch { count: count(later), seconds: after_seconds };
            let (change, score) = Change::between(before, after);
            let pattern = later.or(earlier)?;
            (change != Change::Steady).then_some(PatternDifference { pattern, change, score, before, after })
        })
        .collect();
    differing.sort_by(|a, b| b.score.abs().total_cmp(&a.score.abs()));
    differing
}

/// Values of one field by how much their share differs, the most first; differences that may be chance are left out.
pub fn values((before, before_total): (&Facet, u64), (after, after_total): (&Facet, u64)) -> Vec<ValueDifference> {
    let earlier = counts(before);
    let later = counts(after);
    let all: BTreeSet<&str> = earlier.keys().chain(later.keys()).copied().collect();
    let mut differing: Vec<ValueDifference> = all
        .into_iter()
        .filter_map(|value| {
            let before_count = earlier.get(value).copied().unwrap_or_else(|| unseen(before));
            let after_count = later.get(value).copied().unwrap_or_else(|| unseen(after));
            let (change, score) = Change::between(
                Stretch { count: before_count, seconds: before_total as f64 },
                Stretch { count: after_count, seconds: after_total as f64 },
            );
            let differs = change != Change::Steady && score.abs() >= SCORE_MIN;
            differs.then(|| ValueDifference {
                value: value.to_owned(),
                change,
                score,
                before: before_count,
                after: after_count,
            })
        })
        .collect();
    differing.sort_by(|a, b| b.score.abs().total_cmp(&a.score.abs()));
    differing
}

fn counts(facet: &Facet) -> BTreeMap<&str, u64> {
    facet.values.iter().map(|(value, count)| (value.as_str(), *count)).collect()
}

/// How many records a value may have that is not among the commonest: as many as the rarest of them, if there are others.
fn unseen(facet: &Facet) -> u64 {
    if facet.other == 0 { 0 } else { facet.values.last().map_or(facet.other, |(_, count)| (*count).min(facet.other)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facet(values: &[(&str, u64)], other: u64) -> Facet {
        let values = values.iter().map(|(value, count)| ((*value).to_owned(), *count)).collect();
        Facet { field: "host".to_owned(), values, other, missing: 0 }
    }

    #[test]
    fn values_are_compared_by_their_share() {
        let check = |before: &Facet, before_total, after: &Facet, after_total, expected: &[(&str, Change)]| {
            let found = values((before, before_total), (after, after_total));
            let found: Vec<(&str, Change)> = found.iter().map(|one| (one.value.as_str(), one.change)).collect();
            assert_eq!(found, expected, "{before:?} {after:?}");
        };
        let even = facet(&[("a", 100), ("b", 100)], 0);
        check(&even, 200, &even, 200, &[]);
        // Ten times the traffic, the same shares.
        check(&even, 200, &facet(&[("a", 1000), ("b", 1000)], 0), 2000, &[]);
        let uneven = facet(&[("a", 190), ("b", 10)], 0);
        check(&even, 200, &uneven, 200, &[("b", Change::Shrunk), ("a", Change::Grown)]);
        let other = facet(&[("a", 100), ("c", 100)], 0);
        check(&even, 200, &other, 200, &[("b", Change::Gone), ("c", Change::New)]);
        // One record more is no news.
        check(&even, 200, &facet(&[("a", 100), ("b", 100), ("c", 1)], 0), 201, &[]);
    }

    #[test]
    fn a_value_beyond_the_commonest_is_not_called_new() {
        let many = facet(&[("a", 100), ("b", 90)], 500);
        let found = values((&many, 690), (&facet(&[("c", 400)], 0), 400));
        let of_c = found.iter().find(|one| one.value == "c").unwrap();
        assert_eq!((of_c.change, of_c.before), (Change::Grown, 90));
    }

    #[test]
    fn nothing_on_one_side_is_no_division_by_nothing() {
        let none = facet(&[], 0);
        let found = values((&none, 0), (&facet(&[("a", 50)], 0), 50));
        assert!(found.iter().all(|one| one.score.is_finite()), "{found:?}");
        assert!(patterns((&[], 0.0), (&[], 0.0)).is_empty());
    }
}
