//! The series store by itself, without network or journal: what a sample takes on disk, and how long questions about a day
//! of many series take. `cargo bench -p taffrail-query --bench series`; `SERIES=250` for fewer series of each part.
//!
//! The samples are those of `series_mix`. Times are the best of five with the process' mean CPU
//! time beside; nothing but the file system's cache is warm.

#![expect(clippy::print_stdout, reason = "a benchmark's output is its purpose")]
#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use taffrail_collector::model::{LabelSet, Sample, SampleValue, Timestamp};
use taffrail_ingest::Scan;
use taffrail_ingest::series_store::SeriesStore;
use taffrail_query::promql::{self, StoreSource};

#[path = "series_mix.rs"]
mod mix;

use mix::{DAY_SECONDS, PARTS, Part, Random, STEP_SECONDS};

/// Midnight.
const START: i64 = 1_760_054_400;

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
        let labels = Arc::new(LabelSet::new(mix::labels(part, number)));
        let (mut random, mut value) = (Random(number + 1), 50.0);
        for i in 0..DAY_SECONDS / STEP_SECONDS {
            value = (part.next)(&mut random, i, value);
            samples.push(Sample {
                labels: labels.clone(),
                timestamp: Timestamp::from_unix_seconds(START + (i + 1) * STEP_SECONDS),
                interval_ms: 0,
                value: if part.name.ends_with("_total") {
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
