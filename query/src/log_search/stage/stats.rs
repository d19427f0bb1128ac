//! `stats count(), p95(took_ms) as slow by service, time:5m`: functions of rows in groups.
//!
//! Counts of records by time and one field come straight from the store, which has them by minute and by template; anything else
//! is computed where the rows are read, several splits at once.

use std::sync::Arc;

use taffrail_ingest::TimeRange;
use taffrail_ingest::log_store::{Field, OTHER};

use super::super::memory::Memory;
use super::super::row::{Row, TableRow};
use super::super::{ParseError, plan};
use super::arguments::{Arguments, error_at};
use super::function::Function;
use super::groups::{Grouping, Groups, Key, Missing, Part};
use super::shape::{ColumnKind, Fields, Shape};
use super::{Flow, Gather, Halt, Parsed, Run, Stage, Syntax, Work, parsed};

pub(super) const SYNTAX: Syntax = Syntax {
    name: "stats",
    usage: "stats function(field) [as name], … [by field, time:5m, field:100]",
    purpose: "functions of the rows, in groups: count, count_distinct, sum, avg, min, max, median, quantile, p95, rate, values, first, last",
    parse,
};

/// Different values that the store tells apart when it counts. Where it meets more, the rows are counted.
const VALUES_MAX: usize = usize::MAX;
/// An interval that holds everything on one side of the epoch, in milliseconds.
const WHOLE_MS: u64 = i64::MAX as u64 / 1_000_000;

#[derive(Debug)]
struct Stats {
    grouping: Arc<Grouping>,
    /// The first and the last row of a table are those in its order.
    needs_order: bool,
}

fn parse(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    const HOW: &str = "stats count() by service, time:5m";
    let mut keys = Vec::new();
    let mut by_first = false;
    if arguments.take_word("by") {
        keys = parse_keys(arguments)?;
        by_first = true;
    }
    let mut functions: Vec<(Arc<str>, Function)> = Vec::new();
    let mut kinds = Vec::new();
    loop {
        let column = arguments.column();
        let (function, label) = Function::parse(arguments)?;
        let label = match arguments.take_word("as") {
            true => arguments.new_name(HOW)?.text,
            false => label,
        };
        if functions.iter().any(|(name, _)| **name == *label) || keys.iter().any(|(name, _)| **name == *label) {
            return Err(error_at(column, format!("two columns are called `{label}`: write {label} as another_name")));
        }
        kinds.push(function.kind(|name| arguments.shape().kind_of(name)));
        functions.push((label.into(), function));
        if !arguments.take(",") {
            break;
        }
    }
    let column = arguments.column();
    if !by_first && arguments.take_word("by") {
        keys = parse_keys(arguments)?;
        if let Some((name, _)) = keys.iter().find(|(name, _)| functions.iter().any(|(other, _)| other == name)) {
            return Err(error_at(column, format!("two columns are called `{name}`: give one another name with as")));
        }
    }
    let kind_of = |key: &Key| match key {
        Key::Time(_) | Key::Field(Field::Time) => ColumnKind::Time,
        Key::Step(..) => ColumnKind::Number,
        Key::Field(_) => ColumnKind::Text,
    };
    let columns = keys.iter().map(|(name, key)| (name.clone(), kind_of(key)));
    let shape = Shape::table(columns.chain(functions.iter().map(|(name, _)| name.clone()).zip(kinds)));
    let picks = functions.iter().any(|(_, function)| matches!(function, Function::First(_) | Function::Last(_)));
    let needs_order = picks && *arguments.shape() != Shape::Records;
    let grouping = Arc::new(Grouping { keys, functions, missing: Missing::Counts });
    parsed(Stats { grouping, needs_order }, shape)
}

