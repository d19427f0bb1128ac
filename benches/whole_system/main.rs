//! The whole program under load, as a table: the release binary, real sockets on loopback, the corpus of `../shared/corpus`.
//!
//! `make bench` runs it. Figures are of one machine on one day: compare only figures of the same kind of run. Times of
//! questions run from sending the request on a kept-alive connection to the last byte of the answer; each is the median of 5
//! after 2 that are not counted, and nothing in the server keeps answers. Before a time counts the answer is compared with
//! what a plain scan of the file finds; a wrong answer fails the run.
//!
//! | variable | meaning |
//! |---|---|
//! | `ROWS` | log lines (5,000,000); the targets for disk and ingest shrink along, those for answers stay |
//! | `INGEST_RUNS` | times that the corpus is stored for the figures of the ingest (5) |
//! | `GROW` | `1`: also how answers grow from a tenth of the lines to four times as many (takes 15 GB of disk and long) |
//! | `AGENT_ONLY` | `1`: only the agent's figures; `AGENT_LINES` (2,000,000), `AGENT_RUNS` (3), `OUTAGE_SECONDS` (60), `SPOOL_MIB` (256) |
//! | `CROWD_ONLY` | `1`: only long ranges, very many names, many users and followers |
//! | `STATSD_LINES` | metric lines (2,000,000) |
//! | `TAFFRAIL_SHARED` | where the corpus is, when not in `../shared` |
//!
//! Reading order: [`corpus`] (the lines), [`server`] (the process and the connection), [`question`] (what is asked),
//! [`plain_scan`] (what must be answered), then one file for each part of the table
//! ([`agent`] is a folder), and [`table`] itself.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod agent;
mod cold_start;
mod corpus;
mod crowd;
mod freshness;
mod growth;
mod ingest;
mod metrics;
mod plain_scan;
mod question;
#[path = "../remote_write.rs"]
mod remote_write;
mod server;
mod table;

use std::fs;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use corpus::Corpus;
use server::Server;
use table::{Beside, Spread, Table};
use tempfile::TempDir;

/// Where data directories are made: on a disk, which a temporary directory elsewhere need not be.
const DATA_ROOT: &str = env!("CARGO_TARGET_TMPDIR");

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return ExitCode::SUCCESS; // `cargo test --benches` asks every target what it holds
    }
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let mut table = Table::begin();
    let of_agent = agent::Size {
        backlog_lines: number("AGENT_LINES", 2_000_000),
        runs: number("AGENT_RUNS", 3),
        outage_seconds: number("OUTAGE_SECONDS", 60),
        spool_mib: number("SPOOL_MIB", 256),
    };
    if number("AGENT_ONLY", 0) > 0 {
        agent::measure(&mut table, of_agent);
        return if table.end() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if number("CROWD_ONLY", 0) > 0 {
        crowd::measure(&mut table, Corpus::of(number("ROWS", 2_000_000)).as_ref());
        return if table.end() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    measure_empty(&mut table);
    let corpus = Corpus::of(number("ROWS", 5_000_000));
    match &corpus {
        Some(corpus) => measure_logs(&mut table, corpus, number("INGEST_RUNS", 5)),
        None => eprintln!(
            "SKIPPED: ../shared/corpus is not there, so no figures for logs (TAFFRAIL_SHARED names its place)"
        ),
    }
    metrics::measure_statsd(&mut table, number("STATSD_LINES", 2_000_000));
    agent::measure(&mut table, of_agent);
    crowd::measure(&mut table, corpus.as_ref());
    if let Some(corpus) = corpus.filter(|_| number("GROW", 0) > 0) {
        growth::measure(&mut table, &corpus);
    }
    if table.end() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A directory for one server, removed when it is dropped.
fn new_directory() -> TempDir {
    tempfile::Builder::new().prefix("bench-").tempdir_in(DATA_ROOT).expect("make a data directory")
}

fn measure_empty(table: &mut Table) {
    let binary = fs::metadata(env!("CARGO_BIN_EXE_taffrail")).expect("the binary").len();
    table.row("binary", "MB", Spread::one(binary as f64 / 1e6), Beside::default());
    let directory = new_directory();
    let server = Server::start(directory.path());
    sleep(Duration::from_secs(2));
    table.row("RSS, empty", "MiB", Spread::one(server.resident_mib()), Beside::default());
}

fn measure_logs(table: &mut Table, corpus: &Corpus, ingest_runs: u64) {
    let stored = ingest::measure(table, corpus, ingest_runs);
    eprintln!("looking up in the file what the answers must be …");
    let questions = question::questions(corpus);
    let expected = plain_scan::scan(corpus, &[&corpus.day], &questions).remove(0);
    eprintln!("asking …");
    let floor = Spread::of((0..20).map(|_| stored.server.ask("/healthz", &[]).took.as_secs_f64() * 1e3));
    let remark = "the floor of every time below: one request that asks nothing";
    table.row("`/healthz`", "ms", floor, Beside { target: None, remark, ..Beside::default() });
    for (question, expected) in questions.iter().zip(&expected) {
        question.measure_into(table, &stored.server, &corpus.day, expected);
    }
    freshness::measure(table, &stored.server);
    let peak = Spread::one(stored.server.resident_peak_mib());
    table.row(
        "peak RSS after all questions",
        "MiB",
        peak,
        Beside { target: Some(600.0), remark: "", ..Beside::default() },
    );

    stored.server.stop();
    cold_start::measure_start(table, stored.directory.path());
    metrics::measure_idle(table, stored.directory.path());
    drop(stored.directory);
    let asked_cold: Vec<_> = questions.iter().zip(&expected).filter(|(question, _)| question.asked_cold).collect();
    cold_start::measure(table, corpus, &asked_cold);
}
