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
///
/// Goes over the records once for all small columns and once more for the bodies: a large batch does not fit in the
/// caches, and a pass for each column would fetch it from memory as often.
pub(super) struct LogWriter {
    keys: Dictionary,
    resources: Dictionary,
    shapes: Dictionary,
    texts: Dictionary,
    cells: Cells,
    value_cells: Vec<Vec<u8>>,
    /// The keys of the record at hand.
    shape_keys: Vec<u32>,
    entry: Vec<u8>,
}

/// The columns that are not bodies or values.
#[derive(Default)]
struct Cells {
    times: Vec<u8>,
    observed: Vec<u8>,
    severities: Vec<u8>,
    texts: Vec<u8>,
    resources: Vec<u8>,
    shapes: Vec<u8>,
    traces: Vec<u8>,
    lengths: Vec<u8>,
    trace_ids: Vec<u8>,
    span_ids: Vec<u8>,
}

impl Cells {
    /// In the order in which they stand in the frame.
    fn columns(&mut self) -> [&mut Vec<u8>; 10] {
        [
            &mut self.times,
            &mut self.observed,
            &mut self.severities,
            &mut self.texts,
            &mut self.resources,
            &mut self.shapes,
            &mut self.traces,
            &mut self.lengths,
            &mut self.trace_ids,
            &mut self.span_ids,
        ]
    }
}

/// What a record's cells are told by, of the records before it.
struct Before<'a> {
    log: &'a LogRecord,
    text: u32,
    shape: u32,
}

impl LogWriter {
    pub(super) fn new() -> LogWriter {
        LogWriter {
            keys: Dictionary::new(),
            resources: Dictionary::new(),
            shapes: Dictionary::new(),
            texts: Dictionary::new(),
            cells: Cells::default(),
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
        let bodies = self.gather(logs, allowance)?;
        for dictionary in [&self.keys, &self.resources, &self.shapes, &self.texts] {
            allowance.take(dictionary.len())?;
            put_varint(out, dictionary.len() as u64);
            out.extend_from_slice(dictionary.entries());
        }
        for cells in self.cells.columns() {
            put_column(out, |out| out.extend_from_slice(cells));
        }
        put_column(out, |out| {
            out.reserve(bodies);
            logs.iter().for_each(|log| out.extend_from_slice(log.body.as_bytes()));
        });
        for cells in &self.value_cells[..self.keys.len()] {
            put_column(out, |out| out.extend_from_slice(cells));
        }
        Ok(())
    }

    fn clear(&mut self) {
        [&mut self.keys, &mut self.resources, &mut self.shapes, &mut self.texts]
            .into_iter()
            .for_each(Dictionary::clear);
        self.cells.columns().into_iter().for_each(Vec::clear);
        self.value_cells.truncate(KEPT_COLUMNS);
        self.value_cells.iter_mut().for_each(Vec::clear);
    }

    /// Fills the dictionaries and the cells of all columns but the bodies'; returns the bytes of those.
    fn gather(&mut self, logs: &[LogRecord], allowance: &mut Allowance) -> Result<usize, FrameError> {
        let mut before: Option<Before> = None;
        let (mut time, mut observed, mut last_trace, mut bodies) = (0i64, 0i64, None, 0);
        for log in logs {
            let resource = self.resource(&log.resource, allowance)?;
            let text = match &before {
                Some(before) if before.log.severity_text == log.severity_text => before.text,
                _ => self.text(&log.severity_text),
            };
            let shape = match &before {
                Some(before) if same_keys(&before.log.attributes, &log.attributes) => before.shape,
                _ => self.shape(&log.attributes, allowance)?,
            };
            allowance.take(log.attributes.len())?;
            for (&key, (_, value)) in self.shape_keys.iter().zip(&log.attributes) {
                put_value(&mut self.value_cells[key as usize], value, allowance)?;
            }
            before = Some(Before { log, text, shape });

            let cells = &mut self.cells;
            let (now, seen) = (log.timestamp.unix_nanos(), log.observed_timestamp.unix_nanos());
            put_signed(&mut cells.times, now.wrapping_sub(time));
            put_signed(&mut cells.observed, seen.wrapping_sub(observed));
            (time, observed) = (now, seen);
            cells.severities.push(log.severity.number());
            put_varint(&mut cells.texts, u64::from(text));
            put_varint(&mut cells.resources, u64::from(resource));
            put_varint(&mut cells.shapes, u64::from(shape));
            let mut flags = 0;
            if let Some(id) = log.trace_id {
                if last_trace == Some(id) {
                    flags |= LAST_TRACE;
                } else {
                    flags |= OWN_TRACE;
                    cells.trace_ids.extend_from_slice(&id.bits().to_be_bytes());
                    last_trace = Some(id);
                }
            }
            if let Some(id) = log.span_id {
                flags |= HAS_SPAN;
                cells.span_ids.extend_from_slice(&id.bits().to_be_bytes());
            }
            cells.traces.push(flags);
            put_varint(&mut cells.lengths, log.body.len() as u64);
            bodies += log.body.len();
        }
        Ok(bodies)
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
