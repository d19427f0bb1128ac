//! The section `collector.syslog`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{ListenAddress, span};
use crate::enrich::Parse;
use crate::source::multiline::Multiline;

/// Where syslog is listened for, and its limits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address for UDP and TCP, both on one port; port 0 takes a free one; `off` listens nowhere. Default `127.0.0.1:5514`.
    /// Other hosts can send only to an address of theirs to reach.
    pub address: ListenAddress,
    /// How the text behind the header is read: `auto`, `json`, `logfmt`, `nginx`, `apache`, `grok:…`, `regex:…` or `none`.
    /// Default `auto`.
    pub parse: Parse,
    /// Which messages of one program that follow each other are joined to one record, as a program prints a stack trace line by line:
    /// `auto`, `off`, `{ start = "regex" }` or `{ continue = "regex" }`, as for files. A group has at most `message_bytes_max` bytes and
    /// 10,000 lines. Default `auto`.
    pub multiline: Multiline,
    /// Longest message, in bytes; what is beyond is cut and the record marked `taffrail.truncated`. Default 64 KiB, which is more
    /// than a datagram holds.
    pub message_bytes_max: usize,
    /// TCP connections at a time; more are closed at once and counted. Default 1000.
    pub connections_max: usize,
    /// A TCP connection that sends nothing for so long is closed. Default 1 h; many senders keep one open for days and
    /// reconnect when it is gone.
    #[serde(with = "span")]
    pub idle_timeout: Duration,
    /// What the kernel is asked to hold of UDP, in bytes (`SO_RCVBUF`). It grants at most `net.core.rmem_max`. Default 8 MiB.
    pub udp_buffer_bytes: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            address: ListenAddress::At(([127, 0, 0, 1], 5514).into()),
            parse: Parse::Auto,
            multiline: Multiline::Auto,
            message_bytes_max: 64 << 10,
            connections_max: 1000,
            idle_timeout: Duration::from_secs(3600),
            udp_buffer_bytes: 8 << 20,
        }
    }
}
