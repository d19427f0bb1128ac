//! `POST /v1/metrics`: metrics by OpenTelemetry's protocol over HTTP, in protobuf or JSON; the answer comes after the fsync.
//!
//! <https://opentelemetry.io/docs/specs/otlp/>, <https://opentelemetry.io/docs/specs/otel/metrics/data-model/>
//!
//! | OTLP | becomes |
//! |---|---|
//! | gauge; sum that may fall, cumulative | gauge, a reading of its moment |
//! | sum that only grows, cumulative | running total under its name |
//! | sum, delta | counter window from its start to its time |
//! | histogram | `name_bucket{le}`, `name_count`, `name_sum`: running totals, or counter windows when delta |
//! | exponential histogram | distribution windows ([`crate::source::bucket_counts`] says how exact they are) |
//! | summary | `name{quantile}`, `name_count`, `name_sum` |
//! | no recorded value | a staleness marker |
//!
//! Names, units and attributes are kept as they are, dots and all. Of the resource, `service.name`, `service.instance.id` and
//! `host.name` become the labels `service`, `instance` and `host`; `resource_labels` names others that become labels; all of
//! them are labels of a series `target_info` with the value 1, to be joined. The scope's name is `otel_scope_name`.
//!
//! gRPC is not served: it would take an HTTP/2 service of its own for what every SDK and Collector also sends over HTTP.
//!
//! Reading order: [`labels`] (attributes to labels), [`points`] (a request to samples), `routes` (HTTP).

mod config;
pub mod labels;
pub mod points;
mod routes;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use points::{Intake, MessageForm};
pub use routes::routes;
