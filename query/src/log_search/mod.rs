//! Log search: what people type into the box, as a [`Filter`].

use taffrail_ingest::log_store::Filter;
use thiserror::Error;

/// Why text is no question.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message} (column {column})")]
pub struct ParseError {
    /// What is wrong and how to write it.
    pub message: String,
    /// Where, counted in characters from 1.
    pub column: usize,
}

/// The question in a query box; empty text asks for everything.
pub fn parse(text: &str) -> Result<Filter, ParseError> {
    let _ = text;
    unimplemented!()
}
