//! The windows of one series that are more than a number (distributions, sets), in memory: each as bytes, because a sketch
//! of a few hundred bins takes a quarter of the room that way, and because most are not looked at before they are sealed.
//!
//! ```text
//! distribution := count:number sum:number min:number max:number zero:number side side     ; positive, negative
//! side         := bins:varint (index:signed weight:number)…       ; each index less that of the bin before
//! set          := 0:u8 hash:u64… | 1:u8 register:u8…
//! number       := n × 2:varint for a whole number n from 0 to 2^53, or 1:varint and the f64
//! ```

use taffrail_collector::model::distinct_set::REGISTERS;
use taffrail_collector::model::{DistinctSet, Distribution, SampleKind, SampleValue, Sketch};

use super::points::{End, Points, RunningTotal};
use crate::byte_cursor::{ByteCursor, Malformed, put_signed, put_varint};

/// See the module's documentation.
#[derive(Clone, Debug)]
pub(super) struct PackedWindows {
    kind: SampleKind,
    /// What all windows before these added up to.
    pub(super) before: RunningTotal,
    /// By rising end, each once.
    windows: Vec<(End, Box<[u8]>)>,
}

impl PackedWindows {
    pub(super) fn new(kind: SampleKind, before: RunningTotal) -> PackedWindows {
        PackedWindows { kind, before, windows: Vec::new() }
    }

    pub(super) fn kind(&self) -> SampleKind {
        self.kind
    }

    /// Takes in a window, in any order, and says how many bytes of memory that took.
    pub(super) fn insert(&mut self, end: End, value: SampleValue) -> usize {
        let at = match self.windows.last() {
            Some(last) if last.0 >= end => self.windows.binary_search_by_key(&end, |window| window.0),
            _ => Err(self.windows.len()),
        };
        match at {
            Ok(at) => {
                let (_, bytes) = &mut self.windows[at];
                let before = bytes.len();
                *bytes = pack(&joined(unpack(self.kind, bytes), value));
                bytes.len().saturating_sub(before)
            }
            Err(at) => {
                let bytes = pack(&value);
                let taken = size_of::<(End, Box<[u8]>)>() + bytes.len();
                self.windows.insert(at, (end, bytes));
                taken
            }
        }
    }

    pub(super) fn first_end(&self) -> Option<End> {
        self.windows.first().map(|window| window.0)
    }

    pub(super) fn last_end(&self) -> Option<End> {
        self.windows.last().map(|window| window.0)
    }

    /// The windows with `start <= end of window < end`.
    pub(super) fn between(&self, start: End, end: End) -> Points {
        let from = self.windows.partition_point(|window| window.0 < start);
        let to = self.windows.partition_point(|window| window.0 < end).max(from);
        let mut points = Points::new(self.kind);
        self.windows[from..to].iter().for_each(|(end, bytes)| points.insert(*end, unpack(self.kind, bytes)));
        points
    }
}

/// The rule of `points`: of one window seen in two parts.
fn joined(older: SampleValue, newer: SampleValue) -> SampleValue {
    match (older, newer) {
        (SampleValue::Distribution(mut older), SampleValue::Distribution(newer)) => {
            older.merge(&newer);
            SampleValue::Distribution(older)
        }
        (SampleValue::Set(mut older), SampleValue::Set(newer)) => {
            older.merge(&newer);
            SampleValue::Set(older)
        }
        _ => unreachable!("a series' windows are of its kind"),
    }
}

fn pack(value: &SampleValue) -> Box<[u8]> {
    let mut out = Vec::new();
    match value {
        SampleValue::Distribution(window) => {
            let Distribution { count, sum, min, max, sketch } = &**window;
            [*count, *sum, *min, *max, sketch.zero()].into_iter().for_each(|number| put_number(&mut out, number));
            for bins in [sketch.positive(), sketch.negative()] {
                put_varint(&mut out, bins.len() as u64);
                let mut before = 0;
                for &(index, weight) in bins {
                    put_signed(&mut out, i64::from(index) - before);
                    put_number(&mut out, weight);
                    before = i64::from(index);
                }
            }
        }
        SampleValue::Set(set) => match &**set {
            DistinctSet::Exact(hashes) => {
                out.push(0);
                hashes.iter().for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
            }
            DistinctSet::Estimated(registers) => {
                out.push(1);
                out.extend_from_slice(&registers[..]);
            }
        },
        _ => unreachable!("numbers are kept as numbers"),
    }
    out.into_boxed_slice()
}

