//! What an agent is doing, as one document: its sources, its spool and servers, its own process. `status.sock` answers it, its
//! figures are the agent's own metrics, and `taffrail top` draws it.
//!
//! ```json
//! {"agent":"32 hex","host":"web-1","version":"0.1.0","os":"linux","arch":"x86_64","started":"…","now":"…",
//!  "process":{"uptime_seconds":9.5,"resident_bytes":20000000,"cpu_seconds":0.4,"open_files":17},
//!  "sources":[{"kind":"files","name":"/var/log/*.log","records":10,"bytes":990,"last_seen":"…",
//!              "open_files":2,"lag_bytes":0,"lag_seconds":0.0,"problems":[{"reason":"line_too_long","count":1,"last_seen":"…","example":"…"}]}],
//!  "ship":{"spool_bytes":4096,"waiting_batches":0,…,"endpoints":[{"url":"http://logs:6464","state":"closed",…}]},
//!  "own_log":{"records":3,"limited":0,"dropped":0}}
//! ```
//! Counts are since the agent's start.

use std::sync::Arc;

use serde::Serialize;
use taffrail_collector::model::Timestamp;
use taffrail_collector::ship::{ShipSnapshot, ShipStatus};
use taffrail_collector::source::host_metrics::proc_text;
use taffrail_collector::source::{Tallies, TallySnapshot};

use super::own_log::{OwnLogCounts, OwnLogSnapshot};

/// An agent at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct AgentStatus {
    /// Who it is, 32 hexadecimal digits.
    pub agent: String,
    /// The name its records carry.
    pub host: Arc<str>,
    /// Its version.
    pub version: &'static str,
    /// The operating system that it was built for (`linux`).
    pub os: &'static str,
    /// The processor that it was built for (`x86_64`, `aarch64`).
    pub arch: &'static str,
    /// When it started, RFC 3339.
    pub started: String,
    /// When this was read, RFC 3339.
    pub now: String,
    /// Its process.
    pub process: ProcessSnapshot,
    /// What comes in.
    pub sources: Vec<TallySnapshot>,
    /// What waits and what goes out.
    pub ship: ShipSnapshot,
    /// Its own log on its way to the servers.
    pub own_log: OwnLogSnapshot,
}

/// A process at one moment. What cannot be read is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ProcessSnapshot {
    /// Seconds since the agent's start.
    pub uptime_seconds: f64,
    /// Memory held.
    pub resident_bytes: f64,
    /// Processor time used, user and system.
    pub cpu_seconds: f64,
    /// File descriptors.
    pub open_files: usize,
}

/// Reads the status, cheap to clone.
#[derive(Clone, Debug)]
pub struct StatusReader {
    /// Who the agent is.
    pub agent: String,
    /// The name its records carry.
    pub host: Arc<str>,
    /// When it started.
    pub started: Timestamp,
    /// What the sources count.
    pub tallies: Arc<Tallies>,
    /// What the sender counts.
    pub ship: ShipStatus,
    /// What the own log counts.
    pub own_log: OwnLogCounts,
}

impl StatusReader {
    /// The status now. Reads some files of `/proc`.
    pub fn read(&self) -> AgentStatus {
        let now = Timestamp::now();
        AgentStatus {
            agent: self.agent.clone(),
            host: Arc::clone(&self.host),
            version: env!("CARGO_PKG_VERSION"),
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
            started: self.started.to_string(),
            now: now.to_string(),
            process: read_process(now.saturating_since(self.started).as_secs_f64()),
            sources: self.tallies.snapshot(),
            ship: self.ship.snapshot(),
            own_log: self.own_log.snapshot(),
        }
    }
}

fn read_process(uptime_seconds: f64) -> ProcessSnapshot {
    // The process's name may be any bytes.
    let stat = std::fs::read("/proc/self/stat").unwrap_or_default();
    let stat = proc_text::process_stat(&String::from_utf8_lossy(&stat));
    let open_files = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    ProcessSnapshot {
        uptime_seconds,
        resident_bytes: stat.as_ref().map_or(0.0, |stat| stat.resident_pages * rustix::param::page_size() as f64),
        cpu_seconds: stat.as_ref().map_or(0.0, |stat| stat.cpu_seconds),
        // Reading the folder opens it.
        open_files: open_files.saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_read() {
        let process = read_process(1.5);
        assert_eq!(process.uptime_seconds, 1.5);
        assert!(process.resident_bytes > 1e6 && process.open_files >= 3, "{process:?}");
    }
}
