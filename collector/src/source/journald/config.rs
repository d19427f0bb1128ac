//! The section `collector.journald`.

use serde::{Deserialize, Serialize};

use crate::enrich::Parse;
use crate::source::multiline::Multiline;

/// Whether and how the journal is read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `auto` reads the journal where there is one that we may read, `on` fails where there is none, `off` leaves it alone.
    /// Default `auto`.
    pub enabled: Enabled,
    /// Entries of the past that the very first start takes along; 0 for none. Default 1000. Later starts go on where the
    /// last one ended.
    pub past_entries: u32,
    /// How messages are read: `auto`, `json`, `logfmt`, `nginx`, `apache`, `syslog`, `grok:…`, `regex:…` or `none`. Default `auto`.
    pub parse: Parse,
    /// Which messages of one process that follow each other are joined to one record, as a program prints a stack trace line by line:
    /// `auto`, `off`, `{ start = "regex" }` or `{ continue = "regex" }`, as for files. A group has at most `line_bytes_max` bytes and
    /// 10,000 lines. Default `auto`.
    pub multiline: Multiline,
    /// Longest message, in bytes; what is beyond is cut and the record marked `taffrail.truncated`. Default 1 MiB.
    pub line_bytes_max: usize,
}

/// Whether the journal is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Enabled {
    /// Where there is one.
    #[default]
    Auto,
    /// Or fail.
    On,
    /// Never.
    Off,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            enabled: Enabled::Auto,
            past_entries: 1000,
            parse: Parse::Auto,
            multiline: Multiline::Auto,
            line_bytes_max: 1 << 20,
        }
    }
}
