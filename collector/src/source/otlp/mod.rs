//! OpenTelemetry's protocol for logs, metrics and traces: over HTTP in protobuf or JSON, and over gRPC; the answer comes after the
//! fsync. The routes stand on the server's own port, and on ports of their own where `grpc_address` and `http_address` say so.
//!
//! <https://opentelemetry.io/docs/specs/otlp/>, <https://opentelemetry.io/docs/specs/otel/metrics/data-model/>
//!
//! | OTLP | becomes |
//! |---|---|
//! | log record | a record; one without any severity is read as lines of files are (`logs`) |
//! | span, and what happened in it | records with `span.kind`, `duration_ms`, `parent_span_id` (`spans`) |
//! | gauge; sum that may fall, cumulative | gauge, a reading of its moment |
//! | sum that only grows, cumulative | running total under its name |
//! | sum, delta | counter window from its start to its time |
//! | histogram | `name_bucket{le}`, `name_count`, `name_sum`: running totals, or counter windows when delta |
//! | exponential histogram | distribution windows ([`crate::source::bucket_counts`] says how exact they are) |
//! | summary | `name{quantile}`, `name_count`, `name_sum` |
//! | no recorded value | a staleness marker |
//!
//! Names, units and attributes are kept as they are, dots and all. Of the resource, `service.name` and `host.name` are who says a
//! record, and the rest are its attributes; of metrics `service.name`, `service.instance.id` and `host.name` become the labels
//! `service`, `instance` and `host`; `resource_labels` names others that become labels; all of them are labels of a series
//! `target_info` with the value 1, to be joined. The scope's name is `scope.name`, in metrics `otel_scope_name`.
//!
//! Reading order: `message` (bytes to a request), `request` (requests of logs and spans); [`labels`] (attributes to labels), [`points`] (metrics to samples); `attributes`,
//! `records`, `logs`, `spans` (the others to records); `receiver` (what is stored and counted), `routes` (HTTP), `grpc`, `listener`
//! (ports).

mod attributes;
mod config;
mod grpc;
pub mod labels;
mod listener;
mod logs;
mod message;
pub mod points;
mod receiver;
#[cfg(test)]
mod record_tests;
mod records;
mod request;
mod routes;
mod spans;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use listener::start;
pub use message::{MessageForm, ReadError};
pub use points::Intake;
pub use receiver::{Signal, read_records};
pub use records::TakenRecords;
pub use routes::routes;
