//! The section `collector.graphite`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{ListenAddress, span};

/// Where Graphite's lines are listened for, and their limits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address for UDP and TCP, both on one port (`127.0.0.1:2003` is the usual one); port 0 takes a free one. Default `off`: on hosts
    /// that send to Graphite, its own carbon often has the port.
    pub address: ListenAddress,
    /// Longest line in bytes, its name and tags included; a longer one is refused. Default 16 KiB.
    pub line_bytes_max: usize,
    /// Series that are remembered between lines. Default 1,000,000. With more active series every line costs several times the
    /// processor time; nothing is lost.
    pub series_max: usize,
    /// TCP connections at a time; more are closed at once and counted. Default 1000.
    pub connections_max: usize,
    /// A TCP connection that sends nothing for so long is closed. Default 1 h.
    #[serde(with = "span")]
    pub idle_timeout: Duration,
    /// What the kernel is asked to hold of UDP, in bytes. It grants at most `net.core.rmem_max`. Default 4 MiB.
    pub udp_buffer_bytes: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            address: ListenAddress::Off,
            line_bytes_max: 16 << 10,
            series_max: 1_000_000,
            connections_max: 1_000,
            idle_timeout: Duration::from_secs(3600),
            udp_buffer_bytes: 4 << 20,
        }
    }
}
