//! What a series and a sample cost between the receiver and the block file: memory, CPU, and how fast they become durable.
//!
//! `cargo bench -p taffrail-ingest --bench samples`. CPU is that of the whole process less that of making the samples (the
//! same samples are made once more without storing them), so that other work on the machine does not count. `SERIES=100000`
//! takes fewer series, `ONLY=journal` the parts with this in their name.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mimalloc::MiMalloc;
use taffrail_collector::delivery::Outcome;
use taffrail_collector::frame;
use taffrail_collector::model::{Batch, Distribution, LabelSet, Sample, SampleValue, Timestamp};
use taffrail_ingest::series_store::SeriesStore;
use taffrail_ingest::{CompactionBudget, Ingest, IngestConfig};
use tempfile::TempDir;

/// The allocator of the program, because it decides what small things cost.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Samples of one request: what Prometheus and its like send at most.
const REQUEST: usize = 10_000;
const STEP: i64 = 10;
const START: i64 = 1_795_000_000;

fn main() {
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return; // `cargo test --benches` asks every target what it holds
    }
    let only = std::env::var("ONLY").unwrap_or_default();
    let series = std::env::var("SERIES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    println!("{:<64} {:>10}  {:<12} target", "", "figure", "unit");
    let run = |name: &str, part: fn(usize)| {
        if name.contains(&only) {
            part(series);
        }
    };
    run("head", head);
    run("sketches", sketches);
    run("frame", frames);
    run("journal", journal);
    run("start", start);
}

fn row(what: &str, figure: f64, unit: &str, target: &str) {
    println!("{what:<64} {figure:>10.3}  {unit:<12} {target}");
}

/// One reading of series `number`: a counter of a web server, its labels as Prometheus has them.
fn sample(number: usize, round: i64) -> Sample {
    let instance = format!("web-{:06}.example.org:9100", number / 10);
    let path = format!("/api/v1/route{}", number % 10);
    let labels = [("__name__", "http_requests_total"), ("instance", &*instance), ("job", "shop"), ("path", &*path)];
    let total = (number % 1_000) as f64 + (round * (number % 7) as i64) as f64;
    reading(Arc::new(LabelSet::new(labels)), round, SampleValue::Cumulative { total })
}

fn reading(labels: Arc<LabelSet>, round: i64, value: SampleValue) -> Sample {
    let timestamp = Timestamp::from_unix_seconds(START + round * STEP);
    Sample { labels, timestamp, interval_ms: 0, value, unit: "", exemplars: Vec::new() }
}

/// The requests of one round over all series.
fn requests(series: usize, round: i64) -> impl Iterator<Item = Vec<Sample>> {
    (0..series.div_ceil(REQUEST)).map(move |request| {
        (request * REQUEST..((request + 1) * REQUEST).min(series)).map(|number| sample(number, round)).collect()
    })
}

/// The CPU seconds of a work, less those of making its requests.
fn cpu_of(make: impl Fn() -> Vec<Vec<Sample>>, work: impl FnOnce(Vec<Vec<Sample>>)) -> f64 {
    let requests = make();
    let before = cpu_seconds();
    work(requests);
    cpu_seconds() - before
}

/// The head alone: new series, then known ones, in the order of the first round and in another.
fn head(series: usize) {
    let directory = TempDir::new().expect("a directory");
    let store = SeriesStore::open(directory.path(), Vec::new()).expect("a store");
    let before = resident_bytes();
    let millions = series as f64 / 1e6;
    // In slices, so that the samples that wait do not count as memory of the store.
    let round = |number: i64, shuffled: bool| -> f64 {
        let mut cpu = 0.0;
        for slice in 0..10 {
            let range = slice * series / 10..(slice + 1) * series / 10;
            let place = |at: usize| if shuffled { (at * 7_919 + 13) % series } else { at };
            cpu += cpu_of(
                || {
                    let numbers: Vec<usize> = range.clone().map(place).collect();
                    numbers.chunks(REQUEST).map(|part| part.iter().map(|&at| sample(at, number)).collect()).collect()
                },
                |requests| requests.into_iter().for_each(|request| store.insert(request)),
            );
        }
        cpu
    };
    let first = round(0, false);
    row("head: CPU per new series (one sample)", first / millions, "µs", "≤ 8");
    row("head: memory per series after one sample", (resident_bytes() - before) / series as f64, "B", "≤ 300");
    let five: f64 = (1..6).map(|number| round(number, false)).sum();
    row("head: CPU per sample of known series, same order", five / 5.0 / millions * 1e3, "ns", "≤ 100");
    row("head: memory per series after six samples", (resident_bytes() - before) / series as f64, "B", "≤ 300");
    row("head: CPU per sample of known series, any order", round(6, true) / millions * 1e3, "ns", "≤ 100");
    let sizes = store.sizes();
    let own = (sizes.head_bytes + sizes.known_bytes) as f64;
    row("head: memory per series as it counts itself", own / series as f64, "B", "");
    let resident = resident_bytes();
    // From here on the kernel's mark of most memory is that of the seal.
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux");
    let cpu = cpu_seconds();
    let change = store.prepare_seal().expect("sealed");
    store.commit(change);
    row("head: CPU of a seal, per series", (cpu_seconds() - cpu) / millions, "µs", "");
    row("head: memory that a seal takes, per series", (peak_bytes() - resident) / series as f64, "B", "");
    let again = round(7, false);
    row("head: CPU per sample after a seal", again / millions * 1e3, "ns", "");
    row("head: memory per series after a seal and one sample", (resident_bytes() - before) / series as f64, "B", "");
    row("head: memory of the whole process then", status_bytes("VmRSS:") / 1e6, "MB", "≤ 300");
}

