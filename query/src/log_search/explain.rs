//! Why a question has no rows, or fewer than somebody hoped: how many each condition lets through alone, what there would be
//! without it, what each stage leaves, when there is something before and after, and which fields no record has.

use std::ops::ControlFlow;

use taffrail_collector::model::Timestamp;
use taffrail_ingest::log_store::{Filter, LogStore, LogStoreError, Order, Search, Test};
use taffrail_ingest::{Scan, StopReason, TimeRange};

use super::ast::{Clause, Query};
use super::near::nearest;
use super::question::{Question, filter_of};
use super::run::{Asked, run};
use super::{ParseError, plan};

/// Conditions that are looked at one by one: each costs two counts.
pub const CONDITIONS_MAX: usize = 20;
/// Stages that are looked at one by one: each costs the question up to it.
pub const STAGES_MAX: usize = 10;
/// Rows of a stage that are counted.
pub const ROWS_MAX: usize = 10_000;

/// See the module's documentation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explanation {
    /// Records that the search finds.
    pub found: u64,
    /// Its conditions, those that all have to hold; none when there is one or none.
    pub conditions: Vec<Condition>,
    /// What each stage leaves.
    pub stages: Vec<Left>,
    /// The newest record that the search would find before the question's time, and the oldest after it.
    pub nearest: (Option<Timestamp>, Option<Timestamp>),
    /// Fields that the search names and no record of that time has.
    pub unknown: Vec<Unknown>,
    /// Why some of this is missing.
    pub stopped: Option<StopReason>,
}

/// A condition of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// How it was written.
    pub text: String,
    /// Where it starts.
    pub column: usize,
    /// Records that it lets through alone.
    pub alone: u64,
    /// Records that the search would find without it.
    pub without: u64,
}

/// What a stage leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    /// How it was written.
    pub text: String,
    /// Rows behind it, [`ROWS_MAX`] at most.
    pub rows: u64,
}

/// A field that no record has.
#[derive(Clone, Debug, PartialEq)]
pub struct Unknown {
    /// Its name.
    pub name: String,
    /// The field that was probably meant.
    pub near: Option<String>,
}

/// Explains a question. Blocks.
pub fn explain(
    text: &str,
    store: &LogStore,
    asked: &Asked,
    now: Timestamp,
    scan: &Scan,
) -> Result<Explanation, ExplainError> {
    let question = Question::parse_at(text, now)?;
    let characters: Vec<char> = text.chars().collect();
    let mut asking = Asking { store, range: asked.range, scan, stopped: None };
    let mut explanation = Explanation { found: asking.count(&question.filter)?, ..Explanation::default() };
    if let Query::And(parts) = &question.search {
        for (at, part) in parts.iter().enumerate().take(CONDITIONS_MAX) {
            let others: Vec<Query> =
                parts.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, part)| part.clone()).collect();
            let (text, column) = as_typed(part, &characters);
            let alone = asking.count(&filter_of(part, now)?)?;
            let without = asking.count(&filter_of(&Query::And(others), now)?)?;
            explanation.conditions.push(Condition { text, column, alone, without });
        }
    }
    explanation.nearest = (
        asking.first(
            &question.filter,
            Order::NewestFirst,
            TimeRange { start: Timestamp::MIN, end: asked.range.start },
        )?,
        asking.first(
            &question.filter,
            Order::OldestFirst,
            TimeRange { start: asked.range.end, end: Timestamp::MAX },
        )?,
    );
    explanation.unknown = asking.unknown(&question.search)?;
    let search = question.search.to_string();
    let mut so_far = search;
    for stage in question.stages().take(STAGES_MAX) {
        so_far = format!("{so_far} | {stage}");
        let prefix = Question::parse_at(&so_far, now)?;
        let asked = Asked { limit: ROWS_MAX, after: None, ..*asked };
        let outcome = run(&prefix, store, &asked, scan, &mut |_| ControlFlow::Continue(()))?;
        asking.stopped = asking.stopped.or(outcome.stopped);
        explanation.stages.push(Left { text: stage.to_owned(), rows: outcome.rows });
    }
    explanation.stopped = asking.stopped;
    Ok(explanation)
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The question cannot be read.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] LogStoreError),
}

struct Asking<'a> {
    store: &'a LogStore,
    range: TimeRange,
    scan: &'a Scan,
    stopped: Option<StopReason>,
}

