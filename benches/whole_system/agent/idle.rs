//! A thousand files into which nobody writes.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::process::{Place, wait_until};
use super::{check_stored, has_stored, lines, stored};
use crate::table::{Beside, Spread, Table};

const FILES: usize = 1_000;
const LINES_EACH: u64 = 20;
const IDLE: Duration = Duration::from_secs(20);

/// Lets the agent read the files, and then watches it do nothing.
pub fn measure(table: &mut Table) {
    eprintln!("agent: {FILES} idle files …");
    let place = Place::new();
    for (at, path) in place.log_files(FILES).iter().enumerate() {
        lines::write_file(path, at as u64 * LINES_EACH, LINES_EACH);
    }
    let server = place.start_server(0);
    let agent = place.start_agent(server.port());
    let lines = FILES as u64 * LINES_EACH;
    if !wait_until(Duration::from_secs(60), || has_stored(&server, lines)) {
        return table.wrong("agent: 1,000 files", &format!("{} of {lines} lines arrived", stored(&server)));
    }
    sleep(Duration::from_secs(5));
    let (cpu, started) = (agent.cpu_seconds(), Instant::now());
    sleep(IDLE);
    let share = (agent.cpu_seconds() - cpu) / started.elapsed().as_secs_f64();
    let target = Beside { target: Some(1.0), ..Beside::default() };
    table.row("1,000 idle files", "% of a core", Spread::one(share * 100.0), target);
    table.row("RSS meanwhile", "MiB", Spread::one(agent.resident_mib()), Beside::default());
    check_stored(table, "agent: 1,000 files", &server, lines);
}
