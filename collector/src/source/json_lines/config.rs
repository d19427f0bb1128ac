//! The section `collector.json_lines`.

use serde::{Deserialize, Serialize};

use crate::enrich::Switch;

/// Limits of `POST /api/v1/logs`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Largest body as it is sent, in bytes; a larger one is answered 413. Default 20 MiB. Raise it for senders whose batches
    /// cannot be made smaller.
    pub body_bytes_max: usize,
    /// Largest body once decompressed, in bytes; a larger one is answered 413 however small it came. Default 100 MiB. It bounds
    /// the memory that one request can take.
    pub decompressed_bytes_max: usize,
    /// Largest text of one record, in bytes; what is beyond is cut and the record marked `taffrail.truncated`. Default 1 MiB.
    pub line_bytes_max: usize,
    /// Whether secrets are replaced in what arrives here as well, by the rules of `collector.lines`: `on` or `off`. Default `off`, other
    /// than for lines of files, journald, syslog and standard input: it costs 0.1 µs a line, a twentieth of all that taking in a
    /// line costs, and agents have redacted theirs before. Switch it on where programs post lines that may hold secrets.
    pub redact: Switch,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            body_bytes_max: 20 << 20,
            decompressed_bytes_max: 100 << 20,
            line_bytes_max: 1 << 20,
            redact: Switch::Off,
        }
    }
}
