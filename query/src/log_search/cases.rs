//! The small store that cases of stages are asked of: a shop's morning, half of it sealed, half still in memory.
//!
//! `check(question, expected)`: rows of a table are written `column=cell column=cell`, records by their message.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use taffrail_collector::delivery::Outcome as Delivered;
use taffrail_collector::model::{Attributes, Batch, LogRecord, Resource, Severity, Timestamp, TraceId, Value};
use taffrail_ingest::log_store::Order;
use taffrail_ingest::{Ingest, IngestConfig, Scan, TimeRange};

use super::question::Question;
use super::row::Row;
use super::run::{Asked, Outcome, run};

/// 2024-11-21T07:00:00Z, when the morning begins.
pub const START: i64 = 1_732_172_400;

/// A store of its own for one test.
pub struct Store {
    pub ingest: Ingest,
    _directory: tempfile::TempDir,
}

impl Store {
    /// A store of these batches, each but the last sealed.
    pub async fn of(batches: Vec<Vec<LogRecord>>) -> Store {
        let directory = tempfile::tempdir().unwrap();
        let ingest = open(directory.path());
        let count = batches.len();
        for (at, logs) in batches.into_iter().enumerate().filter(|(_, logs)| !logs.is_empty()) {
            let outcome = ingest.outlet().deliver(Batch { logs, ..Batch::local() }).await;
            assert!(matches!(outcome, Delivered::Stored { .. }), "{outcome:?}");
            if at + 1 < count {
                ingest.seal().await.unwrap();
            }
        }
        Store { ingest, _directory: directory }
    }

    /// Asks, newest first, and gives the rows as text.
    pub fn ask(&self, text: &str, limit: usize) -> (Vec<String>, Outcome) {
        let question = Question::parse_at(text, now()).unwrap_or_else(|error| panic!("{text}: {error}"));
        let asked = asked(limit);
        let (mut rows, scan) = (Vec::new(), Scan::unlimited());
        let outcome = run(&question, self.ingest.logs(), &asked, &scan, &mut |row| {
            rows.push(shown(&row));
            ControlFlow::Continue(())
        });
        (rows, outcome.unwrap_or_else(|error| panic!("{text}: {error}")))
    }
}

/// An empty store in the directory.
pub fn open(directory: &Path) -> Ingest {
    let config = IngestConfig {
        data_dir: directory.to_owned(),
        seal_rows: 1_000_000,
        seal_bytes: 1 << 24,
        seal_age: Duration::from_secs(86_400),
        memory_bytes_max: 1 << 26,
        retention_age: None,
        retention_rules: Vec::new(),
        compaction: taffrail_ingest::CompactionBudget { cpu_share: 1.0, bytes_per_second: u64::MAX },
        retention_bytes: None,
        disk_reserve_bytes: 0,
        future_max: Duration::from_secs(600),
        parse_selector: |text| Err(format!("`{text}` is not asked for here")),
        series_retention: taffrail_ingest::series_store::SeriesRetention::default(),
        series_limits: taffrail_ingest::series_store::SeriesLimits::default(),
    };
    Ingest::open(config, &mut |_, _| {}).unwrap()
}

/// The morning's first ten minutes and a moment after.
pub fn now() -> Timestamp {
    Timestamp::from_unix_seconds(START + 600)
}

/// Everything, newest first.
pub fn asked(limit: usize) -> Asked {
    let range = TimeRange { start: Timestamp::from_unix_seconds(START), end: now() };
    Asked { range, order: Order::NewestFirst, after: None, limit, memory_bytes_max: 1 << 26 }
}

/// A row as cases write it.
pub fn shown(row: &Row) -> String {
    match row {
        Row::Record(stored) => stored.record.body.clone(),
        Row::Table(row) => {
            let cells = row.0.iter().map(|(name, cell)| format!("{name}={}", cell.to_text()));
            cells.collect::<Vec<_>>().join(" ")
        }
    }
}

