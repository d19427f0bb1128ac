//! The series store by itself, without network or journal: what a sample takes on disk, and how long questions about a day
//! of many series take. `cargo bench -p taffrail-query --bench series`; `SERIES=250` for fewer series of each part.
//!
//! The samples are the mix that the comparison with other stores is made of: eight parts of as many series each, a day at
//! 10 s, as Prometheus would send them (running totals and levels). Times are the best of five with the process' mean CPU
//! time beside; nothing but the file system's cache is warm.

#![expect(clippy::print_stdout, reason = "a benchmark's output is its purpose")]
#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use taffrail_collector::model::{LabelSet, Sample, SampleValue, Timestamp};
use taffrail_ingest::Scan;
use taffrail_ingest::series_store::SeriesStore;
use taffrail_query::promql::{self, StoreSource};

const STEP_SECONDS: i64 = 10;
const DAY_SECONDS: i64 = 86_400;
const START: i64 = 1_760_054_400;
const SERVICES: u64 = 20;

/// splitmix64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.uniform()).ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn poisson(&mut self, mean: f64) -> f64 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.uniform(), 0.0);
        while product > limit {
            product *= self.uniform();
            count += 1.0;
        }
        count
    }
}

fn diurnal(i: i64) -> f64 {
    1.0 + 0.5 * (i as f64 * STEP_SECONDS as f64 / DAY_SECONDS as f64 * std::f64::consts::TAU).sin()
}

fn rounded(value: f64, places: f64) -> f64 {
    (value * places).round() / places
}

/// One part: its metric's name, whether it is a running total, and the next value from the one before.
struct Part {
    name: &'static str,
    is_total: bool,
    next: fn(&mut Random, i64, f64) -> f64,
}

const PARTS: [Part; 8] = [
    Part { name: "poisson_total", is_total: true, next: |r, _, total| total + r.poisson(3.0) },
    Part {
        name: "diurnal_total",
        is_total: true,
        next: |r, i, total| {
            let mean = 5_000.0 * diurnal(i);
            total + (mean + mean.sqrt() * r.normal()).round()
        },
    },
    Part {
        name: "rare_total",
        is_total: true,
        next: |r, _, total| total + if r.uniform() < 0.98 { 0.0 } else { 1.0 + r.poisson(1.0) },
    },
    Part { name: "walk", is_total: false, next: |r, _, level| level + (2.6 * r.normal()).round() },
    Part { name: "two_decimals", is_total: false, next: |r, _, level| rounded(level + 0.5 * r.normal(), 100.0) },
    Part {
        name: "p95",
        is_total: false,
        next: |r, i, _| rounded(120.0 * diurnal(i) * (0.1 * r.normal()).exp(), 1_000.0),
    },
    Part {
        name: "timer_sum",
        is_total: false,
        next: |r, i, _| {
            let count = 20.0 * diurnal(i);
            (20.0 * count + 20.0 * count.sqrt() * r.normal()).round()
        },
    },
    Part { name: "constant", is_total: false, next: |_, _, _| 42.0 },
];

/// CPU time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn fill(store: &SeriesStore, part: &Part, series: u64) -> u64 {
    let mut samples = Vec::new();
    let mut count = 0;
    for number in 0..series {
        let (host, service) = (format!("host-{number:05}"), format!("service-{:02}", number % SERVICES));
        let labels = Arc::new(LabelSet::new([
            ("__name__", part.name),
            ("env", "production"),
            ("host", host.as_str()),
            ("service", service.as_str()),
        ]));
        let (mut random, mut value) = (Random(number + 1), 50.0);
        for i in 0..DAY_SECONDS / STEP_SECONDS {
            value = (part.next)(&mut random, i, value);
            samples.push(Sample {
                labels: labels.clone(),
                timestamp: Timestamp::from_unix_seconds(START + (i + 1) * STEP_SECONDS),
                interval_ms: 0,
                value: if part.is_total {
                    SampleValue::Cumulative { total: value }
                } else {
                    SampleValue::Gauge { last: value, min: value, max: value }
                },
                unit: "",
                exemplars: Vec::new(),
            });
        }
        count += samples.len() as u64;
        store.insert(std::mem::take(&mut samples));
    }
    let change = store.prepare_seal().unwrap();
    store.commit(change);
    count
}

fn main() {
    let series = std::env::var("SERIES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000);
    let directory = tempfile::TempDir::new().unwrap();
    let store = Arc::new(SeriesStore::open(directory.path(), Vec::new()).unwrap());
    println!("{series} series of each part, a day at {STEP_SECONDS} s\n");
    println!("{:<16} {:>10} {:>14}", "part", "B/sample", "CPU-s/M");
    let (mut all, mut before) = (0, 0);
    for part in &PARTS {
        let started = cpu();
        let samples = fill(&store, part, series);
        let took = (cpu() - started).as_secs_f64() * 1e6 / samples as f64;
        let bytes = store.sizes().block_bytes;
        println!("{:<16} {:>10.3} {took:>14.2}", part.name, (bytes - before) as f64 / samples as f64);
        (all, before) = (all + samples, bytes);
    }
    println!("{:<16} {:>10.3}\n", "all, index too", before as f64 / all as f64);

    let source = StoreSource::new(store);
    let (start, end) = (Timestamp::from_unix_seconds(START), Timestamp::from_unix_seconds(START + DAY_SECONDS));
    println!("{:<58} {:>9} {:>9}", "question, step 1 m over the day", "ms", "ms CPU");
    for query in [
        "sum(rate(poisson_total[5m]))",
        "sum(rate(diurnal_total[5m]))",
        "max by (service)(walk)",
        "avg by (service)(avg_over_time(p95[5m]))",
        "quantile_over_time(0.95, p95{host=\"host-00001\"}[5m])",
        "walk{host=\"host-00001\"}",
    ] {
        let rounds = 5;
        let (mut best, cpu_before) = (Duration::MAX, cpu());
        for _ in 0..rounds {
            let started = Instant::now();
            let scan = Scan::unlimited();
            let answer = promql::range(query, start, end, Duration::from_secs(60), &source, &scan).unwrap();
            assert!(!answer.value.is_empty(), "{query} has an answer");
            best = best.min(started.elapsed());
        }
        let cpu = (cpu() - cpu_before) / rounds;
        println!("{query:<58} {:>9.1} {:>9.1}", best.as_secs_f64() * 1e3, cpu.as_secs_f64() * 1e3);
    }
}
