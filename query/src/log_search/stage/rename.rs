//! `rename http.status_code as status`: fields under other names.

use std::sync::Arc;

use taffrail_collector::model::Value;
use taffrail_ingest::log_store::Field;
use taffrail_ingest::log_store::field::SHORT_NAMES;

use super::super::ParseError;
use super::super::row::{Cell, Row};
use super::arguments::{Arguments, error_at};
use super::drop::take_out;
use super::shape::{Column, Fields, Shape};
use super::{Each, Parsed, Stage, Syntax, Work, parsed};

pub(super) const SYNTAX: Syntax =
    Syntax { name: "rename", usage: "rename old as new, …", purpose: "gives fields other names", parse };

#[derive(Debug)]
struct Rename(Vec<(Field, Arc<str>)>);

fn parse(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    const HOW: &str = "rename http.status_code as status";
    let mut pairs: Vec<(Field, Arc<str>)> = Vec::new();
    loop {
        let old = arguments.field(HOW)?;
        if !arguments.take_word("as") {
            return Err(arguments.error(format!("`as` is missing here: write {HOW}")));
        }
        let new = arguments.new_name(HOW)?;
        let of_records = *arguments.shape() == Shape::Records;
        if of_records && SHORT_NAMES.contains(&new.text.as_str()) {
            let message = format!(
                "`{}` is a field that every record has of its own: take another name, or make a table with `fields` first",
                new.text
            );
            return Err(error_at(new.column, message));
        }
        if of_records && old.text == "time" {
            let message = "a record keeps its time; make a table with `fields` first";
            return Err(error_at(old.column, message));
        }
        if pairs.iter().any(|(other, name)| other.name() == old.text || **name == *new.text) {
            return Err(error_at(old.column, format!("`{}` or `{}` stands here twice", old.text, new.text)));
        }
        pairs.push((old.field(), new.text.into()));
        if !arguments.take(",") {
            break;
        }
    }
    let shape = match arguments.shape().clone() {
        Shape::Records => Shape::Records,
        Shape::Table { columns, open } => {
            // What had the new name is gone.
            let mut renamed: Vec<Column> = Vec::new();
            for column in columns {
                let new = pairs.iter().find(|(old, _)| *old.name() == *column.name).map(|(_, new)| new);
                let taken = new.is_none() && pairs.iter().any(|(_, name)| *name == column.name);
                if !taken {
                    renamed.push(Column { name: new.unwrap_or(&column.name).clone(), kind: column.kind });
                }
            }
            Shape::Table { columns: renamed, open }
        }
    };
    parsed(Rename(pairs), shape)
}

impl Stage for Rename {
    fn reads(&self, wanted: Fields) -> Fields {
        let old = self.0.iter().filter(|(_, new)| wanted.has(new)).map(|(old, _)| old.name()).collect::<Vec<_>>();
        wanted.without(self.0.iter().map(|(_, new)| &**new)).and(old)
    }

    fn rows(&self, wanted: Option<usize>) -> Option<usize> {
        wanted
    }

    fn work(&self, _: Option<usize>) -> Work<'_> {
        Work::Each(self)
    }
}

impl Each for Rename {
    fn each(&self, mut row: Row) -> Option<Row> {
        match &mut row {
            Row::Table(row) => {
                let renamed =
                    |name: &Arc<str>| self.0.iter().find(|(old, _)| *old.name() == **name).map(|(_, new)| new);
                row.0.retain(|(name, _)| renamed(name).is_some() || self.0.iter().all(|(_, new)| new != name));
                for (name, _) in &mut row.0 {
                    if let Some(new) = renamed(name) {
                        *name = new.clone();
                    }
                }
            }
            Row::Record(_) => {
                let cells: Vec<Cell> = self.0.iter().map(|(old, _)| row.view().cell(old)).collect();
                if let Row::Record(stored) = &mut row {
                    self.0.iter().for_each(|(old, _)| take_out(&mut stored.record, old.name()));
                }
                for ((_, new), cell) in self.0.iter().zip(cells) {
                    match cell {
                        Cell::Value(Value::Null) => {
                            if let Row::Record(stored) = &mut row {
                                take_out(&mut stored.record, new);
                            }
                        }
                        Cell::Value(value) => row.set(new, value),
                        Cell::Time(time) => row.set(new, Value::String(time.to_string())),
                    }
                }
            }
        }
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::{check, check_refused};

    #[test]
    fn fields_have_other_names_behind_it() {
        check(
            "n:3 | rename path as url, host as machine | fields url, path, machine, host",
            &["url=/pay path= machine=b host="],
        );
        check("n:3 | rename path as n, n as path | fields n, path", &["n=/pay path=3"]);
        check("n:3 | rename path as n | fields n", &["n=/pay"]);
        check("n:3 | fields n, path | rename path as url", &["n=3 url=/pay"]);
        check("n:3 | fields n, path | rename path as n", &["n=/pay"]);
        check("n:3 | rename user as path | fields path", &["path="]);
        check("* | stats count() by service | rename count as lines | where lines:10", &["service=web lines=10"]);
    }

    #[test]
    fn names_are_checked() {
        check_refused("a | rename b", 13, "`as` is missing");
        check_refused("a | rename b as host", 17, "of its own");
        check_refused("a | rename time as t", 12, "keeps its time");
        check_refused("a | rename b as x, c as x", 20, "twice");
        check_refused("a | fields b | rename c as d", 23, "no column `c`");
    }
}
