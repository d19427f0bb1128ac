//! A question: a search and the stages behind it.

use taffrail_collector::model::Timestamp;
use taffrail_ingest::log_store::{Filter, StoredRecord};

use super::ast::Query;
use super::cursor::Cursor;
use super::row::Row;
use super::stage::arguments::Arguments;
use super::stage::shape::Shape;
use super::stage::{self, Parsed, Stage, Work};
use super::{ParseError, STAGES_MAX, grammar, plan};

/// A question that was understood.
#[derive(Debug)]
pub struct Question {
    /// The search before the first `|`, as a tree.
    pub search: Query,
    /// The same for the store, which can compile it.
    pub filter: Filter,
    /// What comes out: records or a table.
    pub shape: Shape,
    pub(super) stages: Vec<NamedStage>,
}

/// A stage and how it was written.
#[derive(Debug)]
pub(super) struct NamedStage {
    pub(super) text: String,
    /// Whether records come in and rows of a table come out.
    makes_table: bool,
    pub(super) stage: Box<dyn Stage>,
}

impl Question {
    /// Reads a question, its relative times seen from `now`; empty text asks for everything.
    pub fn parse_at(text: &str, now: Timestamp) -> Result<Question, ParseError> {
        let mut cursor = Cursor::new(text)?;
        let mut conditions = 0;
        let search = grammar::search(&mut cursor, &mut conditions)?;
        let filter = filter_of(&search, now)?;
        let mut question = Question { search, filter, shape: Shape::Records, stages: Vec::new() };
        while cursor.peek() == Some('|') {
            let column = cursor.column();
            if question.stages.len() == STAGES_MAX {
                return Err(ParseError { message: format!("a question has at most {STAGES_MAX} stages"), column });
            }
            cursor.bump();
            cursor.skip_spaces();
            let start = cursor.place();
            let shape = question.shape.clone();
            let mut arguments = Arguments { cursor: &mut cursor, conditions: &mut conditions, shape: &shape, now };
            let Parsed { stage, shape } = stage::parse(&mut arguments)?;
            let makes_table = question.shape == Shape::Records && shape != Shape::Records;
            question.shape = shape;
            let text = cursor.text(start, cursor.place()).trim_end().to_owned();
            question.stages.push(NamedStage { text, makes_table, stage });
        }
        Ok(question)
    }

    /// The same seen from the wall clock's now.
    pub fn parse(text: &str) -> Result<Question, ParseError> {
        Question::parse_at(text, Timestamp::now())
    }

    /// Its stages, as they were written.
    pub fn stages(&self) -> impl Iterator<Item = &str> {
        self.stages.iter().map(|named| named.text.as_str())
    }

    /// The first stage that cannot make of each record one or none as it comes, as it was written; none when records can be followed through
    /// all of them.
    pub fn first_stage_that_waits(&self) -> Option<&str> {
        let waits = |named: &&NamedStage| !matches!(named.stage.work(None), Work::Each(_));
        let of_records = |named: &&NamedStage| self.shape != Shape::Records && named.makes_table;
        self.stages.iter().find(|named| waits(named) || of_records(named)).map(|named| named.text.as_str())
    }

    /// What the stages make of a record that the search matches. Of a question with a stage that waits, what those before it make.
    pub fn each(&self, record: StoredRecord) -> Option<Row> {
        let mut each = self.stages.iter().map_while(|named| match named.stage.work(None) {
            Work::Each(each) => Some(each),
            Work::Groups(_) | Work::Ordered(_) => None,
        });
        each.try_fold(Row::Record(Box::new(record)), |row, each| each.each(row))
    }

    /// Whether it is a search and nothing else.
    pub fn is_search(&self) -> bool {
        self.stages.is_empty()
    }
}

/// Reads a search that no stage may follow.
pub(super) fn search_alone(text: &str) -> Result<Query, ParseError> {
    let mut cursor = Cursor::new(text)?;
    let query = grammar::search(&mut cursor, &mut 0)?;
    match cursor.peek() {
        None => Ok(query),
        Some(_) => Err(ParseError {
            message:
                "this place takes a search without stages: leave out what follows |, or quote the character: \"|\""
                    .to_owned(),
            column: cursor.column(),
        }),
    }
}

