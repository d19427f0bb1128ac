//! Remote write 1.0: `prometheus.WriteRequest`, in which every series writes out its labels.
//!
//! ```text
//! WriteRequest      1 timeseries…, 3 metadata… (of metric families, not of these series)
//! TimeSeries        1 labels…, 2 samples…, 3 exemplars…, 4 histograms…
//! Label             1 name, 2 value
//! Sample            1 value (double), 2 milliseconds
//! Exemplar          1 labels…, 2 value (double), 3 milliseconds
//! MetricMetadata    1 type, 2 family name, 4 help, 5 unit
//! ```

use std::hash::BuildHasher;

use rapidhash::fast::RandomState;

use super::intake::{Declared, Gathering, read_sample};
use super::series_cache::{BadLabels, Pair, WrittenLabels};
use super::wire::{Content, Malformed, Message};
use crate::model::LabelSet;
use crate::source::series_type::SeriesType;

/// The tag of field 1 with a length: what every label begins with, and the name in it.
const FIRST: u8 = 0x0A;
/// The tag of field 2 with a length: a label's value.
const SECOND: u8 = 0x12;

/// Reads a request's series into `into`.
pub(super) fn read(body: &[u8], into: &mut Gathering<'_>) -> Result<(), Malformed> {
    let mut request = Message(body);
    while let Some((number, content)) = request.next()? {
        match (number, content) {
            (1, Content::Bytes(series)) => read_series(series, into)?,
            (3, Content::Bytes(_)) => into.metadata_entries += 1,
            _ => {}
        }
    }
    Ok(())
}

fn read_series(series: &[u8], into: &mut Gathering<'_>) -> Result<(), Malformed> {
    let mut rest = Message(series);
    while rest.0.first() == Some(&FIRST) {
        rest.0 = &rest.0[1..];
        rest.bytes()?;
    }
    let labels = &series[..series.len() - rest.0.len()];
    let (mut samples, mut labels_behind, mut look) = (0, false, rest);
    while let Some((number, _)) = look.next()? {
        samples += u64::from(number == 2 || number == 4);
        labels_behind |= number == 1;
    }
    if labels_behind {
        // Allowed, though nobody writes so: the same again with its labels first.
        return read_series(&labels_first(series)?, into);
    }
    let Some(series) = into.series(&RawLabels(labels, into.hasher), samples) else { return Ok(()) };
    while let Some((number, content)) = rest.next()? {
        match (number, content) {
            (2, Content::Bytes(sample)) => {
                let (value, millis) = read_sample(sample)?;
                into.reading(&series, Declared::default(), value, millis);
            }
            (3, Content::Bytes(exemplar)) => into.exemplar(&series, exemplar, each_label)?,
            (4, _) => into.refuse("native_histogram", 1, || series.labels.to_string()),
            _ => {}
        }
    }
    Ok(())
}

fn labels_first(series: &[u8]) -> Result<Vec<u8>, Malformed> {
    let (mut labels, mut others) = (Vec::new(), Vec::new());
    let mut left = Message(series);
    loop {
        let before = left.0;
        let Some((number, _)) = left.next()? else { break };
        let field = &before[..before.len() - left.0.len()];
        match number {
            1 if field[0] == FIRST => labels.extend_from_slice(field),
            1 => return Err(Malformed("a label that is no message")),
            _ => others.extend_from_slice(field),
        }
    }
    labels.extend_from_slice(&others);
    Ok(labels)
}

/// Calls `take` with the names and values of an exemplar's labels.
fn each_label(content: Content<'_>, take: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Malformed> {
    let Content::Bytes(label) = content else { return Err(Malformed("a label that is no message")) };
    let (name, value) = read_label(label)?;
    take(name, value);
    Ok(())
}

fn read_label(label: &[u8]) -> Result<Pair<'_>, Malformed> {
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut label = Message(label);
    while let Some(field) = label.next()? {
        match field {
            (1, Content::Bytes(text)) => name = text,
            (2, Content::Bytes(text)) => value = text,
            _ => {}
        }
    }
    Ok((name, value))
}

/// The label fields of a series as they lie in the request.
struct RawLabels<'a>(&'a [u8], &'a RandomState);

impl<'a> WrittenLabels<'a> for RawLabels<'a> {
    fn hash(&self) -> u64 {
        self.1.hash_one(self.0)
    }

    /// Compares without reading a label that differs further than to the difference.
    #[inline]
    fn are(&self, labels: &LabelSet) -> bool {
        let mut left = Message(self.0);
        let expect = |left: &mut Message<'_>, tag| {
            let is_there = left.0.first() == Some(&tag);
            left.0 = left.0.get(1..).unwrap_or_default();
            is_there
        };
        let mut is_next = |name: &str, value: &str| -> Result<bool, Malformed> {
            // The label's own length says nothing that the two within it do not.
            let begins = expect(&mut left, FIRST) && left.varint().is_ok();
            let same_name = begins && expect(&mut left, FIRST) && left.bytes()? == name.as_bytes();
            Ok(same_name && expect(&mut left, SECOND) && left.bytes()? == value.as_bytes())
        };
        labels.iter().all(|(name, value)| is_next(name, value) == Ok(true)) && left.0.is_empty()
    }

    fn pairs(&self) -> Result<Vec<Pair<'a>>, BadLabels> {
        let mut pairs = Vec::new();
        let mut labels = Message(self.0);
        while let Some((_, content)) = labels.next().map_err(|_| BadLabels::Malformed)? {
            let Content::Bytes(label) = content else { return Err(BadLabels::Malformed) };
            pairs.push(read_label(label).map_err(|_| BadLabels::Malformed)?);
        }
        Ok(pairs)
    }
}

/// Version 1.0 says nothing of a series' type beside it. Metadata comes now and then and in requests of its own: a type from
/// there would make a series two, one from before it was known and one from after.
impl Default for Declared {
    fn default() -> Declared {
        Declared { series_type: SeriesType::Unknown, unit: "" }
    }
}
