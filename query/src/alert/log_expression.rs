//! The expression of a rule with `type: logs`: a question in the search language whose answer is numbers with labels.
//!
//! ```text
//! level:error service:shop                                    how many records there are; the rule holds above 0
//! level:error | stats count() by service | where count > 10   a value a service; the last stage is what it is compared with
//! service:web | stats p95(took_ms) as value by path           columns of text are labels, `value` is the value
//! ```
//! A search without a table behind it gives one number: how many records it finds. Of a table the value is the column `value`,
//! else the first that holds numbers; columns that hold text identify the series, as labels; texts of alerts see all columns as
//! `$labels`.
//!
//! The question looks at the rule's `window`, else at the group's interval, up to the moment of the evaluation (less
//! `query_offset`). Records that arrive later than that are not seen: where agents deliver late, `query_offset: 30s` waits for them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_collector::model::{LabelSet, Timestamp, Value};
use taffrail_ingest::log_store::{LogStore, Order};
use taffrail_ingest::{Scan, StopReason, TimeRange};

use super::comparison::Comparison;
use super::state::Labels;
use super::values::Reading;
use crate::log_search::ast::{self, Clause, Query};
use crate::log_search::question::Question;
use crate::log_search::row::{Cell, Row, TableRow};
use crate::log_search::run::{Asked, run};
use crate::log_search::stage::shape::{Column, ColumnKind, Shape};
use crate::log_search::{ParseError, parse_tree};

/// The name of the value's column, where a table has one of that name.
const VALUE: &str = "value";

/// Groups that one question may give: more would be no alerts that anybody reads.
pub const GROUPS_MAX: usize = 10_000;

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq)]
pub struct LogExpression {
    /// How far back it looks; none for the interval of its group.
    pub window: Option<Duration>,
    /// The question that is asked: the expression, and the counting where that is only meant.
    pub question: String,
    /// The search before the first stage.
    pub search: Query,
    /// Whether it counts the records of a search, which is what an expression without a table means.
    pub is_count: bool,
    /// The columns that are labels.
    labels: Vec<Arc<str>>,
    value: Arc<str>,
}

/// What a question may cost.
pub(super) struct Costs<'a> {
    pub scan: &'a Scan,
    pub memory_bytes_max: u64,
}

impl LogExpression {
    /// Reads an expression, and takes it apart when it ends in a comparison with a number.
    pub(super) fn parse(text: &str, window: Option<Duration>) -> Result<(LogExpression, Option<Comparison>), String> {
        let question = parse_question(text)?;
        let columns = match &question.shape {
            Shape::Records => {
                let counted = format!("{} | stats count() as {VALUE}", text.trim_end());
                let search = question.search;
                let value = VALUE.into();
                let expression = counted.clone();
                let logs =
                    LogExpression { window, question: counted, search, is_count: true, labels: Vec::new(), value };
                return Ok((logs, Some(Comparison { expression, operator: ">", threshold: 0.0 })));
            }
            Shape::Table { open: true, .. } => {
                return Err("the columns of this table are only known with its rows: let it end with a stage that \
                            names them, as in | stats count() by service"
                    .to_owned());
            }
            Shape::Table { columns, open: false } => columns,
        };
        if let Some(moment) = columns.iter().find(|column| column.kind == ColumnKind::Time) {
            let name = &moment.name;
            return Err(format!(
                "the column `{name}` holds moments: every evaluation would be about others. The rule looks at its \
                 window as a whole: leave `{name}` out"
            ));
        }
        let Some(value) = value_column(columns) else {
            return Err("no column of this table holds numbers: add one, as in | stats count() by service".to_owned());
        };
        let text_columns = columns.iter().filter(|column| column.kind == ColumnKind::Text && column.name != *value);
        let labels = text_columns.map(|column| column.name.clone()).collect();
        let comparison = comparison(text, &question, value);
        let (question, search, value) = (text.trim().to_owned(), question.search, value.clone());
        Ok((LogExpression { window, question, search, is_count: false, labels, value }, comparison))
    }

    /// How far back it looks in a group that is evaluated so often.
    pub fn window_in(&self, interval: Duration) -> Duration {
        self.window.unwrap_or(interval)
    }