/// Series with a window of 500 observations each.
fn sketches(series: usize) {
    let directory = TempDir::new().expect("a directory");
    let store = SeriesStore::open(directory.path(), Vec::new()).expect("a store");
    let series = series / 20;
    let before = resident_bytes();
    for part in 0..series / 1_000 {
        let window = |number: usize| {
            let mut window = Distribution::new();
            let mut random = number as u64 + 1;
            for _ in 0..500 {
                // The sum of twelve evenly spread numbers is near enough to a normal one.
                let normal: f64 = (0..12)
                    .map(|_| {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        (random >> 40) as f64 / (1u64 << 24) as f64
                    })
                    .sum::<f64>()
                    - 6.0;
                window.observe((3.0 + normal * 0.8).exp(), 1.0);
            }
            let labels = sample(number, 0).labels;
            Sample { interval_ms: 10_000, ..reading(labels, 0, SampleValue::Distribution(Box::new(window))) }
        };
        store.insert((part * 1_000..(part + 1) * 1_000).map(window).collect());
    }
    let bytes = (resident_bytes() - before) / series as f64;
    row("sketches: memory per series with one of 500 observations", bytes, "B", "≤ 1,324");
}

/// Encoding and decoding alone.
fn frames(_: usize) {
    for (shape, batch) in [("10,000 × 1", wide_batch(0)), ("100 × 100", long_batch(0))] {
        let rows = batch.len() as f64;
        let mut bytes = Vec::new();
        frame::encode(&batch, &mut bytes).expect("encoded");
        let encode = best(|| {
            let mut out = Vec::new();
            frame::encode(&batch, &mut out).expect("encoded");
            black_box(out.len());
        });
        let decode = best(|| drop(black_box(frame::decode(&bytes).expect("decoded"))));
        row(&format!("frame, {shape}: bytes per sample"), bytes.len() as f64 / rows, "B", "");
        row(&format!("frame, {shape}: encode, per sample"), encode * 1e9 / rows, "ns", "");
        row(&format!("frame, {shape}: decode, per sample"), decode * 1e9 / rows, "ns", "");
    }
}

fn wide_batch(round: i64) -> Batch {
    Batch { samples: (0..REQUEST).map(|number| sample(number, round)).collect(), ..Batch::local() }
}

fn long_batch(first: usize) -> Batch {
    let one = |number: usize| {
        let labels = sample(number, 0).labels;
        let of = move |round: i64| {
            let level = ((number as i64 * 37 + round * 13) % 5_000) as f64 / 100.0;
            reading(labels.clone(), round, SampleValue::Gauge { last: level, min: level, max: level })
        };
        (0..100).map(of)
    };
    Batch { samples: (first..first + REQUEST / 100).flat_map(one).collect(), ..Batch::local() }
}

/// Seconds of the best of many runs.
fn best(mut work: impl FnMut()) -> f64 {
    let mut least = f64::MAX;
    for _ in 0..100 {
        let started = Instant::now();
        work();
        least = least.min(started.elapsed().as_secs_f64());
    }
    least
}