fn unpack(kind: SampleKind, bytes: &[u8]) -> SampleValue {
    let mut cursor = ByteCursor(bytes);
    let value = match kind {
        SampleKind::Distribution => {
            read_distribution(&mut cursor).map(|window| SampleValue::Distribution(Box::new(window)))
        }
        _ => read_set(&mut cursor).map(|set| SampleValue::Set(Box::new(set))),
    };
    value.expect("windows are read as they were written")
}

fn read_distribution(cursor: &mut ByteCursor<'_>) -> Result<Distribution, Malformed> {
    let (count, sum, min, max) =
        (read_number(cursor)?, read_number(cursor)?, read_number(cursor)?, read_number(cursor)?);
    let zero = read_number(cursor)?;
    let (positive, negative) = (read_side(cursor)?, read_side(cursor)?);
    let sketch = Sketch::from_parts(zero, positive, negative).ok_or(Malformed("a sketch breaks its rules"))?;
    Ok(Distribution { count, sum, min, max, sketch })
}

fn read_side(cursor: &mut ByteCursor<'_>) -> Result<Vec<(i32, f64)>, Malformed> {
    let count = cursor.count(2, usize::MAX)?;
    let mut index = 0;
    let mut bin = || {
        index += cursor.signed()? as i32;
        Ok((index, read_number(cursor)?))
    };
    (0..count).map(|_| bin()).collect()
}

fn read_set(cursor: &mut ByteCursor<'_>) -> Result<DistinctSet, Malformed> {
    if cursor.u8()? == 0 {
        let hashes = (0..cursor.0.len() / size_of::<u64>()).map(|_| cursor.u64());
        return hashes.collect::<Result<Vec<_>, _>>().map(DistinctSet::Exact);
    }
    let registers: [u8; REGISTERS] = cursor.bytes(REGISTERS)?.try_into().expect("as many bytes as asked for");
    Ok(DistinctSet::Estimated(Box::new(registers)))
}

fn put_number(out: &mut Vec<u8>, number: f64) {
    const WHOLE_BELOW: f64 = 9_007_199_254_740_992.0; // 2^53
    // −0 is not 0, and a negative number is no u64: both go as floats.
    if number < WHOLE_BELOW && (number as u64 as f64).to_bits() == number.to_bits() {
        put_varint(out, (number as u64) << 1);
    } else {
        out.push(1);
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn read_number(cursor: &mut ByteCursor<'_>) -> Result<f64, Malformed> {
    match cursor.varint()? {
        whole if whole & 1 == 0 => Ok((whole >> 1) as f64),
        _ => cursor.f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_samples::value_of_kind;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packed_windows_equal_plain_ones(
            (kind, values) in (3u8..5).prop_flat_map(|kind| (Just(kind), prop::collection::vec((0i64..20, value_of_kind(kind)), 1..30))),
            from in 0i64..20, to in 0i64..20,
        ) {
            let kind = SampleKind::from_number(kind).expect("a kind");
            let (mut plain, mut packed) = (Points::new(kind), PackedWindows::new(kind, RunningTotal::default()));
            for (end, value) in values {
                plain.insert(end, value.clone());
                packed.insert(end, value);
            }
            prop_assert_eq!(packed.between(End::MIN, End::MAX), plain.clone());
            prop_assert_eq!(packed.between(from, to), plain.between(from, to));
            prop_assert_eq!((packed.first_end(), packed.last_end()), (plain.first_end(), plain.last_end()));
        }

        #[test]
        fn numbers_come_back_to_the_bit(bits: u64) {
            let mut out = Vec::new();
            put_number(&mut out, f64::from_bits(bits));
            prop_assert_eq!(read_number(&mut ByteCursor(&out)).map(f64::to_bits), Ok(bits));
        }
    }
}
