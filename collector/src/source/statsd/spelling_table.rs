//! Finds a series by how a client spells it: one hash, one compare, one look into the table for nearly every line.
//!
//! A client spells a series always the same way, so a line is recognised before its tags are even looked at. Spellings are
//! numbered in the order in which they come (their *slot*); who owns the table keeps what each gathers in a list by slot.
//! Nothing is ever taken out: when most of it is no longer used its owner begins a new table, and live series are learnt again
//! as they come. That costs a moment each, while removing many at once would make the reading thread stall.
//!
//! ```text
//! buckets     a power of two of them, at most five eighths used, 16 bytes each (4 share a cache line):
//!             tag u32 | slot u32 (none: empty) | offset u32 | name bytes u16 | tags bytes u16
//! spellings   kind u8, name with the tags inside it, text after `|#`; one behind the other
//! ```
//! Spellings that fit into one line of the processor's cache stand in one. A bucket is looked for from `tag & mask` on, upwards. The tag is the hash's lower half, so that growing needs no hashing.

use std::hash::{BuildHasher, Hasher};

use rapidhash::fast::RandomState;

use super::plain_line::PlainLine;
use crate::model::SampleKind;

const EMPTY: u32 = u32::MAX;

/// Buckets that an empty table has.
const BUCKETS_MIN: usize = 256;

/// Bytes of a line of the processor's cache.
const CACHE_LINE: usize = 64;

/// How a series stands in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spelling<'a> {
    /// Names are told apart by kind.
    pub kind: SampleKind,
    /// The name with the tags inside it.
    pub name: &'a [u8],
    /// The text of its tags.
    pub tags: &'a [u8],
}

