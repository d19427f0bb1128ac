//! Log search: what people type into the box, as a [`Filter`], or with stages behind it as a [`Question`].
//!
//! Reading order: [`ast`] (what was typed, as a tree), `cursor` (the characters and where one stands in them), `grammar`
//! (the tree of a search from the characters), `plan` (the filter from the tree), `own_field` (level, time and ids, which have
//! rules of their own), `quantity` (numbers with units); [`question`] (a search and its stages), [`row`] (what flows between
//! them), [`stage`] (each of them), [`memory`] (what they may keep), [`run`] (the answer), [`explain`] (why there is none); [`near`] (the name that was meant),
//! [`execute`] (single records and what stands around them), [`pattern_change`] (what a deploy changed), [`difference`] (what differs between two
//! stretches of time).
//!
//! ```text
//! question = search *("|" stage)
//! search  = and *( ("OR" / "or" / "||") and )
//! and     = unary *( ["AND" / "and" / "&&"] unary )            side by side means AND
//! unary   = ("NOT" / "not" / "-" / "!") unary / "(" search ")" / clause / "*"
//! clause  = [field ":"] value / field (">" / ">=" / "<" / "<=" / "=" / "!=") scalar / field "IN" "[" values "]"
//! value   = word / "phrase" / "prefix"* / wild*c?rd / prefix* / /regex/ / "(" search of values ")" / "IN" "[" values "]"
//!         / ("[" / "{") low "TO" high ("]" / "}") / (">" / ">=" / "<" / "<=" / "=") scalar / network / "*"
//! field   = name / "@" name / "\"any name\"" / "*" (every field) / "_exists_"
//! ```
//! AND binds tighter than OR, NOT tightest. A regular expression ends at its first bare `/`, which a space or a closing
//! bracket follows: so paths and URLs need no quotes. `!=` and NOT also hold for records without the field.

pub mod ast;
#[cfg(test)]
mod cases;
mod cursor;
pub mod difference;
#[cfg(test)]
mod documentation_tests;
pub mod execute;
pub mod explain;
mod grammar;
pub mod memory;
#[cfg(test)]
mod model_tests;
pub mod near;
mod own_field;
pub mod pattern_change;
mod plan;
mod quantity;
pub mod question;
pub mod row;
pub mod run;
pub mod stage;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod tests;

use taffrail_collector::model::Timestamp;
use taffrail_ingest::log_store::Filter;
use thiserror::Error;

pub use question::Question;

/// The longest text that is read, in bytes.
pub const TEXT_BYTES_MAX: usize = 16 << 10;

/// The deepest nesting of parentheses and negations.
pub const NESTING_MAX: usize = 100;

/// The most conditions in one question.
pub const CLAUSES_MAX: usize = 1_000;

/// The most stages in one question.
pub const STAGES_MAX: usize = 50;

/// Why text is no question.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message} (column {column})")]
pub struct ParseError {
    /// What is wrong and how to write it.
    pub message: String,
    /// Where, counted in characters from 1.
    pub column: usize,
}

/// A search without stages, its relative times seen from the wall clock's now; empty text asks for everything.
pub fn parse(text: &str) -> Result<Filter, ParseError> {
    parse_at(text, Timestamp::now())
}

/// A search without stages, its relative times seen from `now`. The filter is one that the store can compile.
pub fn parse_at(text: &str, now: Timestamp) -> Result<Filter, ParseError> {
    question::filter_of(&question::search_alone(text)?, now)
}

/// A search without stages as a tree, without asking whether its values suit their fields.
pub fn parse_tree(text: &str) -> Result<ast::Query, ParseError> {
    question::search_alone(text)
}
