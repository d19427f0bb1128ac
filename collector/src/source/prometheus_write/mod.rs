//! `POST /api/v1/write`: Prometheus remote write, versions 1.0 and 2.0; the answer comes after the fsync.
//!
//! <https://prometheus.io/docs/specs/prw/remote_write_spec/>, <https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/>
//!
//! A sender repeats the same series request after request, so a request costs what its samples cost: protobuf is read where
//! it lies ([`wire`]), and a series is found by the hash of its labels as they were written ([`series_cache`]); labels are
//! built once.
//!
//! Reading order: [`wire`] (protobuf), [`series_cache`], [`version_1`] and [`version_2`] (the two messages), [`intake`] (what both
//! have in common: samples, exemplars, what is refused), `routes` (HTTP).

mod config;
pub mod intake;
mod routes;
mod series_cache;
#[cfg(test)]
mod tests;
mod version_1;
mod version_2;
mod wire;

pub use config::Config;
pub use intake::{Intake, Version};
pub use routes::routes;
