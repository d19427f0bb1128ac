//! The log records of a frame, column by column.
//!
//! ```text
//! keys         count, then each: text                    names of attributes
//! resources    count, then each: host (text), service (text), count, then each: key (index), value
//! shapes       count, then each: count, keys (indexes)   which attributes a record has, in their order
//! texts        count, then each: text                    severity texts
//! columns, a cell a record:
//!   timestamp           signed: difference to the record before
//!   observed timestamp  signed: difference to the record before
//!   severity            1 byte
//!   severity text       varint: index into the texts
//!   resource            varint: index into the resources
//!   shape               varint: index into the shapes
//!   trace               1 byte: bit 0 has a trace id of its own, bit 1 has the trace id of the last record that had one,
//!                       bit 2 has a span id; bits 0 and 1 are never both set
//!   body length         varint
//! columns with a cell for those that have one:
//!   trace id            16 bytes
//!   span id             8 bytes
//!   body                its bytes
//! columns, one a key:   the values of that attribute, in the records' order
//! ```

use std::sync::Arc;

use super::FrameError;
use super::dictionary::Dictionary;
use super::primitive::{Allowance, Reader, put_bytes, put_column, put_signed, put_varint};
use super::value::{put_value, value};
use crate::model::{Attributes, LogRecord, Resource, Severity, SeverityText, SpanId, Timestamp, TraceId};

const OWN_TRACE: u8 = 1;
const LAST_TRACE: u8 = 2;
const HAS_SPAN: u8 = 4;

/// Values' columns kept allocated between frames.
const KEPT_COLUMNS: usize = 1024;

/// Writes log records; keeps what it allocates for the next frame.
pub(super) struct LogWriter {
    keys: Dictionary,
    resources: Dictionary,
    shapes: Dictionary,
    texts: Dictionary,
    text_cells: Vec<u8>,
    resource_cells: Vec<u8>,
    shape_cells: Vec<u8>,
    value_cells: Vec<Vec<u8>>,
    /// The keys of the record at hand.
    shape_keys: Vec<u32>,
    entry: Vec<u8>,
}

impl LogWriter {
    pub(super) fn new() -> LogWriter {
        LogWriter {
            keys: Dictionary::new(),
            resources: Dictionary::new(),
            shapes: Dictionary::new(),
            texts: Dictionary::new(),
            text_cells: Vec::new(),
            resource_cells: Vec::new(),
            shape_cells: Vec::new(),
            value_cells: Vec::new(),
            shape_keys: Vec::new(),
            entry: Vec::new(),
        }
    }

    /// Appends the records to `out`.
    pub(super) fn put(
        &mut self,
        out: &mut Vec<u8>,
        logs: &[LogRecord],
        allowance: &mut Allowance,
    ) -> Result<(), FrameError> {
        self.clear();
        self.gather(logs, allowance)?;
        for dictionary in [&self.keys, &self.resources, &self.shapes, &self.texts] {
            allowance.take(dictionary.len())?;
            put_varint(out, dictionary.len() as u64);
            out.extend_from_slice(dictionary.entries());
        }
        put_column(out, |out| put_times(out, logs, |log| log.timestamp));
        put_column(out, |out| put_times(out, logs, |log| log.observed_timestamp));
        put_column(out, |out| out.extend(logs.iter().map(|log| log.severity.number())));
        for cells in [&self.text_cells, &self.resource_cells, &self.shape_cells] {
            put_column(out, |out| out.extend_from_slice(cells));
        }
        put_column(out, |out| put_trace_flags(out, logs));
        put_column(out, |out| logs.iter().for_each(|log| put_varint(out, log.body.len() as u64)));
        put_column(out, |out| put_trace_ids(out, logs));
        put_column(out, |out| {
            logs.iter().filter_map(|log| log.span_id).for_each(|id| out.extend_from_slice(&id.bits().to_be_bytes()));
        });
        put_column(out, |out| logs.iter().for_each(|log| out.extend_from_slice(log.body.as_bytes())));
        for cells in &self.value_cells[..self.keys.len()] {
            put_column(out, |out| out.extend_from_slice(cells));
        }
        Ok(())
    }

    fn clear(&mut self) {
        [&mut self.keys, &mut self.resources, &mut self.shapes, &mut self.texts]
            .into_iter()
            .for_each(Dictionary::clear);
        [&mut self.text_cells, &mut self.resource_cells, &mut self.shape_cells].into_iter().for_each(Vec::clear);
        self.value_cells.truncate(KEPT_COLUMNS);
        self.value_cells.iter_mut().for_each(Vec::clear);
    }

