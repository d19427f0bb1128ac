//! How far one agent's sources are stored, and which ranges of them beyond that ([`stored_range`]).
//!
//! A source's own value is the agent's business; that two of them are equal is all that is asked here. A range that begins where another
//! ends makes one with it, so that there are as many as there are holes between them, not as many as batches. A batch that is not
//! ahead of others carries the checkpoint as well: then nothing is missing before it, and the range that ends where it begins
//! says nothing new.
//!
//! [`stored_range`]: taffrail_collector::stored_range

use std::collections::HashMap;

use taffrail_collector::model::{Checkpoint, Lane};
use taffrail_collector::stored_range::{ORDER_BYTES, RANGE_PREFIX, StoredRange};

/// Ranges that are kept of one agent. What comes beyond is not remembered: it would be stored twice if the agent lost its state just
/// then.
const RANGES_MAX: usize = 10_000;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct AgentCheckpoints {
    /// Checkpoints and ranges, as they travel.
    values: HashMap<String, Vec<u8>>,
    /// The keys of the ranges, by source.
    ranges: HashMap<String, Vec<String>>,
    range_count: usize,
}

impl AgentCheckpoints {
    /// One that is known, as a seal wrote it.
    pub(crate) fn restore(&mut self, Checkpoint { key, value }: Checkpoint) {
        if let Some((_, range)) = read(&key, &value) {
            self.ranges.entry(range.source).or_default().push(key.clone());
            self.range_count += 1;
        }
        self.values.insert(key, value);
    }

    /// Takes over those of a batch that is durable; the keys of what changed.
    pub(crate) fn note(&mut self, news: Vec<Checkpoint>) -> Vec<String> {
        let is_believed = |news: &[Checkpoint], source: &str| news.iter().any(|known| known.key == source);
        let mut changed = Vec::new();
        for at in 0..news.len() {
            let Checkpoint { key, value } = &news[at];
            if key == RANGE_PREFIX {
                self.end_ranges_before(value, &mut changed);
            } else if let Some((order, range)) = read(key, value) {
                match is_believed(&news, &range.source) {
                    true => self.end_ranges_up_to(&range, &mut changed),
                    false => self.add_range(order, &range, &mut changed),
                }
            } else if value.is_empty() {
                self.remove(key, &mut changed);
                for range in self.ranges.get(key).cloned().unwrap_or_default() {
                    self.remove(&range, &mut changed);
                }
            } else {
                self.values.insert(key.clone(), value.clone());
                changed.push(key.clone());
            }
        }
        changed
    }

    /// The value under this key.
    pub(crate) fn get(&self, key: &str) -> Option<&Vec<u8>> {
        self.values.get(key)
    }

    /// All of them, by key.
    pub(crate) fn list(&self) -> Vec<Checkpoint> {
        let listed = self.values.iter().map(|(key, value)| Checkpoint { key: key.clone(), value: value.clone() });
        let mut listed: Vec<Checkpoint> = listed.collect();
        listed.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        listed
    }

    fn add_range(&mut self, order: u64, range: &StoredRange, changed: &mut Vec<String>) {
        for lane in Lane::ALL.into_iter().filter(|lane| range.is_of(*lane)) {
            let (mut order, mut range) = (order, StoredRange { lanes: 1 << lane as u8, ..range.clone() });
            let known = self.ranges_of(&range.source, lane);
            if let Some((_, before)) = known.iter().find(|(_, known)| known.to == range.from) {
                (range.number, range.from) = (before.number, before.from.clone());
            }
            let follows = |known: &StoredRange| known.from == range.to && known.number != range.number;
            if let Some((last, after)) = known.iter().find(|(_, known)| follows(known)) {
                order = order.max(*last);
                range.to.clone_from(&after.to);
                self.remove(&after.key(), changed);
            }
            self.insert(order, &range, changed);
        }
    }

