//! The ingest room: a batch becomes durable and searchable.
//!
//! It knows no protocol and no question: batches come through the collector's [`Outlet`], and the query room reads
//! [`log_store::LogStore`] and [`series_store::SeriesStore`].

pub mod admission;
pub mod catalog;
pub mod live_feed;
pub mod log_store;
pub mod pipeline;
pub mod retention;
pub mod scan;
pub mod series_store;
pub mod write_ahead;

pub use pipeline::{Ingest, IngestConfig, IngestStatus, OpenError, SealReport};
pub use scan::{Scan, StopReason, TimeRange};
