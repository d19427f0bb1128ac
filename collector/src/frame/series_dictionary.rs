//! The series of a frame: each once, in the order in which they were first met, each as its difference to the one before.
//!
//! ```text
//! series   count, then each: prefix (varint), suffix (varint), middle (bytes)
//! ```
//!
//! The labels of a series are text (`LabelSet::packed`, drawn in label_set.rs): the first `prefix` bytes and the last `suffix`
//! bytes are those of the series before it, the middle stands between them. Neighbours mostly differ in one label's end.
//!
//! Samples of one series share their labels (`Arc`), so the address says which series it is: a set that comes again under
//! another address is written again, which costs room and nothing else. Addresses mean something only while the batch is
//! borrowed: [`SeriesDictionary::clear`] comes before each frame.

use std::sync::Arc;

use rapidhash::{HashMapExt, RapidHashMap};

use super::primitive::{Allowance, Reader, put_bytes, put_varint};
use super::{FrameError, RAW_BYTES_MAX};
use crate::model::LabelSet;

/// Entries kept allocated between frames: as many series as a request of the usual senders has.
const KEPT_ENTRIES: usize = 16_384;

/// See the module's documentation.
pub(super) struct SeriesDictionary {
    addresses: Vec<usize>,
    numbers: RapidHashMap<usize, u32>,
    entries: Vec<u8>,
    last: u32,
    text_bytes: usize,
}

impl SeriesDictionary {
    pub(super) fn new() -> SeriesDictionary {
        SeriesDictionary {
            addresses: Vec::new(),
            numbers: RapidHashMap::new(),
            entries: Vec::new(),
            last: 0,
            text_bytes: 0,
        }
    }

    /// Forgets everything, and gives back what an unusual frame made it allocate.
    pub(super) fn clear(&mut self) {
        if self.numbers.capacity() > 2 * KEPT_ENTRIES {
            *self = SeriesDictionary::new();
        }
        self.addresses.clear();
        self.numbers.clear();
        self.entries.clear();
        (self.last, self.text_bytes) = (0, 0);
    }

    /// The number of the series with these labels; `before` are the labels of the series that was new last.
    pub(super) fn number<'a>(
        &mut self,
        labels: &'a Arc<LabelSet>,
        before: &mut &'a str,
        allowance: &mut Allowance,
    ) -> Result<u32, FrameError> {
        let address = Arc::as_ptr(labels).addr();
        let is_at = |number: usize| self.addresses.get(number) == Some(&address);
        let last = self.last as usize;
        // The same as before, or the one that came after it when it came last time, is found without a search.
        self.last = if is_at(last) {
            self.last
        } else if is_at(last + 1) {
            self.last + 1
        } else if let Some(&number) = self.numbers.get(&address) {
            number
        } else {
            allowance.take(1 + labels.len())?;
            self.text_bytes += labels.packed().len();
            within_limit(self.text_bytes)?;
            put_difference(&mut self.entries, before, labels.packed());
            *before = labels.packed();
            let number = u32::try_from(self.addresses.len()).expect("ITEMS_MAX is below 2^32");
            self.addresses.push(address);
            self.numbers.insert(address, number);
            number
        };
        Ok(self.last)
    }

    /// Writes all series.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.addresses.len() as u64);
        out.extend_from_slice(&self.entries);
    }
}

