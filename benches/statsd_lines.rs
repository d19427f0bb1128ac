//! What reading one StatsD line costs, by kind of line, with every dialect on and with none: on one thread, without sockets and windows.
//!
//! `cargo bench -p taffrail-collector --bench statsd_lines`. Every figure is the best of many short runs, because a machine that does
//! other things too only ever adds time. `identified` adds what the first line of a series costs: its name and tags are taken apart and
//! go through the rules of a mapping of a hundred globs and ten regular expressions.
//!
//! The second table is what the reading thread does with a datagram but for the kernel's part: cut it into lines, read them, find their
//! series, and gather their values; at 1,000 names, which a processor's cache holds, and at 100,000, which it does not. `ONLY=100000`
//! measures that alone, and `PASSES=1` goes through the datagrams once, for a profile.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "statsd/lines.rs"]
mod lines;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use taffrail_collector::model::{SampleKind, Timestamp};
use taffrail_collector::source::Tallies;
use taffrail_collector::source::statsd::aggregate::{Aggregator, Settings};
use taffrail_collector::source::statsd::identity;
use taffrail_collector::source::statsd::line::{self, Dialects};
use taffrail_collector::source::statsd::mapping::{Mapping, file};
use taffrail_collector::source::statsd::tags::TagDialects;

/// Lines of one run: so few that they stay in the processor's cache and a run is short.
const LINES: usize = 1_000;
const RUNS: usize = 2_000;

/// Lines of a window in the second table.
const LINES_IN_WINDOW: u64 = 20_000_000;

/// How often all datagrams of the second table go through.
const PASSES: usize = 40;

fn main() {
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return; // `cargo test --benches` asks every target what it holds
    }
    let only: Option<u32> = std::env::var("ONLY").ok().and_then(|names| names.parse().ok());
    if only.is_none() {
        lines_alone();
    }
    let passes = std::env::var("PASSES").ok().and_then(|passes| passes.parse().ok()).unwrap_or(PASSES);
    println!("{:<44} {:>10} {:>10}", "ns a line of 1,432-byte datagrams, 3 tags", "names", "");
    for names in [1_000, 100_000].into_iter().filter(|&names| only.is_none_or(|only| only == names)) {
        println!("{:<44} {names:>10} {:>10.1}", "", through_the_window(names, passes));
    }
}

fn lines_alone() {
    let all = Dialects::default();
    let none = Dialects { tags: TagDialects::default(), implied_value: false };
    let mapping = mapping();
    println!("{:<44} {:>10} {:>10} {:>10} {:>12}", "ns a line", "bytes", "all on", "all off", "identified");
    for (kind, form) in [
        ("plain counter", "shop.checkout.orders.%:1|c"),
        ("timer with a rate", "shop.checkout.render.%:12.25|ms|@0.1"),
        ("DogStatsD, three tags", "shop.orders.%:1|c|#env:prod,region:eu-west-1,host:web-7"),
        ("DogStatsD v1.6, every field", "shop.took.%:12:13|ms|@0.5|#env:prod|c:ci-83c0a99c0a54|e:it-false|card:low"),
        ("Graphite, two tags", "shop.orders.%;env=prod;region=eu:1|c"),
        ("SignalFx, two tags", "shop.[env=prod,region=eu]orders.%:1|c"),
        ("etsy, three types", "shop.orders.%:1|c:2|c|@0.1:320|ms"),
    ] {
        let lines: Vec<String> = (0..LINES).map(|n| form.replace('%', &format!("n{n}"))).collect();
        let bytes = lines.iter().map(String::len).sum::<usize>() / lines.len();
        let parse = |dialects| {
            best(&lines, |line| {
                let _ = black_box(line::parse(black_box(line), dialects));
            })
        };
        let mut identity = String::new();
        let identified = best(&lines, |line| {
            let Ok(metric) = line::parse(black_box(line), all) else { return };
            let _ = identity::write(&metric, &mut identity);
            let _ = black_box(identity::identify(&identity, "web-7", SampleKind::Counter, &mapping));
        });
        println!("{kind:<44} {bytes:>10} {:>10.1} {:>10.1} {identified:>12.1}", parse(all), parse(none));
    }
}

/// The best nanoseconds that a line costs from a datagram to the cells, of many passes over all datagrams. Windows are as long as in
/// service at two million lines a second, and their end is outside what is measured.
fn through_the_window(names: u32, passes: usize) -> f64 {
    let workload = lines::Workload { names, datagram_bytes_max: 1_432, tags: true };
    let datagrams = workload.datagrams();
    let lines = datagrams.len() as u64 * workload.lines_per_datagram();
    let settings = Settings {
        interval: Duration::from_secs(10),
        signed_is_delta: true,
        dialects: Dialects::default(),
        series_max: 200_000,
        gauge_ttl: Duration::from_secs(3_600),
        host: "h".into(),
        mapper: Arc::default(),
        etsy: None,
    };
    let mut now = Timestamp::from_unix_seconds(1_800_000_000);
    let mut aggregator = Aggregator::new(&settings, 1, now);
    let tally = Tallies::default().of("statsd", "bench");
    let mut gathered = 0;
    let mut pass = || {
        if gathered > LINES_IN_WINDOW {
            (now, gathered) = (now.saturating_add(settings.interval), 0);
            aggregator.tick(now);
            black_box(aggregator.ready());
        }
        gathered += lines;
        let start = Instant::now();
        datagrams.iter().for_each(|datagram| aggregator.take(0, datagram, now, &tally));
        start.elapsed().as_nanos() as f64 / lines as f64
    };
    (0..=passes).map(|_| pass()).fold(f64::INFINITY, f64::min)
}

/// The best nanoseconds that a line costs.
fn best(lines: &[String], mut read: impl FnMut(&str)) -> f64 {
    let mut run = || {
        let start = Instant::now();
        lines.iter().for_each(|line| read(line));
        start.elapsed().as_nanos() as f64 / lines.len() as f64
    };
    (0..RUNS).map(|_| run()).fold(f64::INFINITY, f64::min)
}

fn mapping() -> Mapping {
    let globs =
        (0..100).map(|n| format!("- {{match: service{n}.*.orders.*, name: orders, labels: {{shop: $1, what: $2}}}}\n"));
    let regexes = (0..10).map(|n| format!("- {{match: '^legacy{n}-(\\d+)\\.(.+)$', match_type: regex, name: $2}}\n"));
    let text: String = globs.chain(regexes).collect();
    file::parse("bench.yml", &format!("mappings:\n{text}")).expect("good rules")
}
