//! Log search: what people type into the box, as a [`Filter`].
//!
//! Reading order: [`ast`] (what was typed, as a tree), `cursor` (the characters and where one stands in them), `grammar`
//! (the tree from the characters), `plan` (the filter from the tree), `own_field` (level, time and ids, which have rules
//! of their own), [`execute`] (single records and what stands around them), [`pattern_change`] (what a deploy changed).
//!
//! ```text
//! query   = and *( ("OR" / "or" / "||") and )
//! and     = unary *( ["AND" / "and" / "&&"] unary )            side by side means AND
//! unary   = ("NOT" / "not" / "-" / "!") unary / "(" query ")" / clause / "*"
//! clause  = [field ":"] value / field (">" / ">=" / "<" / "<=" / "=" / "!=") scalar / field "IN" "[" values "]"
//! value   = word / "phrase" / wild*c?rd / prefix* / /regex/ / "(" query of values ")" / "IN" "[" values "]"
//!         / ("[" / "{") low "TO" high ("]" / "}") / (">" / ">=" / "<" / "<=" / "=") scalar / network / "*"
//! field   = name / "@" name / "\"any name\"" / "*" (every field) / "_exists_"
//! ```
//! AND binds tighter than OR, NOT tightest. A regular expression ends at its first bare `/`, which a space or a closing
//! bracket follows: so paths and URLs need no quotes. `!=` and NOT also hold for records without the field.

pub mod ast;
mod cursor;
pub mod execute;
mod grammar;
mod own_field;
pub mod pattern_change;
mod plan;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod tests;

use taffrail_collector::model::Timestamp;
use taffrail_ingest::log_store::Filter;
use thiserror::Error;

/// The longest text that is read, in bytes.
pub const TEXT_BYTES_MAX: usize = 16 << 10;

/// The deepest nesting of parentheses and negations.
pub const NESTING_MAX: usize = 100;

/// The most conditions in one question.
pub const CLAUSES_MAX: usize = 1_000;

/// Why text is no question.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message} (column {column})")]
pub struct ParseError {
    /// What is wrong and how to write it.
    pub message: String,
    /// Where, counted in characters from 1.
    pub column: usize,
}

/// The question in a query box, its relative times seen from the wall clock's now; empty text asks for everything.
pub fn parse(text: &str) -> Result<Filter, ParseError> {
    parse_at(text, Timestamp::now())
}

/// The question in a query box, its relative times seen from `now`. The filter is one that the store can compile.
pub fn parse_at(text: &str, now: Timestamp) -> Result<Filter, ParseError> {
    let filter = plan::filter(&grammar::parse(text)?, now)?;
    match filter.compile() {
        Ok(_) => Ok(filter),
        Err(error) => Err(ParseError { message: error.to_string(), column: 1 }),
    }
}

/// The question as a tree, without asking whether its values suit their fields.
pub fn parse_tree(text: &str) -> Result<ast::Query, ParseError> {
    grammar::parse(text)
}
