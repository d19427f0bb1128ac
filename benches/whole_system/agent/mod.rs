//! The agent, `taffrail collect`, on one core, with a real server on another: how fast it is, what it takes when little comes,
//! and what it does while no server is there. Every figure counts only once the server holds each line exactly once.
//!
//! Lines are JSON of [`lines::LINE_BYTES`] bytes in files as container runtimes write them. Lines a second are given twice: by the
//! clock, which other work on the machine can spoil, and by the agent's own processor time, which it cannot.
//!
//! Reading order: [`lines`] (what is written), [`process`] (the agent, and what it takes), then one file a figure.

mod backlog;
mod freshness;
mod idle;
mod lines;
mod outage;
mod process;
mod rsyslog;
mod spool_start;

use std::time::Duration;

use crate::server::Server;
use crate::table::Table;

/// The core that the agent has for itself; the server has the other.
const AGENT_CORE: &str = "0";
const SERVER_CORE: &str = "1";

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Size {
    /// Lines that lie there when the agent starts.
    pub backlog_lines: u64,
    /// How often that is measured.
    pub runs: u64,
    /// Seconds without a server.
    pub outage_seconds: u64,
    /// Mebibytes of spool to start with.
    pub spool_mib: u64,
}

/// Measures everything of the agent.
pub fn measure(table: &mut Table, size: Size) {
    println!("| **agent** | | | | | |");
    backlog::measure(table, size);
    rsyslog::measure(table, size.backlog_lines);
    outage::measure(table, Duration::from_secs(size.outage_seconds));
    freshness::measure(table);
    idle::measure(table);
    spool_start::measure(table, size.spool_mib);
}

/// Whether the server holds exactly these lines: as many as there are, and of some of them each once.
fn check_stored(table: &mut Table, what: &str, server: &Server, lines: u64) {
    let found = stored(server);
    if found != lines {
        return table.wrong(what, &format!("{lines} lines were written and {found} are stored"));
    }
    for probe in 0..20 {
        let seq = lines / 20 * probe;
        let parameters = [("q", &*format!("seq:{seq}")), ("from", "now-1d"), ("to", "now+1h"), ("interval", "30d")];
        let total = server.ask("/api/v1/logs/histogram", &parameters).json().expect("a count")["total"].as_u64();
        if total != Some(1) {
            return table.wrong(what, &format!("line {seq} is stored {total:?} times"));
        }
    }
}

/// Lines that the server holds.
fn stored(server: &Server) -> u64 {
    let parameters = [("q", "seq:*"), ("from", "now-1d"), ("to", "now+1h"), ("interval", "30d")];
    let answer = server.ask("/api/v1/logs/histogram", &parameters).json().expect("a count");
    answer["total"].as_u64().expect("a total")
}

/// Whether the server holds so many lines. The agent's own log is counted by the cheaper look, so that both are needed.
fn has_stored(server: &Server, lines: u64) -> bool {
    server.store_status("log_records") >= lines && stored(server) >= lines
}
