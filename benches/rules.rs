//! What 2,000 rules cost: one evaluation of all of them over a day of 20,000 series, and how much of a core that is when they are
//! evaluated every 15 s. `cargo bench -p taffrail-query --bench rules`; `RULES=500` for fewer.
//!
//! Half of them record a rate, a quarter compare a level with a number, a quarter a ratio of rates; each looks at ten series.

#![expect(clippy::print_stdout, reason = "a benchmark's output is its purpose")]
#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use taffrail_collector::model::{LabelSet, Sample, SampleValue, Timestamp};
use taffrail_ingest::Scan;
use taffrail_ingest::series_store::SeriesStore;
use taffrail_query::alert::evaluate::{Budget, Environment, evaluate_group};
use taffrail_query::alert::rule::{Group, parse_rules};
use taffrail_query::promql::StoreSource;

/// Midnight.
const START: i64 = 1_760_054_400;
/// An hour of points; rules look back five minutes.
const SECONDS: i64 = 3_600;
const STEP_SECONDS: i64 = 15;
const SERIES_OF_RULE: usize = 10;
const RULES_OF_GROUP: usize = 50;

fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    Duration::from_millis((fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10)
}

fn fill(store: &SeriesStore, rules: usize) {
    for service in 0..rules {
        for host in 0..SERIES_OF_RULE {
            let names = [("service", format!("s{service}")), ("host", format!("h{host}"))];
            let named = |name: &str| {
                let own = names.iter().map(|(name, value)| (*name, value.clone()));
                Arc::new(LabelSet::new(own.chain([("__name__", name.to_owned())])))
            };
            let (total, level) = (named("requests_total"), named("queue"));
            let sample = |labels: &Arc<LabelSet>, second: i64, value| Sample {
                labels: labels.clone(),
                timestamp: Timestamp::from_unix_seconds(START + second),
                interval_ms: 0,
                value,
                unit: "",
                exemplars: Vec::new(),
            };
            let points = (0..SECONDS / STEP_SECONDS).flat_map(|step| {
                let (second, number) = (step * STEP_SECONDS, step as f64);
                let gauge = SampleValue::Gauge { last: number, min: number, max: number };
                [sample(&total, second, SampleValue::Cumulative { total: number * 3.0 }), sample(&level, second, gauge)]
            });
            store.insert(points.collect());
        }
    }
    let change = store.prepare_seal().unwrap();
    store.commit(change);
}

fn groups(rules: usize) -> Vec<Group> {
    let mut text = "groups:\n".to_owned();
    for rule in 0..rules {
        if rule.is_multiple_of(RULES_OF_GROUP) {
            text.push_str(&format!("- name: g{rule}\n  interval: 15s\n  rules:\n"));
        }
        let service = format!("service=\"s{rule}\"");
        text.push_str(&match rule % 4 {
            0 | 1 => format!("  - {{ record: 'r{rule}:rate', expr: 'sum by (service) (rate(requests_total{{{service}}}[5m]))' }}\n"),
            2 => format!("  - {{ alert: A{rule}, expr: 'queue{{{service}}} > 1e6', for: 5m }}\n"),
            _ => format!(
                "  - {{ alert: B{rule}, expr: 'sum(rate(requests_total{{{service}}}[5m])) / sum(rate(requests_total{{{service}}}[15m])) > 2', for: 5m, annotations: {{ summary: '{{{{ $value }}}}' }} }}\n"
            ),
        });
    }
    parse_rules("bench.yml", &text).unwrap()
}

fn main() {
    let rules = std::env::var("RULES").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000);
    let directory = tempfile::TempDir::new().unwrap();
    let store = Arc::new(SeriesStore::open(directory.path(), Vec::new()).unwrap());
    fill(&store, rules);
    let source = StoreSource::new(store);
    let groups = groups(rules);
    let mut alerts: Vec<_> = groups.iter().map(|group| vec![Vec::new(); group.rules.len()]).collect();
    let none = BTreeMap::new();
    println!("{rules} rules, {SERIES_OF_RULE} series each");
    for round in 0..5 {
        let time = Timestamp::from_unix_seconds(START + SECONDS - 60 + round * 15);
        let (started, before) = (Instant::now(), cpu());
        let mut results = 0;
        for (group, alerts) in groups.iter().zip(&mut alerts) {
            let environment = Environment {
                source: &source,
                budget: Budget::Each(&Scan::unlimited),
                memory_bytes_max: 1 << 27,
                alerts_max: 10_000,
                interval: Duration::from_secs(15),
                external_labels: &none,
                external_url: "",
            };
            let outcomes = evaluate_group(group, alerts, &[], &environment, time);
            assert!(outcomes.iter().all(|outcome| outcome.error.is_none()));
            results += outcomes.iter().map(|outcome| outcome.current_total).sum::<usize>();
        }
        let (wall, used) = (started.elapsed(), cpu() - before);
        println!(
            "round {round}: {:.0} ms, {:.0} ms CPU, {results} values; every 15 s that is {:.3} of a core",
            wall.as_secs_f64() * 1e3,
            used.as_secs_f64() * 1e3,
            used.as_secs_f64() / 15.0
        );
    }
}
