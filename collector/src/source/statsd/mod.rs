//! StatsD and DogStatsD metrics.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::ListenAddress;

/// `[collector.statsd]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The UDP and TCP address, or `off`. Default `127.0.0.1:8125`.
    pub address: ListenAddress,
    /// Path of a Unix datagram socket to listen on as well (`/run/taffrail/statsd.sock`). Default none.
    pub unix_path: Option<PathBuf>,
    /// How long a window is; windows start at whole multiples of it by the wall clock. Default 10 s.
    #[serde(with = "crate::config::span")]
    pub flush_interval: Duration,
    /// What a gauge value with a sign means. Default `delta`.
    pub gauge_sign: GaugeSign,
    /// How many series are held at once; more are counted in `taffrail.statsd.overflow`. Default 100,000 (about 100 MB).
    /// Raise it when the tally shows `series_limit` and the series are wanted.
    pub series_max: usize,
    /// How long the level of a silent gauge is remembered for later deltas. Default 1 h. A gauge is written only for
    /// windows in which something arrived, whatever this says.
    #[serde(with = "crate::config::span")]
    pub gauge_ttl: Duration,
    /// The UDP receive buffer to ask the kernel for, in bytes. Default 4 MiB. The kernel caps it at `net.core.rmem_max`.
    pub receive_buffer_bytes: usize,
}

/// What a gauge value that starts with `+` or `-` means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GaugeSign {
    /// A change of the level, as in etsy's StatsD; a negative level is sent as `0` first.
    #[default]
    Delta,
    /// The level itself, as in DogStatsD.
    Set,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            address: ListenAddress::At(([127, 0, 0, 1], 8125).into()),
            unix_path: None,
            flush_interval: Duration::from_secs(10),
            gauge_sign: GaugeSign::default(),
            series_max: 100_000,
            gauge_ttl: Duration::from_secs(3_600),
            receive_buffer_bytes: 4 << 20,
        }
    }
}
