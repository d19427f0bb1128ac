//! An agent that starts over a large spool: how long until it is ready, in how much memory.

use std::time::Duration;

use super::process::{Place, wait_until};
use super::{check_stored, has_stored, lines, stored};
use crate::table::{Beside, Spread, Table, number};

/// Lines that a file gets before the next one is begun.
const FILE_LINES: u64 = 500_000;
const STARTS: usize = 3;
const LONGEST: Duration = Duration::from_secs(120);

/// Fills a spool that no server takes from, kills the agent and starts it again.
pub fn measure(table: &mut Table, spool_mib: u64) {
    eprintln!("agent: filling a spool of {spool_mib} MiB …");
    let place = Place::new();
    let server = place.start_server(0);
    let port = server.port();
    let mut agent = place.start_agent(port);
    // A new agent reads no file before a server has said how far it was read.
    let mut lines = 1;
    lines::write_file(&place.logs().join("first.log"), 0, lines);
    if !wait_until(LONGEST, || has_stored(&server, lines)) {
        return table.wrong("agent: large spool", "the first line never arrived");
    }
    // From here on nobody listens at its port.
    server.stop();
    let wanted = spool_mib << 20;
    let mut number_of_file = 0;
    while place.spool_bytes() < wanted {
        let before = place.spool_bytes();
        let path = place.logs().join(format!("{number_of_file}.log"));
        lines::write_file(&path, lines, FILE_LINES);
        number_of_file += 1;
        lines += FILE_LINES;
        if !wait_until(LONGEST, || place.spool_bytes() >= wanted || place.spool_bytes() > before + FILE_LINES * 10) {
            return table.wrong("agent: large spool", "the spool does not grow");
        }
    }
    let mut times = Vec::new();
    let mut resident = Vec::new();
    for _ in 0..STARTS {
        agent.kill();
        agent = place.start_agent(port);
        times.push(agent.start_time.as_secs_f64());
        std::thread::sleep(Duration::from_secs(2));
        resident.push(agent.resident_mib());
    }
    let remark = format!("{} MiB of spool, after a kill", number(place.spool_bytes() as f64 / f64::from(1 << 20)));
    table.row(
        "start over a large spool",
        "s",
        Spread::of(times),
        Beside { target: Some(2.0), remark: &remark, ..Beside::default() },
    );
    table.row("RSS after it", "MiB", Spread::of(resident), Beside::default());
    let server = place.start_server(port);
    if wait_until(LONGEST * 5, || has_stored(&server, lines)) {
        check_stored(table, "agent: large spool", &server, lines);
    } else {
        table.wrong("agent: large spool", &format!("{} of {lines} lines arrived", stored(&server)));
    }
    table.row("peak RSS while it is sent", "MiB", Spread::one(agent.resident_peak_mib()), Beside::default());
}
