//! `dedup service, path`, `dedup 3 user`: of rows with the same values the first, or the first few.

use std::collections::HashMap;

use taffrail_ingest::log_store::Field;

use super::super::ParseError;
use super::super::row::Row;
use super::arguments::{Arguments, error_at};
use super::shape::Fields;
use super::{Flow, Operator, Parsed, Run, Stage, Syntax, Work, parsed};

pub(super) const SYNTAX: Syntax = Syntax {
    name: "dedup",
    usage: "dedup [count] [by] field, …",
    purpose: "keeps the first rows of those with the same values; one when no count is given",
    parse,
};

#[derive(Debug)]
struct Dedup {
    count: usize,
    by: Vec<Field>,
}

struct Seen<'a> {
    stage: &'a Dedup,
    counts: HashMap<Box<[String]>, usize>,
}

/// What an entry takes besides its texts.
const ENTRY_BYTES: usize = 64;

fn parse(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    let column = arguments.column();
    let count = arguments.count()?.unwrap_or(1);
    if count == 0 {
        return Err(error_at(column, "one row at least is kept: write dedup service"));
    }
    arguments.take_word("by");
    let by = arguments.fields("dedup service, path")?.iter().map(|name| name.field()).collect();
    let shape = arguments.shape().clone();
    parsed(Dedup { count, by }, shape)
}

impl Stage for Dedup {
    fn reads(&self, wanted: Fields) -> Fields {
        wanted.and(self.by.iter().map(Field::name))
    }

    fn work(&self, _: Option<usize>) -> Work<'_> {
        Work::Ordered(Box::new(Seen { stage: self, counts: HashMap::new() }))
    }
}

impl Operator for Seen<'_> {
    fn take(&mut self, row: Row, run: &Run<'_>, emit: &mut dyn FnMut(Row) -> Flow) -> Flow {
        let key: Box<[String]> = self.stage.by.iter().map(|field| row.view().cell(field).to_text()).collect();
        if !self.counts.contains_key(&key) {
            let texts: usize = key.iter().map(|text| size_of::<String>() + text.len()).sum();
            // What cannot be remembered would pass again and again.
            if !run.memory.take(ENTRY_BYTES + texts) {
                return Ok(());
            }
        }
        let count = self.counts.entry(key).or_default();
        *count += 1;
        if *count <= self.stage.count { emit(row) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::{check, check_refused};

    #[test]
    fn the_first_of_those_alike_stays() {
        check("service:web | dedup status", &["GET 9 500", "GET 8 200", "GET 7 404"]);
        check("service:web | dedup 2 by (status) | where status:404", &["GET 7 404", "GET 2 404"]);
        check(
            "service:web | dedup user, status | fields user, status | head 2",
            &["user=bob status=500", "user=ann status=200"],
        );
        check(
            "* | stats count() by service, level | dedup service",
            &["service=db level=debug count=4", "service=web level=error count=2"],
        );
        check_refused("a | dedup", 10, "the name of a field is missing");
        check_refused("a | dedup 0 x", 11, "one row at least");
    }
}
