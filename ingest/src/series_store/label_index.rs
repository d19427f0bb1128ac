//! Which series have which label. Names and values are kept once: a *term* is a name with one of its values, a series is a
//! row of terms by rising name, and a term knows its series.
//!
//! A series mostly has one label that no other has (a host, a path, an id), so a term of one series costs no list: it holds
//! the series' id itself. Lists of more are differences of rising ids, a byte or two each.
//!
//! A question starts from the shortest list that one of its matchers names, and tries the other matchers on the rows of
//! those series, each matcher once on each term.

use std::hash::{BuildHasher, Hasher};

use hashbrown::HashTable;
use rapidhash::RapidHashMap;
use rapidhash::fast::RandomState;
use taffrail_collector::model::LabelSet;

use super::matcher::{LabelMatcher, LabelTest};
use crate::byte_cursor::put_varint;

/// Says that a term's `series` is the id of its only series, not the number of a list.
const ONLY: u32 = 1 << 31;

/// The index. Ids count from 0 in the order of [`LabelIndex::add`].
#[derive(Debug, Default)]
pub(super) struct LabelIndex {
    names: Vec<Name>,
    name_numbers: RapidHashMap<Box<str>, u32>,
    terms: Vec<Term>,
    /// The values of all terms, one after the other.
    values: String,
    numbers: HashTable<u32>,
    hashing: RandomState,
    lists: Vec<IdList>,
    /// The terms of all series, one after the other.
    rows: Vec<u32>,
    /// Where each series' terms end.
    row_ends: Vec<u32>,
}

#[derive(Debug)]
struct Name {
    text: Box<str>,
    /// All terms with it.
    terms: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Term {
    name: u32,
    /// The number of the list of its series, or [`ONLY`] and an id.
    series: u32,
    /// Where its value ends in `values`.
    end: u64,
}

/// Rising ids.
#[derive(Debug)]
struct IdList {
    differences: Vec<u8>,
    last: u32,
    count: u32,
}

impl LabelIndex {
    /// Adds the next series and returns its id.
    pub(super) fn add(&mut self, labels: &LabelSet) -> u32 {
        let id = self.len();
        assert!(id < ONLY, "2^31 series do not fit in memory");
        for (name, value) in labels.iter() {
            let name = self.name_number(name);
            let term = self.term_number(name, value, id);
            self.rows.push(term);
        }
        // Four billion labels of series do not fit in memory either.
        self.row_ends.push(u32::try_from(self.rows.len()).expect("2^32 labels do not fit in memory"));
        id
    }

    /// How many series there are.
    pub(super) fn len(&self) -> u32 {
        self.row_ends.len() as u32 // `add` keeps it below 2^31
    }

    /// The labels of a series.
    pub(super) fn labels(&self, id: u32) -> LabelSet {
        let pairs = self.row(id).iter().map(|&term| (self.name(term), self.value(term)));
        LabelSet::from_sorted(pairs).expect("rows are sorted by name, as label sets are")
    }

    /// The terms of a series, by rising name.
    pub(super) fn row(&self, id: u32) -> &[u32] {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.row_ends[id - 1] as usize };
        &self.rows[start..self.row_ends[id] as usize]
    }

    /// The term of a series that has this name.
    pub(super) fn term_of(&self, id: u32, name: u32) -> Option<u32> {
        self.row(id).iter().copied().find(|&term| self.terms[term as usize].name == name)
    }

    /// The number of a label's name, if any series has it.
    pub(super) fn number_of(&self, name: &str) -> Option<u32> {
        self.name_numbers.get(name).copied()
    }

    /// The value of a term.
    pub(super) fn value(&self, term: u32) -> &str {
        let term = term as usize;
        let start = if term == 0 { 0 } else { self.terms[term - 1].end as usize };
        &self.values[start..self.terms[term].end as usize]
    }

    /// The term of this name and value, if any series has it.
    pub(super) fn term(&self, name: &str, value: &str) -> Option<u32> {
        self.find(self.number_of(name)?, value)
    }

