//! Graphite's plaintext protocol over TCP and UDP: `name;tag=value number time`, one reading a line.
//!
//! <https://graphite.readthedocs.io/en/stable/feeding-carbon.html>, <https://graphite.readthedocs.io/en/stable/tags.html>
//!
//! Reading order: [`line`] (the grammar), `listener` (the sockets). Names are kept as they are, dots and all; tags become labels.

mod config;
pub mod line;
mod listener;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use listener::start;
