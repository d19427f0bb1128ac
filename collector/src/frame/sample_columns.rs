//! The samples of a frame, column by column. Most columns are runs (drawn in runs.rs): samples that come together mostly share
//! their time, their length, their kind, or go through them in even steps, and then cost a few bits.
//!
//! ```text
//! series       see series_dictionary.rs
//! units        count, then each: text
//! columns, a number a sample, in runs:
//!   series              index into the series, less that of the sample before (−1 before the first)
//!   timestamp           behind a varint, 1 or 1,000,000: so many nanoseconds are one; difference to the sample before
//!   interval            milliseconds
//!   unit                index into the units
//!   form                of the value, see below
//!   exemplar count
//! columns, a cell a sample:
//!   value               see below
//! column, a cell an exemplar:
//!   exemplar            timestamp (signed, less its sample's), value (float), trace id (16 bytes), span id (8 bytes, or zeros)
//!
//! form: 1 counter       value: sum (float)
//!       2 gauge                last, min, max (floats)
//!       3 distribution         count, sum, min, max (floats), sketch: zero (float), positive bins, negative bins;
//!                              bins: count, then each: index (signed, less that of the bin before), weight (float)
//!       4 set                  exact: count, then each hash (8 bytes), rising
//!       5 set                  estimated: 4,096 registers (1 byte each, at most 53)
//!       6 cumulative           total (float)
//!       7 gauge                last, which is min and max too (float)
//! ```

use std::sync::Arc;

use super::FrameError;
use super::dictionary::Dictionary;
use super::log_columns::{read_columns, read_dictionary};
use super::primitive::{Allowance, Reader, put_bytes, put_column, put_float, put_signed, put_varint};
use super::runs::{RunReader, RunWriter};
use super::series_dictionary::{SeriesDictionary, read_series};
use super::unit::unit;
use crate::model::distinct_set::{EXACT_MAX, REGISTERS};
use crate::model::{DistinctSet, Distribution, Exemplar, Sample, SampleValue, Sketch, SpanId, Timestamp, TraceId};

/// A HyperLogLog register's greatest content: 52 bits of hash are left beside the register's number, plus one.
const REGISTER_MAX: u8 = 53;

/// Nanoseconds of a millisecond: what most senders' times are whole multiples of.
const MILLISECOND: i64 = 1_000_000;

/// Writes samples; keeps what it allocates for the next frame.
pub(super) struct SampleWriter {
    series: SeriesDictionary,
    units: Dictionary,
    columns: Columns,
    entry: Vec<u8>,
}

/// The columns that are runs.
#[derive(Default)]
struct Columns {
    series: RunWriter,
    times: RunWriter,
    intervals: RunWriter,
    units: RunWriter,
    forms: RunWriter,
    exemplars: RunWriter,
}

impl Columns {
    fn all(&mut self) -> [&mut RunWriter; 6] {
        let Columns { series, times, intervals, units, forms, exemplars } = self;
        [series, times, intervals, units, forms, exemplars]
    }
}

impl SampleWriter {
    pub(super) fn new() -> SampleWriter {
        SampleWriter {
            series: SeriesDictionary::new(),
            units: Dictionary::new(),
            columns: Columns::default(),
            entry: Vec::new(),
        }
    }

    /// Appends the samples to `out`.
    pub(super) fn put(
        &mut self,
        out: &mut Vec<u8>,
        samples: &[Sample],
        allowance: &mut Allowance,
    ) -> Result<(), FrameError> {
        self.series.clear();
        self.units.clear();
        self.columns.all().into_iter().for_each(RunWriter::clear);
        let is_whole = |sample: &Sample| sample.timestamp.unix_nanos() % MILLISECOND == 0;
        let scale = if samples.iter().all(is_whole) { MILLISECOND } else { 1 };
        self.gather(samples, scale, allowance)?;
        self.series.put(out);
        allowance.take(self.units.len())?;
        put_varint(out, self.units.len() as u64);
        out.extend_from_slice(self.units.entries());
        for (at, column) in self.columns.all().into_iter().enumerate() {
            put_column(out, |out| {
                if at == 1 {
                    put_varint(out, scale as u64);
                }
                out.extend_from_slice(column.finish());
            });
        }
        let mut items = 0;
        put_column(out, |out| items = samples.iter().map(|sample| put_value(out, &sample.value)).sum());
        allowance.take(items)?;
        put_column(out, |out| samples.iter().for_each(|sample| put_exemplars(out, sample)));
        allowance.take(samples.iter().map(|sample| sample.exemplars.len()).sum())
    }