/// Through the whole pipeline: encoded, judged, journalled, fsynced, in the head.
fn journal(series: usize) {
    let wide = |round: i64| -> Vec<Vec<Sample>> { requests(series / 5, round).collect() };
    let long = |round: i64| -> Vec<Vec<Sample>> {
        (0..series / 5 / REQUEST)
            .map(|at| long_batch(at * 100).samples)
            .map(|mut samples| {
                samples
                    .iter_mut()
                    .for_each(|s| s.timestamp = s.timestamp.saturating_add(Duration::from_secs(1_000 * round as u64)));
                samples
            })
            .collect()
    };
    for (shape, make) in [("10,000 × 1", &wide as &dyn Fn(i64) -> Vec<Vec<Sample>>), ("100 × 100", &long)] {
        let directory = TempDir::new().expect("a directory");
        let ingest = open(directory.path());
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (mut cpu, mut seconds, mut samples) = (0.0, 0.0, 0);
        for round in 0..6 {
            let batches = make(round);
            let (before, started) = (cpu_seconds(), Instant::now());
            let count: usize = batches.iter().map(Vec::len).sum();
            runtime.block_on(deliver(&ingest, batches));
            // The first round makes the series known.
            if round > 0 {
                cpu += cpu_seconds() - before;
                seconds += started.elapsed().as_secs_f64();
                samples += count;
            }
        }
        let millions = samples as f64 / 1e6;
        row(&format!("journal, {shape}: CPU per million samples, durable"), cpu / millions, "s", "≤ 0.25 with HTTP");
        row(&format!("journal, {shape}: samples per second, durable"), millions / seconds, "M/s", "≥ 4");
        row(
            &format!("journal, {shape}: journal bytes per sample"),
            ingest.status().journal_bytes as f64 / samples as f64 / 1.2,
            "B",
            "",
        );
        runtime.block_on(ingest.shutdown());
    }
}

/// Hands batches over, eight under way at a time.
async fn deliver(ingest: &Ingest, batches: Vec<Vec<Sample>>) {
    let mut pending = std::collections::VecDeque::new();
    for samples in batches {
        if pending.len() == 8 {
            let first: taffrail_collector::delivery::Pending = pending.pop_front().expect("eight of them");
            assert!(matches!(first.outcome().await, Outcome::Stored { .. }), "stored");
        }
        pending.push_back(ingest.outlet().send(Batch { samples, ..Batch::local() }).await.expect("taken"));
    }
    for rest in pending {
        assert!(matches!(rest.outcome().await, Outcome::Stored { .. }), "stored");
    }
}

/// How long a server needs to start over a journal with all series and six samples of each.
fn start(series: usize) {
    let directory = TempDir::new().expect("a directory");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let ingest = open(directory.path());
    for round in 0..6 {
        runtime.block_on(deliver(&ingest, requests(series, round).collect()));
    }
    runtime.block_on(ingest.shutdown());
    drop(ingest);
    let (before, started) = (cpu_seconds(), Instant::now());
    let ingest = open(directory.path());
    row("start: replay of six samples of every series", started.elapsed().as_secs_f64(), "s", "");
    row("start: CPU per sample", (cpu_seconds() - before) / (6 * series) as f64 * 1e9, "ns", "");
    assert_eq!(ingest.status().replayed_rows, 6 * series as u64, "all of them are there");
    runtime.block_on(ingest.shutdown());
}

fn open(directory: &Path) -> Ingest {
    let config = IngestConfig {
        data_dir: directory.to_owned(),
        seal_rows: usize::MAX,
        seal_bytes: usize::MAX,
        seal_age: Duration::from_secs(3_600),
        memory_bytes_max: usize::MAX,
        retention_age: None,
        retention_rules: Vec::new(),
        retention_bytes: None,
        compaction: CompactionBudget { cpu_share: 0.5, bytes_per_second: u64::MAX },
        disk_reserve_bytes: 0,
        future_max: Duration::from_secs(600),
        parse_selector: |text| Err(format!("`{text}` is not asked for here")),
        series_retention: taffrail_ingest::series_store::SeriesRetention::default(),
        series_limits: taffrail_ingest::series_store::SeriesLimits::default(),
    };
    Ingest::open(config, &mut |_, _| ()).expect("opened")
}

/// CPU of this process, all threads, user and system.
fn cpu_seconds() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

fn resident_bytes() -> f64 {
    // What the allocator has given up stays resident for a moment.
    std::thread::sleep(Duration::from_millis(300));
    status_bytes("VmRSS:")
}

fn peak_bytes() -> f64 {
    status_bytes("VmHWM:")
}

fn status_bytes(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with(field)).expect("a line of memory");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("kB") * 1024.0
}
