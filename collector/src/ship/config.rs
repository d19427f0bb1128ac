//! What an agent's sender is told.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use super::connection::TlsConfig;
use crate::config::span;

/// Bytes the spool may hold when nothing else is said: 1 GiB.
pub const DEFAULT_SPOOL_BYTES_MAX: u64 = 1 << 30;

/// How long an uncertain batch waits for its server when nothing else is said: an hour bridges a restart, a repair, a failover.
pub const DEFAULT_UNCERTAIN_WAIT: Duration = Duration::from_secs(3600);

/// The sender's settings, part of `[collector]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShipConfig {
    /// Servers to deliver to, tried in turn (`https://logs-a:6464`). At least one.
    pub to: Vec<String>,
    /// The file that holds the token to show to the servers: one line. It is read for every request, so
    /// that it can be changed while the agent runs. Absent: no token is shown.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// Where the agent's identity and its spool lie. Not shared with another agent.
    pub state_dir: PathBuf,
    /// Bytes the spool may hold. While it is full, files are not read further (nothing is lost) and sockets drop what comes
    /// (counted). Default 1 GiB; raise it to bridge longer outages, lower it on small disks.
    #[serde(default = "default_spool_bytes_max")]
    pub spool_bytes_max: u64,
    /// How long a batch that a server may or may not have waits for that server's word before another one gets it, and it may be
    /// stored twice. Default 1 h.
    #[serde(default = "default_uncertain_wait", with = "span")]
    pub uncertain_wait: Duration,
    /// How servers on https are known, and how they know this agent.
    #[serde(default)]
    pub tls: TlsConfig,
}

impl ShipConfig {
    /// The default settings for these servers and this directory.
    pub fn new(to: Vec<String>, state_dir: PathBuf) -> ShipConfig {
        ShipConfig {
            to,
            token_file: None,
            state_dir,
            spool_bytes_max: DEFAULT_SPOOL_BYTES_MAX,
            uncertain_wait: DEFAULT_UNCERTAIN_WAIT,
            tls: TlsConfig::default(),
        }
    }

    /// Bytes of a spool's segment: small enough that several can be read at once in little memory and that room is given back
    /// soon, large enough that files are few.
    pub(super) fn segment_bytes_max(&self) -> u64 {
        (self.spool_bytes_max / 16).clamp(64 << 10, 2 << 20)
    }
}

fn default_uncertain_wait() -> Duration {
    DEFAULT_UNCERTAIN_WAIT
}

fn default_spool_bytes_max() -> u64 {
    DEFAULT_SPOOL_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_a_default_and_what_is_unknown_is_refused() {
        let config: ShipConfig = serde_json::from_str(r#"{"to":["http://a:1"],"state_dir":"/s"}"#).unwrap();
        assert_eq!(config, ShipConfig::new(vec!["http://a:1".to_owned()], "/s".into()));
        let error = serde_json::from_str::<ShipConfig>(r#"{"to":[],"state_dir":"/s","spool":1}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `spool`"), "{error}");
    }
}
