//! Lines that lie there when the agent starts: how fast they are read, parsed, compressed, spooled, sent and acknowledged.

use std::time::{Duration, Instant};

use super::lines::{self, LINE_BYTES};
use super::process::{Place, wait_until};
use super::{Size, check_stored, has_stored, stored};
use crate::table::{Beside, Spread, Table, number};

const FILES: usize = 4;
const LONGEST: Duration = Duration::from_secs(300);

/// Reads the same backlog several times, each time with a new agent and a new server.
pub fn measure(table: &mut Table, size: Size) {
    let (mut by_clock, mut by_processor, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..size.runs.max(1) {
        let place = Place::new();
        let paths = place.log_files(FILES);
        let lines = size.backlog_lines / FILES as u64;
        eprintln!("agent: a backlog of {} lines, {} of {} …", number(size.backlog_lines as f64), run + 1, size.runs);
        for (at, path) in paths.iter().enumerate() {
            lines::write_file(path, at as u64 * lines, lines);
        }
        let lines = lines * FILES as u64;
        let server = place.start_server(0);
        let started = Instant::now();
        let agent = place.start_agent(server.port());
        if !wait_until(LONGEST, || has_stored(&server, lines)) {
            return table.wrong("agent: backlog", &format!("{} of {lines} lines arrived", stored(&server)));
        }
        by_clock.push(lines as f64 / started.elapsed().as_secs_f64());
        by_processor.push(lines as f64 / agent.cpu_seconds());
        peaks.push(agent.resident_peak_mib());
        check_stored(table, "agent: backlog", &server, lines);
    }
    let remark = format!("{LINE_BYTES}-byte JSON in CRI files, one core; durable at the server");
    let clock = Beside { least: Some(300_000.0), remark: &remark, ..Beside::default() };
    table.row("backlog, by the clock", "lines/s", Spread::of(by_clock), clock);
    let remark = "start of the agent included";
    let processor = Beside { least: Some(300_000.0), remark, ..Beside::default() };
    table.row("backlog, by the agent's processor time", "lines/CPU-s", Spread::of(by_processor), processor);
    table.row("peak RSS of it", "MiB", Spread::of(peaks), Beside::default());
}