    /// The search for the records that an alert of these labels counts.
    pub fn lines_of(&self, labels: &Labels) -> Query {
        let is_text = |name: &Arc<str>| {
            let value = match labels.get(&**name).filter(|value| !value.is_empty()) {
                Some(value) => ast::Value::Equals(value.clone()),
                None => ast::Value::Exists,
            };
            let missing = value == ast::Value::Exists;
            let clause = Query::Clause(Clause { field: Some(name.to_string()), value, column: 1, start: 1, end: 1 });
            if missing { Query::Not(Box::new(clause)) } else { clause }
        };
        let own = if self.search == Query::All { None } else { Some(self.search.clone()) };
        let mut parts: Vec<Query> = own.into_iter().chain(self.labels.iter().map(is_text)).collect();
        match parts.len() {
            0 => Query::All,
            1 => parts.remove(0),
            _ => Query::And(parts),
        }
    }

    /// Asks `question` (the expression, or it without its comparison) of the records in the range. Blocks.
    pub(super) fn ask(
        &self,
        question: &str,
        range: TimeRange,
        logs: &LogStore,
        costs: &Costs<'_>,
    ) -> Result<Vec<Reading>, String> {
        let question = Question::parse_at(question, range.end).map_err(|error| error.to_string())?;
        let asked = Asked {
            range,
            order: Order::NewestFirst,
            after: None,
            limit: GROUPS_MAX,
            memory_bytes_max: costs.memory_bytes_max,
        };
        let mut values = Vec::new();
        let mut take = |row: Row| {
            if let Row::Table(row) = row {
                values.extend(self.value_of(&row));
            }
            ControlFlow::Continue(())
        };
        let outcome = run(&question, logs, &asked, costs.scan, &mut take).map_err(|error| error.to_string())?;
        // Half an answer would end alerts whose groups are in the other half.
        if let Some(reason) = outcome.stopped {
            return Err(stopped(reason));
        }
        if let Some(gap) = outcome.gaps.into_iter().next() {
            return Err(gap);
        }
        if outcome.more {
            return Err(format!("more than {GROUPS_MAX} groups: count by fewer or narrower fields"));
        }
        Ok(values)
    }

    /// None for a row whose value is missing: that is no number, and not zero either.
    fn value_of(&self, row: &TableRow) -> Option<Reading> {
        let value = match row.get(&self.value)? {
            Cell::Value(Value::Int(number)) => *number as f64,
            Cell::Value(Value::Float(number)) => *number,
            Cell::Value(Value::String(text)) => text.trim().parse().ok()?,
            Cell::Value(Value::Null | Value::Bool(_) | Value::Array(_)) | Cell::Time(_) => return None,
        };
        let named = |(name, cell): &(Arc<str>, Cell)| (name.to_string(), cell.to_text());
        let columns = row.0.iter().filter(|(name, _)| &**name != NAME_LABEL).map(named);
        let columns: Vec<(String, String)> = columns.filter(|(_, text)| !text.is_empty()).collect();
        let is_label = |name: &str| self.labels.iter().any(|label| **label == *name);
        let labels = LabelSet::new(columns.iter().filter(|(name, _)| is_label(name)).cloned());
        Some(Reading { labels: Arc::new(labels), columns: Arc::new(LabelSet::new(columns)), value })
    }
}

/// Whether there is any record in the range: without one nothing can be said. Blocks.
pub(super) fn any_record(range: TimeRange, logs: &LogStore, costs: &Costs<'_>) -> Result<bool, String> {
    let question = Question::parse_at("* | head 1", range.end).map_err(|error| error.to_string())?;
    let asked =
        Asked { range, order: Order::NewestFirst, after: None, limit: 1, memory_bytes_max: costs.memory_bytes_max };
    let mut take = |_: Row| ControlFlow::Continue(());
    let outcome = run(&question, logs, &asked, costs.scan, &mut take).map_err(|error| error.to_string())?;
    match (outcome.rows, outcome.stopped) {
        (0, Some(reason)) => Err(stopped(reason)),
        (rows, _) => Ok(rows > 0),
    }
}

/// Why half an answer is none, and which setting ended it.
pub(super) fn stopped(reason: StopReason) -> String {
    match reason {
        StopReason::Cancelled => "it was cancelled".to_owned(),
        StopReason::OutOfTime => "it took longer than query.time_max allows".to_owned(),
        StopReason::OutOfRows => "it looked at more rows than query.rows_max allows".to_owned(),
    }
}

/// Whether the text is a search without stages.
pub(super) fn check_search(text: &str) -> Result<(), String> {
    parse_tree(text).map(drop).map_err(|error: ParseError| error.to_string())
}