/// `service, time:5m, took_ms:100`, in parentheses or not.
fn parse_keys(arguments: &mut Arguments<'_>) -> Result<Vec<(Arc<str>, Key)>, ParseError> {
    const HOW: &str = "by service, time:5m";
    let parentheses = arguments.take("(");
    let mut keys: Vec<(Arc<str>, Key)> = Vec::new();
    loop {
        if keys.is_empty() && parentheses && arguments.take(")") {
            return Ok(keys);
        }
        let name = arguments.field(HOW)?;
        if keys.iter().any(|(other, _)| **other == *name.text) {
            return Err(error_at(name.column, format!("`{}` stands here twice", name.text)));
        }
        let key = match arguments.take(":") {
            false => Key::Field(name.field()),
            true if plan::field_name(&name.text) == "time" => Key::Time(arguments.span()?),
            true => {
                let column = arguments.column();
                let width = arguments.step(&name.text)?;
                if width <= 0.0 {
                    return Err(error_at(column, "a step is more than 0: write by took_ms:100"));
                }
                Key::Step(name.field(), width)
            }
        };
        keys.push((name.text.as_str().into(), key));
        if !arguments.take(",") {
            break;
        }
    }
    if parentheses {
        arguments.expect(")", HOW)?;
    }
    Ok(keys)
}

impl Stage for Stats {
    fn reads(&self, _: Fields) -> Fields {
        Fields::only(self.grouping.fields())
    }

    fn work(&self, _: Option<usize>) -> Work<'_> {
        Work::Groups(self)
    }

    fn ask_store(&self, run: &Run<'_>, emit: &mut dyn FnMut(Row) -> Flow) -> Result<bool, Halt> {
        let Some(counts) = self.counts(run)? else { return Ok(false) };
        self.table(vec![counts], run.range).into_iter().map(Row::Table).try_for_each(emit)?;
        Ok(true)
    }
}

impl Gather for Stats {
    fn groups(&self, memory: &Arc<Memory>) -> Vec<Groups> {
        vec![Groups::new(self.grouping.clone(), memory.clone())]
    }

    fn needs_order(&self) -> bool {
        self.needs_order
    }

    fn table(&self, groups: Vec<Groups>, range: TimeRange) -> Vec<TableRow> {
        groups.into_iter().flat_map(|groups| groups.table(range)).collect()
    }
}

