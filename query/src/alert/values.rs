//! What a rule's expression gives at a moment: PromQL over series, or a question over log records. And when it gives nothing,
//! whether that is an answer or only missing data.

use std::sync::Arc;

use taffrail_collector::model::LabelSet;
use taffrail_collector::model::Timestamp;
use taffrail_ingest::{Scan, TimeRange};

use super::evaluate::Environment;
use super::log_expression::{Costs, LogExpression, any_record, stopped};
use super::rule::Rule;
use crate::promql::syntax::{Expression, Kind, parse};
use crate::promql::{self, Answer, InstantValue, PromqlError, SeriesSource};

/// A value that an expression gave.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    /// What identifies it.
    pub labels: Arc<LabelSet>,
    /// What texts see as `$labels`: the same, or of a table of logs every column.
    pub columns: Arc<LabelSet>,
    /// The value.
    pub value: f64,
}

/// A rule, and the moment and the data that its expression is asked of.
pub(super) struct Asking<'a> {
    pub rule: &'a Rule,
    pub environment: &'a Environment<'a>,
    pub source: &'a dyn SeriesSource,
    pub query_time: Timestamp,
}

impl Asking<'_> {
    /// The left side of the rule's comparison, or what its expression gives without one.
    pub(super) fn readings(&self) -> Result<Vec<Reading>, String> {
        let comparison = self.rule.comparison.as_ref().map(|comparison| comparison.expression.as_str());
        match &self.rule.logs {
            None => {
                let values = self.values(comparison.unwrap_or(&self.rule.expr))?;
                Ok(values.into_iter().map(Reading::from).collect())
            }
            Some(logs) => {
                let question = comparison.unwrap_or(&logs.question);
                self.of_logs(|store, costs| logs.ask(question, self.window(logs), store, costs))
            }
        }
    }

    /// Whether that it gave nothing only means that there is no data.
    pub(super) fn nothing_is_missing_data(&self) -> Result<bool, String> {
        match &self.rule.logs {
            Some(logs) => self.of_logs(|store, costs| Ok(!any_record(self.window(logs), store, costs)?)),
            None if self.rule.comparison.is_some() => Ok(true),
            None => {
                let expression = parse(&self.rule.expr).map_err(message)?;
                let mut selectors = Vec::new();
                collect_selectors(&expression, &mut selectors);
                for span in &selectors {
                    let text = self.rule.expr.get(span.clone()).unwrap_or_default();
                    if !self.is_empty(text)? {
                        return Ok(false);
                    }
                }
                Ok(!selectors.is_empty())
            }
        }
    }

    /// The records that a question looks at.
    pub(super) fn window(&self, logs: &LogExpression) -> TimeRange {
        let start = self.query_time.saturating_sub(logs.window_in(self.environment.interval));
        TimeRange { start, end: self.query_time }
    }

    /// PromQL at the moment, as a vector.
    pub(super) fn values(&self, expression: &str) -> Result<Vec<InstantValue>, String> {
        vector(self.instant(expression)?)
    }

    fn is_empty(&self, expression: &str) -> Result<bool, String> {
        Ok(match self.instant(expression)? {
            Answer::Vector(values) => values.is_empty(),
            Answer::Matrix(series) => series.is_empty(),
            Answer::Scalar(_) | Answer::Text(_) => false,
        })
    }

    fn instant(&self, expression: &str) -> Result<Answer, String> {
        self.environment.budget.spend(|scan| {
            let evaluated = promql::instant(expression, self.query_time, self.source, scan).map_err(message)?;
            whole(scan)?;
            Ok(evaluated.value)
        })
    }

    fn of_logs<T>(
        &self,
        ask: impl FnOnce(&taffrail_ingest::log_store::LogStore, &Costs<'_>) -> Result<T, String>,
    ) -> Result<T, String> {
        let Some(store) = self.source.logs() else {
            return Err("there are no log records here that a rule with type: logs could look at".to_owned());
        };
        self.environment.budget.spend(|scan| {
            let answer = ask(store, &Costs { scan, memory_bytes_max: self.environment.memory_bytes_max })?;
            whole(scan)?;
            Ok(answer)
        })
    }
}

impl From<InstantValue> for Reading {
    fn from(value: InstantValue) -> Reading {
        Reading { columns: value.labels.clone(), labels: value.labels, value: value.value }
    }
}

/// Why PromQL gave no answer, and which setting ended it.
pub(super) fn message(error: PromqlError) -> String {
    match error {
        PromqlError::Stopped(reason) => stopped(reason),
        other => other.to_string(),
    }
}

/// An alert that ends, or an absence that is noticed, because a file is damaged would be a lie.
pub(super) fn whole(scan: &Scan) -> Result<(), String> {
    match scan.left_out().first() {
        None => Ok(()),
        Some(part) => {
            Err(format!("{part} is damaged; restore it from a backup, or take it away with `taffrail doctor --repair`"))
        }
    }
}

fn collect_selectors(expression: &Expression, found: &mut Vec<std::ops::Range<usize>>) {
    if let Kind::Selector(_) | Kind::Range { .. } = &expression.kind {
        found.push(expression.span.start..expression.span.end);
    }
    expression.children().into_iter().for_each(|child| collect_selectors(child, found));
}

fn vector(answer: Answer) -> Result<Vec<InstantValue>, String> {
    match answer {
        // A rule looks at numbers; of histograms there are functions that give one.
        Answer::Vector(values) => Ok(values.into_iter().filter(|value| value.histogram.is_none()).collect()),
        Answer::Scalar(value) => Ok(vec![InstantValue { labels: Arc::default(), value, histogram: None }]),
        Answer::Text(_) | Answer::Matrix(_) => Err("the expression does not give one value a series".to_owned()),
    }
}
