//! What flows from stage to stage: whole log records, or rows of a table with ordered, named, typed cells.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::mem::size_of;
use std::sync::Arc;

use taffrail_collector::model::{LogRecord, Resource, Severity, SpanId, Timestamp, TraceId, Value};
use taffrail_ingest::log_store::field::{self, visit_value};
use taffrail_ingest::log_store::{Field, RecordId, StoredRecord};

use super::quantity;

/// One row.
#[derive(Clone, Debug)]
pub enum Row {
    /// A log record, with what stages added to its attributes.
    Record(Box<StoredRecord>),
    /// A row of a table.
    Table(TableRow),
}

/// Cells by the names of their columns, in the columns' order; a name stands once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableRow(pub Vec<(Arc<str>, Cell)>);

/// What stands in one place of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A value as a record has it; null where there is none.
    Value(Value),
    /// A moment.
    Time(Timestamp),
}

/// A row that is only looked at.
#[derive(Clone, Copy, Debug)]
pub(super) enum RowView<'a> {
    Record(RecordId, &'a LogRecord),
    Table(&'a TableRow),
}

/// Where a cell stands among others: numbers first (texts that are numbers count as numbers), then moments, then texts in the
/// order of their bytes; what is missing comes last.
#[derive(Clone, Debug)]
pub(super) enum SortKey {
    Number(f64),
    /// Nanoseconds and, of records of one moment, which was stored first.
    Time(i64, u64),
    Text(Box<str>),
    Missing,
}

impl Row {
    pub(super) fn view(&self) -> RowView<'_> {
        match self {
            Row::Record(stored) => RowView::Record(stored.id, &stored.record),
            Row::Table(row) => RowView::Table(row),
        }
    }

    /// About how many bytes it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Row::Record(stored) => {
                let record = &stored.record;
                let attributes = record.attributes.iter();
                let attributes: usize = attributes.map(|(_, value)| ENTRY_BYTES + value_bytes(value)).sum();
                size_of::<StoredRecord>() + record.body.len() + attributes
            }
            Row::Table(row) => row.0.iter().map(|(_, cell)| ENTRY_BYTES + cell.bytes()).sum::<usize>() + ENTRY_BYTES,
        }
    }

    /// Sets a field: a column, or of a record an attribute. A record's own fields stay as they are.
    pub(super) fn set(&mut self, name: &Arc<str>, value: Value) {
        match self {
            Row::Record(stored) => {
                let attributes = &mut stored.record.attributes;
                match attributes.iter_mut().find(|(other, _)| other == name) {
                    Some((_, old)) => *old = value,
                    None => attributes.push((name.clone(), value)),
                }
            }
            Row::Table(row) => row.set(name, Cell::Value(value)),
        }
    }
}

impl TableRow {
    /// The cell of a column.
    pub fn get(&self, name: &str) -> Option<&Cell> {
        self.0.iter().find(|(other, _)| &**other == name).map(|(_, cell)| cell)
    }

    /// Sets the cell of a column, which is added where it was not.
    pub(super) fn set(&mut self, name: &Arc<str>, cell: Cell) {
        match self.0.iter_mut().find(|(other, _)| other == name) {
            Some((_, old)) => *old = cell,
            None => self.0.push((name.clone(), cell)),
        }
    }

    /// Adds columns that are not there, without anything in them.
    pub(super) fn complete(&mut self, names: &[Arc<str>]) {
        for name in names {
            if self.get(name).is_none() {
                self.0.push((name.clone(), Cell::MISSING));
            }
        }
    }

    /// The row as a record, so that the conditions of a search mean in a table what they mean in a record.
    pub(super) fn to_record(&self) -> LogRecord {
        let text = |name: &str| self.get(name).map(Cell::to_text).unwrap_or_default();
        let time = match self.get("time") {
            Some(Cell::Time(time)) => *time,
            _ => Timestamp::EPOCH,
        };
        let named = |(name, cell): &(Arc<str>, Cell)| match cell {
            Cell::Value(value) => (name.clone(), value.clone()),
            Cell::Time(time) => (name.clone(), Value::String(time.to_string())),
        };
        LogRecord {
            timestamp: time,
            observed_timestamp: time,
            severity: Severity::from_word(&text("level")).unwrap_or(Severity::UNSPECIFIED),
            severity_text: text("severity_text").as_str().into(),
            body: text("message"),
            trace_id: TraceId::from_hex(&text("trace_id")),
            span_id: SpanId::from_hex(&text("span_id")),
            resource: Arc::new(Resource {
                host: text("host").into(),
                service: text("service").into(),
                attributes: Vec::new(),
            }),
            attributes: self.0.iter().map(named).collect(),
        }
    }
}

