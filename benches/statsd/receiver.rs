//! The receiver: the collector's source in a process of its own, with a taker that adds up what it is given.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use taffrail_collector::delivery::{self, Outcome};
use taffrail_collector::model::{Resource, SampleValue};
use taffrail_collector::source::{SourceContext, Tallies, statsd};
use tokio_util::sync::CancellationToken;

/// A receiver that runs.
pub struct Receiver {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What a receiver tells at its end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Lines taken.
    pub lines: u64,
    /// Datagrams that the kernel dropped.
    pub dropped: u64,
    /// Lines refused for other reasons.
    pub refused: u64,
    /// Lines that the samples account for: increments, observations, and the last levels of gauges.
    pub stored: u64,
    /// CPU time of the process.
    pub cpu_seconds: f64,
    /// Its memory at the end.
    pub resident_bytes: f64,
}

impl Receiver {
    /// Starts one with windows of this length.
    pub fn start(flush: Duration) -> Receiver {
        let itself = std::env::current_exe().expect("this program");
        let mut process = Command::new(itself)
            .args(["receive", &flush.as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the receiver");
        let mut output = BufReader::new(process.stdout.take().expect("its output"));
        let mut line = String::new();
        output.read_line(&mut line).expect("its address");
        Receiver { process, output, address: line.trim().parse().expect("an address") }
    }

    /// Stops it once it has taken what the kernel holds for it.
    pub fn stop(mut self) -> Report {
        drop(self.process.stdin.take());
        let mut report = String::new();
        self.output.read_to_string(&mut report).expect("its report");
        self.process.wait().expect("its end");
        serde_json::from_str(&report).expect("a report")
    }
}

/// CPU time of a process, as the kernel counts it.
pub fn cpu_seconds_of(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or("");
    let ticks: u64 = behind_name.split_ascii_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn resident_bytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = text.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0.0);
    pages * rustix::param::page_size() as f64
}

/// The receiver's own process: prints its address, runs until its standard input ends, prints its report.
pub fn main(arguments: &[String]) -> ExitCode {
    let flush = arguments[0].parse().map(Duration::from_millis).expect("milliseconds");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let report = runtime.block_on(receive(flush));
    println!("{}", serde_json::to_string(&report).expect("it is plain data"));
    ExitCode::SUCCESS
}

async fn receive(flush: Duration) -> Report {
    let (outlet, mut deliveries) = delivery::channel(16);
    let tallies = Arc::<Tallies>::default();
    let stop = CancellationToken::new();
    let context = SourceContext {
        outlet,
        tallies: Arc::clone(&tallies),
        enricher: Default::default(),
        resource: Arc::new(Resource { host: "bench".into(), ..Resource::default() }),
        checkpoints: Arc::default(),
        stop: stop.clone(),
    };
    let address = "127.0.0.1:0".parse().expect("an address");
    let config = statsd::Config { address, flush_interval: flush, series_max: 200_000, ..Default::default() };
    let running = statsd::start(config, context).expect("the source starts");
    println!("{}", running.address.expect("it listens"));
    let taking = tokio::spawn(async move {
        let mut stored = 0.0;
        let mut levels = HashMap::new();
        while let Some(delivery) = deliveries.recv().await {
            for sample in &delivery.batch.samples {
                stored += match &sample.value {
                    SampleValue::Counter { sum } => *sum,
                    SampleValue::Distribution(seen) => seen.count,
                    SampleValue::Gauge { last, .. } => {
                        last - levels.insert(sample.labels.clone(), *last).unwrap_or(0.0)
                    }
                    _ => 0.0,
                };
            }
            delivery.receipt.answer(Outcome::Stored { acked_through: None });
        }
        stored
    });
    tokio::task::spawn_blocking(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new()); // its end is what is waited for
    })
    .await
    .expect("the wait for the end");
    // What the kernel still holds is read after the stop.
    stop.cancel();
    running.task.await.expect("the source ends");
    let mut report = Report { stored: taking.await.expect("the taker ends") as u64, ..Report::default() };
    for tally in tallies.snapshot() {
        report.lines += tally.records;
        for problem in tally.problems {
            match problem.reason {
                "kernel_drop" => report.dropped += problem.count,
                _ => report.refused += problem.count,
            }
        }
    }
    report.cpu_seconds = cpu_seconds_of(std::process::id());
    report.resident_bytes = resident_bytes();
    report
}