    /// Every label's name with its terms: one for each value.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, &[u32])> {
        self.names.iter().map(|name| (&*name.text, &*name.terms))
    }

    /// The name of a term.
    pub(super) fn name(&self, term: u32) -> &str {
        &self.names[self.terms[term as usize].name as usize].text
    }

    /// How many series have a term.
    pub(super) fn count(&self, term: u32) -> u32 {
        let series = self.terms[term as usize].series;
        if series & ONLY != 0 { 1 } else { self.lists[series as usize].count }
    }

    /// Appends the series that have a term, in rising order.
    pub(super) fn ids(&self, term: u32, out: &mut Vec<u32>) {
        let series = self.terms[term as usize].series;
        if series & ONLY != 0 { out.push(series & !ONLY) } else { self.lists[series as usize].read(out) }
    }

    /// Two series in the order of their labels.
    pub(super) fn compare(&self, a: u32, b: u32) -> std::cmp::Ordering {
        let (a, b) = (self.row(a), self.row(b));
        let different = a.iter().zip(b).find(|(a, b)| a != b);
        different.map_or_else(
            || a.len().cmp(&b.len()),
            |(&a, &b)| self.name(a).cmp(self.name(b)).then_with(|| self.value(a).cmp(self.value(b))),
        )
    }

    /// The series that pass all matchers, in rising order.
    pub(super) fn select(&self, matchers: &[LabelMatcher]) -> Vec<u32> {
        let mut found = match self.fewest(matchers) {
            Some(found) => found,
            None => (0..self.len()).collect(),
        };
        for matcher in matchers {
            let Some(name) = self.number_of(&matcher.name) else {
                if !matcher.test.passes("") {
                    return Vec::new();
                }
                continue;
            };
            let absent = matcher.test.passes("");
            let mut verdicts: RapidHashMap<u32, bool> = RapidHashMap::default();
            let mut last = None;
            found.retain(|&id| {
                let Some(term) = self.term_of(id, name) else { return absent };
                // Series that came one after the other mostly share their value.
                if let Some((same, verdict)) = last
                    && same == term
                {
                    return verdict;
                }
                let verdict = *verdicts.entry(term).or_insert_with(|| matcher.test.passes(self.value(term)));
                last = Some((term, verdict));
                verdict
            });
        }
        found
    }

    /// Memory taken, near enough.
    pub(super) fn bytes(&self) -> usize {
        let lists: usize = self.lists.iter().map(|list| list.differences.capacity()).sum();
        self.values.len()
            + self.terms.len() * (size_of::<Term>() + 2 * size_of::<u32>())
            + self.numbers.capacity() * (size_of::<u32>() + 1)
            + self.lists.len() * size_of::<IdList>()
            + lists
            + (self.rows.len() + self.row_ends.len()) * size_of::<u32>()
    }

    /// The shortest list of series that holds all answers; none when only a walk over all series tells.
    fn fewest(&self, matchers: &[LabelMatcher]) -> Option<Vec<u32>> {
        let naming = matchers.iter().filter(|matcher| !matcher.test.passes(""));
        let equal = |matcher: &LabelMatcher| match &matcher.test {
            LabelTest::Equal(value) => Some(self.number_of(&matcher.name).and_then(|name| self.find(name, value))),
            _ => None,
        };
        // The outer option: whether it names one term; the inner: whether any series has it.
        let shortest = naming.clone().filter_map(equal).min_by_key(|term| term.map_or(0, |term| self.count(term)));
        if let Some(term) = shortest {
            let mut ids = Vec::new();
            term.into_iter().for_each(|term| self.ids(term, &mut ids));
            return Some(ids);
        }
        let mut ids = Vec::new();
        let matcher = naming.clone().next()?;
        let terms = self.number_of(&matcher.name).map_or(&[][..], |name| &self.names[name as usize].terms);
        terms.iter().filter(|&&term| matcher.test.passes(self.value(term))).for_each(|&term| self.ids(term, &mut ids));
        ids.sort_unstable();
        Some(ids)
    }

    fn name_number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.name_numbers.get(name) {
            return number;
        }
        let number = self.names.len() as u32; // fewer than there are labels of series
        self.names.push(Name { text: name.into(), terms: Vec::new() });
        self.name_numbers.insert(name.into(), number);
        number
    }

    fn find(&self, name: u32, value: &str) -> Option<u32> {
        let is_it = |&term: &u32| self.terms[term as usize].name == name && self.value(term) == value;
        self.numbers.find(self.hash(name, value), is_it).copied()
    }

    /// The number of a term, which this series has.
    fn term_number(&mut self, name: u32, value: &str, id: u32) -> u32 {
        if let Some(term) = self.find(name, value) {
            self.note(term, id);
            return term;
        }
        let term = self.terms.len() as u32; // no more than there are labels of series
        self.values.push_str(value);
        self.terms.push(Term { name, series: ONLY | id, end: self.values.len() as u64 });
        self.names[name as usize].terms.push(term);
        let hash = self.hash(name, value);
        let LabelIndex { numbers, terms, values, hashing, .. } = self;
        numbers.insert_unique(hash, term, |&other| {
            let start = if other == 0 { 0 } else { terms[other as usize - 1].end as usize };
            let Term { name, end, .. } = terms[other as usize];
            hash_of(hashing, name, &values[start..end as usize])
        });
        term
    }

    /// Adds a series to those of a term.
    fn note(&mut self, term: u32, id: u32) {
        let series = &mut self.terms[term as usize].series;
        if *series & ONLY != 0 {
            let mut list = IdList { differences: Vec::new(), last: 0, count: 0 };
            list.push(*series & !ONLY);
            *series = self.lists.len() as u32; // fewer than there are terms
            self.lists.push(list);
        }
        self.lists[*series as usize].push(id);
    }

    fn hash(&self, name: u32, value: &str) -> u64 {
        hash_of(&self.hashing, name, value)
    }
}

