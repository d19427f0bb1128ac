//! A question: a search and the stages behind it.

use taffrail_collector::model::Timestamp;
use taffrail_ingest::log_store::Filter;

use super::ast::Query;
use super::cursor::Cursor;
use super::stage::arguments::Arguments;
use super::stage::shape::Shape;
use super::stage::{self, Parsed, Stage};
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
            question.shape = shape;
            let text = cursor.text(start, cursor.place()).trim_end().to_owned();
            question.stages.push(NamedStage { text, stage });
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
