//! Ten thousand lines a second: what the agent takes while a server is there, while none is, and afterwards.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::lines::{LINE_BYTES, Writer};
use super::process::{Place, wait_until};
use super::{check_stored, stored};
use crate::table::{Beside, Spread, Table};

const LINES_PER_SECOND: u64 = 10_000;
const FILES: usize = 10;
/// Until memory and the server's first work have settled.
const WARM_UP: Duration = Duration::from_secs(10);
const STEADY: Duration = Duration::from_secs(20);
const LONGEST: Duration = Duration::from_secs(300);

/// Measures the three.
pub fn measure(table: &mut Table, outage: Duration) {
    let place = Place::new();
    let writer = Writer::new();
    let paths = place.log_files(FILES);
    std::thread::scope(|scope| {
        scope.spawn(|| writer.run(&paths, LINES_PER_SECOND));
        measure_beside(table, outage, &place, &writer);
        writer.stop();
    });
}

fn measure_beside(table: &mut Table, outage: Duration, place: &Place, writer: &Writer) {
    eprintln!("agent: {LINES_PER_SECOND} lines a second …");
    let server = place.start_server(0);
    let port = server.port();
    let agent = place.start_agent(port);
    sleep(WARM_UP);
    let (cpu, started) = (agent.cpu_seconds(), Instant::now());
    let mut resident = Vec::new();
    while started.elapsed() < STEADY {
        sleep(Duration::from_secs(1));
        resident.push(agent.resident_mib());
    }
    let share = (agent.cpu_seconds() - cpu) / started.elapsed().as_secs_f64();
    let most = |target: f64, remark| Beside { target: Some(target), remark, ..Beside::default() };
    table.row(
        "10,000 lines/s",
        "cores",
        Spread::one(share),
        most(0.05, "vlagent: 0.062 (its own benchmark, other machine)"),
    );
    let before = Spread::of(resident);
    table.row("RSS meanwhile", "MiB", before, most(25.0, "vlagent: 27.9"));

    eprintln!("agent: {} s without a server …", outage.as_secs());
    server.stop();
    let (spooled, written, started) = (place.spool_bytes(), writer.written(), Instant::now());
    let (cpu, mut resident, mut own) = (agent.cpu_seconds(), Vec::new(), Vec::new());
    while started.elapsed() < outage {
        sleep(Duration::from_secs(1));
        resident.push(agent.resident_mib());
        own.push(agent.anonymous_mib());
    }
    let lines = (writer.written() - written) as f64;
    let line_bytes = (place.spool_bytes() - spooled) as f64 / lines;
    let share = (agent.cpu_seconds() - cpu) / started.elapsed().as_secs_f64();
    let during = Spread::of(resident);
    let drift = (during.high / before.median - 1.0) * 100.0;
    let remark = format!("{:.1} % above before at most", drift);
    table.row("RSS without a server", "MiB", during, most(before.median * 1.1, &remark));
    table.row("of it the process's own", "MiB", Spread::of(own), Beside::default());
    table.row("10,000 lines/s without a server", "cores", Spread::one(share), Beside::default());
    let remark = format!("{:.3} for each byte of the program's line", line_bytes / LINE_BYTES as f64);
    table.row(
        "spooled, and sent, a line",
        "bytes",
        Spread::one(line_bytes),
        Beside { remark: &remark, ..Beside::default() },
    );

    let server = place.start_server(port);
    let (began, waiting, held) = (Instant::now(), writer.written(), stored(&server));
    if !wait_until(LONGEST + outage, || stored(&server) - held >= (lines as u64)) {
        return table.wrong("agent: outage", "the backlog never arrived");
    }
    let took = began.elapsed().as_secs_f64();
    let live = (writer.written() - waiting) as f64;
    let remark = format!("{lines:.0} lines waited, {live:.0} came meanwhile");
    table.row(
        "backlog of the outage acknowledged",
        "s",
        Spread::one(took),
        Beside { remark: &remark, ..Beside::default() },
    );
    writer.stop();
    sleep(Duration::from_secs(1));
    let all = writer.written();
    wait_until(LONGEST, || stored(&server) >= all);
    table.row("peak RSS of all this", "MiB", Spread::one(agent.resident_peak_mib()), Beside::default());
    check_stored(table, "agent: outage", &server, all);
}
