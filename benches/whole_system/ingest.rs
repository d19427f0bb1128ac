//! Taking the corpus in: what it costs the server until everything is durable, sealed and merged, and what lies on disk then.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::corpus::Corpus;
use crate::server::{self, Server};
use crate::table::{Beside, Spread, Table, number};

/// Bytes of NDJSON in one request.
pub const BODY_BYTES: usize = 4 << 20;

/// Connections that post at once.
const CONNECTIONS: usize = 2;

/// The lines that the targets are meant for.
const TARGET_ROWS: f64 = 5e6;

/// A corpus stored, and the server that holds it.
pub struct Stored {
    /// The server, at rest.
    pub server: Server,
    /// Its data directory, removed when this is dropped.
    pub directory: TempDir,
    /// What it took.
    pub cost: Cost,
}

/// What taking in took.
#[derive(Clone, Copy)]
pub struct Cost {
    acknowledged_seconds: f64,
    acknowledged_cpu: f64,
    sealed_seconds: f64,
    settled_cpu: f64,
    resident_peak_mib: f64,
    resident_mib: f64,
    disk_bytes: f64,
}

/// Posts the corpus to a new server, seals, and waits for the work in the background.
pub fn store(corpus: &Corpus) -> Stored {
    let directory = crate::new_directory();
    let server = Server::start(directory.path());
    let (cpu, started) = (server.cpu_seconds(), Instant::now());
    post_all(&server, corpus);
    let (acknowledged, acknowledged_cpu) = (started.elapsed(), server.cpu_seconds() - cpu);
    server.post("/-/seal", b"");
    let sealed = started.elapsed();
    let settled_cpu = server.settle() - cpu;
    let cost = Cost {
        acknowledged_seconds: acknowledged.as_secs_f64(),
        acknowledged_cpu,
        sealed_seconds: sealed.as_secs_f64(),
        settled_cpu,
        resident_peak_mib: server.resident_peak_mib(),
        resident_mib: server.resident_mib(),
        disk_bytes: directory_bytes(directory.path()) as f64,
    };
    Stored { server, directory, cost }
}

/// Stores the corpus several times, each time in a new place, writes the lines and returns the last one.
pub fn measure(table: &mut Table, corpus: &Corpus, runs: u64) -> Stored {
    let mut costs = Vec::new();
    let mut kept = None;
    for run in 1..=runs.max(1) {
        eprintln!("storing {} lines, {run} of {runs} …", number(corpus.rows as f64));
        drop(kept.take()); // the earlier server and its data go before the next one starts
        let stored = store(corpus);
        costs.push(stored.cost);
        kept = Some(stored);
    }
    write_lines(table, corpus, &costs);
    kept.expect("one run at least")
}

fn write_lines(table: &mut Table, corpus: &Corpus, costs: &[Cost]) {
    let (rows, bytes) = (corpus.rows as f64, corpus.bytes as f64);
    let of = |figure: &dyn Fn(&Cost) -> f64| Spread::of(costs.iter().map(figure));
    let disk = of(&|cost| cost.disk_bytes / 1e6);
    let share = rows / TARGET_ROWS;
    let target = |most: f64| Beside { target: Some(most), remark: "", ..Beside::default() };
    let remark = |remark| Beside { target: None, remark, ..Beside::default() };

    let smaller = format!("{:.1}× smaller than {:.0} MB of NDJSON", bytes / 1e6 / disk.median, bytes / 1e6);
    table.row(
        "disk, everything",
        "MB",
        disk,
        Beside { target: Some(75.0 * share), remark: &smaller, ..Beside::default() },
    );
    table.row("disk, a line", "bytes", of(&|cost| cost.disk_bytes / rows), target(75e6 / TARGET_ROWS));
    let settled =
        Beside { target: Some(9.0 * share), remark: "user + system: posted, sealed, merged", ..Beside::default() };
    table.row("ingest until settled", "CPU-s", of(&|cost| cost.settled_cpu), settled);
    table.row(
        "ingest until acknowledged",
        "CPU-s",
        of(&|cost| cost.acknowledged_cpu),
        remark("durable and searchable"),
    );
    table.row(
        "acknowledged",
        "lines/s",
        of(&|cost| rows / cost.acknowledged_seconds),
        remark("durable and searchable"),
    );
    table.row("acknowledged and sealed", "lines/s", of(&|cost| rows / cost.sealed_seconds), remark(""));
    table.row("peak RSS of the ingest", "MiB", of(&|cost| cost.resident_peak_mib), target(600.0));
    table.row("RSS after it", "MiB", of(&|cost| cost.resident_mib), remark(""));
}

fn post_all(server: &Server, corpus: &Corpus) {
    let bodies = Mutex::new(corpus.pieces(BODY_BYTES));
    let next = || bodies.lock().expect("no poster panics with the lock").next();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let agent = server::new_agent();
                while let Some(body) = next() {
                    post_until_taken(&agent, &server.url("/api/v1/logs"), &body);
                }
            });
        }
    });
}

/// Posts a body again as long as the server is too busy for it.
fn post_until_taken(agent: &ureq::Agent, url: &str, body: &[u8]) {
    loop {
        let mut answer = agent.post(url).send(body).expect("post a batch");
        let text = answer.body_mut().read_to_string().expect("read the answer");
        match answer.status().as_u16() {
            200 => return,
            429 | 503 => sleep(Duration::from_millis(100)),
            status => panic!("refused with {status}: {text}"),
        }
    }
}

fn directory_bytes(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => directory_bytes(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}