impl Stats {
    /// The groups as the store counts them; none when it cannot.
    fn counts(&self, run: &Run<'_>) -> Result<Option<Groups>, Halt> {
        let (mut width, mut field) = (None, None);
        for (_, key) in &self.grouping.keys {
            match key {
                // A whole number of milliseconds, for the store counts in them.
                Key::Time(span) if width.is_none() && span.subsec_nanos() % 1_000_000 == 0 => width = Some(*span),
                Key::Field(one) if field.is_none() && *one != Field::Time => field = Some(one),
                _ => return Ok(None),
            }
        }
        let plain = |function: &Function| matches!(function, Function::Count(None) | Function::Rate(None));
        if !self.grouping.functions.iter().all(|(_, function)| plain(function)) {
            return Ok(None);
        }
        let milliseconds = width.map_or(WHOLE_MS, |width| u64::try_from(width.as_millis()).unwrap_or(WHOLE_MS));
        let counts = run.store.count_by_interval(
            run.filter,
            run.range,
            milliseconds,
            field.map(Field::name),
            VALUES_MAX,
            run.scan,
        )?;
        let too_many = |(_, values): &(_, Vec<(String, u64)>)| values.iter().any(|(value, _)| value == OTHER);
        if counts.buckets.iter().any(too_many) {
            return Ok(None);
        }
        let mut groups = Groups::new(self.grouping.clone(), run.memory.clone());
        for (time, values) in counts.buckets {
            for (value, count) in values {
                let part = |(_, key): &(Arc<str>, Key)| match key {
                    Key::Time(_) => Part::Time(time),
                    _ => Part::Text(value.as_str().into()),
                };
                let key: Vec<Part> = self.grouping.keys.iter().map(part).collect();
                groups.count(&key, count);
            }
        }
        if let Some(stopped) = counts.ending.stopped {
            run.stopped(stopped);
        }
        Ok(Some(groups))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::{check, check_refused};

    #[test]
    fn rows_are_counted_in_groups() {
        check("* | stats count()", &["count=14"]);
        check("nothing:here | stats count()", &["count=0"]);
        check("nothing:here | stats count() by host", &[]);
        check("* | stats count() by service", &["service=db count=4", "service=web count=10"]);
        check("* | stats by (service) count() as n", &["service=db n=4", "service=web n=10"]);
        check("* | stats count() by user", &["user=ann count=5", "user=bob count=3", "user= count=6"]);
        check(
            "* | stats count() by tags",
            &["tags=early count=5", "tags=late count=5", "tags=web count=10", "tags= count=4"],
        );
        check(
            "service:web | stats count() by time:5m, status",
            &[
                "time=2024-11-21T07:00:00.000Z status=200 count=3",
                "time=2024-11-21T07:00:00.000Z status=404 count=1",
                "time=2024-11-21T07:00:00.000Z status=500 count=1",
                "time=2024-11-21T07:05:00.000Z status=200 count=3",
                "time=2024-11-21T07:05:00.000Z status=404 count=1",
                "time=2024-11-21T07:05:00.000Z status=500 count=1",
            ],
        );
        check(
            "service:web | stats count() by took_ms:50ms",
            &["took_ms=0 count=4", "took_ms=50 count=5", "took_ms=100 count=1"],
        );
        check("* | head 5 | stats count() by service", &["service=db count=1", "service=web count=4"]);
    }

    #[test]
    fn functions_read_numbers_and_texts_that_are_numbers() {
        check("service:web | stats sum(took_ms), avg(took_ms) as mean", &["sum_took_ms=550 mean=55"]);
        check("service:web | stats min(took_ms), max(took_ms)", &["min_took_ms=10 max_took_ms=100"]);
        check("service:web | stats p95(took_ms), median(took_ms)", &["p95_took_ms=90 p50_took_ms=50"]);
        check("service:web | stats quantile(0.999, took_ms)", &["p99.9_took_ms=90"]);
        check("service:db | stats sum(took), max(took), min(user)", &["sum_took=10 max_took=4 min_user="]);
        check(
            "* | stats count(user), count_distinct(user), count_distinct(tags)",
            &["count_user=8 count_distinct_user=2 count_distinct_tags=3"],
        );
        check(
            "service:web | stats values(status), values(user, 1)",
            &["values_status=[200, 404, 500] values_user=[ann]"],
        );
        check(
            "service:web | stats first(message), last(n), first(user)",
            &["first_message=GET 0 200 last_n=9 first_user=ann"],
        );
        check("service:web | stats min(time), max(path)", &["min_time=2024-11-21T07:00:00.000Z max_path=/pay"]);
        check(
            "service:web | stats rate(), rate(took_ms) by time:5m | head 1",
            &["time=2024-11-21T07:00:00.000Z rate=0.016666666666666666 rate_took_ms=0.5"],
        );
        check("service:web | stats avg(user), p50(user)", &["avg_user= p50_user="]);
        check(
            "* | stats count() by service | stats sum(count), max(count) as most, first(service)",
            &["sum_count=14 most=10 first_service=db"],
        );
    }

    #[test]
    fn what_is_wrong_is_said_where_it_stands() {
        check_refused("a | stats", 10, "a function is missing");
        check_refused("a | stats cuont()", 11, "did you mean `count`?");
        check_refused("a | stats count", 16, "`(` is missing here: write count()");
        check_refused("a | stats sum()", 15, "write sum(bytes)");
        check_refused("a | stats quantile(95, took)", 20, "between 0 and 1");
        check_refused("a | stats values(b, 0)", 21, "from 1 to 10000");
        check_refused("a | stats count() by time:5", 27, "no length of time");
        check_refused("a | stats count() by b, b", 25, "twice");
        check_refused("a | stats count(), count()", 20, "as another_name");
        check_refused("a | stats count() as b by b", 24, "called `b`");
        check_refused("a | stats count() by b:0", 24, "more than 0");
        check_refused("a | stats count() by host | stats max(hsot)", 39, "did you mean `host`?");
    }
}