fn parse_question(text: &str) -> Result<Question, String> {
    Question::parse_at(text, Timestamp::EPOCH).map_err(|error| error.to_string())
}

fn value_column(columns: &[Column]) -> Option<&Arc<str>> {
    let named = columns.iter().find(|column| &*column.name == VALUE);
    let of_kind = |kind| columns.iter().find(|column| column.kind == kind);
    let found = named.or_else(|| of_kind(ColumnKind::Number)).or_else(|| of_kind(ColumnKind::Any));
    found.map(|column| &column.name)
}

/// The comparison that the last stage is, if it is one of the value with a number and nothing else.
fn comparison(text: &str, question: &Question, value: &str) -> Option<Comparison> {
    let last = question.stages().last()?;
    let condition = parse_tree(last.strip_prefix("where")?).ok()?;
    let Query::Clause(Clause { field: Some(field), value: wanted, .. }) = condition else { return None };
    let (operator, threshold) = match &wanted {
        ast::Value::Range { low: Some(low), high: None } => (if low.included { ">=" } else { ">" }, &low.text),
        ast::Value::Range { low: None, high: Some(high) } => (if high.included { "<=" } else { "<" }, &high.text),
        _ => return None,
    };
    let expression = text.trim_end().strip_suffix(last)?.trim_end().strip_suffix('|')?.trim_end().to_owned();
    let threshold = threshold.parse().ok().filter(|_| field == value)?;
    Some(Comparison { expression, operator, threshold })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_taken_apart_into_value_labels_and_comparison() {
        let check = |text: &str, value: &str, labels: &[&str], compared: Option<(&str, &str, f64)>| {
            let (logs, comparison) = LogExpression::parse(text, None).unwrap_or_else(|error| panic!("{text}: {error}"));
            let found: Vec<&str> = logs.labels.iter().map(|label| &**label).collect();
            assert_eq!((&*logs.value, &found[..]), (value, labels), "{text}");
            let comparison = comparison.as_ref().map(|c| (c.expression.as_str(), c.operator, c.threshold));
            assert_eq!(comparison, compared, "{text}");
        };
        let counted = "level:error service:shop | stats count() as value";
        check("level:error service:shop", "value", &[], Some((counted, ">", 0.0)));
        check("a | where b:c ", "value", &[], Some(("a | where b:c | stats count() as value", ">", 0.0)));
        check(
            "level:error | stats count() by service | where count > 10",
            "count",
            &["service"],
            Some(("level:error | stats count() by service", ">", 10.0)),
        );
        check("* | stats count() as n by service, host |where n<=0.5", "n", &["service", "host"], {
            Some(("* | stats count() as n by service, host", "<=", 0.5))
        });
        check("* | stats count() as n, p95(took_ms) as value by path", "value", &["path"], None);
        check("* | stats count() as n by path | where n > 5 path:/x", "n", &["path"], None);
        check("* | stats count() as n, sum(b) as s by path | where s > 5", "n", &["path"], None);
        check("* | stats max(took_ms) by path", "max_took_ms", &["path"], None);
        check("* | top 5 path | where count > 3", "count", &["path"], Some(("* | top 5 path", ">", 3.0)));
    }

    #[test]
    fn what_gives_no_numbers_is_refused() {
        let check = |text: &str, part: &str| {
            let error = LogExpression::parse(text, None).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        };
        check("level:", "column 7");
        check("* | stats count() by time:5m", "leave `time` out");
        check("* | stats values(user)", "holds numbers");
        check("* | stats first(message) as message | parse_json", "only known with its rows");
    }

    #[test]
    fn the_lines_of_an_alert_are_those_that_it_counts() {
        let check = |text: &str, labels: &[(&str, &str)], expected: &str| {
            let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let (logs, _) = LogExpression::parse(text, None).unwrap();
            let search = logs.lines_of(&labels).to_string();
            assert_eq!(search, expected, "{text}");
            parse_tree(&search).unwrap();
        };
        check("level:error OR timeout", &[("alertname", "A")], "level:error OR timeout");
        check("a OR b | stats count() by service", &[("service", "x \"y\"")], r#"(a OR b) service:="x \"y\"""#);
        check("* | stats count() by service", &[("service", "x")], r#"service:="x""#);
        check("a | stats count() by service", &[], "a NOT service:*");
        check("", &[], "*");
    }
}
