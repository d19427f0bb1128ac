//! `fields time, host, took_ms`: a table of these fields, in this order.

use std::sync::Arc;

use taffrail_ingest::log_store::Field;

use super::super::ParseError;
use super::super::row::{Row, TableRow};
use super::arguments::{Arguments, error_at};
use super::shape::{Fields, Shape};
use super::{Each, Parsed, Stage, Syntax, Work, parsed};

pub(super) const SYNTAX: Syntax = Syntax {
    name: "fields",
    usage: "fields name, …",
    purpose: "makes a table of these fields; no other is read",
    parse,
};

#[derive(Debug)]
struct Columns(Vec<(Arc<str>, Field)>);

fn parse(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    let names = arguments.fields("fields time, host, message")?;
    let mut columns: Vec<(Arc<str>, Field)> = Vec::new();
    for name in &names {
        if columns.iter().any(|(other, _)| **other == *name.text) {
            return Err(error_at(name.column, format!("`{}` stands here twice", name.text)));
        }
        columns.push((name.text.as_str().into(), name.field()));
    }
    let shape = arguments.shape();
    let kinds = columns.iter().map(|(name, _)| (name.clone(), shape.kind_of(name)));
    let shape = Shape::table(kinds);
    parsed(Columns(columns), shape)
}

impl Stage for Columns {
    fn reads(&self, _: Fields) -> Fields {
        Fields::only(self.0.iter().map(|(name, _)| &**name))
    }

    fn rows(&self, wanted: Option<usize>) -> Option<usize> {
        wanted
    }

    fn work(&self, _: Option<usize>) -> Work<'_> {
        Work::Each(self)
    }
}

impl Each for Columns {
    fn each(&self, row: Row) -> Option<Row> {
        let view = row.view();
        Some(Row::Table(TableRow(self.0.iter().map(|(name, field)| (name.clone(), view.cell(field))).collect())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::{check, check_refused};

    #[test]
    fn a_table_has_the_fields_asked_for_in_their_order() {
        check(
            "level:error | fields time, host, status, nothing",
            &[
                "time=2024-11-21T07:09:00.000Z host=b status=500 nothing=",
                "time=2024-11-21T07:04:00.000Z host=a status=500 nothing=",
            ],
        );
        check("n:3 | fields (tags, @path)", &["tags=[web, early] path=/pay"]);
        check("n:3 | fields msg", &["message=GET 3 200"]);
        check("* | stats count() by service, level | fields level, count | where count:<3", &["level=error count=2"]);
    }

    #[test]
    fn names_are_checked() {
        check_refused("a | fields", 11, "the name of a field is missing");
        check_refused("a | fields b,", 14, "the name of a field is missing");
        check_refused("a | fields b, c, b", 18, "twice");
        check_refused("a | fields b | fields c", 23, "there is no column `c` here; there are `b`");
        check_refused("a | fields b )", 14, "ends before this: write fields name, …");
    }
}
