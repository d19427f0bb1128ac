//! Runs the cases of `tests/cases/statsd/` (its README draws them) against the real receiver, over UDP.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use taffrail_collector::delivery::{self, Outcome};
use taffrail_collector::model::{Batch, Exemplar, LabelSet, LogRecord, Sample, SampleValue, Timestamp};
use taffrail_collector::source::{SourceContext, Tallies, statsd};
use tokio_util::sync::CancellationToken;

/// Windows longer than the cases, which begin with one; and those of a case that waits for the next.
const WINDOW: Duration = Duration::from_secs(10);
const SHORT_WINDOW: Duration = Duration::from_secs(1);

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/statsd")
}

#[derive(Default)]
struct Case {
    place: String,
    title: String,
    settings: Map<String, Value>,
    steps: Vec<Step>,
    expected: Vec<Vec<String>>,
    refusals: BTreeMap<String, u64>,
}

enum Step {
    Send(Vec<u8>),
    NextWindow,
}

/// The cases of one file.
fn read(path: &Path, now: i64) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut packet: Option<Vec<u8>> = None;
    let mut answers = false;
    for (number, line) in fs::read_to_string(path).unwrap().lines().enumerate() {
        let place = format!("{}:{}", path.file_name().unwrap().to_string_lossy(), number + 1);
        if let Some(sent) = line.strip_prefix('>') {
            let sent = unescaped(sent.strip_prefix(' ').unwrap_or(sent), now);
            match &mut packet {
                Some(packet) => {
                    packet.push(b'\n');
                    packet.extend(sent);
                }
                None => packet = Some(sent),
            }
            continue;
        }
        if let Some(packet) = packet.take() {
            cases.last_mut().unwrap().steps.push(Step::Send(packet));
        }
        if let Some(title) = line.strip_prefix("== ") {
            let expected = vec![Vec::new()];
            cases.push(Case { place, title: title.to_owned(), expected, ..Case::default() });
            answers = false;
            continue;
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let case = cases.last_mut().unwrap_or_else(|| panic!("{place}: no case begins before"));
        if let Some(setting) = line.strip_prefix("with ") {
            let (key, value) = setting.split_once(" = ").unwrap_or_else(|| panic!("{place}: with KEY = JSON"));
            let value = serde_json::from_str(value).unwrap_or_else(|error| panic!("{place}: {error}"));
            case.settings.insert(key.to_owned(), value);
        } else if let Some(record) = line.strip_prefix("= ") {
            answers = true;
            let record = String::from_utf8(unescaped(record, now)).unwrap();
            case.expected.last_mut().unwrap().push(record);
        } else if let Some(refusal) = line.strip_prefix("! ") {
            let (reason, count) = refusal.split_once(' ').unwrap_or((refusal, "1"));
            case.refusals.insert(reason.to_owned(), count.parse().unwrap());
        } else {
            match line {
                "--" => {}
                "~" if answers => case.expected.push(Vec::new()),
                "~" => case.steps.push(Step::NextWindow),
                _ => panic!("{place}: neither `>` nor `=` nor `!` nor `with` nor `--` nor `~`: {line}"),
            }
        }
    }
    assert!(packet.is_none(), "{}: ends without an answer", path.display());
    cases
}

