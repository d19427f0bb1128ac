//! This host's own figures: processor, load, memory, disks, network and the busiest processes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `[collector.host_metrics]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether this host's figures are read at all. Default true; switch it off where another agent does it.
    pub enabled: bool,
    /// How often they are read, at whole multiples of this span by the wall clock. Default 10 s; longer saves space.
    #[serde(with = "crate::config::span")]
    pub interval: Duration,
    /// How many process names are reported by processor use, and how many by memory. Default 5; 0 reports none and
    /// spares reading `/proc/<pid>` on hosts with very many processes.
    pub processes_top: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config { enabled: true, interval: Duration::from_secs(10), processes_top: 5 }
    }
}