    /// Fills the dictionaries, their index cells and the values' cells.
    fn gather(&mut self, logs: &[LogRecord], allowance: &mut Allowance) -> Result<(), FrameError> {
        let mut before: Option<(&LogRecord, u32, u32)> = None;
        for log in logs {
            let resource = self.resource(&log.resource, allowance)?;
            put_varint(&mut self.resource_cells, u64::from(resource));
            let (text, shape) = match before {
                Some((last, text, shape)) => (
                    if last.severity_text == log.severity_text { text } else { self.text(&log.severity_text) },
                    if same_keys(&last.attributes, &log.attributes) {
                        shape
                    } else {
                        self.shape(&log.attributes, allowance)?
                    },
                ),
                None => (self.text(&log.severity_text), self.shape(&log.attributes, allowance)?),
            };
            put_varint(&mut self.text_cells, u64::from(text));
            put_varint(&mut self.shape_cells, u64::from(shape));
            allowance.take(log.attributes.len())?;
            for (&key, (_, value)) in self.shape_keys.iter().zip(&log.attributes) {
                put_value(&mut self.value_cells[key as usize], value, allowance)?;
            }
            before = Some((log, text, shape));
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> u32 {
        self.entry.clear();
        put_bytes(&mut self.entry, text.as_bytes());
        self.texts.number(&self.entry)
    }

    fn key(&mut self, key: &str) -> u32 {
        let address = (key.as_ptr().addr(), key.len());
        if let Some(number) = self.keys.known(address) {
            return number;
        }
        let mut entry = Vec::with_capacity(key.len() + 2);
        put_bytes(&mut entry, key.as_bytes());
        let number = self.keys.learn(address, &entry);
        if self.value_cells.len() < self.keys.len() {
            self.value_cells.push(Vec::new());
        }
        number
    }

    fn resource(&mut self, resource: &Arc<Resource>, allowance: &mut Allowance) -> Result<u32, FrameError> {
        let address = (Arc::as_ptr(resource).addr(), 0);
        if let Some(number) = self.resources.known(address) {
            return Ok(number);
        }
        let mut entry = Vec::new();
        let mut items = Allowance::new();
        put_bytes(&mut entry, resource.host.as_bytes());
        put_bytes(&mut entry, resource.service.as_bytes());
        items.take(resource.attributes.len())?;
        put_varint(&mut entry, resource.attributes.len() as u64);
        for (key, value) in &resource.attributes {
            put_varint(&mut entry, u64::from(self.key(key)));
            put_value(&mut entry, value, &mut items)?;
        }
        let known = self.resources.len();
        let number = self.resources.learn(address, &entry);
        if self.resources.len() > known {
            allowance.take(items.taken())?;
        }
        Ok(number)
    }

    fn shape(&mut self, attributes: &Attributes, allowance: &mut Allowance) -> Result<u32, FrameError> {
        let mut keys = std::mem::take(&mut self.shape_keys);
        keys.clear();
        keys.extend(attributes.iter().map(|(key, _)| self.key(key)));
        self.entry.clear();
        put_varint(&mut self.entry, keys.len() as u64);
        keys.iter().for_each(|&key| put_varint(&mut self.entry, u64::from(key)));
        self.shape_keys = keys;
        let known = self.shapes.len();
        let number = self.shapes.number(&self.entry);
        if self.shapes.len() > known {
            allowance.take(attributes.len())?;
        }
        Ok(number)
    }
}

fn same_keys(a: &Attributes, b: &Attributes) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|((a, _), (b, _))| Arc::ptr_eq(a, b) || a == b)
}

fn put_times(out: &mut Vec<u8>, logs: &[LogRecord], time: impl Fn(&LogRecord) -> Timestamp) {
    let mut last = 0;
    for log in logs {
        let nanos = time(log).unix_nanos();
        put_signed(out, nanos.wrapping_sub(last));
        last = nanos;
    }
}

fn put_trace_flags(out: &mut Vec<u8>, logs: &[LogRecord]) {
    let mut last = None;
    out.extend(logs.iter().map(|log| {
        let trace = match log.trace_id {
            None => 0,
            id if id == last => LAST_TRACE,
            _ => OWN_TRACE,
        };
        last = log.trace_id.or(last);
        trace | if log.span_id.is_some() { HAS_SPAN } else { 0 }
    }));
}

fn put_trace_ids(out: &mut Vec<u8>, logs: &[LogRecord]) {
    let mut last = None;
    for id in logs.iter().filter_map(|log| log.trace_id) {
        if last != Some(id) {
            out.extend_from_slice(&id.bits().to_be_bytes());
            last = Some(id);
        }
    }
}