impl Asking<'_> {
    fn count(&mut self, filter: &Filter) -> Result<u64, LogStoreError> {
        /// An interval that holds everything on one side of the epoch.
        const WHOLE_MS: u64 = i64::MAX as u64 / 1_000_000;
        let counts = self.store.count_by_interval(filter, self.range, WHOLE_MS, None, 1, self.scan)?;
        self.stopped = self.stopped.or(counts.ending.stopped);
        Ok(counts.total)
    }

    fn first(&mut self, filter: &Filter, order: Order, range: TimeRange) -> Result<Option<Timestamp>, LogStoreError> {
        let wanted = Search { filter: filter.clone(), range, order, after: None, limit: 1 };
        let mut found = None;
        let ending = self.store.search(&wanted, self.scan, &mut |stored| {
            found = Some(stored.id.time);
            ControlFlow::Break(())
        })?;
        self.stopped = self.stopped.or(ending.stopped);
        Ok(found)
    }

    fn unknown(&mut self, search: &Query) -> Result<Vec<Unknown>, LogStoreError> {
        let mut names: Vec<&str> = search.fields().into_iter().map(|(name, _)| plan::field_name(name)).collect();
        names.sort_unstable();
        names.dedup();
        let mut unknown = Vec::new();
        for name in names.into_iter().take(CONDITIONS_MAX) {
            let there = Filter::Field { name: name.to_owned(), test: Test::Exists };
            if self.count(&there)? == 0 {
                unknown.push(name);
            }
        }
        if unknown.is_empty() {
            return Ok(Vec::new());
        }
        let (known, ending) = self.store.field_names(&Filter::All, self.range, self.scan)?;
        self.stopped = self.stopped.or(ending.stopped);
        let near = |name: &str| nearest(name, known.iter().map(|(name, _)| name.as_str())).map(str::to_owned);
        Ok(unknown.into_iter().map(|name| Unknown { name: name.to_owned(), near: near(name) }).collect())
    }
}

/// How a part of a search was written, and where it starts.
fn as_typed(part: &Query, characters: &[char]) -> (String, usize) {
    let typed = |clause: &Clause| -> String {
        let (start, end) = (clause.start - 1, (clause.end - 1).min(characters.len()));
        characters.get(start..end).map(|text| text.iter().collect()).unwrap_or_default()
    };
    match part {
        Query::Clause(clause) => (typed(clause), clause.start),
        Query::Not(inner) => match &**inner {
            Query::Clause(clause) => (format!("NOT {}", typed(clause)), clause.start),
            other => (part.to_string(), first_column(other)),
        },
        _ => (part.to_string(), first_column(part)),
    }
}

fn first_column(query: &Query) -> usize {
    match query {
        Query::All => 1,
        Query::And(parts) | Query::Or(parts) => parts.iter().map(first_column).min().unwrap_or(1),
        Query::Not(inner) => first_column(inner),
        Query::Clause(clause) => clause.start,
    }
}

#[cfg(test)]
mod tests {
    use super::super::cases::{MORNING, START, asked, now};
    use super::*;

    fn explained(text: &str) -> Explanation {
        explain(text, MORNING.ingest.logs(), &asked(100), now(), &Scan::unlimited()).unwrap()
    }

    #[test]
    fn each_condition_says_what_it_lets_through_and_what_there_is_without_it() {
        let explanation = explained("service:web status:>=500 -user:bob path:/pay");
        assert_eq!(explanation.found, 0);
        let parts: Vec<_> =
            explanation.conditions.iter().map(|one| (one.text.as_str(), one.column, one.alone, one.without)).collect();
        let expected = [
            ("service:web", 1, 10, 0),
            ("status:>=500", 13, 2, 2),
            ("NOT user:bob", 27, 11, 1),
            ("path:/pay", 36, 5, 1),
        ];
        assert_eq!(parts, expected);
    }

    #[test]
    fn stages_say_what_they_leave() {
        let explanation = explained("service:web | where status:404 | where n:>7 | stats count() by path");
        assert_eq!(explanation.found, 10);
        let left: Vec<_> = explanation.stages.iter().map(|left| (left.text.as_str(), left.rows)).collect();
        assert_eq!(left, [("where status:404", 2), ("where n:>7", 0), ("stats count() by path", 0)]);
    }

    #[test]
    fn the_nearest_times_with_data_are_told() {
        let minute = |from: i64, to: i64| TimeRange {
            start: Timestamp::from_unix_seconds(START + from),
            end: Timestamp::from_unix_seconds(START + to),
        };
        let asked = Asked { range: minute(130, 140), ..asked(100) };
        let found = explain("status:404", MORNING.ingest.logs(), &asked, now(), &Scan::unlimited()).unwrap();
        let at = |second| Some(Timestamp::from_unix_seconds(START + second));
        assert_eq!((found.found, found.nearest), (0, (at(120), at(420))));
        assert_eq!(explained("status:999").nearest, (None, None));
    }

    #[test]
    fn fields_that_no_record_has_are_told_with_those_that_were_meant() {
        let unknown: Vec<_> = explained("statsu:500 hots:a level:error banana:*")
            .unknown
            .into_iter()
            .map(|one| (one.name, one.near))
            .collect();
        let expected = [("banana", None), ("hots", Some("host")), ("statsu", Some("status"))]
            .map(|(name, near)| (name.to_owned(), near.map(str::to_owned)));
        assert_eq!(unknown, expected);
    }
}
