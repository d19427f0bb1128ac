//! Taking records apart: each becomes a template, the variables and values of its columns, and an entry in the columns that
//! all rows share. What comes out is written by [`split_writer`](super::split_writer).

use std::collections::HashMap;
use std::sync::Arc;

use rapidhash::fast::RandomState;
use taffrail_collector::model::{Attributes, LogRecord, Resource, Severity};

use super::RecordId;
use super::schema::{FieldKind, Plain, Schema, put_rest, put_value};
use super::step_down::ServiceSteps;
use super::template::Holds;
use super::variable_column::Strings;
use crate::byte_cursor::put_prefixed;

/// Resources whose places are remembered; a split rarely has a hundredth of them.
const RESOURCES_REMEMBERED_MAX: usize = 100_000;

/// The records of a split to be, newest first.
#[derive(Default)]
pub struct SplitBuilder {
    /// Places of the rows.
    pub ids: Vec<RecordId>,
    /// When the rows were first seen, in nanoseconds.
    pub observed: Vec<i64>,
    /// Places in `origins`.
    pub origin_codes: Vec<u64>,
    /// Trace ids, 0 for none.
    pub traces: Vec<u128>,
    /// Span ids, 0 for none.
    pub spans: Vec<u64>,
    /// Places in `templates`.
    pub template_of_row: Vec<u32>,
    /// The templates in the order they were met.
    pub templates: Vec<TemplateBuilder>,
    /// Names of services.
    pub services: Texts,
    /// Level words.
    pub severity_texts: Texts,
    /// Names of attributes.
    pub names: Texts,
    /// Schemas.
    pub schemas: Vec<Schema>,
    /// Hosts with the attributes of their resources, as they are written.
    pub origins: Vec<Vec<u8>>,
    template_numbers: HashMap<Box<[u8]>, u32, RandomState>,
    schema_numbers: HashMap<Schema, u32, RandomState>,
    origin_numbers: HashMap<Vec<u8>, u32, RandomState>,
    /// (service, origin) by the resource's address; the resource is held so that its address stays its own.
    resources: HashMap<usize, (Arc<Resource>, u32, u32), RandomState>,
    steps: Vec<ServiceSteps>,
    // Kept between rows only for their memory.
    key: Vec<u8>,
    variables: Vec<(usize, usize)>,
    fields: Vec<(u32, FieldKind)>,
    bytes: Vec<u8>,
}

/// Different texts, numbered.
#[derive(Debug, Default)]
pub struct Texts {
    /// The texts by number.
    pub texts: Vec<String>,
    numbers: HashMap<String, u32, RandomState>,
}

/// The rows of one template.
#[derive(Debug)]
pub struct TemplateBuilder {
    /// Place of the service.
    pub service: u32,
    /// The severity.
    pub severity: Severity,
    /// Place of the level word.
    pub severity_text: u32,
    /// Place of the schema.
    pub schema: u32,
    /// What its placeholders stand for.
    pub holds: Holds,
    /// The text with its placeholders.
    pub text: Box<[u8]>,
    /// How many rows it has.
    pub rows: u32,
    /// The variables of its rows, row after row: one place to write to, however many they are.
    pub variables: Strings,
    /// The columns of its schema.
    pub attributes: Vec<AttributeColumn>,
}

/// A column of attribute values.
#[derive(Debug)]
pub enum AttributeColumn {
    /// Numbers or truth values.
    Plain(FieldKind, Plain),
    /// Texts, or values as texts.
    Strings(Strings),
}

/// Bytes of a template's key before its text: service, severity, level word, schema.
const KEY_HEAD: usize = 13;

impl SplitBuilder {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Services that stepped down, and to what.
    pub fn stepped_down(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.services
            .texts
            .iter()
            .zip(&self.steps)
            .filter_map(|(name, steps)| Some((name.as_str(), steps.stepped_down()?)))
    }

    /// Takes a record, which comes after all before in order.
    pub fn push(&mut self, id: RecordId, record: &LogRecord) {
        let (service, origin) = self.resource(&record.resource);
        let severity_text = self.severity_texts.number(&record.severity_text);
        let schema = self.schema(service, &record.attributes);
        self.ids.push(id);
        self.observed.push(record.observed_timestamp.unix_nanos());
        self.origin_codes.push(u64::from(origin));
        self.traces.push(record.trace_id.map_or(0, |id| id.bits()));
        self.spans.push(record.span_id.map_or(0, |id| id.bits()));

        self.key.clear();
        self.key.extend_from_slice(&service.to_le_bytes());
        self.key.push(record.severity.number());
        self.key.extend_from_slice(&severity_text.to_le_bytes());
        self.key.extend_from_slice(&schema.to_le_bytes());
        let steps = &mut self.steps[service as usize];
        self.variables.clear();
        let body = record.body.as_str();
        let start = body.as_ptr() as usize;
        let holds = steps.cut().cut(body, &mut self.key, |variable| {
            let from = variable.as_ptr() as usize - start;
            self.variables.push((from, from + variable.len()));
        });
        // Templates that look alike but hold other things are different ones.
        self.key.push(holds as u8);
        let known = self.template_numbers.get(self.key.as_slice()).copied();
        steps.row(body, known.is_none());
        let template = match known {
            Some(template) => template,
            None => {
                let text: Box<[u8]> = self.key[KEY_HEAD..self.key.len() - 1].into();
                let number = self.templates.len() as u32;
                self.template_numbers.insert(self.key.as_slice().into(), number);
                self.templates.push(TemplateBuilder {
                    service,
                    severity: record.severity,
                    severity_text,
                    schema,
                    holds,
                    rows: 0,
                    variables: Strings::default(),
                    attributes: AttributeColumn::of(&self.schemas[schema as usize]),
                    text,
                });
                number
            }
        };
        self.template_of_row.push(template);
        let template = &mut self.templates[template as usize];
        template.rows += 1;
        for &(from, to) in &self.variables {
            template.variables.push(&body.as_bytes()[from..to]);
        }
        match self.steps[service as usize].loose().filter(|loose| loose.schema == schema) {
            None => template.push_strict(&record.attributes, &mut self.bytes),
            Some(loose) => {
                let names = &self.names;
                let column = |name: &str| loose.columns.get(&names.known(name)?).copied();
                template.push_loose(&record.attributes, &column, &mut self.bytes);
            }
        }
    }