    fn insert(&mut self, order: u64, range: &StoredRange, changed: &mut Vec<String>) {
        let key = range.key();
        let Some(Checkpoint { mut value, .. }) = range.checkpoint() else { return };
        value.splice(0..0, order.to_be_bytes());
        if !self.values.contains_key(&key) {
            if self.range_count >= RANGES_MAX {
                return;
            }
            self.range_count += 1;
            self.ranges.entry(range.source.clone()).or_default().push(key.clone());
        }
        self.values.insert(key.clone(), value);
        changed.push(key);
    }

    /// Nothing is missing before this range.
    fn end_ranges_up_to(&mut self, range: &StoredRange, changed: &mut Vec<String>) {
        for lane in Lane::ALL {
            let known = self.ranges_of(&range.source, lane);
            for (_, covered) in known.iter().filter(|(_, known)| known.to == range.from || known.to == range.to) {
                self.remove(&covered.key(), changed);
            }
        }
    }

    /// Nothing is missing before the batch of this order.
    fn end_ranges_before(&mut self, order: &[u8], changed: &mut Vec<String>) {
        let Some(order) = order.get(..ORDER_BYTES) else { return };
        let keys: Vec<String> = self.ranges.values().flatten().cloned().collect();
        for key in keys {
            // Big-endian numbers are in the order of their bytes.
            if self.values.get(&key).is_some_and(|value| &value[..ORDER_BYTES] < order) {
                self.remove(&key, changed);
            }
        }
    }

    /// The ranges of a source that are of this lane, with the order of their last batch.
    fn ranges_of(&self, source: &str, lane: Lane) -> Vec<(u64, StoredRange)> {
        let keys = self.ranges.get(source).into_iter().flatten();
        let known = keys.filter_map(|key| read(key, self.values.get(key)?));
        known.filter(|(_, known)| known.is_of(lane)).collect()
    }

    fn remove(&mut self, key: &str, changed: &mut Vec<String>) {
        let Some(value) = self.values.remove(key) else { return };
        changed.push(key.to_owned());
        let Some((_, range)) = read(key, &value) else { return };
        self.range_count -= 1;
        if let Some(keys) = self.ranges.get_mut(&range.source) {
            keys.retain(|known| known != key);
            if keys.is_empty() {
                self.ranges.remove(&range.source);
            }
        }
    }
}

