//! The data that crosses every wall: what a log record and a metric sample are, whoever made them.
//!
//! Reading order: [`timestamp`], [`severity`], [`severity_text`], [`trace_id`], [`value`] (an attribute's typed value),
//! [`log_record`], [`label_set`], [`sketch`], [`distinct_set`], [`sample`], [`batch`].

pub mod batch;
pub mod distinct_set;
pub mod label_set;
pub mod log_record;
pub mod sample;
pub mod severity;
pub mod severity_text;
pub mod sketch;
pub mod timestamp;
pub mod trace_id;
pub mod value;

pub use batch::{AgentId, Batch, Checkpoint, Lane, StreamPlace};
pub use distinct_set::DistinctSet;
pub use label_set::LabelSet;
pub use log_record::{LogRecord, Resource};
pub use sample::{Distribution, Exemplar, STALE, Sample, SampleKind, SampleValue, is_stale};
pub use severity::Severity;
pub use severity_text::SeverityText;
pub use sketch::Sketch;
pub use timestamp::Timestamp;
pub use trace_id::{SpanId, TraceId};
pub use value::{Attributes, Value};
