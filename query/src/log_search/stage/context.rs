//! `context before 5 after 2 by host`: the rows with the lines around them, each once, in order of time.
//!
//! A field `context` says of each line whether it is a `match` or stands `before` or `after` one.

use std::collections::BTreeMap;
use std::sync::Arc;

use taffrail_collector::model::Value;
use taffrail_ingest::log_store::{Order, RecordId, StoredRecord};

use super::super::ParseError;
use super::super::execute;
use super::super::row::Row;
use super::arguments::{Arguments, error_at};
use super::shape::{Fields, Shape};
use super::{Flow, Halt, Operator, Parsed, Run, Stage, Syntax, Work, parsed};

pub(super) const SYNTAX: Syntax = Syntax {
    name: "context",
    usage: "context [before count] [after count] [by field, …]",
    purpose: "adds the lines before and after each row, of the same host and service or of the fields that you name",
    parse,
};

/// Lines on each side when no count is given.
const LINES_DEFAULT: usize = 5;
/// Lines on each side.
const LINES_MAX: usize = 1_000;
/// Rows of which the surroundings are looked up: each costs two searches.
const ROWS_MAX: usize = 1_000;

#[derive(Debug)]
struct Context {
    before: usize,
    after: usize,
    by: Vec<String>,
}

struct Surroundings<'a> {
    stage: &'a Context,
    rows: Vec<StoredRecord>,
}

/// What a line is to a row; the greater says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    After,
    Before,
    Match,
}

fn parse(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    const HOW: &str = "context before 5 after 2 by host";
    let column = arguments.column();
    records_only(arguments, column, "context")?;
    let (mut before, mut after, mut by) = (None, None, None);
    while !arguments.at_end() {
        let column = arguments.column();
        if before.is_none() && arguments.take_word("before") {
            before = Some(lines(arguments, HOW)?);
        } else if after.is_none() && arguments.take_word("after") {
            after = Some(lines(arguments, HOW)?);
        } else if by.is_none() && arguments.take_word("by") {
            by = Some(arguments.fields(HOW)?.into_iter().map(|name| name.text).collect());
        } else {
            return Err(error_at(column, format!("`before`, `after` or `by` is expected here: write {HOW}")));
        }
    }
    // With one side named, the other is not wanted.
    let default = if before.is_none() && after.is_none() { LINES_DEFAULT } else { 0 };
    let by = by.unwrap_or_else(|| ["host", "service"].map(str::to_owned).to_vec());
    parsed(Context { before: before.unwrap_or(default), after: after.unwrap_or(default), by }, Shape::Records)
}

fn lines(arguments: &mut Arguments<'_>, how: &str) -> Result<usize, ParseError> {
    let column = arguments.column();
    let count = arguments.count()?.filter(|count| *count <= LINES_MAX);
    count.ok_or_else(|| error_at(column, format!("a number up to {LINES_MAX} is missing here: write {how}")))
}

/// Refuses a table before a stage that needs whole records.
pub(super) fn records_only(arguments: &Arguments<'_>, column: usize, stage: &str) -> Result<(), ParseError> {
    match arguments.shape() {
        Shape::Records => Ok(()),
        Shape::Table { .. } => Err(error_at(
            column,
            format!("`{stage}` needs whole records, and a table stands before it: put it earlier"),
        )),
    }
}

impl Stage for Context {
    fn reads(&self, _: Fields) -> Fields {
        Fields::All
    }

    fn work(&self, _: Option<usize>) -> Work<'_> {
        Work::Ordered(Box::new(Surroundings { stage: self, rows: Vec::new() }))
    }
}

impl Operator for Surroundings<'_> {
    fn take(&mut self, row: Row, run: &Run<'_>, _: &mut dyn FnMut(Row) -> Flow) -> Flow {
        if self.rows.len() == ROWS_MAX {
            run.gap("context takes 1000 rows at most: put `head` before it");
            return Err(Halt::Enough);
        }
        if !run.memory.take(row.bytes()) {
            return Err(Halt::Enough);
        }
        if let Row::Record(stored) = row {
            self.rows.push(*stored);
        }
        Ok(())
    }

    fn finish(&mut self, run: &Run<'_>, emit: &mut dyn FnMut(Row) -> Flow) -> Flow {
        let Context { before, after, by } = self.stage;
        let mut lines: BTreeMap<RecordId, (Part, StoredRecord)> = BTreeMap::new();
        let mut put = |part: Part, stored: StoredRecord| -> bool {
            match lines.get_mut(&stored.id) {
                Some((known, _)) => *known = part.max(*known),
                None => {
                    if !run.memory.take(Row::Record(Box::new(stored.clone())).bytes()) {
                        return false;
                    }
                    lines.insert(stored.id, (part, stored));
                }
            }
            true
        };
        'rows: for row in std::mem::take(&mut self.rows) {
            let found = execute::context(run.store, row.id, (*before, *after), by, run.scan)?;
            if let Some(why) = found.stopped {
                run.stopped(why);
            }
            let sides = found.before.into_iter().map(|line| (Part::Before, line));
            let sides = sides.chain(found.after.into_iter().map(|line| (Part::After, line)));
            // The row itself as the stages before left it.
            for (part, line) in std::iter::once((Part::Match, row)).chain(sides) {
                if !put(part, line) {
                    break 'rows;
                }
            }
        }
        let name: Arc<str> = Arc::from("context");
        let mut told = |(part, stored): (Part, StoredRecord)| {
            let mut row = Row::Record(Box::new(stored));
            let word = match part {
                Part::Match => "match",
                Part::Before => "before",
                Part::After => "after",
            };
            row.set(&name, Value::from(word));
            emit(row)
        };
        match run.order {
            Order::OldestFirst => lines.into_values().try_for_each(&mut told),
            Order::NewestFirst => lines.into_values().rev().try_for_each(&mut told),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::{check, check_refused};

    #[test]
    fn lines_stand_around_the_rows_each_once() {
        check("n:4 | context before 1 after 1", &["GET 6 200", "GET 4 500", "GET 2 404"]);
        check("n:4 | context after 1 by service | fields n, context", &["n=5 context=after", "n=4 context=match"]);
        check(
            "n:4 OR n:5 | context before 2 by service | fields n, context",
            &["n=5 context=match", "n=4 context=match", "n=3 context=before", "n=2 context=before"],
        );
        check("n:0 | context before 3 after 0", &["GET 0 200"]);
        check("n:9 | context before 3 by status | fields n", &["n=9", "n=4"]);
        check("n:99 | context", &[]);
    }

    #[test]
    fn counts_and_words_are_checked() {
        check_refused("a | context 5", 13, "is expected here");
        check_refused("a | context before", 19, "up to 1000");
        check_refused("a | context before 5000", 20, "up to 1000");
        check_refused("a | stats count() | context", 28, "needs whole records");
    }
}
