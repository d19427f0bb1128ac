//! `POST /api/v1/logs`: log records as JSON, one object a line (NDJSON) or all in one array.
//!
//! Reading order: `parse` (a body becomes records and rejections; pure), [`body`] (decompression with a cap), `routes` (HTTP: limits, the answer after everything is stored).

pub mod body;
mod config;
mod parse;
mod routes;

pub use config::Config;
pub use parse::{BodyReader, Parsed, Rejected};
pub use routes::routes;
