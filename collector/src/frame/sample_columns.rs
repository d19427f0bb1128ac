//! The samples of a frame, column by column.
//!
//! ```text
//! series       count, then each: count, then each: label name (text), label value (text), by rising name
//! units        count, then each: text
//! columns, a cell a sample:
//!   series              signed: index into the series, less that of the sample before
//!   timestamp           signed: difference to the sample before
//!   interval            varint: milliseconds
//!   unit                varint: index into the units
//!   value               see below
//!   exemplar count      varint
//! column, a cell an exemplar:
//!   exemplar            timestamp (signed, less its sample's), value (float), trace id (16 bytes), span id (8 bytes, or zeros)
//!
//! value: 1 counter       sum (float)
//!        2 gauge         last, min, max (floats)
//!        3 distribution  count, sum, min, max (floats), sketch: zero (float), positive bins, negative bins;
//!                        bins: count, then each: index (signed, less that of the bin before), weight (float)
//!        4 set           exact: count, then each hash (8 bytes), rising
//!        5 set           estimated: 4,096 registers (1 byte each, at most 53)
//!        6 cumulative    total (float)
//! ```

use std::sync::Arc;

use super::FrameError;
use super::dictionary::Dictionary;
use super::log_columns::{read_columns, read_dictionary};
use super::primitive::{Allowance, Reader, put_bytes, put_column, put_float, put_signed, put_varint};
use super::unit::unit;
use crate::model::distinct_set::{EXACT_MAX, REGISTERS};
use crate::model::{
    DistinctSet, Distribution, Exemplar, LabelSet, Sample, SampleValue, Sketch, SpanId, Timestamp, TraceId,
};

/// A HyperLogLog register's greatest content: 52 bits of hash are left beside the register's number, plus one.
const REGISTER_MAX: u8 = 53;

/// Writes samples; keeps what it allocates for the next frame.
pub(super) struct SampleWriter {
    series: Dictionary,
    units: Dictionary,
    series_cells: Vec<u8>,
    unit_cells: Vec<u8>,
    entry: Vec<u8>,
}