impl<'a> Spelling<'a> {
    /// That of a line.
    pub fn of(line: &PlainLine<'a>) -> Spelling<'a> {
        Spelling { kind: line.segment.kind.sample_kind(), name: line.name, tags: line.tags }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct SpellingTable {
    buckets: Box<[Bucket]>,
    spellings: Vec<u8>,
    len: usize,
    slots_max: usize,
    bytes_max: usize,
    hashes: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tag: u32,
    slot: u32,
    offset: u32,
    name_bytes: u16,
    tags_bytes: u16,
}

const FREE: Bucket = Bucket { tag: 0, slot: EMPTY, offset: 0, name_bytes: 0, tags_bytes: 0 };

impl SpellingTable {
    /// An empty one that takes so many spellings of so many bytes in all.
    pub fn new(slots_max: usize, bytes_max: usize) -> SpellingTable {
        SpellingTable {
            buckets: vec![FREE; BUCKETS_MIN].into(),
            spellings: Vec::new(),
            len: 0,
            slots_max: slots_max.min(EMPTY as usize),
            bytes_max: bytes_max.min(u32::MAX as usize),
            hashes: RandomState::new(),
        }
    }

    /// How many spellings are known; their slots are all numbers below it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number by which the spelling is looked for in this table.
    pub fn hash(&self, spelling: Spelling<'_>) -> u32 {
        let mut hasher = self.hashes.build_hasher();
        hasher.write(spelling.name);
        hasher.write(spelling.tags);
        hasher.write_u8(spelling.kind as u8);
        hasher.finish() as u32 // the lower half: rapidhash mixes all bits
    }

    /// Fetches from memory what [`find`](SpellingTable::find) looks at first, and says nothing of use: whoever looks for many spellings
    /// calls it for all of them before, so that the processor waits for all the memory at once. `bucket_of` fetches where a spelling may
    /// stand, `spelling_of`, later, the spelling there.
    pub fn bucket_of(&self, hash: u32) -> u32 {
        self.buckets[hash as usize & (self.buckets.len() - 1)].slot
    }

    /// See [`bucket_of`](SpellingTable::bucket_of).
    pub fn spelling_of(&self, hash: u32) -> u8 {
        let bucket = &self.buckets[hash as usize & (self.buckets.len() - 1)];
        let (start, bytes) = (bucket.offset as usize, usize::from(bucket.name_bytes) + usize::from(bucket.tags_bytes));
        let byte = |at| self.spellings.get(at).copied().unwrap_or(0);
        byte(start) ^ byte(start + bytes)
    }

    /// The slot of a spelling, when it is known.
    pub fn find(&self, spelling: Spelling<'_>, hash: u32) -> Option<u32> {
        let mask = self.buckets.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let bucket = self.buckets[at];
            if bucket.slot == EMPTY {
                return None;
            }
            if bucket.tag == hash && self.holds(&bucket, spelling) {
                return Some(bucket.slot);
            }
            at = (at + 1) & mask;
        }
    }

    /// Gives a slot to a spelling that is not known yet; none when the table is full.
    pub fn insert(&mut self, spelling: Spelling<'_>, hash: u32) -> Option<u32> {
        let (name_bytes, tags_bytes) = (spelling.name.len(), spelling.tags.len());
        let bytes = 1 + name_bytes + tags_bytes;
        let offset = self.spellings.len() + self.padding_before(bytes);
        let bucket = Bucket {
            tag: hash,
            slot: u32::try_from(self.len).ok()?,
            offset: u32::try_from(offset).ok()?,
            name_bytes: u16::try_from(name_bytes).ok()?,
            tags_bytes: u16::try_from(tags_bytes).ok()?,
        };
        if self.len >= self.slots_max || offset + bytes > self.bytes_max {
            return None;
        }
        if self.len * 8 >= self.buckets.len() * 5 {
            self.grow();
        }
        self.spellings.resize(offset, 0);
        self.spellings.push(spelling.kind as u8);
        self.spellings.extend_from_slice(spelling.name);
        self.spellings.extend_from_slice(spelling.tags);
        self.len += 1;
        place(&mut self.buckets, bucket);
        Some(bucket.slot)
    }

    fn holds(&self, bucket: &Bucket, spelling: Spelling<'_>) -> bool {
        let (name, tags) = (usize::from(bucket.name_bytes), usize::from(bucket.tags_bytes));
        if name != spelling.name.len() || tags != spelling.tags.len() {
            return false;
        }
        let stored = &self.spellings[bucket.offset as usize..][..1 + name + tags];
        stored[0] == spelling.kind as u8 && &stored[1..=name] == spelling.name && &stored[1 + name..] == spelling.tags
    }

    /// Bytes to leave out so that a spelling of so many bytes lies in no more lines of the cache than it must: each is a wait for
    /// memory. A list that grows may move and lie otherwise; large ones are moved by whole pages.
    fn padding_before(&self, bytes: usize) -> usize {
        let used = (self.spellings.as_ptr() as usize + self.spellings.len()) % CACHE_LINE;
        let least = bytes.div_ceil(CACHE_LINE);
        if (used + bytes).div_ceil(CACHE_LINE) > least { CACHE_LINE - used } else { 0 }
    }

    fn grow(&mut self) {
        let mut buckets: Box<[Bucket]> = vec![FREE; self.buckets.len() * 2].into();
        self.buckets.iter().filter(|bucket| bucket.slot != EMPTY).for_each(|&bucket| place(&mut buckets, bucket));
        self.buckets = buckets;
    }
}

/// Puts a bucket into the first free place from its own on.
fn place(buckets: &mut [Bucket], bucket: Bucket) {
    let mask = buckets.len() - 1;
    let mut at = bucket.tag as usize & mask;
    while buckets[at].slot != EMPTY {
        at = (at + 1) & mask;
    }
    buckets[at] = bucket;
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn spelled<'a>(kind: SampleKind, name: &'a str, tags: &'a str) -> Spelling<'a> {
        Spelling { kind, name: name.as_bytes(), tags: tags.as_bytes() }
    }

    fn slot(table: &mut SpellingTable, spelling: Spelling<'_>) -> Option<u32> {
        let hash = table.hash(spelling);
        table.find(spelling, hash).or_else(|| table.insert(spelling, hash))
    }

    proptest! {
        #[test]
        fn the_table_equals_a_map(
            sent in prop::collection::vec(("[ab]{0,4}", "[ab]{0,4}", any::<bool>()), 0..2_000),
        ) {
            let mut table = SpellingTable::new(usize::MAX, usize::MAX);
            let mut map = HashMap::new();
            for (name, tags, gauge) in &sent {
                let kind = if *gauge { SampleKind::Gauge } else { SampleKind::Counter };
                let next = u32::try_from(map.len()).unwrap();
                let expected = *map.entry((kind, name, tags)).or_insert(next);
                prop_assert_eq!(slot(&mut table, spelled(kind, name, tags)), Some(expected));
            }
            prop_assert_eq!(table.len(), map.len());
        }
    }

    #[test]
    fn a_hash_shared_by_all_costs_only_time() {
        let mut table = SpellingTable::new(1_000, usize::MAX);
        let names: Vec<String> = (0..1_000).map(|n| format!("n{n}")).collect();
        for name in &names {
            assert!(table.insert(spelled(SampleKind::Counter, name, ""), 7).is_some());
        }
        for (at, name) in names.iter().enumerate() {
            assert_eq!(table.find(spelled(SampleKind::Counter, name, ""), 7).map(|slot| slot as usize), Some(at));
        }
    }

    #[test]
    fn a_full_table_takes_no_more_and_still_finds() {
        let mut table = SpellingTable::new(2, usize::MAX);
        let kind = SampleKind::Counter;
        for (name, expected) in [("a", Some(0)), ("b", Some(1)), ("c", None), ("a", Some(0))] {
            assert_eq!(slot(&mut table, spelled(kind, name, "")), expected, "{name}");
        }
        let mut table = SpellingTable::new(100, 10);
        for (name, expected) in [("abc", Some(0)), ("defghi", None), ("defgh", Some(1)), ("", None)] {
            assert_eq!(slot(&mut table, spelled(kind, name, "")), expected, "{name}");
        }
    }
}
