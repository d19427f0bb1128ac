//! Remote write 2.0: `io.prometheus.write.v2.Request`, in which series name their labels by number.
//!
//! ```text
//! Request       4 symbols… (text; the first is empty), 5 timeseries…
//! TimeSeries    1 labels_refs… (symbols, by turns a name and a value), 2 samples…, 3 histograms…, 4 exemplars…, 5 metadata
//! Sample        1 value (double), 2 milliseconds
//! Exemplar      1 labels_refs…, 2 value (double), 3 milliseconds
//! Metadata      1 type, 3 help_ref, 4 unit_ref
//! ```

use rapidhash::{HashSetExt, RapidHashSet};

use super::intake::{Declared, Gathering, read_sample};
use super::version_1::metric_type;
use crate::frame;
use crate::model::label_set::NAME_LABEL;
use crate::source::descriptions::Description;
use crate::source::protobuf::{Content, Malformed, Message, each_varint};
use crate::source::series_cache::{BadLabels, Hashing, Pair, WrittenLabels};
use crate::source::series_type::SeriesType;

/// Symbols of one request at most: each takes 32 bytes here, and two on the wire.
const SYMBOLS_MAX: usize = 1 << 20;

/// Reads a request's series into `into`.
pub(super) fn read(body: &[u8], into: &mut Gathering<'_>) -> Result<(), Malformed> {
    let mut symbols = Symbols { texts: Vec::new(), hashes: Vec::new() };
    let mut described = RapidHashSet::new();
    let mut request = Message(body);
    while let Some((number, content)) = request.next_field()? {
        match (number, content) {
            (4, _) if symbols.texts.len() == SYMBOLS_MAX => return Err(Malformed("more than 1,048,576 symbols")),
            (4, Content::Bytes(text)) => {
                symbols.texts.push(text);
                symbols.hashes.push(into.hashing.of_bytes(text));
            }
            (1..=3, _) => return Err(Malformed("it is a message of remote write 1.0 under the name of 2.0")),
            _ => {}
        }
    }
    let (mut request, mut references) = (Message(body), Vec::new());
    while let Some((number, content)) = request.next_field()? {
        if let (5, Content::Bytes(series)) = (number, content) {
            read_series(series, &symbols, &mut references, &mut described, into)?;
        }
    }
    Ok(())
}

/// `references` is room for the numbers of this series' labels; `described` holds what was said of metrics in this request.
fn read_series(
    series: &[u8],
    symbols: &Symbols<'_>,
    references: &mut Vec<u64>,
    described: &mut RapidHashSet<SaidHere>,
    into: &mut Gathering<'_>,
) -> Result<(), Malformed> {
    references.clear();
    let (mut samples, mut declared, mut said, mut left) = (0, Declared::default(), None, Message(series));
    while let Some((number, content)) = left.next_field()? {
        match (number, content) {
            (1, content) => each_varint(content, |reference| references.push(reference))?,
            (2 | 3, _) => samples += 1,
            (5, Content::Bytes(metadata)) => {
                let numbers;
                (declared, numbers) = symbols.declared(metadata)?;
                said = Some(numbers);
            }
            _ => {}
        }
    }
    let labels = ReferredLabels { references, symbols };
    let Some(found) = into.series(&labels, samples) else { return Ok(()) };
    // Every series of a metric says the same: what was said in this request already is told by its numbers.
    if let Some(numbers) = said.filter(|numbers| *numbers != [0; 3])
        && described.insert((labels.name(), numbers))
    {
        let [kind, help, unit] = numbers;
        let text = |reference| symbols.text(reference).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default();
        let metric = declared.series_type.metric_of(found.labels.name());
        into.description(Description { metric, kind: metric_type(kind), unit: text(unit), help: text(help) });
    }
    let mut left = Message(series);
    while let Some((number, content)) = left.next_field()? {
        match (number, content) {
            (2, Content::Bytes(sample)) => {
                let (value, millis) = read_sample(sample)?;
                into.reading(&found, declared, value, millis);
            }
            (3, Content::Bytes(histogram)) => into.histogram(&found, declared.unit, histogram)?,
            (4, Content::Bytes(exemplar)) => {
                let mut name: Option<&[u8]> = None;
                into.exemplar(&found, exemplar, |content, take| {
                    each_varint(content, |reference| {
                        let text = symbols.text(reference).unwrap_or_default();
                        match name.take() {
                            Some(name) => take(name, text),
                            None => name = Some(text),
                        }
                    })
                })?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The number of a name, and those of the type, help and unit that were said of it.
type SaidHere = (u64, [u64; 3]);

/// The texts that a request's numbers stand for.
struct Symbols<'a> {
    texts: Vec<&'a [u8]>,
    hashes: Vec<[u64; 2]>,
}

impl<'a> Symbols<'a> {
    fn text(&self, reference: u64) -> Option<&'a [u8]> {
        usize::try_from(reference).ok().and_then(|at| self.texts.get(at)).copied()
    }

    /// What a series' metadata declares, and the numbers that it is written with.
    fn declared(&self, metadata: &[u8]) -> Result<(Declared, [u64; 3]), Malformed> {
        let (mut declared, mut numbers) = (Declared::default(), [0; 3]);
        let mut metadata = Message(metadata);
        while let Some(field) = metadata.next_field()? {
            match field {
                (1, Content::Varint(number)) => {
                    numbers[0] = number;
                    declared.series_type = series_type(number);
                }
                (3, Content::Varint(reference)) => numbers[1] = reference,
                (4, Content::Varint(reference)) if reference != 0 => {
                    numbers[2] = reference;
                    let text = self.text(reference).ok_or(Malformed("a reference to no symbol"))?;
                    declared.unit = str::from_utf8(text).map_or("", frame::unit);
                }
                _ => {}
            }
        }
        Ok((declared, numbers))
    }
}

/// `Metadata.MetricType`.
fn series_type(number: u64) -> SeriesType {
    match number {
        1 => SeriesType::Counter,
        // Gauges; gauge histograms, infos and state sets, all of them levels.
        2 | 4 | 6 | 7 => SeriesType::Gauge,
        3 => SeriesType::Histogram,
        5 => SeriesType::Summary,
        _ => SeriesType::Unknown,
    }
}

/// The labels of a series as its numbers say them.
struct ReferredLabels<'a, 's> {
    references: &'s [u64],
    symbols: &'s Symbols<'a>,
}

impl ReferredLabels<'_, '_> {
    /// The number of the text that is its name; of two that are alike either.
    fn name(&self) -> u64 {
        let is_name = |pair: &&[u64; 2]| self.symbols.text(pair[0]) == Some(NAME_LABEL.as_bytes());
        self.references.as_chunks::<2>().0.iter().find(is_name).map_or(0, |pair| pair[1])
    }
}

impl<'a> WrittenLabels<'a> for ReferredLabels<'a, '_> {
    /// Of the symbols' own hashes: the numbers mean something in this request only.
    fn hashes(&self, hashing: &Hashing) -> [u64; 2] {
        let of_text = |&reference: &u64| {
            let hashes = usize::try_from(reference).ok().and_then(|at| self.symbols.hashes.get(at));
            hashes.copied().unwrap_or_default()
        };
        hashing.of_hashes(self.references.iter().map(of_text))
    }

    fn pairs(&self) -> Result<Vec<Pair<'a>>, BadLabels> {
        let (pairs, odd) = self.references.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(BadLabels::Malformed);
        }
        let text = |reference: u64| self.symbols.text(reference).ok_or(BadLabels::Malformed);
        pairs.iter().map(|[name, value]| Ok((text(*name)?, text(*value)?))).collect()
    }
}