impl SampleWriter {
    pub(super) fn new() -> SampleWriter {
        SampleWriter {
            series: Dictionary::new(),
            units: Dictionary::new(),
            series_cells: Vec::new(),
            unit_cells: Vec::new(),
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
        self.clear();
        self.gather(samples, allowance)?;
        for dictionary in [&self.series, &self.units] {
            allowance.take(dictionary.len())?;
            put_varint(out, dictionary.len() as u64);
            out.extend_from_slice(dictionary.entries());
        }
        put_column(out, |out| out.extend_from_slice(&self.series_cells));
        put_column(out, |out| {
            let mut last = 0;
            for sample in samples {
                let nanos = sample.timestamp.unix_nanos();
                put_signed(out, nanos.wrapping_sub(last));
                last = nanos;
            }
        });
        put_column(out, |out| samples.iter().for_each(|sample| put_varint(out, u64::from(sample.interval_ms))));
        put_column(out, |out| out.extend_from_slice(&self.unit_cells));
        let mut items = 0;
        put_column(out, |out| items = samples.iter().map(|sample| put_value(out, &sample.value)).sum());
        allowance.take(items)?;
        put_column(out, |out| samples.iter().for_each(|sample| put_varint(out, sample.exemplars.len() as u64)));
        put_column(out, |out| samples.iter().for_each(|sample| put_exemplars(out, sample)));
        allowance.take(samples.iter().map(|sample| sample.exemplars.len()).sum())
    }

    fn clear(&mut self) {
        [&mut self.series, &mut self.units].into_iter().for_each(Dictionary::clear);
        [&mut self.series_cells, &mut self.unit_cells].into_iter().for_each(Vec::clear);
    }

    fn gather(&mut self, samples: &[Sample], allowance: &mut Allowance) -> Result<(), FrameError> {
        let mut last = 0;
        for sample in samples {
            let address = (Arc::as_ptr(&sample.labels).addr(), 0);
            let series = match self.series.known(address) {
                Some(number) => number,
                None => self.new_series(address, &sample.labels, allowance)?,
            };
            put_signed(&mut self.series_cells, i64::from(series) - last);
            last = i64::from(series);
            let address = (sample.unit.as_ptr().addr(), sample.unit.len());
            let unit = self.units.known(address).unwrap_or_else(|| {
                self.entry.clear();
                put_bytes(&mut self.entry, sample.unit.as_bytes());
                self.units.learn(address, &self.entry)
            });
            put_varint(&mut self.unit_cells, u64::from(unit));
        }
        Ok(())
    }

    fn new_series(
        &mut self,
        address: (usize, usize),
        labels: &LabelSet,
        allowance: &mut Allowance,
    ) -> Result<u32, FrameError> {
        self.entry.clear();
        put_varint(&mut self.entry, labels.len() as u64);
        for (name, value) in labels.iter() {
            put_bytes(&mut self.entry, name.as_bytes());
            put_bytes(&mut self.entry, value.as_bytes());
        }
        let known = self.series.len();
        let number = self.series.learn(address, &self.entry);
        if self.series.len() > known {
            allowance.take(labels.len())?;
        }
        Ok(number)
    }
}

/// Writes the value; returns how many items it counted.
fn put_value(out: &mut Vec<u8>, value: &SampleValue) -> usize {
    match value {
        SampleValue::Counter { sum } => {
            out.push(1);
            put_float(out, *sum);
            0
        }
        SampleValue::Gauge { last, min, max } => {
            out.push(2);
            [last, min, max].into_iter().for_each(|level| put_float(out, *level));
            0
        }
        SampleValue::Distribution(distribution) => {
            let Distribution { count, sum, min, max, sketch } = &**distribution;
            out.push(3);
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
                out.push(4);
                put_varint(out, hashes.len() as u64);
                hashes.iter().for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
                hashes.len()
            }
            DistinctSet::Estimated(registers) => {
                out.push(5);
                out.extend_from_slice(&registers[..]);
                0
            }
        },
        SampleValue::Cumulative { total } => {
            out.push(6);
            put_float(out, *total);
            0
        }
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
    let series = read_dictionary(reader, allowance, read_labels)?;
    let units = read_dictionary(reader, allowance, |reader, _| reader.text().map(unit))?;
    let [mut series_cells, mut times, mut intervals, mut unit_cells, mut values, mut counts, mut exemplars] =
        read_columns(reader)?;
    if intervals.rest().len() < rows {
        return Err(FrameError::Malformed("a column is shorter than the header says"));
    }
    let (mut at, mut time) = (0i64, 0i64);
    let mut samples = Vec::with_capacity(rows);
    for _ in 0..rows {
        at = at.wrapping_add(series_cells.signed()?);
        time = time.wrapping_add(times.signed()?);
        let labels = usize::try_from(at).ok().and_then(|at| series.get(at));
        let count = usize::try_from(counts.varint()?).unwrap_or(usize::MAX);
        if count > exemplars.rest().len() {
            return Err(FrameError::Malformed("more exemplars than there are"));
        }
        allowance.take(count)?;
        samples.push(Sample {
            labels: Arc::clone(labels.ok_or(FrameError::Malformed("no such series"))?),
            timestamp: Timestamp::from_unix_nanos(time),
            interval_ms: u32::try_from(intervals.varint()?)
                .map_err(|_| FrameError::Malformed("an interval of more than 2^32 ms"))?,
            value: read_value(&mut values, allowance)?,
            unit: units[unit_cells.index(units.len())?],
            exemplars: (0..count).map(|_| read_exemplar(&mut exemplars, time)).collect::<Result<_, _>>()?,
        });
    }
    [series_cells, times, intervals, unit_cells, values, counts, exemplars].into_iter().try_for_each(Reader::finish)?;
    Ok(samples)
}

fn read_labels(reader: &mut Reader<'_>, allowance: &mut Allowance) -> Result<Arc<LabelSet>, FrameError> {
    let count = reader.count(allowance)?;
    let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(count);
    for _ in 0..count {
        let pair = (reader.text()?, reader.text()?);
        if pair.1.is_empty() || pairs.last().is_some_and(|last| last.0 >= pair.0) {
            return Err(FrameError::Malformed("labels that are empty or out of order"));
        }
        pairs.push(pair);
    }
    Ok(Arc::new(LabelSet::new(pairs)))
}

fn read_value(reader: &mut Reader<'_>, allowance: &mut Allowance) -> Result<SampleValue, FrameError> {
    Ok(match reader.byte()? {
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