fn read(key: &str, value: &[u8]) -> Option<(u64, StoredRange)> {
    let (order, value) = value.split_first_chunk::<ORDER_BYTES>()?;
    Some((u64::from_be_bytes(*order), StoredRange::read(key, value)?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const SOURCE: &str = "file:1:2";
    const LANES: [Lane; 3] = [Lane::Urgent, Lane::Normal, Lane::Bulk];

    fn place(at: usize) -> Vec<u8> {
        if at == 0 { Vec::new() } else { format!("place {at}").into_bytes() }
    }

    fn traveling(key: String, order: usize, value: &[u8]) -> Checkpoint {
        Checkpoint { key, value: [&(order as u64).to_be_bytes()[..], value].concat() }
    }

    /// What the frame of these lanes of batch `at` carries; batch n brings the source from place n to place n + 1.
    fn frame(at: usize, lanes: u8, is_last: bool) -> Vec<Checkpoint> {
        let number = at as u64 + 1;
        let range = StoredRange { lanes, number, source: SOURCE.to_owned(), from: place(at), to: place(at + 1) };
        let Checkpoint { key, value } = range.checkpoint().unwrap();
        let own = is_last.then(|| traveling(SOURCE.to_owned(), at + 1, &place(at + 1)));
        own.into_iter().chain([traveling(key, at + 1, &value)]).collect()
    }

    /// The batches of which the records of this lane are stored, by what an agent without a state would be told.
    fn told(known: &AgentCheckpoints, lane: Lane) -> BTreeSet<usize> {
        let at =
            |value: &[u8]| std::str::from_utf8(value).unwrap().strip_prefix("place ").map_or(0, |n| n.parse().unwrap());
        let mut stored = BTreeSet::new();
        for Checkpoint { key, value } in known.list() {
            match read(&key, &value) {
                Some((_, range)) if range.is_of(lane) => stored.extend(at(&range.from)..at(&range.to)),
                Some(_) => {}
                None => stored.extend(0..at(&value[ORDER_BYTES..])),
            }
        }
        stored
    }

    proptest! {
        /// Batches of one or three frames come in any order, as from several streams: what is told is what came, and there are no
        /// more ranges than there are holes.
        #[test]
        fn what_is_told_is_what_came(parted in proptest::collection::vec(any::<bool>(), 1..20), order: Vec<prop::sample::Index>) {
            let mut frames: Vec<(usize, u8, Vec<Lane>, bool)> = Vec::new();
            for (at, parted) in parted.iter().enumerate() {
                match parted {
                    false => frames.push((at, StoredRange::ALL_LANES, LANES.to_vec(), true)),
                    true => frames.extend(LANES.map(|lane| (at, 1 | 1 << lane as u8, vec![lane], lane == Lane::Bulk))),
                }
            }
            let mut known = AgentCheckpoints::default();
            let mut stored: [BTreeSet<usize>; 4] = Default::default();
            for pick in order {
                if frames.is_empty() {
                    break;
                }
                let (at, mask, lanes, is_last) = frames.remove(pick.index(frames.len()));
                let is_ahead = frames.iter().any(|(other, ..)| *other <= at);
                let carried: Vec<_> = frame(at, mask, is_last)
                    .into_iter()
                    .filter(|checkpoint| !is_ahead || checkpoint.key != SOURCE)
                    .collect();
                for lane in &lanes {
                    stored[*lane as usize].insert(at);
                }
                for key in known.note(carried) {
                    prop_assert!(known.get(&key).is_some() || !known.list().iter().any(|listed| listed.key == key));
                }
                for lane in LANES {
                    let told = told(&known, lane);
                    prop_assert_eq!(&told, &stored[lane as usize], "{:?}", lane);
                    let runs = told.iter().filter(|at| !told.contains(&(*at + 1))).count();
                    prop_assert!(known.ranges_of(SOURCE, lane).len() <= runs + 1);
                }
                // A seal writes all of it down.
                let mut again = AgentCheckpoints::default();
                known.list().into_iter().for_each(|checkpoint| again.restore(checkpoint));
                prop_assert_eq!(again.list(), known.list());
                prop_assert_eq!(again.range_count, known.range_count);
            }
        }
    }

    #[test]
    fn ranges_end_with_the_batch_that_ends_them_or_with_their_source() {
        let full = || {
            let mut known = AgentCheckpoints::default();
            for at in [2, 5] {
                assert_eq!(known.note(frame(at, 0b0100, false)).len(), 1);
            }
            known
        };
        let mut known = full();
        known.note(vec![traveling(RANGE_PREFIX.to_owned(), 5, &[0])]);
        assert_eq!(told(&known, Lane::Normal), BTreeSet::from([5]), "one is of a later batch");
        let mut known = full();
        known.note(vec![Checkpoint { key: SOURCE.to_owned(), value: Vec::new() }]);
        assert_eq!((known.list(), known.range_count), (vec![], 0));
        let mut known = full();
        let passed = known.list()[0].key.clone();
        assert_eq!(known.note(vec![Checkpoint { key: passed.clone(), value: Vec::new() }]), [passed]);
        assert_eq!(told(&known, Lane::Normal), BTreeSet::from([5]));
    }

    #[test]
    fn no_more_ranges_are_kept_than_an_agent_may_have() {
        let mut known = AgentCheckpoints::default();
        for at in 0..RANGES_MAX + 5 {
            known.note(frame(at * 2, 0b0100, false));
        }
        assert_eq!((known.range_count, known.list().len()), (RANGES_MAX, RANGES_MAX));
        known.note(frame(1, 0b0100, false));
        assert_eq!(known.range_count, RANGES_MAX - 1, "two became one");
    }
}