/// Reads what [`SeriesDictionary::put`] wrote.
pub(super) fn read_series(
    reader: &mut Reader<'_>,
    allowance: &mut Allowance,
) -> Result<Vec<Arc<LabelSet>>, FrameError> {
    let count = reader.count(allowance)?;
    let mut series = Vec::with_capacity(count);
    let (mut before, mut text, mut text_bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..count {
        let (prefix, suffix, middle) = (reader.varint()?, reader.varint()?, reader.bytes()?);
        let shared = |length: u64| usize::try_from(length).ok().filter(|&length| length <= before.len());
        let (Some(prefix), Some(suffix)) = (shared(prefix), shared(suffix)) else {
            return Err(FrameError::Malformed("labels longer than those before"));
        };
        // What little is written may stand for much: few bytes each, behind a long text that all share.
        text_bytes += prefix + middle.len() + suffix;
        within_limit(text_bytes)?;
        text.clear();
        text.extend_from_slice(&before[..prefix]);
        text.extend_from_slice(middle);
        text.extend_from_slice(&before[before.len() - suffix..]);
        let labels = str::from_utf8(&text).ok().and_then(LabelSet::from_packed);
        let labels = labels.ok_or(FrameError::Malformed("labels that are empty or out of order"))?;
        allowance.take(labels.len())?;
        series.push(Arc::new(labels));
        std::mem::swap(&mut before, &mut text);
    }
    Ok(series)
}

fn within_limit(text_bytes: usize) -> Result<(), FrameError> {
    if text_bytes > RAW_BYTES_MAX {
        let (found, limit) = (text_bytes as u64, RAW_BYTES_MAX as u64);
        return Err(FrameError::TooLarge { what: "bytes of labels", found, limit });
    }
    Ok(())
}

fn put_difference(out: &mut Vec<u8>, before: &str, labels: &str) {
    let (before, labels) = (before.as_bytes(), labels.as_bytes());
    let prefix = shared_prefix(before, labels);
    let rest = &labels[prefix..];
    let suffix = shared_suffix(&before[prefix..], rest);
    put_varint(out, prefix as u64);
    put_varint(out, suffix as u64);
    put_bytes(out, &rest[..rest.len() - suffix]);
}

/// How many bytes at the start are the same, eight at a time.
fn shared_prefix(mut a: &[u8], mut b: &[u8]) -> usize {
    let mut same = 0;
    while let (Some((first, a_rest)), Some((second, b_rest))) = (a.split_first_chunk(), b.split_first_chunk()) {
        let different = u64::from_le_bytes(*first) ^ u64::from_le_bytes(*second);
        if different != 0 {
            return same + (different.trailing_zeros() / 8) as usize;
        }
        same += size_of::<u64>();
        (a, b) = (a_rest, b_rest);
    }
    same + a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// How many bytes at the end are the same, eight at a time.
fn shared_suffix(mut a: &[u8], mut b: &[u8]) -> usize {
    let mut same = 0;
    while let (Some((a_rest, first)), Some((b_rest, second))) = (a.split_last_chunk(), b.split_last_chunk()) {
        let different = u64::from_le_bytes(*first) ^ u64::from_le_bytes(*second);
        if different != 0 {
            return same + (different.leading_zeros() / 8) as usize;
        }
        same += size_of::<u64>();
        (a, b) = (a_rest, b_rest);
    }
    same + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_two_texts_share_is_counted_to_the_byte(a in "[ab]{0,40}", b in "[ab]{0,40}", shared in "[ab]{0,30}") {
            for (a, b) in [(a.clone() + &shared, b.clone() + &shared), (shared.clone() + &a, shared.clone() + &b)] {
                let plain = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
                prop_assert_eq!(shared_prefix(a.as_bytes(), b.as_bytes()), plain);
                let plain = a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count();
                prop_assert_eq!(shared_suffix(a.as_bytes(), b.as_bytes()), plain);
            }
        }
    }

    #[test]
    fn neighbours_cost_what_they_differ_in_and_little_text_cannot_stand_for_much() {
        let of = |host: &str| {
            Arc::new(LabelSet::new([("__name__", "requests"), ("host", host), ("zone", &"z".repeat(200_000))]))
        };
        let all: Vec<_> = (0..400).map(|n| of(&format!("web-{n:03}"))).collect();
        let mut dictionary = SeriesDictionary::new();
        let mut allowance = Allowance::new();
        let mut before = "";
        for (number, labels) in all[..300].iter().enumerate() {
            assert_eq!(dictionary.number(labels, &mut before, &mut allowance).unwrap() as usize, number);
        }
        assert_eq!(dictionary.number(&all[7], &mut before, &mut allowance).unwrap(), 7);
        assert_eq!(dictionary.number(&all[8], &mut before, &mut allowance).unwrap(), 8);
        let mut out = Vec::new();
        dictionary.put(&mut out);
        assert!(out.len() < 200_100 + 300 * 10, "{}", out.len());
        let read = read_series(&mut Reader::new(&out), &mut Allowance::new()).unwrap();
        assert_eq!(read, all[..300]);
        let refused = all.iter().find_map(|labels| dictionary.number(labels, &mut before, &mut allowance).err());
        assert!(matches!(refused, Some(FrameError::TooLarge { what: "bytes of labels", .. })), "{refused:?}");
        // The same, written by somebody who does not check.
        let mut hostile = Vec::new();
        put_varint(&mut hostile, 400);
        hostile.extend_from_slice(&out[2..]);
        let length = all[299].packed().len() as u64;
        for _ in 0..100 {
            put_varint(&mut hostile, length);
            hostile.extend([0, 0]);
        }
        let refused = read_series(&mut Reader::new(&hostile), &mut Allowance::new());
        assert!(matches!(refused, Err(FrameError::TooLarge { what: "bytes of labels", .. })));
    }
}
