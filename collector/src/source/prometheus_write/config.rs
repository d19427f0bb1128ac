//! The section `collector.prometheus_write`.

use serde::{Deserialize, Serialize};

/// Limits of `POST /api/v1/write`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Largest body as it is sent, in bytes; a larger one is answered 413. Default 20 MiB. Prometheus' own are below 1 MiB; raise it
    /// for senders whose batches cannot be made smaller.
    pub body_bytes_max: usize,
    /// Largest body once decompressed, in bytes; a larger one is answered 413 however small it came. Default 64 MiB. It bounds the
    /// memory that one request can take.
    pub decompressed_bytes_max: usize,
    /// Most samples in one request; more are answered 413. Default 500,000. A sample takes a hundred bytes while it is stored.
    pub samples_max: usize,
    /// Longest labels of one series, names and values together, in bytes; a series beyond is refused, its neighbours are
    /// stored. Default 16 KiB.
    pub labels_bytes_max: usize,
    /// Series whose labels are remembered between requests, at some 200 bytes each beside the store's own memory of them, as long as
    /// they are written. Default 1,000,000. With more active series every request costs several times the processor time; nothing is
    /// lost. Lower it where memory is dearer than that.
    pub series_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            body_bytes_max: 20 << 20,
            decompressed_bytes_max: 64 << 20,
            samples_max: 500_000,
            labels_bytes_max: 16 << 10,
            series_max: 1_000_000,
        }
    }
}
