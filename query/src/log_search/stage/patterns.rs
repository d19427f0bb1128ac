//! `patterns`: like messages as one row, with their counts; straight from the store where nothing but a search stands before
//! it, from rows where one does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::{Severity, Timestamp, Value};
use taffrail_ingest::log_store::{Field, Pattern, PatternId, PatternQuestion};

use super::super::ParseError;
use super::super::row::{Cell, Row, TableRow};
use super::arguments::{Arguments, error_at};
use super::shape::{ColumnKind, Fields, Shape};
use super::{Flow, Halt, Operator, Parsed, Run, Stage, Syntax, Work, parsed};

pub(super) const SYNTAX: Syntax = Syntax {
    name: "patterns",
    usage: "patterns",
    purpose: "like messages as one, commonest first; pattern:<id> asks for the records of one",
    parse,
};

/// Fields of the rows that come in.
const READ: [&str; 3] = ["message", "level", "time"];

/// What a pattern takes besides its text.
const ENTRY_BYTES: usize = 1_024;

#[derive(Debug)]
struct Patterns;

/// What is known of a pattern.
struct Known {
    pattern: Pattern,
    count: u64,
    worst: Severity,
    /// The first and the last moment, where rows have one.
    seen: Option<(Timestamp, Timestamp)>,
}

#[derive(Default)]
struct Gathered(HashMap<PatternId, Known>);

fn parse(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    let column = arguments.column();
    if let Shape::Table { columns, open: false } = arguments.shape()
        && !columns.iter().any(|column| &*column.name == "message")
    {
        return Err(error_at(
            column,
            "patterns are those of messages, and these rows have none: write it before this stage",
        ));
    }
    let columns = [
        ("pattern", ColumnKind::Text),
        ("count", ColumnKind::Number),
        ("level", ColumnKind::Text),
        ("first_seen", ColumnKind::Time),
        ("last_seen", ColumnKind::Time),
        ("id", ColumnKind::Text),
    ];
    parsed(Patterns, Shape::table(columns))
}

impl Stage for Patterns {
    fn reads(&self, _: Fields) -> Fields {
        Fields::only(READ)
    }

    fn work(&self, _: Option<usize>) -> Work<'_> {
        Work::Ordered(Box::new(Gathered::default()))
    }

    fn ask_store(&self, run: &Run<'_>, emit: &mut dyn FnMut(Row) -> Flow) -> Result<bool, Halt> {
        // The store counts in several threads, each with what it has found so far.
        let room = run.memory.bytes_max() / (4 * ENTRY_BYTES as u64);
        let patterns_max = usize::try_from(room).unwrap_or(usize::MAX);
        let question = PatternQuestion { origin: Timestamp::EPOCH, step: Duration::MAX, patterns_max };
        let found = run.store.patterns(run.filter, run.range, question, run.scan)?;
        if let Some(why) = found.ending.stopped {
            run.stopped(why);
        }
        if found.other > 0 {
            run.gap(&format!(
                "out of memory: query.memory_bytes_max = {} bytes did not hold the patterns of {} records",
                run.memory.bytes_max(),
                found.other
            ));
        }
        let known = found.patterns.into_iter().map(|pattern| Known {
            count: pattern.count,
            worst: pattern.severities.last().map_or(Severity::UNSPECIFIED, |(severity, _)| *severity),
            seen: Some((pattern.first.time, pattern.last.time)),
            pattern: pattern.pattern,
        });
        rows(known.collect()).into_iter().try_for_each(emit)?;
        Ok(true)
    }
}

impl Operator for Gathered {
    fn take(&mut self, row: Row, run: &Run<'_>, _: &mut dyn FnMut(Row) -> Flow) -> Flow {
        let text = |field: Field| row.view().cell(&field).to_text();
        let pattern = Pattern::of(&text(Field::Message));
        let id = pattern.id();
        if !self.0.contains_key(&id) && !run.memory.take(ENTRY_BYTES + pattern.canonical.len()) {
            return Ok(());
        }
        let severity = match &row {
            Row::Record(stored) => stored.record.severity,
            Row::Table(_) => Severity::from_word(&text(Field::Level)).unwrap_or(Severity::UNSPECIFIED),
        };
        let moment = match row.view().cell(&Field::Time) {
            Cell::Time(moment) => Some((moment, moment)),
            Cell::Value(_) => None,
        };
        match self.0.get_mut(&id) {
            Some(known) => {
                known.pattern.unite(&pattern.holes);
                known.count += 1;
                known.worst = known.worst.max(severity);
                known.seen = match (known.seen, moment) {
                    (Some((first, last)), Some((moment, _))) => Some((first.min(moment), last.max(moment))),
                    (seen, moment) => seen.or(moment),
                };
            }
            None => {
                self.0.insert(id, Known { pattern, count: 1, worst: severity, seen: moment });
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &Run<'_>, emit: &mut dyn FnMut(Row) -> Flow) -> Flow {
        let known = std::mem::take(&mut self.0).into_values().collect();
        rows(known).into_iter().try_for_each(emit)
    }
}

/// The rows of the answer, commonest first.
fn rows(mut known: Vec<Known>) -> Vec<Row> {
    known.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.pattern.canonical.cmp(&b.pattern.canonical)));
    let names: [Arc<str>; 6] = ["pattern", "count", "level", "first_seen", "last_seen", "id"].map(Arc::from);
    let text = |text: String| if text.is_empty() { Cell::MISSING } else { Cell::Value(Value::String(text)) };
    let row = |known: Known| {
        let moment = |moment: Option<Timestamp>| moment.map_or(Cell::MISSING, Cell::Time);
        let cells = [
            text(known.pattern.shown()),
            Cell::count(known.count),
            text(known.worst.name().to_owned()),
            moment(known.seen.map(|seen| seen.0)),
            moment(known.seen.map(|seen| seen.1)),
            text(known.pattern.id().to_string()),
        ];
        Row::Table(TableRow(names.iter().cloned().zip(cells).collect()))
    };
    known.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::{MORNING, check, check_refused};

    #[test]
    fn like_messages_are_one_row() {
        let fields = "fields pattern, count, level";
        let web = "pattern=GET <num> <num> count=10 level=error";
        let db = r#"pattern={"query":"select <num>","plan":{"cost":<num>}} count=4 level=debug"#;
        check(&format!("* | patterns | {fields}"), &[web, db]);
        check(&format!("service:db | patterns | {fields}"), &[db]);
        check("level:error | patterns | fields count, first_seen", &["count=2 first_seen=2024-11-21T07:04:00.000Z"]);
        // From rows the same.
        check(&format!("* | where _exists_:service | patterns | {fields}"), &[web, db]);
        check("* | head 3 | patterns | fields count", &["count=3"]);
        check("* | fields message | patterns | where count:>4 | fields count, last_seen", &["count=10 last_seen="]);
        check("* | patterns | stats sum(count) as all", &["all=14"]);
        check_refused("* | stats count() by host | patterns", 37, "patterns are those of messages");
    }

    #[test]
    fn rows_and_store_say_the_same_and_ids_lead_back() {
        let whole = |question: &str| MORNING.ask(question, 100).0;
        assert_eq!(whole("* | patterns"), whole("* | where message:* | patterns"));
        for row in whole("* | patterns | fields count, id") {
            let (count, id) = row.trim_start_matches("count=").split_once(" id=").unwrap();
            assert_eq!(whole(&format!("pattern:{id}")).len().to_string(), count);
        }
    }
}