fn hash_of(hashing: &RandomState, name: u32, value: &str) -> u64 {
    let mut hasher = hashing.build_hasher();
    hasher.write(value.as_bytes());
    hasher.write_u32(name);
    hasher.finish()
}

impl IdList {
    fn push(&mut self, id: u32) {
        put_varint(&mut self.differences, u64::from(id - self.last));
        (self.last, self.count) = (id, self.count + 1);
    }

    fn read(&self, out: &mut Vec<u32>) {
        out.reserve(self.count as usize);
        let (mut id, mut difference, mut shift) = (0u32, 0u32, 0);
        for &byte in &self.differences {
            difference |= u32::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                id += difference;
                out.push(id);
                (difference, shift) = (0, 0);
            }
        }
    }
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
            many in 0u32..400,
            matchers in prop::collection::vec(("[abcn]", 0u8..4, "[xy]{0,2}|n[0-9]{1,3}"), 0..4),
        ) {
            // Behind them many that share some labels and differ in one, so that lists have long differences.
            let more = (0..many).map(|n| LabelSet::new([("a", if n % 3 == 0 { "x" } else { "y" }), ("n", &*format!("n{n}"))]));
            let series: Vec<LabelSet> = series.into_iter().map(LabelSet::new).chain(more).collect();
            let matchers: Vec<LabelMatcher> =
                matchers.into_iter().map(|(name, kind, value)| matcher(&name, kind, &value)).collect();
            let mut index = LabelIndex::default();
            series.iter().for_each(|labels| { index.add(labels); });
            let scanned: Vec<u32> = (0..series.len())
                .filter(|&i| matchers.iter().all(|m| m.passes(&series[i])))
                .map(|i| u32::try_from(i).unwrap())
                .collect();
            prop_assert_eq!(index.select(&matchers), scanned);
            for (id, labels) in (0..).zip(&series) {
                prop_assert_eq!(&index.labels(id), labels);
                let other = id / 2;
                prop_assert_eq!(index.compare(id, other), labels.cmp(&series[other as usize]));
            }
        }
    }
}