/// Reads `rows` records.
pub(super) fn read_logs(
    reader: &mut Reader<'_>,
    rows: usize,
    allowance: &mut Allowance,
) -> Result<Vec<LogRecord>, FrameError> {
    let keys: Vec<Arc<str>> = read_dictionary(reader, allowance, |reader, _| reader.text().map(Arc::from))?;
    let resources = read_dictionary(reader, allowance, |reader, allowance| {
        let (host, service) = (reader.text()?.into(), reader.text()?.into());
        let attributes = (0..reader.count(allowance)?)
            .map(|_| Ok((Arc::clone(&keys[reader.index(keys.len())?]), value(reader, allowance)?)))
            .collect::<Result<_, FrameError>>()?;
        Ok(Arc::new(Resource { host, service, attributes }))
    })?;
    let shapes: Vec<Vec<usize>> = read_dictionary(reader, allowance, |reader, allowance| {
        (0..reader.count(allowance)?).map(|_| reader.index(keys.len())).collect()
    })?;
    let texts: Vec<SeverityText> =
        read_dictionary(reader, allowance, |reader, _| reader.text().map(SeverityText::from))?;

    let [mut times, mut observed, mut severities, mut text_cells, mut resource_cells, mut shape_cells, mut traces] =
        read_columns(reader)?;
    let [mut lengths, mut trace_ids, mut span_ids, bodies] = read_columns(reader)?;
    let mut values = keys.iter().map(|_| reader.column()).collect::<Result<Vec<_>, _>>()?;
    if severities.rest().len() != rows {
        return Err(FrameError::Malformed("a column of another length than the header says"));
    }
    // Once for all bodies: the check is far quicker on long text.
    let mut bodies = str::from_utf8(bodies.rest()).map_err(|_| FrameError::Malformed("a body that is not UTF-8"))?;
    let (mut time, mut observed_time, mut last_trace) = (0i64, 0i64, None);
    let mut logs = Vec::with_capacity(rows);
    for _ in 0..rows {
        time = time.wrapping_add(times.signed()?);
        observed_time = observed_time.wrapping_add(observed.signed()?);
        let trace = traces.byte()?;
        let trace_id = match trace & !HAS_SPAN {
            0 => None,
            OWN_TRACE => {
                let bits = u128::from_be_bytes(trace_ids.array()?);
                last_trace = Some(TraceId::new(bits).ok_or(FrameError::Malformed("a trace id of zeros"))?);
                last_trace
            }
            LAST_TRACE if last_trace.is_some() => last_trace,
            _ => return Err(FrameError::Malformed("unknown trace flags")),
        };
        let span_id = if trace & HAS_SPAN != 0 {
            let bits = u64::from_be_bytes(span_ids.array()?);
            Some(SpanId::new(bits).ok_or(FrameError::Malformed("a span id of zeros"))?)
        } else {
            None
        };
        let length = usize::try_from(lengths.varint()?).unwrap_or(usize::MAX);
        let (body, rest) =
            bodies.split_at_checked(length).ok_or(FrameError::Malformed("a body's length does not fit"))?;
        bodies = rest;
        let shape = &shapes[shape_cells.index(shapes.len())?];
        allowance.take(shape.len())?;
        let mut attributes = Vec::with_capacity(shape.len());
        for &key in shape {
            attributes.push((Arc::clone(&keys[key]), value(&mut values[key], allowance)?));
        }
        logs.push(LogRecord {
            timestamp: Timestamp::from_unix_nanos(time),
            observed_timestamp: Timestamp::from_unix_nanos(observed_time),
            severity: Severity::from_number(severities.byte()?).ok_or(FrameError::Malformed("unknown severity"))?,
            severity_text: texts[text_cells.index(texts.len())?].clone(),
            body: body.to_owned(),
            trace_id,
            span_id,
            resource: Arc::clone(&resources[resource_cells.index(resources.len())?]),
            attributes,
        });
    }
    let columns =
        [times, observed, severities, text_cells, resource_cells, shape_cells, traces, lengths, trace_ids, span_ids];
    columns.into_iter().chain(values).chain([Reader::new(bodies.as_bytes())]).try_for_each(Reader::finish)?;
    Ok(logs)
}

pub(super) fn read_columns<'a, const N: usize>(reader: &mut Reader<'a>) -> Result<[Reader<'a>; N], FrameError> {
    let mut columns = [Reader::new(&[]); N];
    for column in &mut columns {
        *column = reader.column()?;
    }
    Ok(columns)
}

pub(super) fn read_dictionary<'a, T>(
    reader: &mut Reader<'a>,
    allowance: &mut Allowance,
    mut entry: impl FnMut(&mut Reader<'a>, &mut Allowance) -> Result<T, FrameError>,
) -> Result<Vec<T>, FrameError> {
    let count = reader.count(allowance)?;
    (0..count).map(|_| entry(reader, allowance)).collect()
}