impl Cell {
    /// Nothing stands there.
    pub const MISSING: Cell = Cell::Value(Value::Null);

    /// A whole number, as long as it is one that a cell can hold.
    pub fn count(count: u64) -> Cell {
        i64::try_from(count).map_or(Cell::Value(Value::Float(count as f64)), |count| Cell::Value(Value::Int(count)))
    }

    /// A number; a whole one as such, missing when it is none.
    pub fn number(number: f64) -> Cell {
        const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
        if !number.is_finite() {
            Cell::MISSING
        } else if number.fract() == 0.0 && number.abs() <= EXACT {
            Cell::Value(Value::Int(number as i64))
        } else {
            Cell::Value(Value::Float(number))
        }
    }

    /// The cell as people type it; nothing when it is missing.
    pub fn to_text(&self) -> String {
        match self {
            Cell::Value(Value::Null) => String::new(),
            Cell::Value(value) => value.to_string(),
            Cell::Time(time) => time.to_string(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Cell::Value(value) => value_bytes(value),
            Cell::Time(_) => 0,
        }
    }
}

impl<'a> RowView<'a> {
    /// The field's cell; missing where the row has none.
    pub(super) fn cell(self, field: &Field) -> Cell {
        let text = |text: &str| match text {
            "" => Cell::MISSING,
            text => Cell::Value(text.into()),
        };
        match self {
            RowView::Table(row) => row.get(field.name()).cloned().unwrap_or(Cell::MISSING),
            RowView::Record(_, record) => match field {
                Field::Message => text(&record.body),
                Field::Level => text(record.severity.name()),
                Field::SeverityText => text(&record.severity_text),
                Field::Host => text(&record.resource.host),
                Field::Service => text(&record.resource.service),
                Field::TraceId => record.trace_id.map_or(Cell::MISSING, |id| Cell::Value(id.to_string().into())),
                Field::SpanId => record.span_id.map_or(Cell::MISSING, |id| Cell::Value(id.to_string().into())),
                Field::Time => Cell::Time(record.timestamp),
                Field::Attribute(name) => record.attribute(name).cloned().map_or(Cell::MISSING, Cell::Value),
            },
        }
    }

    /// The field's text, if it is text or has one.
    pub(super) fn text(self, field: &Field) -> Option<Cow<'a, str>> {
        let mut found = None;
        self.visit_texts(field, &mut |text| {
            found.get_or_insert(text);
        });
        found
    }

    /// Calls `visit` with the field's value as people type it, with each different item of an array.
    pub(super) fn visit_texts(self, field: &Field, visit: &mut dyn FnMut(Cow<'a, str>)) {
        match self {
            RowView::Record(_, record) => field.visit_values(record, visit),
            RowView::Table(row) => match row.get(field.name()) {
                None => {}
                Some(Cell::Time(time)) => visit(Cow::Owned(time.to_string())),
                Some(Cell::Value(value)) => visit_value(value, visit),
            },
        }
    }

    /// Calls `visit` with each number that the field holds; texts that are numbers count.
    pub(super) fn visit_numbers(self, field: &Field, visit: &mut dyn FnMut(Number)) {
        fn walk(name: &str, value: &Value, visit: &mut dyn FnMut(Number)) {
            match value {
                Value::Int(number) => visit(Number::Int(*number)),
                Value::Float(number) => visit(Number::Float(*number)),
                Value::String(text) => {
                    if let Some(number) = Number::of_text(name, text) {
                        visit(number);
                    }
                }
                Value::Array(items) => items.iter().for_each(|item| walk(name, item, visit)),
                Value::Null | Value::Bool(_) => {}
            }
        }
        match (self, field) {
            (RowView::Record(_, record), Field::Attribute(name)) => {
                if let Some(value) = record.attribute(name) {
                    walk(name, value, visit);
                }
            }
            _ => match self.cell(field) {
                Cell::Value(value) => walk(field.name(), &value, visit),
                Cell::Time(time) => visit(Number::Float(time.unix_seconds())),
            },
        }
    }

    /// Whether the field is there.
    pub(super) fn has(self, field: &Field) -> bool {
        match (self, field) {
            (RowView::Record(_, record), Field::Attribute(name)) => record.attribute(name).is_some_and(field::is_there),
            _ => match self.cell(field) {
                Cell::Time(_) => true,
                Cell::Value(value) => field::is_there(&value),
            },
        }
    }

    /// Where the row stands by this field.
    pub(super) fn sort_key(self, field: &Field) -> SortKey {
        match (self, field) {
            (RowView::Record(id, _), Field::Time) => SortKey::Time(id.time.unix_nanos(), id.seq),
            _ => SortKey::of(field.name(), &self.cell(field)),
        }
    }
}

/// A number as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    /// The number that a text is.
    pub(super) fn of_text(field: &str, text: &str) -> Option<Number> {
        let number = quantity::number_in(field, text)?;
        Some(text.trim().parse().map_or(Number::Float(number), Number::Int))
    }

