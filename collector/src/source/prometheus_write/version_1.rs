//! Remote write 1.0: `prometheus.WriteRequest`, in which every series writes out its labels.
//!
//! ```text
//! WriteRequest      1 timeseries…, 3 metadata… (of metric families)
//! TimeSeries        1 labels…, 2 samples…, 3 exemplars…, 4 histograms…
//! Label             1 name, 2 value
//! Sample            1 value (double), 2 milliseconds
//! Exemplar          1 labels…, 2 value (double), 3 milliseconds
//! MetricMetadata    1 type, 2 family name, 4 help, 5 unit
//! ```

use super::intake::{Declared, Gathering, read_sample};
use crate::source::descriptions::Description;
use crate::source::protobuf::{Content, Malformed, Message};
use crate::source::series_cache::{BadLabels, Hashing, Pair, WrittenLabels};
use crate::source::series_type::SeriesType;

/// The tag of field 1 with a length: what every label begins with.
const FIRST: u8 = 0x0A;

/// Reads a request's series into `into`.
pub(super) fn read(body: &[u8], into: &mut Gathering<'_>) -> Result<(), Malformed> {
    let mut request = Message(body);
    while let Some((number, content)) = request.next_field()? {
        match (number, content) {
            (1, Content::Bytes(series)) => read_series(series, into)?,
            (3, Content::Bytes(metadata)) => read_metadata(metadata, into)?,
            _ => {}
        }
    }
    Ok(())
}

fn read_metadata(metadata: &[u8], into: &mut Gathering<'_>) -> Result<(), Malformed> {
    let (mut metadata, mut said) = (Message(metadata), Description::default());
    let text = |bytes| str::from_utf8(bytes).unwrap_or_default();
    while let Some((number, content)) = metadata.next_field()? {
        match (number, content) {
            (1, Content::Varint(number)) => said.kind = metric_type(number),
            (2, Content::Bytes(name)) => said.metric = text(name),
            (4, Content::Bytes(help)) => said.help = text(help),
            (5, Content::Bytes(unit)) => said.unit = text(unit),
            _ => {}
        }
    }
    into.description(said);
    Ok(())
}

/// The words of the types of metrics, which have the same numbers in both versions; empty when nothing is said.
pub(super) fn metric_type(number: u64) -> &'static str {
    const WORDS: [&str; 8] = ["", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];
    usize::try_from(number).ok().and_then(|number| WORDS.get(number)).copied().unwrap_or_default()
}

fn read_series(series: &[u8], into: &mut Gathering<'_>) -> Result<(), Malformed> {
    let mut rest = Message(series);
    while rest.0.first() == Some(&FIRST) {
        rest.0 = &rest.0[1..];
        rest.bytes()?;
    }
    let labels = &series[..series.len() - rest.0.len()];
    let (mut samples, mut labels_behind, mut look) = (0, false, rest);
    while let Some((number, _)) = look.next_field()? {
        samples += u64::from(number == 2 || number == 4);
        labels_behind |= number == 1;
    }
    if labels_behind {
        // Allowed, though nobody writes so: the same again with its labels first.
        return read_series(&labels_first(series)?, into);
    }
    let Some(series) = into.series(&RawLabels(labels), samples) else { return Ok(()) };
    while let Some((number, content)) = rest.next_field()? {
        match (number, content) {
            (2, Content::Bytes(sample)) => {
                let (value, millis) = read_sample(sample)?;
                into.reading(&series, Declared::default(), value, millis);
            }
            (3, Content::Bytes(exemplar)) => into.exemplar(&series, exemplar, each_label)?,
            (4, Content::Bytes(histogram)) => into.histogram(&series, "", histogram)?,
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
        let Some((number, _)) = left.next_field()? else { break };
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
    while let Some(field) = label.next_field()? {
        match field {
            (1, Content::Bytes(text)) => name = text,
            (2, Content::Bytes(text)) => value = text,
            _ => {}
        }
    }
    Ok((name, value))
}

/// The label fields of a series as they lie in the request.
struct RawLabels<'a>(&'a [u8]);

impl<'a> WrittenLabels<'a> for RawLabels<'a> {
    fn hashes(&self, hashing: &Hashing) -> [u64; 2] {
        hashing.of_bytes(self.0)
    }

    fn pairs(&self) -> Result<Vec<Pair<'a>>, BadLabels> {
        let mut pairs = Vec::new();
        let mut labels = Message(self.0);
        while let Some((_, content)) = labels.next_field().map_err(|_| BadLabels::Malformed)? {
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