    fn gather(&mut self, samples: &[Sample], scale: i64, allowance: &mut Allowance) -> Result<(), FrameError> {
        let columns = &mut self.columns;
        let (mut last_series, mut last_time, mut labels_before) = (-1, 0i64, "");
        for sample in samples {
            let series = i64::from(self.series.number(&sample.labels, &mut labels_before, allowance)?);
            columns.series.push(series - last_series);
            last_series = series;
            let time = sample.timestamp.unix_nanos() / scale;
            columns.times.push(time.wrapping_sub(last_time));
            last_time = time;
            columns.intervals.push(i64::from(sample.interval_ms));
            let address = (sample.unit.as_ptr().addr(), sample.unit.len());
            let unit = self.units.known(address).unwrap_or_else(|| {
                self.entry.clear();
                put_bytes(&mut self.entry, sample.unit.as_bytes());
                self.units.learn(address, &self.entry)
            });
            columns.units.push(i64::from(unit));
            columns.forms.push(form(&sample.value));
            columns.exemplars.push(sample.exemplars.len() as i64);
        }
        Ok(())
    }
}

fn form(value: &SampleValue) -> i64 {
    match value {
        SampleValue::Counter { .. } => 1,
        SampleValue::Gauge { last, min, max } if is_level(*last, *min, *max) => 7,
        SampleValue::Gauge { .. } => 2,
        SampleValue::Distribution(_) => 3,
        SampleValue::Set(set) => match &**set {
            DistinctSet::Exact(_) => 4,
            DistinctSet::Estimated(_) => 5,
        },
        SampleValue::Cumulative { .. } => 6,
    }
}

/// Whether a gauge stood at one level, to the bit.
fn is_level(last: f64, min: f64, max: f64) -> bool {
    last.to_bits() == min.to_bits() && last.to_bits() == max.to_bits()
}

/// Writes the value; returns how many items it counted.
fn put_value(out: &mut Vec<u8>, value: &SampleValue) -> usize {
    match value {
        SampleValue::Counter { sum: number } | SampleValue::Cumulative { total: number } => {
            put_float(out, *number);
            0
        }
        SampleValue::Gauge { last, min, max } => {
            put_float(out, *last);
            if !is_level(*last, *min, *max) {
                put_float(out, *min);
                put_float(out, *max);
            }
            0
        }
        SampleValue::Distribution(distribution) => {
            let Distribution { count, sum, min, max, sketch } = &**distribution;
            [*count, *sum, *min, *max, sketch.zero()].into_iter().for_each(|number| put_float(out, number));
            for bins in [sketch.positive(), sketch.negative()] {
                put_varint(out, bins.len() as u64);
                let mut last = 0;
                for &(index, weight) in bins {
                    put_signed(out, i64::from(index) - last);
                    put_float(out, weight);
                    last = i64::from(index);
                }
            }
            sketch.positive().len() + sketch.negative().len()
        }
        SampleValue::Set(set) => match &**set {
            DistinctSet::Exact(hashes) => {
                put_varint(out, hashes.len() as u64);
                hashes.iter().for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
                hashes.len()
            }
            DistinctSet::Estimated(registers) => {
                out.extend_from_slice(&registers[..]);
                0
            }
        },
    }
}

fn put_exemplars(out: &mut Vec<u8>, sample: &Sample) {
    for exemplar in &sample.exemplars {
        put_signed(out, exemplar.timestamp.unix_nanos().wrapping_sub(sample.timestamp.unix_nanos()));
        put_float(out, exemplar.value);
        out.extend_from_slice(&exemplar.trace_id.bits().to_be_bytes());
        out.extend_from_slice(&exemplar.span_id.map_or(0, SpanId::bits).to_be_bytes());
    }
}