fn unescaped(text: &str, now: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        rest = if let Some(after) = after.strip_prefix('\\') {
            bytes.push(b'\\');
            after
        } else if let Some(after) = after.strip_prefix('x') {
            bytes.push(u8::from_str_radix(&after[..2], 16).unwrap());
            &after[2..]
        } else if let Some((inside, after)) = after.strip_prefix('{').and_then(|after| after.split_once('}')) {
            match inside.strip_prefix("now") {
                Some(shift) => write!(ByteText(&mut bytes), "{}", now + shift.parse::<i64>().unwrap()).unwrap(),
                None => {
                    let (piece, times) = inside.rsplit_once('*').unwrap();
                    bytes.extend(piece.repeat(times.parse().unwrap()).into_bytes());
                }
            }
            after
        } else {
            bytes.push(b'\\');
            after
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

struct ByteText<'a>(&'a mut Vec<u8>);

impl std::fmt::Write for ByteText<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl Case {
    fn interval(&self) -> Duration {
        if self.steps.iter().any(|step| matches!(step, Step::NextWindow)) { SHORT_WINDOW } else { WINDOW }
    }

    fn config(&self) -> statsd::Config {
        let mut settings = self.settings.clone();
        settings.insert("address".to_owned(), "127.0.0.1:0".into());
        settings.insert("flush_interval".to_owned(), format!("{}s", self.interval().as_secs()).into());
        if let Some(file) = settings.get_mut("mapping_file") {
            *file = cases().join(file.as_str().unwrap()).to_string_lossy().into_owned().into();
        }
        serde_json::from_value(settings.into()).unwrap_or_else(|error| panic!("{}: {error}", self.place))
    }

    /// Sends everything, stops the receiver, and says what is wrong with what it gave.
    async fn run(self, now: i64) -> Option<String> {
        let (outlet, mut deliveries) = delivery::channel(4);
        let tallies = Arc::<Tallies>::default();
        let context = SourceContext {
            outlet,
            tallies: Arc::clone(&tallies),
            enricher: Default::default(),
            resource: Arc::default(),
            checkpoints: Arc::default(),
            stop: CancellationToken::new(),
        };
        let stop = context.stop.clone();
        let running = statsd::start(self.config(), context).unwrap();
        let batches = tokio::spawn(async move {
            let mut batches = Vec::new();
            while let Some(delivery) = deliveries.recv().await {
                batches.push(delivery.batch);
                delivery.receipt.answer(Outcome::Stored { acked_through: None });
            }
            batches
        });
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let interval = self.interval();
        if interval == SHORT_WINDOW {
            wait_for_next(interval).await;
        }
        for step in &self.steps {
            match step {
                Step::Send(packet) => assert_eq!(
                    socket.send_to(packet, running.address.unwrap()).unwrap(),
                    packet.len(),
                    "{}: one datagram",
                    self.place
                ),
                Step::NextWindow => wait_for_next(interval).await,
            }
        }
        stop.cancel();
        running.task.await.unwrap();
        let found = Found { now, interval }.shown(batches.await.unwrap());
        let problems = tallies.snapshot().into_iter().flat_map(|tally| tally.problems);
        let refusals: BTreeMap<String, u64> = problems.map(|one| (one.reason.to_owned(), one.count)).collect();
        let mut expected = self.expected;
        expected.iter_mut().for_each(|window| window.sort());
        if (&found, &refusals) == (&expected, &self.refusals) {
            return None;
        }
        Some(format!(
            "{}: {}\n  expected {expected:#?} and refused {:?}\n  found {found:#?} and refused {refusals:?}",
            self.place, self.title, self.refusals
        ))
    }
}

async fn wait_for_next(window: Duration) {
    let now = Timestamp::now();
    let next = now.floor_to(window).saturating_add(window);
    // A little behind its start, so that the receiver's clock says the same.
    tokio::time::sleep(next.saturating_since(now) + Duration::from_millis(50)).await;
}

/// What came, as the cases write it.
struct Found {
    now: i64,
    interval: Duration,
}

impl Found {
    /// One list for each window that gathered; what a sender dated stands with the first.
    fn shown(&self, batches: Vec<Batch>) -> Vec<Vec<String>> {
        let mut windows: BTreeMap<Timestamp, Vec<String>> = BTreeMap::new();
        let mut apart = Vec::new();
        for batch in batches {
            apart.extend(batch.logs.iter().map(|record| self.record(record)));
            for sample in batch.samples {
                assert_eq!(u128::from(sample.interval_ms), self.interval.as_millis());
                let gathers = Timestamp::from_unix_seconds(self.now).floor_to(self.interval) <= sample.timestamp;
                let into = if gathers { windows.entry(sample.timestamp).or_default() } else { &mut apart };
                into.push(self.sample(&sample, gathers));
            }
        }
        let mut shown: Vec<Vec<String>> = windows.into_values().collect();
        if shown.is_empty() {
            shown.push(Vec::new());
        }
        shown[0].extend(apart);
        shown.iter_mut().for_each(|window| window.sort());
        shown
    }

    fn sample(&self, sample: &Sample, gathers: bool) -> String {
        let name = named(&sample.labels);
        let mut text = match &sample.value {
            SampleValue::Counter { sum } => format!("counter {name} {}", number(*sum)),
            SampleValue::Gauge { last, min, max } => {
                format!("gauge {name} {} {}..{}", number(*last), number(*min), number(*max))
            }
            SampleValue::Distribution(seen) => {
                let (count, sum) = (number(seen.count), number(seen.sum));
                format!("distribution {name} {count} {sum} {}..{}{}", number(seen.min), number(seen.max), sample.unit)
            }
            SampleValue::Set(seen) => format!("set {name} {}", number(seen.count())),
            SampleValue::Cumulative { total } => format!("cumulative {name} {}", number(*total)),
        };
        if !gathers {
            let _ = write!(text, " @{}", unix_seconds(sample.timestamp));
        }
        for exemplar in &sample.exemplars {
            let Exemplar { value, trace_id, span_id, .. } = exemplar;
            let span = span_id.map(|span| format!("/{span}")).unwrap_or_default();
            let _ = write!(text, " ~ {trace_id}{span}={}", number(*value));
        }
        text
    }

    fn record(&self, record: &LogRecord) -> String {
        let attributes: Vec<String> = record.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let mut text = format!(
            "log {} {}/{} \"{}\" {{{}}}",
            record.severity,
            record.resource.host,
            record.resource.service,
            record.body.replace('\n', "↵"),
            attributes.join(", ")
        );
        if record.timestamp != record.observed_timestamp {
            let _ = write!(text, " @{}", unix_seconds(record.timestamp));
        }
        text
    }
}

fn named(labels: &LabelSet) -> String {
    let tags: Vec<String> =
        labels.iter().filter(|(key, _)| *key != "__name__").map(|(key, value)| format!("{key}={value}")).collect();
    if tags.is_empty() { labels.name().to_owned() } else { format!("{}{{{}}}", labels.name(), tags.join(", ")) }
}

fn unix_seconds(moment: Timestamp) -> i64 {
    moment.unix_nanos().div_euclid(1_000_000_000)
}

fn number(number: f64) -> String {
    if number.abs() < 1e21 { format!("{number}") } else { format!("{number:e}") }
}

/// `@now-95` of a sample names the window that holds that moment.
fn floored(case: &mut Case, now: i64) {
    let interval = case.interval();
    for record in case.expected.iter_mut().flatten().filter(|record| !record.starts_with("log ")) {
        if let Some((before, shift)) = record.rsplit_once(" @now") {
            let moment = Timestamp::from_unix_seconds(now + shift.parse::<i64>().unwrap());
            let window = unix_seconds(moment.floor_to(interval));
            *record = format!("{before} @{window}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_line_means_what_the_cases_say() {
    // All cases run at once and need less than a second of their window.
    if unix_seconds(Timestamp::now().floor_to(WINDOW)) + 5 < unix_seconds(Timestamp::now()) {
        wait_for_next(WINDOW).await;
    }
    let now = unix_seconds(Timestamp::now());
    let mut files: Vec<PathBuf> = fs::read_dir(cases()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let cases: Vec<Case> = files.iter().flat_map(|path| read(path, now)).collect();
    assert!(cases.len() > 80, "only {} cases were found", cases.len());
    let mut runs = tokio::task::JoinSet::new();
    for mut case in cases {
        floored(&mut case, now);
        runs.spawn(case.run(now));
    }
    let wrong: Vec<String> = runs.join_all().await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} cases fail\n{}", wrong.len(), wrong.join("\n"));
}
