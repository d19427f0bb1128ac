//! StatsD over loopback: what a line costs, and how many a second are taken without the kernel dropping any.
//!
//! `cargo bench -p taffrail-collector --bench statsd`, as part of `make bench`. Three processes: the receiver (the collector's
//! source as an agent runs it, with a taker that adds up every sample), the sender (one socket, `sendmmsg`), and this one. CPU time
//! is that of the receiver alone, from its start to its end, over at least two flushes, for each line that it took. Every row proves that what was sent is what was stored plus what was
//! counted as dropped; a row where they differ fails the run.
//!
//! The sender shares the machine: on two cores it takes one of them, and the highest rates are as much its own. What other
//! programs take of the cores lowers the rates and raises the CPU time a little.
//!
//! | variable | meaning |
//! |---|---|
//! | `ONLY` | rows with this in their name |
//! | `SECONDS` | how long lines are sent for the CPU time (22: two flushes of 10 s at least) |
//! | `RATES` | `0`: no highest rates |
//! | `PEERS` | `0`: no other servers beside |
//!
//! Reading order: [`lines`] (what is sent), [`sender`], [`receiver`], [`peers`] (other servers, where they are installed).

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod lines;
mod peers;
mod receiver;
mod sender;

use std::process::ExitCode;
use std::time::Duration;

use lines::Workload;
use receiver::{Receiver, Report};

/// One row of the table.
struct Row {
    name: &'static str,
    names: u32,
    datagram_bytes_max: usize,
    /// Lines a second at which CPU time is measured.
    rate: f64,
    cpu_target: f64,
    rate_target: f64,
}

const ROWS: [Row; 4] = [
    Row {
        name: "1,432-byte datagrams, 1,000 names",
        names: 1_000,
        datagram_bytes_max: 1_432,
        rate: 2e6,
        cpu_target: 0.12,
        rate_target: 6e6,
    },
    Row {
        name: "1,432-byte datagrams, 100,000 names",
        names: 100_000,
        datagram_bytes_max: 1_432,
        rate: 2e6,
        cpu_target: 0.18,
        rate_target: 4e6,
    },
    Row {
        name: "one line a datagram, 1,000 names",
        names: 1_000,
        datagram_bytes_max: 0,
        rate: 2e5,
        cpu_target: 1.5,
        rate_target: 0.45e6,
    },
    Row {
        name: "one line a datagram, 100,000 names",
        names: 100_000,
        datagram_bytes_max: 0,
        rate: 2e5,
        cpu_target: 1.8,
        rate_target: 0.45e6,
    },
];

/// Windows while CPU time is measured.
const CPU_FLUSH: Duration = Duration::from_secs(10);

/// Windows while a rate is tried, and how long: several flushes.
const RATE_FLUSH: Duration = Duration::from_secs(2);
const RATE_SPAN: Duration = Duration::from_secs(6);

/// Rates tried for the highest one.
const RATE_TRIES: u32 = 6;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("--list" | "--test") => return ExitCode::SUCCESS, // `cargo test --benches` asks every target what it holds
        Some("receive") => return receiver::main(&arguments[2..]),
        Some("send") => return sender::main(&arguments[2..]),
        _ => {}
    }
    let only = std::env::var("ONLY").unwrap_or_default();
    let is_off = |name: &str| std::env::var(name).is_ok_and(|value| value == "0");
    let seconds = std::env::var("SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(22);
    println!("| StatsD, 3 tags | figure | target | sent = stored + dropped |");
    println!("|---|---|---|---|");
    let mut all_exact = true;
    for row in ROWS.iter().filter(|row| row.name.contains(&only)) {
        let workload = Workload { names: row.names, datagram_bytes_max: row.datagram_bytes_max, tags: true };
        let run = run(&workload, row.rate, Duration::from_secs(seconds), CPU_FLUSH);
        all_exact &= run.is_exact();
        let cpu = run.report.cpu_seconds / (run.report.lines.max(1) as f64 / 1e6);
        let at = run.lines_sent as f64 / run.seconds / 1e6;
        let resident = run.report.resident_bytes / 1e6;
        println!(
            "| {}: CPU-s per million lines (at {at:.2} M/s; RSS {resident:.0} MB) | {cpu:.3} | ≤ {} | {run} |",
            row.name, row.cpu_target
        );
        if is_off("RATES") {
            continue;
        }
        let best = highest_rate(&workload, row.rate_target, &mut all_exact);
        match best {
            Some((rate, run)) => println!(
                "| {}: M lines/s without a drop, {} flushes | {:.2} | ≥ {} | {run} |",
                row.name,
                RATE_SPAN.as_secs() / RATE_FLUSH.as_secs(),
                rate / 1e6,
                row.rate_target / 1e6
            ),
            None => println!("| {}: M lines/s without a drop | none | ≥ {} | |", row.name, row.rate_target / 1e6),
        }
    }
    if !is_off("PEERS") {
        peers::measure();
    }
    if all_exact { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What one run gave.
struct Run {
    lines_sent: u64,
    lines_per_datagram: u64,
    seconds: f64,
    report: Report,
}

impl Run {
    fn is_exact(&self) -> bool {
        let report = &self.report;
        let counted = report.dropped * self.lines_per_datagram + report.refused;
        self.lines_sent == report.stored + counted && report.stored == report.lines
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Report { stored, dropped, refused, .. } = self.report;
        let verdict = if self.is_exact() { "exact" } else { "WRONG" };
        let dropped = dropped * self.lines_per_datagram + refused;
        write!(f, "{} = {stored} + {dropped}, {verdict}", self.lines_sent)
    }
}

fn run(workload: &Workload, rate: f64, span: Duration, flush: Duration) -> Run {
    let receiver = Receiver::start(flush);
    let warmed_up = sender::send(workload, receiver.address, rate.min(5e5), Duration::from_secs(1));
    let sent = sender::send(workload, receiver.address, rate, span);
    let report = receiver.stop();
    let lines_sent = warmed_up.lines + sent.lines;
    Run { lines_sent, lines_per_datagram: workload.lines_per_datagram(), seconds: sent.seconds, report }
}

/// The highest rate of a bisection at which nothing was dropped: the rate that was really sent, and the run that shows it.
fn highest_rate(workload: &Workload, target: f64, all_exact: &mut bool) -> Option<(f64, Run)> {
    let (mut low, mut high) = (0.0, target * 2.0);
    let mut best = None;
    let mut rate = target;
    for _ in 0..RATE_TRIES {
        let run = run(workload, rate, RATE_SPAN, RATE_FLUSH);
        *all_exact &= run.is_exact();
        let reached = run.lines_sent as f64 / (run.seconds + 1.0);
        if run.report.dropped == 0 {
            let sent = run.lines_sent as f64 / run.seconds.max(1.0);
            if best.as_ref().is_none_or(|(best, _)| *best < sent) {
                best = Some((sent, run));
            }
            if reached < rate * 0.8 {
                break; // the sender sends no faster
            }
            low = rate;
        } else {
            high = rate;
        }
        rate = f64::midpoint(low, high);
    }
    best
}
