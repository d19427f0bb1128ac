//! What one line costs until it is a record: read, redacted, shaped; on one thread, without sources and store.
//!
//! `cargo bench -p taffrail-collector --bench enrich`. Lines are of the corpus file that the whole-system bench made, or of `CORPUS`;
//! without either, a few made up. Every figure is the best of many short runs, because a machine that does other things too only
//! ever adds time. `ONLY=logfmt` measures the kinds of lines with this in their name, `REDACTED=1000000` shows which of so many
//! lines of the corpus redaction changes.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use taffrail_collector::config::Config;
use taffrail_collector::enrich::{Enricher, Parse, ReceivedLine, Switch, shape};
use taffrail_collector::model::{LogRecord, Resource, Timestamp};

/// Lines of one run: so few that they stay in the processor's cache and a run is short.
const LINES: usize = 4_000;
const RUNS: usize = 300;

fn main() {
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return; // `cargo test --benches` asks every target what it holds
    }
    let json = corpus_lines(LINES);
    let message = |line: &String| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["message"].to_string();
    let text: Vec<String> = json.iter().map(|line| message(line).trim_matches('"').to_owned()).collect();
    let logfmt: Vec<String> = (0..LINES)
        .map(|n| {
            format!(
                "time=2026-11-21T07:33:00Z level=info msg=\"order {n} paid\" shop=berlin took={n} ok=true user=u{}",
                n % 50
            )
        })
        .collect();
    let access: Vec<String> = (0..LINES)
        .map(|n| format!("10.0.0.{} - - [21/Nov/2026:07:33:00 +0000] \"GET /cart/{n}?a=b HTTP/1.1\" 200 {n} \"https://e.org/\" \"Mozilla/5.0 (X11)\"", n % 200))
        .collect();
    println!("{:<44} {:>10} {:>12} {:>12}", "lines", "bytes/line", "ns, as is", "ns, redacted");
    for (name, lines, parse) in [
        ("corpus, JSON", &json, "auto"),
        ("corpus, its messages as text", &text, "auto"),
        ("logfmt", &logfmt, "auto"),
        ("access log", &access, "auto"),
        ("access log, grok %{COMBINEDAPACHELOG}", &access, "grok:%{COMBINEDAPACHELOG}"),
    ] {
        if std::env::var("ONLY").is_ok_and(|only| !name.contains(&only)) {
            continue;
        }
        let bytes = lines.iter().map(String::len).sum::<usize>() / lines.len();
        let parse: Parse = parse.parse().expect("a format");
        let cost =
            |redact| best(lines, || enricher(redact, Vec::new()).with_parse(&parse, "parse").expect("it compiles"));
        println!("{name:<44} {bytes:>10} {:>12.0} {:>12.0}", cost(Switch::Off), cost(Switch::On));
    }
    let rules = [
        "{\"service\":\"nobody\",\"drop_records\":true}",
        "{\"where\":{\"level\":\"debug\"},\"sample\":0.1}",
        "{\"add\":{\"env\":\"test\"}}",
    ];
    let rules: Vec<shape::Config> = rules.iter().map(|rule| serde_json::from_str(rule).expect("a rule")).collect();
    let cost = best(&json, || enricher(Switch::On, rules.clone()));
    println!("{:<44} {:>10} {:>12} {cost:>12.0}", "corpus, JSON, three rules of shape", "", "");
    print_what_is_redacted();
}

fn enricher(redact: Switch, rules: Vec<shape::Config>) -> Enricher {
    let mut config = Config { shape: rules, ..Config::default() };
    config.lines.redact = redact;
    config.enricher().expect("good settings").of_source("files")
}

/// Nanoseconds a line.
fn best(lines: &[String], enricher: impl Fn() -> Enricher) -> f64 {
    let resource = Arc::new(Resource { host: "web-1".into(), ..Resource::default() });
    let mut enricher = enricher();
    let mut records: Vec<LogRecord> = Vec::with_capacity(lines.len());
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        records.clear();
        let started = Instant::now();
        for line in lines {
            let line = ReceivedLine::plain(line.as_bytes(), Timestamp::EPOCH, &resource);
            records.extend(enricher.enrich(line));
        }
        best = best.min(started.elapsed().as_nanos() as f64 / lines.len() as f64);
        black_box(&records);
    }
    best
}

/// The lines of the corpus that redaction changes.
fn print_what_is_redacted() {
    let Some(count) = std::env::var("REDACTED").ok().and_then(|count| count.parse().ok()) else { return };
    let resource = Arc::default();
    let (mut as_is, mut redacted) = (enricher(Switch::Off, Vec::new()), enricher(Switch::On, Vec::new()));
    let (mut looked_at, mut changed) = (0u64, 0u64);
    each_corpus_line(count, |line| {
        let read = |enricher: &mut Enricher| {
            enricher.enrich(ReceivedLine::plain(line.as_bytes(), Timestamp::EPOCH, &resource))
        };
        let (before, after) = (read(&mut as_is), read(&mut redacted));
        looked_at += 1;
        if before != after {
            changed += 1;
            if changed <= 50 {
                println!("{}", after.map(|record| record.body).unwrap_or_default());
            }
        }
    });
    println!("{changed} of {looked_at} lines changed by redaction");
}

fn corpus_lines(count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    each_corpus_line(count, |line| lines.push(line.to_owned()));
    if lines.is_empty() {
        println!("no corpus: `make bench` makes one; these lines are made up");
        lines.extend((0..count).map(|n| {
            format!(r#"{{"timestamp":"2026-11-20T00:00:00.{:03}Z","host":"node-{}","service":"shop","level":"info","trace_id":"ab5f3a3f27cfef096d2674f3c95af5c6","message":"order {n} of user u{} paid with method 3 after {n} ms"}}"#, n % 1000, n % 50, n % 99)
        }));
    }
    lines
}

/// Gives lines of the corpus that the whole-system bench made, or of `CORPUS`.
fn each_corpus_line(count: usize, mut take: impl FnMut(&str)) {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench-corpus");
    let newest = std::fs::read_dir(made).into_iter().flatten().flatten().map(|entry| entry.path());
    let newest = newest.filter(|path| path.extension().is_some_and(|extension| extension == "ndjson")).max();
    let Some(path) = std::env::var_os("CORPUS").map(Into::into).or(newest) else { return };
    let Ok(file) = std::fs::File::open(path) else { return };
    for line in BufReader::with_capacity(1 << 20, file).lines().take(count).map_while(Result::ok) {
        take(&line);
    }
}
