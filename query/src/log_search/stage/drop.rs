//! `drop password, user.email`: rows without these fields.

use std::sync::Arc;

use taffrail_collector::model::{LogRecord, Resource, Severity};
use taffrail_ingest::log_store::field::SHORT_NAMES;

use super::super::ParseError;
use super::super::row::Row;
use super::arguments::{Arguments, error_at};
use super::shape::{Fields, Shape};
use super::{Each, Parsed, Stage, Syntax, Work, parsed};

pub(super) const SYNTAX: Syntax =
    Syntax { name: "drop", usage: "drop name, …", purpose: "takes these fields out of every row", parse };

#[derive(Debug)]
struct Drop(Vec<String>);

fn parse(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    let names = arguments.fields("drop password")?;
    let shape = match arguments.shape() {
        Shape::Records => {
            if let Some(time) = names.iter().find(|name| name.text == "time") {
                let message = "a record keeps its time; `fields` makes a table of the fields that you name";
                return Err(error_at(time.column, message));
            }
            Shape::Records
        }
        Shape::Table { columns, open } => {
            let left: Vec<_> =
                columns.iter().filter(|column| names.iter().all(|name| *name.text != *column.name)).cloned().collect();
            if left.is_empty() && !open {
                return Err(error_at(names[0].column, "this would leave no column"));
            }
            Shape::Table { columns: left, open: *open }
        }
    };
    parsed(Drop(names.into_iter().map(|name| name.text).collect()), shape)
}

impl Stage for Drop {
    fn reads(&self, wanted: Fields) -> Fields {
        wanted.without(self.0.iter().map(String::as_str))
    }

    fn rows(&self, wanted: Option<usize>) -> Option<usize> {
        wanted
    }

    fn work(&self, _: Option<usize>) -> Work<'_> {
        Work::Each(self)
    }
}

impl Each for Drop {
    fn each(&self, mut row: Row) -> Option<Row> {
        match &mut row {
            Row::Record(stored) => self.0.iter().for_each(|name| take_out(&mut stored.record, name)),
            Row::Table(row) => row.0.retain(|(name, _)| self.0.iter().all(|gone| **gone != **name)),
        }
        Some(row)
    }
}

/// Takes a field out of a record.
pub(super) fn take_out(record: &mut LogRecord, name: &str) {
    match name {
        "message" => record.body.clear(),
        "level" => record.severity = Severity::UNSPECIFIED,
        "severity_text" => record.severity_text = Default::default(),
        "trace_id" => record.trace_id = None,
        "span_id" => record.span_id = None,
        "host" | "service" => {
            let mut resource = Resource::clone(&record.resource);
            *(if name == "host" { &mut resource.host } else { &mut resource.service }) = "".into();
            record.resource = Arc::new(resource);
        }
        _ if SHORT_NAMES.contains(&name) => {}
        _ => {
            record.attributes.retain(|(other, _)| **other != *name);
            if record.resource.attributes.iter().any(|(other, _)| **other == *name) {
                let mut resource = Resource::clone(&record.resource);
                resource.attributes.retain(|(other, _)| **other != *name);
                record.resource = Arc::new(resource);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::{check, check_refused};

    #[test]
    fn fields_are_gone_behind_it() {
        check("n:3 | fields host, path, n | drop path", &["host=b n=3"]);
        check("n:3 | drop host, path | fields host, path, n", &["host= path= n=3"]);
        check("n:3 | drop message, level, trace_id | where level:* OR trace_id:* OR GET", &[]);
    }

    #[test]
    fn something_is_left() {
        check_refused("a | drop time", 10, "keeps its time");
        check_refused("a | fields b, c | drop b, c", 24, "leave no column");
    }
}