    pub(super) fn as_f64(self) -> f64 {
        match self {
            Number::Int(number) => number as f64,
            Number::Float(number) => number,
        }
    }
}

impl SortKey {
    /// Of a cell of this field.
    pub(super) fn of(field: &str, cell: &Cell) -> SortKey {
        match cell {
            Cell::Time(time) => SortKey::Time(time.unix_nanos(), 0),
            Cell::Value(Value::Null) => SortKey::Missing,
            Cell::Value(Value::Int(number)) => SortKey::Number(*number as f64),
            Cell::Value(Value::Float(number)) => SortKey::Number(*number),
            Cell::Value(Value::String(text)) => match quantity::number_in(field, text) {
                Some(number) => SortKey::Number(number),
                None => SortKey::Text(text.as_str().into()),
            },
            Cell::Value(other @ (Value::Bool(_) | Value::Array(_))) => SortKey::Text(other.to_string().into()),
        }
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(self, SortKey::Missing)
    }

    fn rank(&self) -> u8 {
        match self {
            SortKey::Number(_) => 0,
            SortKey::Time(..) => 1,
            SortKey::Text(_) => 2,
            SortKey::Missing => 3,
        }
    }
}

impl Ord for SortKey {
    fn cmp(&self, other: &SortKey) -> Ordering {
        match (self, other) {
            // No difference between the two zeros.
            (SortKey::Number(a), SortKey::Number(b)) => (a + 0.0).total_cmp(&(b + 0.0)),
            (SortKey::Time(a, first), SortKey::Time(b, second)) => (a, first).cmp(&(b, second)),
            (SortKey::Text(a), SortKey::Text(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &SortKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SortKey {
    fn eq(&self, other: &SortKey) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for SortKey {}

/// A name, a cell, and what allocating them costs.
const ENTRY_BYTES: usize = size_of::<(Arc<str>, Cell)>() + 16;

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| size_of::<Value>() + value_bytes(item)).sum(),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_in_order_numbers_first_and_the_missing_last() {
        let text = |text: &str| Cell::Value(text.into());
        let mut cells = [
            Cell::MISSING,
            text("b"),
            Cell::Time(Timestamp::EPOCH),
            text("10KB"),
            Cell::Value(Value::Int(9)),
            text("a"),
            Cell::Value(Value::Float(-0.5)),
            Cell::Value(Value::Bool(true)),
            text("10"),
        ];
        cells.sort_by_key(|cell| SortKey::of("n", cell));
        let shown: Vec<String> = cells.iter().map(Cell::to_text).collect();
        assert_eq!(shown, ["-0.5", "9", "10", "10KB", "1970-01-01T00:00:00.000Z", "a", "b", "true", ""]);
    }

    #[test]
    fn numbers_become_whole_where_they_are() {
        assert_eq!(Cell::number(3.0), Cell::Value(Value::Int(3)));
        assert_eq!(Cell::number(0.5), Cell::Value(Value::Float(0.5)));
        assert_eq!(Cell::number(f64::NAN), Cell::MISSING);
        assert_eq!(Cell::count(u64::MAX), Cell::Value(Value::Float(u64::MAX as f64)));
    }
}
