//! The language: from text to a checked expression, and back to text.
//!
//! The grammar is that of Prometheus 3 (<https://prometheus.io/docs/prometheus/latest/querying/basics/>), with what it keeps
//! behind flags: arithmetic in durations, `anchored` and `smoothed` selectors, `fill` modifiers. Every expression knows where
//! it stands in the text, since errors and annotations say it.
//!
//! Reading order: `expression` (the tree), `token`, `quoted` (text in quotes), `grammar` (the parser), `function_table`,
//! `check` (types), `display` (the text of a tree, on one line or laid out), `outline` (the tree as JSON).

mod check;
mod display;
mod expression;
pub(crate) mod function_table;
mod grammar;
mod outline;
mod quoted;
mod token;

use super::PromqlError;

pub(crate) use expression::{
    Aggregation, Aggregator, At, Binary, Call, Cardinality, Comparison, DurationExpression, Expression, Extension,
    Grouping, Kind, Length, Matcher, Operator, Selector, Subquery, Test, ValueType,
};
pub(crate) use grammar::milliseconds;
pub(crate) use quoted::unquote;

/// A place in a query, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// What is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) span: Span,
    pub(crate) message: String,
}

impl SyntaxError {
    fn new(span: Span, message: impl Into<String>) -> SyntaxError {
        SyntaxError { span, message: message.into() }
    }
}

/// Reads and checks an expression.
pub(crate) fn parse(query: &str) -> Result<Expression, PromqlError> {
    let parsed = grammar::parse(query).and_then(|expression| {
        check::check(&expression)?;
        Ok(expression)
    });
    parsed.map_err(|SyntaxError { span, message }| {
        PromqlError::Invalid(format!("{}: parse error: {message}", position(query, span.start)))
    })
}

/// A place as people count: `line:column`, both from 1.
pub(crate) fn position(query: &str, at: usize) -> String {
    if query.is_empty() {
        return "unknown position".to_owned();
    }
    let before = query.as_bytes().get(..at).unwrap_or(query.as_bytes());
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
    format!("{line}:{column}")
}

#[cfg(test)]
mod tests;