/// The filter of a search, which the store can compile.
pub(super) fn filter_of(query: &Query, now: Timestamp) -> Result<Filter, ParseError> {
    let filter = plan::filter(query, now)?;
    match filter.compile() {
        Ok(_) => Ok(filter),
        Err(error) => Err(ParseError { message: error.to_string(), column: 1 }),
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use proptest::prelude::*;
    use taffrail_ingest::Scan;

    use super::super::cases::{MORNING, asked, check_refused, now};
    use super::super::run::{Asked, run};
    use super::super::{CLAUSES_MAX, STAGES_MAX};
    use super::*;

    #[test]
    fn questions_without_end_are_refused() {
        check_refused(&"*|".repeat(STAGES_MAX + 1), 3, "a stage is missing");
        check_refused(&format!("*{}", "|head".repeat(STAGES_MAX + 1)), 2 + 5 * STAGES_MAX, "at most 50 stages");
        let half = "a ".repeat(CLAUSES_MAX / 2 + 1);
        check_refused(&format!("{half}|where {half}"), half.len() + 8 + 2 * (CLAUSES_MAX / 2 - 1), "1000 conditions");
        check_refused(&format!("a | stats {}", "count() as c,".repeat(2_000)), 16 * 1024 + 1, "16 KiB");
        check_refused(&format!("a | where {}b", "(".repeat(200)), 111, "nest");
        check_refused("a | where m:/(a{1000}){1000}/", 13, "too large");
        check_refused("a |", 4, "a stage is missing after |; there are where, fields");
        check_refused("a | haed 5", 5, "did you mean `head`?");
        check_refused("a | \u{0}", 5, "a stage is missing");
    }

    #[test]
    fn a_question_is_a_search_and_its_stages() {
        let question = Question::parse_at("level:error | where n:>2 |head 5", now()).unwrap();
        assert_eq!(question.stages().collect::<Vec<_>>(), ["where n:>2", "head 5"]);
        assert!(!question.is_search());
        assert!(Question::parse_at("a || b", now()).unwrap().is_search());
        assert_eq!(Question::parse_at("| head 5", now()).unwrap().filter, Filter::All);
    }

    #[test]
    fn records_are_followed_through_stages_that_take_each_alone() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(Question::parse_at(text, now()).unwrap().first_stage_that_waits(), expected, "{text}");
        };
        check("level:error", None);
        check("* | where a:1 | extract \"x <y>\" | parse_json | parse_logfmt | rename a as b | drop b", None);
        check("* | where a:1 | sort by a | head", Some("sort by a"));
        check("* | fields a | where a:1", Some("fields a"));
        check("* | drop b | stats count()", Some("stats count()"));
    }

    const WORDS: &str = concat!(
        r#"(\||where|fields|drop|rename|extract|parse_json|parse_logfmt|sort|head|limit|tail|dedup|stats|top|rare|uniq|facets|"#,
        r#"context|join_trace|by|as|from|prefix|desc|before|after|count\(\)|sum\(|p95\(|quantile\(0.5,|values\(|first\(|rate\(\)|"#,
        r#"n|status|took_ms|user|tags|host|time|time:1m|took_ms:50|message|count|"<a> <b>"|/(?P<x>[0-9]+)/|x|1|3|"|\(|\)|,|-|:|>=|\*|é)"#
    );

    fn runs(text: &str) -> Result<(), String> {
        match Question::parse_at(text, now()) {
            Err(error) => {
                let inside = (1..=text.chars().count() + 1).contains(&error.column);
                if inside { Ok(()) } else { Err(format!("{text}: column {}", error.column)) }
            }
            Ok(question) => {
                // Little memory, so that what happens without is met too.
                let asked = Asked { memory_bytes_max: 5_000, ..asked(20) };
                let mut rows = 0;
                let answer = run(&question, MORNING.ingest.logs(), &asked, &Scan::unlimited(), &mut |_| {
                    rows += 1;
                    ControlFlow::Continue(())
                });
                let outcome = answer.map_err(|error| format!("{text}: {error}"))?;
                if outcome.rows == rows && rows <= 20 { Ok(()) } else { Err(format!("{text}: {rows} rows")) }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]
        #[test]
        fn any_words_are_answered_or_refused(words in proptest::collection::vec(WORDS, 0..14)) {
            prop_assert_eq!(runs(&words.join(" ")), Ok(()));
        }

        #[test]
        fn any_stages_are_answered_or_refused(stages in proptest::collection::vec((WORDS, WORDS, WORDS), 1..4)) {
            let stages = stages.iter().map(|(a, b, c)| format!("{a} {b} {c}")).collect::<Vec<_>>();
            prop_assert_eq!(runs(&format!("* | {}", stages.join(" | "))), Ok(()));
        }
    }
}
