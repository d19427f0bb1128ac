//! Rows of an answer as JSON: records as records, rows of a table as objects in the order of their columns.
//!
//! ```json
//! {"columns":[{"name":"service","type":"text"},{"name":"count","type":"number"}]}
//! {"row":{"service":"web","count":12}}
//! ```
//! Types are `time` (RFC 3339), `number`, `text`, `list` and `any`; any cell may be null. The columns come before the first row
//! that has them: again, all of them, when a row brings new ones (`parse_json` of a table).

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};
use taffrail_query::log_search::row::{Cell, Row, TableRow};
use taffrail_query::log_search::stage::shape::{Column, ColumnKind, Shape};

use super::record_json::{RecordJson, ValueJson};

/// The columns of an answer, as far as they are known.
#[derive(Debug)]
pub struct Columns {
    columns: Vec<Column>,
    is_table: bool,
    is_told: bool,
}

/// A row as a line of a stream: `{"record":…}` or `{"row":…}`.
#[derive(Debug)]
pub struct RowLine<'a>(pub &'a Row);

/// A row as a part of a document.
#[derive(Debug)]
pub struct RowJson<'a>(pub &'a Row);

struct TableRowJson<'a>(&'a TableRow);

struct CellJson<'a>(&'a Cell);

impl Columns {
    /// The columns that are known beforehand.
    pub fn of(shape: &Shape) -> Columns {
        match shape {
            Shape::Records => Columns { columns: Vec::new(), is_table: false, is_told: true },
            Shape::Table { columns, .. } => Columns { columns: columns.clone(), is_table: true, is_told: false },
        }
    }

    /// Whether the answer is a table.
    pub fn is_table(&self) -> bool {
        self.is_table
    }

    /// Takes in the columns of a row.
    pub fn see(&mut self, row: &Row) {
        let Row::Table(row) = row else { return };
        // Rows have their columns in one order: mostly this is a walk side by side.
        for (at, (name, _)) in row.0.iter().enumerate() {
            let known =
                self.columns.get(at).is_some_and(|column| Arc::ptr_eq(&column.name, name) || column.name == *name);
            if !known && self.columns.iter().all(|column| column.name != *name) {
                self.columns.push(Column { name: name.clone(), kind: ColumnKind::Any });
                self.is_told = false;
            }
        }
    }

    /// The line that tells the columns, when it has something new to say.
    pub fn news(&mut self) -> Option<Value> {
        let told = std::mem::replace(&mut self.is_told, true);
        (!told).then(|| json!({ "columns": self.json() }))
    }

    /// The columns as a list.
    pub fn json(&self) -> Value {
        let column = |column: &Column| json!({ "name": &*column.name, "type": kind_name(column.kind) });
        self.columns.iter().map(column).collect()
    }
}

fn kind_name(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Time => "time",
        ColumnKind::Number => "number",
        ColumnKind::Text => "text",
        ColumnKind::List => "list",
        ColumnKind::Any => "any",
    }
}

impl Serialize for RowLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = match self.0 {
            Row::Record(_) => "record",
            Row::Table(_) => "row",
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(name, &RowJson(self.0))?;
        map.end()
    }
}

impl Serialize for RowJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Row::Record(stored) => RecordJson::from(&**stored).serialize(serializer),
            Row::Table(row) => TableRowJson(row).serialize(serializer),
        }
    }
}

impl Serialize for TableRowJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.0.iter().map(|(name, cell)| (&**name, CellJson(cell))))
    }
}

impl Serialize for CellJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Cell::Value(value) => ValueJson(value).serialize(serializer),
            Cell::Time(time) => serializer.serialize_str(&time.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_told_again_when_a_row_brings_new_ones() {
        let mut columns = Columns::of(&Shape::table([("a", ColumnKind::Number)]));
        let row = |names: &[&str]| {
            Row::Table(TableRow(names.iter().map(|name| (Arc::from(*name), Cell::count(1))).collect()))
        };
        let mut told = |names: &[&str]| {
            columns.see(&row(names));
            columns.news().map(|news| news.to_string())
        };
        assert_eq!(told(&["a"]).as_deref(), Some(r#"{"columns":[{"name":"a","type":"number"}]}"#));
        assert_eq!(told(&["a"]), None);
        let both = r#"{"columns":[{"name":"a","type":"number"},{"name":"b","type":"any"}]}"#;
        assert_eq!(told(&["b", "a"]).as_deref(), Some(both));
        assert_eq!(told(&["a", "b"]), None);
        assert_eq!(serde_json::to_string(&RowLine(&row(&["z", "a"]))).unwrap(), r#"{"row":{"z":1,"a":1}}"#);
    }
}
