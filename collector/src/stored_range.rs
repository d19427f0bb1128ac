//! Ranges of a source that are stored although something before them is not yet.
//!
//! What comes now goes ahead of what waited, and then its checkpoints say nothing. So that an agent whose state is gone does not send
//! it again, every batch that can be read again also says from where to where it brought its sources. A server keeps these
//! ranges until the checkpoints are behind them, and makes one of two when the first ends where the second begins; the agent
//! reads its sources from the checkpoints on and passes over what the ranges hold. They are told by the checkpoints at their
//! ends, whatever a source writes into those.
//!
//! A batch whose records part by lane is stored in parts: a range holds for some lanes, and on servers for one.
//!
//! ```text
//! key    stored:<lanes>:<number>:<source>   lanes: a hexadecimal digit, bit n for the lane n; number: 16 of them, the order of
//!                                           the first batch, which makes the key unlike all others
//! value  from bytes  u16 big-endian
//!        from                               the source's checkpoint before the range; empty where it had none
//!        to                                 the one behind it
//!
//! key    stored:                            in a batch that was sent when nothing waited: ranges from before it are of no use any more
//! ```
//!
//! On the way every value has the order of its batch before it, as those of checkpoints have ([`ORDER_BYTES`]).

use std::collections::HashMap;

use crate::model::{Checkpoint, Lane};

/// Bytes of the order that stand before every value on the way and on servers.
pub const ORDER_BYTES: usize = 8;

/// What the keys of ranges begin with, and the key that ends those from before it.
pub const RANGE_PREFIX: &str = "stored:";

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRange {
    /// Of which lanes its records are: bit n for the lane n.
    pub lanes: u8,
    /// The order of its first batch.
    pub number: u64,
    /// The key of the source's checkpoint.
    pub source: String,
    /// That checkpoint's value before the range; empty where the source had none.
    pub from: Vec<u8>,
    /// Its value behind the range.
    pub to: Vec<u8>,
}

impl StoredRange {
    /// The bits of all lanes.
    pub const ALL_LANES: u8 = 0b1111;

    /// The key that it travels and is kept under.
    pub fn key(&self) -> String {
        format!("{RANGE_PREFIX}{:x}:{:016x}:{}", self.lanes, self.number, self.source)
    }

    /// As it travels, but for the order. None when a value is longer than any source's.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        let length = u16::try_from(self.from.len()).ok()?;
        let mut value = Vec::with_capacity(2 + self.from.len() + self.to.len());
        value.extend_from_slice(&length.to_be_bytes());
        value.extend_from_slice(&self.from);
        value.extend_from_slice(&self.to);
        Some(Checkpoint { key: self.key(), value })
    }

    /// Reads a key and its value, without the order. None when that is no range.
    pub fn read(key: &str, value: &[u8]) -> Option<StoredRange> {
        let mut parts = key.strip_prefix(RANGE_PREFIX)?.splitn(3, ':');
        let lanes = u8::from_str_radix(parts.next()?, 16).ok().filter(|lanes| *lanes <= StoredRange::ALL_LANES)?;
        let number = u64::from_str_radix(parts.next()?, 16).ok()?;
        let source = parts.next().filter(|source| !source.is_empty())?.to_owned();
        let (length, rest) = value.split_first_chunk::<2>()?;
        let (from, to) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        Some(StoredRange { lanes, number, source, from: from.to_vec(), to: to.to_vec() })
    }

    /// Reads a checkpoint as it travels, with its order.
    pub fn read_traveling(checkpoint: &Checkpoint) -> Option<(u64, StoredRange)> {
        let (order, value) = checkpoint.value.split_first_chunk::<ORDER_BYTES>()?;
        Some((u64::from_be_bytes(*order), StoredRange::read(&checkpoint.key, value)?))
    }

    /// Whether it holds for records of this lane.
    pub fn is_of(&self, lane: Lane) -> bool {
        self.lanes & 1 << lane as u8 != 0
    }
}

/// The ranges among what an agent was told, of the sources whose keys begin so; by source, in the order of their batches.
pub fn ranges_of(checkpoints: &HashMap<String, Vec<u8>>, prefix: &str) -> HashMap<String, Vec<StoredRange>> {
    let mut found: HashMap<String, Vec<StoredRange>> = HashMap::new();
    let ranges = checkpoints.iter().filter_map(|(key, value)| StoredRange::read(key, value));
    for range in ranges.filter(|range| range.source.starts_with(prefix)) {
        found.entry(range.source.clone()).or_default().push(range);
    }
    found.values_mut().for_each(|ranges| ranges.sort_unstable_by_key(|range| range.number));
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_range_comes_back_and_foreign_bytes_are_none(
            lanes in 0u8..16, number: u64, source in "[a-z:0-9]{1,20}", from: Vec<u8>, to: Vec<u8>, key in ".{0,30}",
        ) {
            let range = StoredRange { lanes, number, source, from, to };
            let Checkpoint { key: own, value } = range.checkpoint().unwrap();
            prop_assert_eq!(StoredRange::read(&own, &value), Some(range.clone()));
            let checkpoints = HashMap::from([(own, value.clone()), ("journald".to_owned(), vec![1])]);
            prop_assert_eq!(ranges_of(&checkpoints, &range.source).into_values().collect::<Vec<_>>(), [vec![range]]);
            StoredRange::read(&format!("{RANGE_PREFIX}{key}"), &value);
            prop_assert_eq!(StoredRange::read(&key, &value), None);
        }
    }

    #[test]
    fn a_range_holds_for_its_lanes() {
        let range = |lanes| StoredRange { lanes, number: 1, source: "s".to_owned(), from: vec![], to: vec![] };
        assert!(range(0b0110).is_of(Lane::Normal) && range(0b0110).is_of(Lane::Urgent));
        assert!(!range(0b0110).is_of(Lane::Bulk));
        assert!(Lane::ALL.into_iter().all(|lane| range(StoredRange::ALL_LANES).is_of(lane)));
    }
}
