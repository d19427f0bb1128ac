//! Which entries a server had already when this agent's state was lost, beyond the one behind which reading goes on.
//!
//! The ranges ([`crate::stored_range`]) say it by cursors. A cursor (`s=…;i=…;b=…;m=…;t=…;x=…`, systemd.journal-fields(7)) holds the
//! entry's number `i`, in hexadecimal, among those with the same `s`: entries between two of one `s` are told by their numbers.

use std::collections::HashMap;

use crate::model::{Checkpoint, Lane};
use crate::stored_range::{StoredRange, ranges_of};

/// See the module's documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct StoredEntries(Vec<StoredPart>);

#[derive(Clone, Debug)]
struct StoredPart {
    range: StoredRange,
    sequence: String,
    /// The first number that is stored, and the last.
    from: u64,
    to: u64,
}

impl StoredEntries {
    /// Those of the source with this key.
    pub(super) fn new(checkpoints: &HashMap<String, Vec<u8>>, key: &str) -> StoredEntries {
        let ranges = ranges_of(checkpoints, key).remove(key).unwrap_or_default();
        StoredEntries(ranges.into_iter().filter_map(StoredPart::new).collect())
    }

    /// Whether the record of this lane that was made of the entry with this cursor is stored.
    pub(super) fn have(&self, cursor: &str, lane: Lane) -> bool {
        let Some((sequence, number)) = number_of(cursor).filter(|_| !self.0.is_empty()) else { return false };
        let has = |part: &StoredPart| part.sequence == sequence && (part.from..=part.to).contains(&number);
        self.0.iter().any(|part| part.range.is_of(lane) && has(part))
    }

    /// Whether a range begins or ends behind this entry: what is held is not joined across that.
    pub(super) fn have_edge(&self, cursor: &str) -> bool {
        let Some((sequence, number)) = number_of(cursor).filter(|_| !self.0.is_empty()) else { return false };
        self.0
            .iter()
            .any(|part| part.sequence == sequence && (part.from.checked_sub(1) == Some(number) || part.to == number))
    }

    /// Takes those away that this entry ends or is behind.
    pub(super) fn take_passed(&mut self, cursor: &str) -> Vec<Checkpoint> {
        let Some((sequence, number)) = number_of(cursor) else { return Vec::new() };
        let passed = self.0.extract_if(.., |part| part.sequence == sequence && part.to <= number);
        passed.map(|part| Checkpoint { key: part.range.key(), value: Vec::new() }).collect()
    }
}

impl StoredPart {
    fn new(range: StoredRange) -> Option<StoredPart> {
        let cursor = |value: &[u8]| String::from_utf8(value.to_vec()).ok();
        let (from, to) = (cursor(&range.from)?, cursor(&range.to)?);
        let (sequence, to) = number_of(&to)?;
        // Where the journal began anew in between, where it did is not known.
        let from = number_of(&from).filter(|(before, _)| *before == sequence)?.1.checked_add(1)?;
        let sequence = sequence.to_owned();
        Some(StoredPart { range, sequence, from, to })
    }
}

/// A cursor's `s` and `i`.
fn number_of(cursor: &str) -> Option<(&str, u64)> {
    let field = |name: &str| cursor.split(';').find_map(|field| field.strip_prefix(name));
    Some((field("s=")?, u64::from_str_radix(field("i=")?, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(sequence: &str, number: u64) -> String {
        format!("s={sequence};i={number:x};b=1;m=2;t=3;x=4")
    }

    fn stored(from: &str, to: &str, lanes: u8) -> StoredEntries {
        let (from, to) = (from.as_bytes().to_vec(), to.as_bytes().to_vec());
        let range = StoredRange { lanes, number: 7, source: "journald".to_owned(), from, to };
        let Checkpoint { key, value } = range.checkpoint().unwrap();
        StoredEntries::new(&HashMap::from([(key, value)]), "journald")
    }

    #[test]
    fn entries_between_two_cursors_are_told_by_their_numbers() {
        let check = |sequence: &str, number, lane, expected| {
            let stored = stored(&cursor("a", 10), &cursor("a", 300), 0b0100);
            assert_eq!(stored.have(&cursor(sequence, number), lane), expected, "{sequence} {number}");
        };
        check("a", 10, Lane::Normal, false);
        check("a", 11, Lane::Normal, true);
        check("a", 300, Lane::Normal, true);
        check("a", 301, Lane::Normal, false);
        let edges: Vec<u64> =
            (0..400).filter(|at| stored(&cursor("a", 10), &cursor("a", 300), 1).have_edge(&cursor("a", *at))).collect();
        assert_eq!(edges, [10, 300]);
        check("a", 11, Lane::Urgent, false);
        check("b", 11, Lane::Normal, false);
        let across = stored(&cursor("a", 10), &cursor("b", 300), 0b1111);
        assert!(!across.have(&cursor("b", 11), Lane::Normal) && !across.have("12", Lane::Normal));
    }

    #[test]
    fn a_range_ends_with_its_last_entry() {
        let mut stored = stored(&cursor("a", 10), &cursor("a", 300), 0b0100);
        assert_eq!(stored.take_passed(&cursor("a", 299)), []);
        let key = "stored:4:0000000000000007:journald".to_owned();
        assert_eq!(stored.take_passed(&cursor("a", 300)), [Checkpoint { key, value: Vec::new() }]);
        assert!(!stored.have(&cursor("a", 11), Lane::Normal));
    }
}
