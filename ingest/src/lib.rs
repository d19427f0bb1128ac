//! The ingest room: a batch becomes durable and searchable.
//!
//! It knows no protocol and no question: batches come through the collector's [`Outlet`], and the query room reads
//! [`log_store::LogStore`] and [`series_store::SeriesStore`].
//!
//! Reading order: `pipeline` (the whole way in one picture), `admission` (limits), [`error_group`] (which errors are the same), `stream_marks` and `agent_checkpoints` (exactly once),
//! `write_ahead` (the journal's writer), `sealer`, `retention`, `compaction`, [`deletion`], [`series_deletion`], `startup`
//! (files, replay), `set_aside`, [`catalog`], [`live_feed`], then the two stores; [`scan`] is the budget that questions bring along. [`doctor`] and [`backup`] work on a data directory from outside.

mod admission;
mod agent_checkpoints;
pub mod backup;
mod byte_cursor;
pub mod catalog;
mod compaction;
mod counters;
pub mod deletion;
pub mod doctor;
pub mod error_group;
#[cfg(test)]
mod keep_tests;
pub mod live_feed;
pub mod log_store;
mod pipeline;
#[cfg(test)]
mod pipeline_tests;
mod retention;
pub mod scan;
mod sealer;
pub mod series_deletion;
pub mod series_store;
mod set_aside;
mod startup;
mod stream_marks;
mod write_ahead;

pub use compaction::{CompactionBudget, CompactionStatus};
pub use pipeline::{Ingest, IngestConfig, IngestStatus, OpenError, SealReport};
pub use scan::{Scan, StopReason, TimeRange};
