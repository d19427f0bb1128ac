//! Native histograms, whose message is the same in both versions.
//!
//! ```text
//! Histogram   1 count (whole), 2 count (double), 3 sum, 4 schema (signed), 5 zero threshold, 6 zero count (whole),
//!             7 zero count (double), 8 negative spans…, 9 negative deltas… (signed), 10 negative counts… (double),
//!             11 positive spans…, 12 positive deltas…, 13 positive counts…, 14 reset hint, 15 milliseconds,
//!             16 custom values… (double)
//! BucketSpan  1 offset (signed) from the end of the span before, 2 length
//! ```
//!
//! Whole counts are written as differences from bucket to bucket, counts of float histograms as they are.

use crate::model::is_stale;
use crate::source::bucket_counts::{BucketCounts, INDICES, Layout};
use crate::source::protobuf::{Content, Malformed, Message, each_double, each_varint, zigzag};

/// The schema of histograms with boundaries of their own.
const CUSTOM_BOUNDARIES: i64 = -53;

/// Buckets of one histogram at most; Prometheus limits them to 160 by itself.
const BUCKETS_MAX: usize = 20_000;

/// A histogram as it came.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NativeHistogram {
    pub millis: i64,
    pub meaning: Meaning,
}

/// What its counts mean.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meaning {
    /// All there was since the start.
    Running(BucketCounts),
    /// What there is at this moment: a gauge histogram.
    Level(BucketCounts),
    /// The series ended.
    Ended,
    /// A schema that we do not know.
    Unknown(i64),
}

/// Reads the message.
pub(super) fn read(message: &[u8]) -> Result<NativeHistogram, Malformed> {
    let (mut count, mut sum, mut schema, mut zero_threshold, mut zero) = (0.0, 0.0, 0, 0.0, 0.0);
    let (mut millis, mut hint, mut custom) = (0, 0, Vec::new());
    let (mut positive, mut negative) = (Side::default(), Side::default());
    let mut message = Message(message);
    while let Some((number, content)) = message.next_field()? {
        match (number, content) {
            (1, Content::Varint(whole)) => count = whole as f64,
            (2, Content::Eight(bits)) => count = f64::from_bits(bits),
            (3, Content::Eight(bits)) => sum = f64::from_bits(bits),
            (4, Content::Varint(signed)) => schema = zigzag(signed),
            (5, Content::Eight(bits)) => zero_threshold = f64::from_bits(bits),
            (6, Content::Varint(whole)) => zero = whole as f64,
            (7, Content::Eight(bits)) => zero = f64::from_bits(bits),
            (8, Content::Bytes(span)) => negative.span(span)?,
            (9, deltas) => negative.deltas(deltas)?,
            (10, counts) => each_double(counts, |count| negative.counts.push(count))?,
            (11, Content::Bytes(span)) => positive.span(span)?,
            (12, deltas) => positive.deltas(deltas)?,
            (13, counts) => each_double(counts, |count| positive.counts.push(count))?,
            (14, Content::Varint(number)) => hint = number,
            (15, Content::Varint(number)) => millis = number as i64,
            (16, values) => each_double(values, |value| custom.push(value))?,
            _ => {}
        }
    }
    let is_custom = schema == CUSTOM_BOUNDARIES;
    let meaning = if is_stale(sum) {
        Meaning::Ended
    } else if !is_custom && !(-4..=8).contains(&schema) {
        Meaning::Unknown(schema)
    } else {
        let layout = if is_custom { boundaries(custom)? } else { Layout::Powers(schema as i32) };
        let (positive, negative) = (positive.buckets()?, negative.buckets()?);
        if is_custom && (!negative.is_empty() || positive.first().is_some_and(|&(index, _)| index < 0)) {
            return Err(Malformed("a histogram with boundaries of its own and a bucket below them"));
        }
        let sound = |count: f64| count.is_finite() && count >= 0.0;
        if !(sound(count) && sound(zero) && zero_threshold >= 0.0) {
            return Err(Malformed("a histogram with an impossible count"));
        }
        let sum = if sum.is_finite() { sum } else { 0.0 };
        let counts = BucketCounts { layout, zero_threshold, zero, positive, negative, count, sum };
        if hint == 3 { Meaning::Level(counts) } else { Meaning::Running(counts) }
    };
    Ok(NativeHistogram { millis, meaning })
}

fn boundaries(custom: Vec<f64>) -> Result<Layout, Malformed> {
    let rising = custom.windows(2).all(|pair| pair[0] < pair[1]);
    if rising && custom.iter().all(|value| value.is_finite()) {
        Ok(Layout::Custom(custom.into()))
    } else {
        Err(Malformed("a histogram whose boundaries do not rise"))
    }
}

/// The buckets on one side of zero, in the making.
#[derive(Debug, Default)]
struct Side {
    indices: Vec<i32>,
    counts: Vec<f64>,
    /// The last whole count.
    last: i64,
}

impl Side {
    fn span(&mut self, span: &[u8]) -> Result<(), Malformed> {
        let (mut offset, mut length) = (0, 0);
        let mut span = Message(span);
        while let Some(field) = span.next_field()? {
            match field {
                (1, Content::Varint(signed)) => offset = zigzag(signed),
                (2, Content::Varint(number)) => length = number,
                _ => {}
            }
        }
        if self.indices.len() as u64 + length.min(1 << 32) > BUCKETS_MAX as u64 {
            return Err(Malformed("a histogram of more than 20,000 buckets"));
        }
        let next = self.indices.last().map_or(0, |&last| i64::from(last) + 1);
        let first = next.checked_add(offset).filter(|_| offset >= 0 || self.indices.is_empty());
        let index = |at: u64| {
            let index = i32::try_from(first?.checked_add(at as i64)?).ok()?;
            INDICES.contains(&index).then_some(index)
        };
        for at in 0..length {
            self.indices.push(index(at).ok_or(Malformed("a histogram with an impossible bucket"))?);
        }
        Ok(())
    }

    fn deltas(&mut self, deltas: Content<'_>) -> Result<(), Malformed> {
        let mut sound = true;
        each_varint(deltas, |delta| {
            let count = self.last.checked_add(zigzag(delta));
            sound &= count.is_some();
            self.last = count.unwrap_or_default();
            self.counts.push(self.last as f64);
        })?;
        if sound { Ok(()) } else { Err(Malformed("a histogram with an impossible count")) }
    }

    /// Index and count of those in use.
    fn buckets(self) -> Result<Vec<(i32, f64)>, Malformed> {
        if self.indices.len() != self.counts.len() {
            return Err(Malformed("a histogram with another number of counts than of buckets"));
        }
        if self.counts.iter().any(|count| !(count.is_finite() && *count >= 0.0)) {
            return Err(Malformed("a histogram with an impossible count"));
        }
        Ok(self.indices.into_iter().zip(self.counts).filter(|&(_, count)| count > 0.0).collect())
    }
}
