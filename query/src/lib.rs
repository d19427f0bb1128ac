//! The query room: a question becomes an answer, or an alert change.
//!
//! It knows nothing of HTTP, of JSON, or of who is asking. Questions block the thread they run on and stop at their
//! [`taffrail_ingest::Scan`].

pub mod alert;
pub mod error_group;
pub mod log_search;
pub mod metric_moves;
pub mod promql;
pub mod time_range;
pub mod trace;
