//! `POST /api/v1/write`: Prometheus remote write, versions 1.0 and 2.0; the answer comes after the fsync.
//!
//! <https://prometheus.io/docs/specs/prw/remote_write_spec/>, <https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/>
//!
//! A sender repeats the same series request after request, so a request costs what its samples cost: protobuf is read where
//! it lies ([`crate::source::protobuf`]), and a series is found by the hash of its labels as they were written ([`crate::source::series_cache`]); labels are
//! built once.
//!
//! Reading order: [`version_1`] and [`version_2`] (the two messages), [`native_histogram`], [`intake`] (what both
//! have in common: samples, exemplars, what is refused), `routes` (HTTP).

mod config;
pub mod intake;
mod native_histogram;
mod routes;
#[cfg(test)]
mod tests;
mod version_1;
mod version_2;

pub use config::Config;
pub use intake::{Intake, Version};
pub use routes::routes;