    fn resource(&mut self, resource: &Arc<Resource>) -> (u32, u32) {
        let address = Arc::as_ptr(resource) as usize;
        if let Some((_, service, origin)) = self.resources.get(&address) {
            return (*service, *origin);
        }
        let service = self.services.number(&resource.service);
        while self.steps.len() <= service as usize {
            self.steps.push(ServiceSteps::default());
        }
        let mut bytes = Vec::new();
        put_prefixed(&mut bytes, resource.host.as_bytes());
        for (at, (name, value)) in resource.attributes.iter().enumerate() {
            put_rest(at, name, value, &mut bytes);
        }
        let origins = &mut self.origins;
        let origin = *self.origin_numbers.entry(bytes).or_insert_with_key(|bytes| {
            origins.push(bytes.clone());
            origins.len() as u32 - 1
        });
        if self.resources.len() == RESOURCES_REMEMBERED_MAX {
            self.resources.clear();
        }
        self.resources.insert(address, (resource.clone(), service, origin));
        (service, origin)
    }

    fn schema(&mut self, service: u32, attributes: &Attributes) -> u32 {
        let steps = &mut self.steps[service as usize];
        if let Some(loose) = steps.loose() {
            return loose.schema;
        }
        self.fields.clear();
        for (name, value) in attributes {
            self.fields.push((self.names.number(name), FieldKind::of(value)));
        }
        let fields = Schema { fields: std::mem::take(&mut self.fields) };
        let schema = match self.schema_numbers.get(&fields).copied() {
            Some(known) => {
                self.fields = fields.fields;
                known
            }
            None => {
                let number = self.schemas.len() as u32;
                self.schemas.push(fields.clone());
                self.schema_numbers.insert(fields, number);
                number
            }
        };
        if !attributes.is_empty() {
            let known = std::mem::take(&mut self.schemas);
            let mut added = None;
            let number = known.len() as u32;
            steps.schema(schema, &known, &mut |schema| {
                added = Some(schema);
                number
            });
            self.schemas = known;
            // Not found by its fields: a record never has fields of these kinds.
            self.schemas.extend(added);
        }
        // This row still has its strict schema when the service stepped down with it.
        schema
    }
}

impl Texts {
    /// The text's number, a new one if need be.
    pub fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.known(text) {
            return number;
        }
        let number = self.texts.len() as u32;
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }

    /// The text's number, if it has one.
    pub fn known(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }
}

impl AttributeColumn {
    fn of(schema: &Schema) -> Vec<AttributeColumn> {
        let column = |kind: FieldKind| match kind {
            kind if kind.is_text() => AttributeColumn::Strings(Strings::default()),
            kind => AttributeColumn::Plain(kind, Plain::default()),
        };
        schema.fields.iter().filter(|(_, kind)| kind.has_column()).map(|(_, kind)| column(*kind)).collect()
    }
}

impl TemplateBuilder {
    fn push_strict(&mut self, attributes: &Attributes, bytes: &mut Vec<u8>) {
        use taffrail_collector::model::Value;

        let mut columns = self.attributes.iter_mut();
        for (_, value) in attributes {
            if *value == Value::Null {
                continue;
            }
            match (columns.next().expect("a column for each value of the schema"), value) {
                (AttributeColumn::Plain(_, column), value) => column.push(value),
                (AttributeColumn::Strings(column), Value::String(text)) => column.push(text.as_bytes()),
                (AttributeColumn::Strings(column), value) => {
                    bytes.clear();
                    put_value(value, bytes);
                    column.push(bytes);
                }
            }
        }
    }

    fn push_loose(&mut self, attributes: &Attributes, column_of: &dyn Fn(&str) -> Option<usize>, bytes: &mut Vec<u8>) {
        let mut rest = Vec::new();
        let mut next = 0;
        let fill = |columns: &mut [AttributeColumn], bytes: &[u8]| {
            for column in columns {
                let AttributeColumn::Strings(column) = column else { continue };
                column.push(bytes);
            }
        };
        for (at, (name, value)) in attributes.iter().enumerate() {
            // Only what stands in the order of the columns comes back in its order without more ado.
            match column_of(name).filter(|&column| column >= next) {
                Some(column) => {
                    fill(&mut self.attributes[next..column], &[]);
                    bytes.clear();
                    put_value(value, bytes);
                    fill(&mut self.attributes[column..=column], bytes);
                    next = column + 1;
                }
                None => put_rest(at, name, value, &mut rest),
            }
        }
        let last = self.attributes.len() - 1;
        fill(&mut self.attributes[next..last], &[]);
        fill(&mut self.attributes[last..], &rest);
    }
}
