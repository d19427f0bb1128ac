//! Putting records together again: single rows and whole ranges, without unpacking the rest of the split.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use rapidhash::fast::RandomState;
use taffrail_collector::model::{Attributes, LogRecord, Resource, SpanId, TraceId, Value};

use super::number_column::NumberCursor;
use super::projection::Projection;
use super::schema::{FieldKind, PlainCursor, insert_rest, read_value, text};
use super::split_file::damaged;
use super::split_reader::{IdColumn, SplitReader, TemplateColumns, TimeCursor};
use super::template::literals;
use super::template_table::{Template, TemplateTable};
use super::variable_column::ColumnCursor;
use super::{RecordId, StoredRecord};

/// Reads records of one split, keeping what it unpacked last of each column.
pub struct RecordReader<'a> {
    split: &'a SplitReader,
    fields: &'a Projection,
    table: &'a TemplateTable,
    times: TimeCursor<'a>,
    observed: TimeCursor<'a>,
    seqs: NumberCursor<'a>,
    traces: Option<&'a IdColumn>,
    spans: Option<&'a IdColumn>,
    templates: HashMap<u32, TemplateRows<'a>, RandomState>,
    resources: HashMap<(u32, u32), Arc<Resource>, RandomState>,
    names: Vec<Option<Arc<str>>>,
    body: Vec<u8>,
}

/// Reads what differs between the rows of one template.
pub struct TemplateRows<'a> {
    template: &'a Template,
    body: BodyReader<'a>,
    /// One for each field of the schema; none for those that are not read.
    attributes: Vec<Option<AttributeReader<'a>>>,
}

/// Puts bodies of one template together.
pub struct BodyReader<'a> {
    literals: Vec<&'a [u8]>,
    variables: Vec<ColumnCursor<'a>>,
}

