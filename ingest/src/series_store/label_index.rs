//! Which series of a head have which label: name → value → series ids in rising order.
//!
//! A matcher that the empty value passes (`!=`, `=""`, most negative patterns) also wants the series that lack the label,
//! so it is answered by taking away what fails instead of collecting what passes.

use std::collections::BTreeMap;

use rapidhash::RapidHashMap;
use taffrail_collector::model::LabelSet;

use super::matcher::{LabelMatcher, LabelTest};

/// The index of one head. Ids count from 0 in the order of [`LabelIndex::add`].
#[derive(Debug, Default)]
pub(super) struct LabelIndex {
    names: RapidHashMap<Box<str>, BTreeMap<Box<str>, Vec<u32>>>,
    series: u32,
}

impl LabelIndex {
    /// Adds the next series and returns its id.
    pub(super) fn add(&mut self, labels: &LabelSet) -> u32 {
        let id = self.series;
        self.series += 1;
        for (name, value) in labels.iter() {
            if !self.names.contains_key(name) {
                self.names.insert(name.into(), BTreeMap::new());
            }
            let values = self.names.get_mut(name).expect("the name was inserted above if it was missing");
            match values.get_mut(value) {
                Some(ids) => ids.push(id),
                None => {
                    values.insert(value.into(), vec![id]);
                }
            }
        }
        id
    }

    /// The series that pass all matchers, in rising order.
    pub(super) fn select(&self, matchers: &[LabelMatcher]) -> Vec<u32> {
        // Matchers that name their series shrink the set before those that take away.
        let (absent_passes, collecting): (Vec<_>, Vec<_>) =
            matchers.iter().partition(|matcher| matcher.test.passes(""));
        let mut found: Option<Vec<u32>> = None;
        for matcher in collecting {
            let ids = self.ids_where(matcher, true);
            found = Some(match found {
                Some(before) => intersect(&before, &ids),
                None => ids,
            });
        }
        let mut found = found.unwrap_or_else(|| (0..self.series).collect());
        for matcher in absent_passes {
            let failing = self.ids_where(matcher, false);
            found = subtract(&found, &failing);
        }
        found
    }

    /// The values of a label and the series that have them.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = (&str, &[u32])> {
        self.names.get(name).into_iter().flatten().map(|(value, ids)| (&**value, ids.as_slice()))
    }

    /// The series that have the label with a value whose test gives `verdict`.
    fn ids_where(&self, matcher: &LabelMatcher, verdict: bool) -> Vec<u32> {
        let Some(values) = self.names.get(matcher.name.as_str()) else { return Vec::new() };
        if let (LabelTest::Equal(wanted), true) = (&matcher.test, verdict) {
            return values.get(wanted.as_str()).cloned().unwrap_or_default();
        }
        let mut ids = Vec::new();
        values.iter().filter(|(value, _)| matcher.test.passes(value) == verdict).for_each(|(_, more)| ids.extend(more));
        ids.sort_unstable();
        ids
    }
}

fn intersect(a: &[u32], b: &[u32]) -> Vec<u32> {
    let (few, many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    few.iter().copied().filter(|id| many.binary_search(id).is_ok()).collect()
}

fn subtract(from: &[u32], unwanted: &[u32]) -> Vec<u32> {
    if unwanted.is_empty() {
        return from.to_vec();
    }
    from.iter().copied().filter(|id| unwanted.binary_search(id).is_err()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::matcher::LabelRegex;
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn matcher(name: &str, kind: u8, value: &str) -> LabelMatcher {
        // A pattern that is easy to state: "contains the text, or is empty when the text is empty".
        let text = value.to_owned();
        let regex = LabelRegex(Arc::new(move |v: &str| if text.is_empty() { v.is_empty() } else { v.contains(&text) }));
        let test = match kind {
            0 => LabelTest::Equal(value.to_owned()),
            1 => LabelTest::NotEqual(value.to_owned()),
            2 => LabelTest::Matches(regex),
            _ => LabelTest::NotMatches(regex),
        };
        LabelMatcher { name: name.to_owned(), test }
    }

    proptest! {
        #[test]
        fn the_index_selects_what_a_scan_selects(
            series in prop::collection::vec(prop::collection::btree_map("[ab]", "[xy]{0,2}", 0..3), 0..12),
            matchers in prop::collection::vec(("[abc]", 0u8..4, "[xy]{0,2}"), 0..4),
        ) {
            let series: Vec<LabelSet> = series.into_iter().map(LabelSet::new).collect();
            let matchers: Vec<LabelMatcher> =
                matchers.into_iter().map(|(name, kind, value)| matcher(&name, kind, &value)).collect();
            let mut index = LabelIndex::default();
            series.iter().for_each(|labels| { index.add(labels); });
            let scanned: Vec<u32> = (0..series.len())
                .filter(|&i| matchers.iter().all(|m| m.passes(&series[i])))
                .map(|i| u32::try_from(i).unwrap())
                .collect();
            prop_assert_eq!(index.select(&matchers), scanned);
        }
    }
}