/// Asks the morning's store and compares the rows.
pub fn check(text: &str, expected: &[&str]) {
    assert_eq!(MORNING.ask(text, 1_000).0, expected, "{text}");
}

/// The question is refused at this column with these words.
pub fn check_refused(text: &str, column: usize, part: &str) {
    let error = Question::parse_at(text, now()).expect_err(text);
    assert!(error.message.contains(part), "{text}: {}", error.message);
    assert_eq!(error.column, column, "{text}: {}", error.message);
}

/// Ten lines of a web server and four of a database, a minute apart and half a minute between the two:
///
/// ```text
/// n      0    1    2    3    4    5    6    7    8    9         db: 0      1      2      3
/// host   a    b    a    b    a    b    a    b    a    b             c      c      c      c
/// status 200  200  404  200  500  200  200  404  200  500           (none)
/// took   10   20   30   40   50   60   70   80   90   100 ms        1s     2s     3s     4s   (text: took=1s)
/// user   ann  bob  ann  (–)  ann  bob  ann  (–)  ann  bob
/// trace  1    –    –    1    –    –    2    –    –    2             1      –      –      –
/// ```
fn morning() -> Vec<Vec<LogRecord>> {
    let web = |n: i64| {
        let status = match n % 5 {
            2 => 404,
            4 => 500,
            _ => 200,
        };
        let mut attributes: Attributes = vec![
            ("n".into(), Value::Int(n)),
            ("status".into(), Value::Int(status)),
            ("took_ms".into(), Value::Int((n + 1) * 10)),
            ("path".into(), if n % 2 == 0 { "/cart" } else { "/pay" }.into()),
            ("tags".into(), Value::Array(vec!["web".into(), if n < 5 { "early" } else { "late" }.into()])),
        ];
        if n % 4 != 3 {
            attributes.push(("user".into(), if n % 4 == 1 || n == 9 { "bob" } else { "ann" }.into()));
        }
        let level = if status == 500 { Severity::ERROR } else { Severity::INFO };
        let trace = (n % 3 == 0).then_some(if n < 5 { 1 } else { 2 });
        let host = if n % 2 == 0 { "a" } else { "b" };
        record(n * 60, level, format!("GET {} {status}", n), trace, host, "web", attributes)
    };
    let db = |n: i64| {
        let attributes =
            vec![("took".into(), Value::String(format!("{}s", n + 1))), ("rows".into(), Value::Int(n * 100))];
        let text = format!(r#"{{"query":"select {n}","plan":{{"cost":{}}}}}"#, n as f64 / 2.0);
        record(n * 120 + 30, Severity::DEBUG, text, (n == 0).then_some(1), "c", "db", attributes)
    };
    let mut all: Vec<LogRecord> = (0..10).map(web).chain((0..4).map(db)).collect();
    all.sort_by_key(|record| record.timestamp);
    let late = all.split_off(7);
    vec![all, late]
}

/// A record of so many seconds after the start.
pub fn record(
    second: i64,
    severity: Severity,
    body: String,
    trace: Option<u128>,
    host: &str,
    service: &str,
    attributes: Attributes,
) -> LogRecord {
    let timestamp = Timestamp::from_unix_seconds(START + second);
    LogRecord {
        timestamp,
        observed_timestamp: timestamp,
        severity,
        severity_text: Default::default(),
        body,
        trace_id: trace.and_then(TraceId::new),
        span_id: None,
        resource: Arc::new(Resource { host: host.into(), service: service.into(), attributes: Vec::new() }),
        attributes,
    }
}

/// The morning, made once for all cases.
pub static MORNING: LazyLock<Store> = LazyLock::new(|| {
    // On a thread of its own, as a case may stand in a runtime already; the runtime has to outlive the store.
    let made = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let store = runtime.block_on(Store::of(morning()));
        std::mem::forget(runtime);
        store
    });
    made.join().unwrap()
});