/// Reads the values of one attribute.
pub enum AttributeReader<'a> {
    /// Null in every row.
    Null,
    /// Numbers or truth values.
    Plain(PlainCursor<'a>),
    /// Texts, or values as texts.
    Texts(FieldKind, ColumnCursor<'a>),
}

impl<'a> RecordReader<'a> {
    /// A reader of the split's records.
    pub fn new(split: &'a SplitReader) -> io::Result<RecordReader<'a>> {
        RecordReader::of(split, &Projection::All)
    }

    /// A reader of these fields of the split's records.
    pub fn of(split: &'a SplitReader, fields: &'a Projection) -> io::Result<RecordReader<'a>> {
        let table = split.table()?;
        Ok(RecordReader {
            split,
            fields,
            table,
            times: split.times()?,
            observed: split.observed()?,
            seqs: split.seqs()?,
            traces: if fields.has("trace_id") { split.traces()? } else { None },
            spans: if fields.has("span_id") { split.spans()? } else { None },
            templates: HashMap::default(),
            resources: HashMap::default(),
            names: vec![None; table.names.len()],
            body: Vec::new(),
        })
    }

    /// The place of a row.
    pub fn id(&mut self, row: u32) -> io::Result<RecordId> {
        Ok(RecordId { time: self.times.get(row)?, seq: self.seqs.get(row as usize)? })
    }

    /// The records of these rows, which rise.
    pub fn records(&mut self, rows: &[u32]) -> io::Result<Vec<StoredRecord>> {
        let located = self.split.locate(rows)?;
        rows.iter().zip(located).map(|(&row, (template, ordinal))| self.record(row, template, ordinal)).collect()
    }

    /// The record of a row, which is a template's so-many-th.
    pub fn record(&mut self, row: u32, template: u32, ordinal: u32) -> io::Result<StoredRecord> {
        let id = self.id(row)?;
        if !self.templates.contains_key(&template) {
            self.templates.insert(template, TemplateRows::new(self.split, template, self.fields)?);
        }
        let rows = self.templates.get_mut(&template).expect("just put there");
        self.body.clear();
        if self.fields.has("message") {
            rows.body.append(ordinal as usize, &mut self.body)?;
        }
        let (of, schema) = (rows.template, &self.table.schemas[rows.template.schema as usize]);
        let mut attributes = Attributes::with_capacity(schema.fields.len());
        for ((name, kind), reader) in schema.fields.iter().zip(&mut rows.attributes) {
            let Some(reader) = reader else { continue };
            if *kind == FieldKind::Rest {
                reader.insert_rest(ordinal as usize, &mut attributes)?;
            } else if let Some(value) = reader.value(ordinal as usize)? {
                let name = self.names[*name as usize]
                    .get_or_insert_with(|| Arc::from(self.table.names[*name as usize].as_str()));
                attributes.push((name.clone(), value));
            }
        }
        let origin = self.split.origin_codes()?.get(row as usize) as u32;
        let resource = match self.resources.get(&(of.service, origin)) {
            Some(resource) => resource.clone(),
            None => {
                let from = self.split.origins()?.get(origin as usize);
                let from = from.ok_or_else(|| damaged("a row's host is not there"))?;
                let resource = Arc::new(Resource {
                    host: Arc::from(from.host.as_str()),
                    service: Arc::from(self.table.services[of.service as usize].as_str()),
                    attributes: from.attributes.clone(),
                });
                self.resources.insert((of.service, origin), resource.clone());
                resource
            }
        };
        let id_of = |column: Option<&IdColumn>| column.and_then(|ids| ids.dictionary.id(ids.runs.code(row)));
        let record = LogRecord {
            timestamp: id.time,
            observed_timestamp: self.observed.get(row)?,
            severity: of.severity,
            severity_text: self.table.severity_texts[of.severity_text as usize].as_str().into(),
            body: text(&self.body)?,
            trace_id: id_of(self.traces).and_then(TraceId::new),
            span_id: id_of(self.spans).and_then(|id| SpanId::new(id as u64)),
            resource,
            attributes,
        };
        Ok(StoredRecord { id, record })
    }
}

impl<'a> TemplateRows<'a> {
    fn new(split: &'a SplitReader, number: u32, fields: &Projection) -> io::Result<TemplateRows<'a>> {
        let table = split.table()?;
        let template = table.templates.get(number as usize).ok_or_else(|| damaged("a row's template is not there"))?;
        let attributes = AttributeReader::of_fields(split, number, fields)?;
        Ok(TemplateRows { template, body: BodyReader::new(split, number)?, attributes })
    }
}

impl<'a> BodyReader<'a> {
    /// A reader of the template's bodies.
    pub fn new(split: &'a SplitReader, number: u32) -> io::Result<BodyReader<'a>> {
        let table = split.table()?;
        let template = &table.templates[number as usize];
        let columns = split.columns(number)?;
        let variables = (0..template.variables as usize)
            .map(|variable| Ok(ColumnCursor::new(columns.texts(variable)?, split)))
            .collect::<io::Result<_>>()?;
        Ok(BodyReader { literals: literals(table.text(template)).collect(), variables })
    }

    /// Appends the body of the template's so-many-th row.
    #[inline]
    pub fn append(&mut self, ordinal: usize, out: &mut Vec<u8>) -> io::Result<()> {
        for (at, literal) in self.literals.iter().enumerate() {
            if at > 0 {
                self.variables[at - 1].append(ordinal, out)?;
            }
            out.extend_from_slice(literal);
        }
        Ok(())
    }
}

impl<'a> AttributeReader<'a> {
    /// Readers of all fields of the template's schema.
    pub fn all(split: &'a SplitReader, number: u32) -> io::Result<Vec<AttributeReader<'a>>> {
        Ok(AttributeReader::of_fields(split, number, &Projection::All)?.into_iter().flatten().collect())
    }

    /// For each field of the template's schema a reader, or none when it is not asked for. Where a part of the attributes is
    /// kept as a rest, with its names and places in the rows, all are read.
    fn of_fields(
        split: &'a SplitReader,
        number: u32,
        fields: &Projection,
    ) -> io::Result<Vec<Option<AttributeReader<'a>>>> {
        let table = split.table()?;
        let template = &table.templates[number as usize];
        let (columns, mut column) = (split.columns(number)?, template.variables as usize);
        let (mut readers, schema) = (Vec::new(), &table.schemas[template.schema as usize]);
        for &(name, kind) in &schema.fields {
            let read = schema.has_rest() || fields.has(&table.names[name as usize]);
            let reader = read.then(|| AttributeReader::of(split, template, &columns, kind, column));
            readers.push(reader.transpose()?);
            column += usize::from(kind.has_column());
        }
        Ok(readers)
    }

    /// A reader of a field of the template's schema.
    pub fn new(split: &'a SplitReader, number: u32, field: usize) -> io::Result<AttributeReader<'a>> {
        let table = split.table()?;
        let template = &table.templates[number as usize];
        let fields = &table.schemas[template.schema as usize].fields;
        let before = fields[..field].iter().filter(|(_, kind)| kind.has_column()).count();
        let column = template.variables as usize + before;
        AttributeReader::of(split, template, &split.columns(number)?, fields[field].1, column)
    }

    fn of(
        split: &'a SplitReader,
        template: &Template,
        columns: &TemplateColumns<'a>,
        kind: FieldKind,
        column: usize,
    ) -> io::Result<AttributeReader<'a>> {
        Ok(match kind.is_text() {
            _ if !kind.has_column() => AttributeReader::Null,
            true => AttributeReader::Texts(kind, ColumnCursor::new(columns.texts(column)?, split)),
            false => AttributeReader::Plain(PlainCursor::new(kind, columns.bytes(column)?, template.rows as usize)?),
        })
    }

    /// The value in the template's so-many-th row; none when it is absent there.
    pub fn value(&mut self, ordinal: usize) -> io::Result<Option<Value>> {
        match self {
            AttributeReader::Null => Ok(Some(Value::Null)),
            AttributeReader::Plain(numbers) => Ok(Some(numbers.value(ordinal)?)),
            AttributeReader::Texts(kind, texts) => {
                let mut bytes = Vec::new();
                texts.append(ordinal, &mut bytes)?;
                value_of(*kind, &bytes)
            }
        }
    }

    fn insert_rest(&mut self, ordinal: usize, attributes: &mut Attributes) -> io::Result<()> {
        let AttributeReader::Texts(_, texts) = self else { return Ok(()) };
        let mut bytes = Vec::new();
        texts.append(ordinal, &mut bytes)?;
        Ok(insert_rest(&bytes, attributes)?)
    }
}

/// The value that a text of a column of this kind stands for; none when it is absent.
pub fn value_of(kind: FieldKind, bytes: &[u8]) -> io::Result<Option<Value>> {
    Ok(match kind {
        FieldKind::Text => Some(Value::String(text(bytes)?)),
        FieldKind::Loose if bytes.is_empty() => None,
        _ => Some(read_value(bytes)?),
    })
}
