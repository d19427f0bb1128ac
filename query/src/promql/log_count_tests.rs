//! `logs_count` equals a count of the records, one by one, whatever is asked of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use taffrail_collector::delivery::Outcome;
use taffrail_collector::model::{
    Batch, LabelSet, LogRecord, Resource, Sample, SampleValue, Severity, Timestamp, Value,
};
use taffrail_ingest::series_store::SeriesLimits;
use taffrail_ingest::{CompactionBudget, Ingest, IngestConfig, Scan, TimeRange};

use super::{Answer, PromqlError, StoreSource, instant, range};

/// Nanoseconds, and numbers of service, level and path.
type Said = (i64, usize, usize, usize);

const SERVICES: [&str; 3] = ["shop", "pay", ""];
const LEVELS: [Severity; 3] = [Severity::INFO, Severity::ERROR, Severity::UNSPECIFIED];
const PATHS: [&str; 3] = ["/a", "/b", ""];
const SECOND: i64 = 1_000_000_000;

struct World {
    ingest: Ingest,
    runtime: tokio::runtime::Runtime,
    _directory: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let config = IngestConfig {
            data_dir: directory.path().to_owned(),
            seal_rows: 1_000_000,
            seal_bytes: 1 << 20,
            seal_age: Duration::from_secs(600),
            memory_bytes_max: 1 << 26,
            retention_age: None,
            retention_rules: Vec::new(),
            compaction: CompactionBudget { cpu_share: 1.0, bytes_per_second: u64::MAX },
            retention_bytes: None,
            disk_reserve_bytes: 0,
            future_max: Duration::from_secs(600),
            parse_selector: |text| Err(format!("`{text}` is not asked for here")),
            series_retention: taffrail_ingest::series_store::SeriesRetention::default(),
            series_limits: SeriesLimits::default(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let ingest = {
            let _inside = runtime.enter();
            Ingest::open(config, &mut |_, _| {}).unwrap()
        };
        World { ingest, runtime, _directory: directory }
    }

    fn store(&self, logs: Vec<LogRecord>, samples: Vec<Sample>) {
        let batch = Batch { logs, samples, ..Batch::local() };
        let outcome = self.runtime.block_on(self.ingest.outlet().deliver(batch));
        assert!(matches!(outcome, Outcome::Stored { .. }), "{outcome:?}");
    }

    fn source(&self) -> StoreSource {
        StoreSource::new(self.ingest.series().clone()).with_logs(self.ingest.logs().clone())
    }

    /// The answer at a second, by labels.
    fn at(&self, query: &str, second: i64) -> Result<BTreeMap<String, f64>, PromqlError> {
        let answer = instant(query, Timestamp::from_unix_seconds(second), &self.source(), &Scan::unlimited())?;
        let Answer::Vector(values) = answer.value else { panic!("{query} gives a vector") };
        Ok(values.into_iter().map(|value| (value.labels.to_string(), value.value)).collect())
    }
}

fn record((nanos, service, level, path): Said) -> LogRecord {
    let timestamp = Timestamp::from_unix_nanos(nanos);
    let own = |path: &str| vec![("path".into(), Value::from(path))];
    LogRecord {
        timestamp,
        observed_timestamp: timestamp,
        severity: LEVELS[level],
        severity_text: Default::default(),
        body: format!("took {} ms", nanos % 1000),
        trace_id: None,
        span_id: None,
        resource: Arc::new(Resource { host: "h".into(), service: SERVICES[service].into(), attributes: Vec::new() }),
        attributes: if PATHS[path].is_empty() { Vec::new() } else { own(PATHS[path]) },
    }
}

/// A condition, and whether a record passes it.
type Condition = (&'static str, &'static str, fn(&Said) -> bool);

const CONDITIONS: [Condition; 9] = [
    ("service", r#"service="shop""#, |said| SERVICES[said.1] == "shop"),
    ("service", r#"service!="pay""#, |said| SERVICES[said.1] != "pay"),
    ("service", r#"service="""#, |said| SERVICES[said.1].is_empty()),
    ("level", r#"level=~"err.*|warn""#, |said| LEVELS[said.2] == Severity::ERROR),
    ("path", r#"path=~"/.*""#, |said| !PATHS[said.3].is_empty()),
    ("path", r#"path!~"/a""#, |said| PATHS[said.3] != "/a"),
    ("path", r#"path=~"/b|""#, |said| PATHS[said.3] != "/a"),
    ("query", r#"query="took -level:info""#, |said| LEVELS[said.2] != Severity::INFO),
    ("query", r#"query="nothing like it""#, |_| false),
];

/// A function, and what it makes of a count and the seconds of its window.
type Function = (&'static str, fn(f64, f64) -> f64);

const FUNCTIONS: [Function; 4] = [
    ("increase", |count, _| count),
    ("rate", |count, seconds| count / seconds),
    ("sum_over_time", |count, _| count),
    ("count_over_time", |count, _| count),
];

/// An aggregation: its text, whether it sums, and what it groups by.
const AGGREGATIONS: [(&str, bool, &[&str]); 6] = [
    ("", false, &[]),
    ("sum", true, &[]),
    ("sum by (service)", true, &["service"]),
    ("sum by (path, level)", true, &["level", "path"]),
    ("max by (path)", false, &["path"]),
    ("max", false, &[]),
];

fn label(said: &Said, name: &str) -> String {
    match name {
        "service" => SERVICES[said.1].to_owned(),
        "level" => LEVELS[said.2].name().to_owned(),
        "path" => PATHS[said.3].to_owned(),
        "host" => "h".to_owned(),
        _ => "took -level:info".to_owned(),
    }
}

fn labels<'l>(values: impl Iterator<Item = (&'l str, String)>) -> String {
    LabelSet::new(values.filter(|(_, value)| !value.is_empty())).to_string()
}

/// What the records give at a moment, one by one.
fn plain(
    records: &[Said],
    condition: Option<&Condition>,
    (function, seconds): (fn(f64, f64) -> f64, i64),
    (aggregation, sums, by): (&str, bool, &[&str]),
    moment: i64,
) -> BTreeMap<String, f64> {
    let mut names = vec!["service", "host", "level"];
    names.extend(condition.map(|condition| condition.0));
    names.extend(by);
    names.sort_unstable();
    names.dedup();
    let passing = records.iter().filter(|said| condition.is_none_or(|condition| condition.2(said)));
    let within = |said: &&Said, seconds: i64| moment - seconds * SECOND < said.0 && said.0 <= moment;
    // Which records of each series there are within the window.
    let mut series: BTreeMap<Vec<String>, f64> = BTreeMap::new();
    for said in passing.filter(|said| within(said, seconds + 300)) {
        let count = series.entry(names.iter().map(|name| label(said, name)).collect()).or_default();
        *count += f64::from(u8::from(within(&said, seconds)));
    }
    let mut groups: BTreeMap<String, f64> = BTreeMap::new();
    for (values, count) in series {
        let is_kept = |name: &&str| aggregation.is_empty() || by.contains(name);
        let group = labels(names.iter().copied().zip(values).filter(|(name, _)| is_kept(name)));
        let slot = groups.entry(group).or_insert(0.0);
        *slot = if sums { *slot + count } else { slot.max(count) };
    }
    groups.values_mut().for_each(|count| *count = function(*count, seconds as f64));
    let is_fixed = |name: &&str| *name == "service" && condition.is_some_and(|known| known.1 == r#"service="shop""#);
    if sums && by.iter().all(is_fixed) && groups.is_empty() {
        groups.insert(labels(by.iter().map(|name| (*name, "shop".to_owned()))), 0.0);
    }
    groups
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn counts_are_those_of_the_records(
        records in prop::collection::vec((0i64..1_200, 0i64..3, 0usize..3, 0usize..3, 0usize..3), 0..60),
        sealed in 0usize..3,
        questions in prop::collection::vec(
            (prop::option::of(0..CONDITIONS.len()), 0..FUNCTIONS.len(), 0..AGGREGATIONS.len(), prop::sample::select(vec![7i64, 60, 450]), 0i64..100), 8),
    ) {
        // A nanosecond before a second, at it and after it.
        let records: Vec<Said> =
            records.into_iter().map(|(at, off, service, level, path)| (at * SECOND + off - 1, service, level, path)).collect();
        let world = World::new();
        let (first, second) = records.split_at(records.len() * sealed / 2);
        for part in [first, second].into_iter().filter(|part| !part.is_empty()) {
            world.store(part.iter().copied().map(record).collect(), Vec::new());
            if part.as_ptr() == first.as_ptr() {
                world.runtime.block_on(world.ingest.seal()).unwrap();
            }
        }
        for (condition, function, aggregation, seconds, offset) in questions {
            let condition = condition.map(|at| &CONDITIONS[at]);
            let (name, function) = FUNCTIONS[function];
            let aggregation = AGGREGATIONS[aggregation];
            let within = condition.map_or("", |condition| condition.1);
            let query = format!("{} ({name}(logs_count{{{within}}}[{seconds}s] offset {offset}s))", aggregation.0);
            let start = Timestamp::from_unix_seconds(0);
            let end = Timestamp::from_unix_seconds(1_800);
            let answer = range(&query, start, end, Duration::from_secs(45), &world.source(), &Scan::unlimited()).unwrap();
            let mut by_step: BTreeMap<i64, BTreeMap<String, f64>> = BTreeMap::new();
            for series in answer.value {
                for (time, value) in &series.points {
                    by_step.entry(*time).or_default().insert(series.labels.to_string(), *value);
                }
            }
            for step in (0..=1_800).step_by(45) {
                let expected = plain(&records, condition, (function, seconds), aggregation, (step - offset) * SECOND);
                prop_assert_eq!(by_step.remove(&(step * 1_000)).unwrap_or_default(), expected.clone(), "{} at {}", query, step);
                if step % 450 == 0 {
                    prop_assert_eq!(world.at(&query, step).unwrap(), expected, "{} at {}", query, step);
                }
            }
        }
    }
}

#[test]
fn records_are_divided_by_requests() {
    let world = World::new();
    let errors = (0..60).map(|n| record((n * 2 * SECOND + SECOND, 0, 1, 0)));
    let infos = (0..60).map(|n| record((n * SECOND + SECOND, 0, 0, 1)));
    let hits = (0..=11).map(|window| Sample {
        labels: Arc::new(LabelSet::new([("__name__", "shop.requests"), ("service", "shop")])),
        timestamp: Timestamp::from_unix_seconds(window * 10),
        interval_ms: 10_000,
        value: SampleValue::Counter { sum: 100.0 },
        unit: "",
        exemplars: Vec::new(),
    });
    world.store(errors.chain(infos).collect(), hits.collect());
    let check = |query: &str, second: i64, expected: &[(&str, f64)]| {
        let expected: BTreeMap<String, f64> =
            expected.iter().map(|(labels, value)| ((*labels).to_owned(), *value)).collect();
        assert_eq!(world.at(query, second).unwrap(), expected, "{query}");
    };
    check(
        r#"sum by (service) (increase(logs_count{level="error"}[1m])) / sum by (service) (increase({"shop.requests"}[1m]))"#,
        120,
        &[(r#"{service="shop"}"#, 0.05)],
    );
    check(r#"sum(rate(logs_count{severity="error"}[1m]))"#, 60, &[("{}", 0.5)]);
    check(r#"sum by (path) (logs_count)"#, 60, &[(r#"{path="/a"}"#, 30.0), (r#"{path="/b"}"#, 60.0)]);
    check(
        r#"logs_count{path="/a"}"#,
        60,
        &[(r#"logs_count{host="h", level="error", path="/a", service="shop"}"#, 30.0)],
    );
    check(r#"{__name__="logs_count", path="/a"} > 30"#, 60, &[]);
    check(r#"sum(increase(logs_count{query="level:error took"}[1m])) * 2"#, 60, &[("{}", 60.0)]);
    check(r#"max_over_time(sum(increase(logs_count{level="error"}[10s]))[1m:10s])"#, 60, &[("{}", 5.0)]);
    check(r#"sum(increase(logs_count{service="cron"}[1d])) < 1"#, 60, &[("{}", 0.0)]);
    check(r#"absent_over_time(logs_count{service="cron"}[1d])"#, 60, &[(r#"{service="cron"}"#, 1.0)]);
    check(r#"absent_over_time(logs_count{service="shop"}[1d])"#, 60, &[]);
    check(r#"count(present_over_time(logs_count[1m]))"#, 60, &[("{}", 2.0)]);
    check(r#"sum(increase(logs_count[1m] @ 30))"#, 100, &[("{}", 45.0)]);
    check(r#"topk(1, sum by (level) (logs_count))"#, 60, &[(r#"{level="info"}"#, 60.0)]);
    check(r#"timestamp(sum(logs_count))"#, 60, &[("{}", 60.0)]);
    check(r#"sum without (host, level) (logs_count{query="*"})"#, 60, &[(r#"{query="*", service="shop"}"#, 90.0)]);

    let refused = |query: &str, part: &str| {
        let error = world.at(query, 60).expect_err(query).to_string();
        assert!(error.contains(part), "{query}: {error}");
    };
    refused("max_over_time(logs_count[1m])", "max_over_time does not take logs_count as it is");
    refused(r#"rate(logs_count{query="level:("}[1m])"#, "the query \"level:(\" of logs_count");
    refused(r#"rate(logs_count{query!="x"}[1m])"#, "takes a query by = only");
    refused(r#"rate(logs_count{path=~"("}[1m])"#, "error parsing regexp");
    let bare = instant("logs_count[1m]", Timestamp::from_unix_seconds(60), &world.source(), &Scan::unlimited());
    assert!(bare.expect_err("it has no points").to_string().contains("no points of its own"));
}

#[test]
fn its_series_and_labels_are_listed() {
    let world = World::new();
    let (source, scan) = (world.source(), Scan::unlimited());
    let names = |selector: &str| {
        let matchers = if selector.is_empty() { Vec::new() } else { super::only_selector(selector).unwrap() };
        source
            .label_values("__name__", &matchers, TimeRange::ALL, usize::MAX, &scan)
            .unwrap()
            .into_iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(names(""), Vec::<String>::new());
    world.store(vec![record((SECOND, 0, 0, 0)), record((2 * SECOND, 1, 1, 1))], Vec::new());
    assert_eq!(names(""), ["logs_count"]);
    assert_eq!(names(r#"{__name__=~"logs.*"}"#), ["logs_count"]);
    assert_eq!(names(r#"{__name__=~"other.*"}"#), Vec::<String>::new());
    let values = |label: &str, selector: &str| {
        let found =
            source.label_values(label, &super::only_selector(selector).unwrap(), TimeRange::ALL, usize::MAX, &scan);
        found.unwrap().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(values("service", "logs_count"), ["pay", "shop"]);
    assert_eq!(values("path", r#"logs_count{level="error"}"#), ["/b"]);
    let series = source.series(&super::only_selector("logs_count").unwrap(), TimeRange::ALL, &scan).unwrap();
    let series: Vec<String> = series.iter().map(|labels| labels.to_string()).collect();
    let expected = [
        r#"logs_count{host="h", level="error", service="pay"}"#,
        r#"logs_count{host="h", level="info", service="shop"}"#,
    ];
    assert_eq!(series, expected);
}

#[test]
fn what_comes_late_is_counted_at_once_and_too_many_series_are_refused() {
    let world = World::new();
    let cache = super::AnswerCache::default();
    let ask = || {
        let (start, end) = (Timestamp::from_unix_seconds(0), Timestamp::from_unix_seconds(60));
        let source = world.source();
        let answer = cache.range(
            "sum(increase(logs_count[1m]))",
            start,
            end,
            Duration::from_secs(60),
            &source,
            &Scan::unlimited(),
        );
        answer.unwrap().value[0].points.clone()
    };
    world.store(vec![record((SECOND, 0, 0, 0))], Vec::new());
    assert_eq!(ask(), [(0, 0.0), (60_000, 1.0)]);
    world.store(vec![record((2 * SECOND, 0, 0, 0))], Vec::new());
    assert_eq!(ask(), [(0, 0.0), (60_000, 2.0)]);

    let many = (0..10_001).map(|n| {
        let mut one = record((SECOND, 0, 0, 0));
        one.attributes = vec![("n".into(), n.into())];
        one
    });
    world.store(many.collect(), Vec::new());
    let error = world.at("sum by (n) (logs_count)", 60).expect_err("too many").to_string();
    assert!(error.contains("more than 10000 series"), "{error}");
    assert_eq!(world.at("sum(logs_count)", 60).unwrap()["{}"], 10_003.0);
}