/// Reads `rows` samples.
pub(super) fn read_samples(
    reader: &mut Reader<'_>,
    rows: usize,
    allowance: &mut Allowance,
) -> Result<Vec<Sample>, FrameError> {
    let series = read_series(reader, allowance)?;
    let units = read_dictionary(reader, allowance, |reader, _| reader.text().map(unit))?;
    let [series_cells, mut time_cells, intervals, unit_cells, forms, counts, mut values, mut exemplars] =
        read_columns(reader)?;
    let scale = time_cells.varint()? as i64;
    if scale != 1 && scale != MILLISECOND {
        return Err(FrameError::Malformed("an unknown scale of times"));
    }
    // Each value is a byte at least: what little is written must not stand for samples without number.
    if values.rest().len() < rows {
        return Err(FrameError::Malformed("a column is shorter than the header says"));
    }
    let [mut series_cells, mut times, mut intervals, mut unit_cells, mut forms, mut counts] =
        [series_cells, time_cells, intervals, unit_cells, forms, counts].map(RunReader::new);
    let (mut at, mut time) = (-1i64, 0i64);
    let mut samples = Vec::with_capacity(rows);
    for _ in 0..rows {
        at = at.wrapping_add(series_cells.next()?);
        time = time.wrapping_add(times.next()?);
        let nanos = time.checked_mul(scale).ok_or(FrameError::Malformed("a time out of range"))?;
        let labels = usize::try_from(at).ok().and_then(|at| series.get(at));
        let count = counts.index(exemplars.rest().len() + 1)?;
        allowance.take(count)?;
        samples.push(Sample {
            labels: Arc::clone(labels.ok_or(FrameError::Malformed("no such series"))?),
            timestamp: Timestamp::from_unix_nanos(nanos),
            interval_ms: intervals.small()?,
            value: read_value(forms.next()?, &mut values, allowance)?,
            unit: units[unit_cells.index(units.len())?],
            exemplars: (0..count).map(|_| read_exemplar(&mut exemplars, nanos)).collect::<Result<_, _>>()?,
        });
    }
    [series_cells, times, intervals, unit_cells, forms, counts].into_iter().try_for_each(RunReader::finish)?;
    [values, exemplars].into_iter().try_for_each(Reader::finish)?;
    Ok(samples)
}

#[inline]
fn read_value(form: i64, reader: &mut Reader<'_>, allowance: &mut Allowance) -> Result<SampleValue, FrameError> {
    Ok(match form {
        1 => SampleValue::Counter { sum: reader.float()? },
        2 => SampleValue::Gauge { last: reader.float()?, min: reader.float()?, max: reader.float()? },
        3 => {
            let (count, sum, min, max) = (reader.float()?, reader.float()?, reader.float()?, reader.float()?);
            let zero = reader.float()?;
            let (positive, negative) = (read_bins(reader, allowance)?, read_bins(reader, allowance)?);
            let sketch = Sketch::from_parts(zero, positive, negative)
                .ok_or(FrameError::Malformed("a sketch that breaks its rules"))?;
            SampleValue::Distribution(Box::new(Distribution { count, sum, min, max, sketch }))
        }
        4 => {
            let count = reader.count(allowance)?;
            let hashes = (0..count).map(|_| reader.array().map(u64::from_le_bytes)).collect::<Result<Vec<_>, _>>()?;
            if hashes.len() > EXACT_MAX || hashes.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err(FrameError::Malformed("a set that breaks its rules"));
            }
            SampleValue::Set(Box::new(DistinctSet::Exact(hashes)))
        }
        5 => {
            let registers: [u8; REGISTERS] = reader.array()?;
            if registers.iter().any(|&register| register > REGISTER_MAX) {
                return Err(FrameError::Malformed("a set that breaks its rules"));
            }
            SampleValue::Set(Box::new(DistinctSet::Estimated(Box::new(registers))))
        }
        6 => SampleValue::Cumulative { total: reader.float()? },
        7 => {
            let level = reader.float()?;
            SampleValue::Gauge { last: level, min: level, max: level }
        }
        _ => return Err(FrameError::Malformed("an unknown kind of sample")),
    })
}

fn read_bins(reader: &mut Reader<'_>, allowance: &mut Allowance) -> Result<Vec<(i32, f64)>, FrameError> {
    let count = reader.count(allowance)?;
    let mut index = 0i64;
    (0..count)
        .map(|_| {
            index = index.wrapping_add(reader.signed()?);
            let index = i32::try_from(index).map_err(|_| FrameError::Malformed("a sketch that breaks its rules"))?;
            Ok((index, reader.float()?))
        })
        .collect()
}

fn read_exemplar(reader: &mut Reader<'_>, sample_time: i64) -> Result<Exemplar, FrameError> {
    let timestamp = Timestamp::from_unix_nanos(sample_time.wrapping_add(reader.signed()?));
    let value = reader.float()?;
    let trace_id = TraceId::new(u128::from_be_bytes(reader.array()?))
        .ok_or(FrameError::Malformed("an exemplar with a trace id of zeros"))?;
    let span_id = SpanId::new(u64::from_be_bytes(reader.array()?));
    Ok(Exemplar { timestamp, value, trace_id, span_id })
}
