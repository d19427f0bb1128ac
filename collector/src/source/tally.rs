//! Counts of what each source took and what it could not take, by reason, with the last example of each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use parking_lot::Mutex;
use serde::Serialize;

use crate::enrich::redact::censored;
use crate::model::Timestamp;

/// Bytes kept of a problem's example.
const EXAMPLE_BYTES_MAX: usize = 200;

/// All tallies of one process.
#[derive(Debug, Default)]
pub struct Tallies(Mutex<BTreeMap<(&'static str, String), Arc<Tally>>>);

/// What one source took and could not take.
#[derive(Debug)]
pub struct Tally {
    kind: &'static str,
    name: String,
    records: AtomicU64,
    bytes: AtomicU64,
    last_seen: AtomicI64,
    backlog: Mutex<Option<Backlog>>,
    /// 0 when it has none.
    receive_buffer_bytes: AtomicU64,
    problems: Mutex<BTreeMap<&'static str, Problem>>,
    rules: Mutex<BTreeMap<(Arc<str>, &'static str), u64>>,
    shed: Mutex<BTreeMap<&'static str, u64>>,
}

/// What a source that reads at its own pace has not read yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Files that are open.
    pub files: u64,
    /// Bytes that stand there and were not read; what comes in while everything else is read is none of them.
    pub bytes: u64,
    /// Since when the first of them may have stood there: when its file was last read to its end.
    pub since: Option<Instant>,
    /// Since when the source waits to hand over what it read.
    pub held_up_since: Option<Instant>,
}

#[derive(Debug, Default)]
struct Problem {
    count: u64,
    last_seen: Timestamp,
    example: String,
}

/// A tally at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct TallySnapshot {
    /// The source's kind (`statsd`, `syslog` …).
    pub kind: &'static str,
    /// Which of its kind: a file pattern, an address.
    pub name: String,
    /// Records or samples taken.
    pub records: u64,
    /// Their bytes as they arrived.
    pub bytes: u64,
    /// When the last one arrived, RFC 3339; none when none did.
    pub last_seen: Option<String>,
    /// Files that are open; only of sources that read files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// Bytes that stand there unread; only of sources that read at their own pace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_bytes: Option<u64>,
    /// How long the oldest of them may have stood there, or how long what was read waits to be taken; as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<f64>,
    /// The receive buffer that the kernel gives each of its sockets; only of sources that read datagrams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive_buffer_bytes: Option<u64>,
    /// What went wrong, by reason.
    pub problems: Vec<ProblemSnapshot>,
    /// What rules of the configuration did, by rule and effect.
    pub rules: Vec<RuleSnapshot>,
    /// What was given up of what had come: nobody took it in time. Each stands among the problems too.
    pub shed: Vec<ShedSnapshot>,
}

/// Records or samples given up for one reason, at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct ShedSnapshot {
    /// The reason's name (`kernel_drop`, `delivery_queue_full`, `undelivered_at_stop` …).
    pub reason: &'static str,
    /// How many; of `kernel_drop` datagrams.
    pub count: u64,
}

/// What one rule did in one way, at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct RuleSnapshot {
    /// The rule's name, as the configuration gives it.
    pub rule: String,
    /// `dropped`, `sampled_out`, `limited`, `kept`, `changed` or `redacted`.
    pub effect: &'static str,
    /// How many records, or, of `redacted`, how many places in them.
    pub count: u64,
}

/// One reason at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct ProblemSnapshot {
    /// The reason's name (`malformed_line`, `invalid_utf8`, `line_too_long` …).
    pub reason: &'static str,
    /// How often.
    pub count: u64,
    /// When last, RFC 3339.
    pub last_seen: String,
    /// The start of what was met last, made printable.
    pub example: String,
}

impl Tallies {
    /// The tally of a source, made at the first call.
    pub fn of(&self, kind: &'static str, name: &str) -> Arc<Tally> {
        let mut tallies = self.0.lock();
        let tally = tallies.entry((kind, name.to_owned())).or_insert_with(|| {
            Arc::new(Tally {
                kind,
                name: name.to_owned(),
                records: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
                last_seen: AtomicI64::new(i64::MIN),
                backlog: Mutex::default(),
                receive_buffer_bytes: AtomicU64::new(0),
                problems: Mutex::default(),
                rules: Mutex::default(),
                shed: Mutex::default(),
            })
        });
        Arc::clone(tally)
    }

    /// All of them now, by kind and name.
    pub fn snapshot(&self) -> Vec<TallySnapshot> {
        self.0.lock().values().map(|tally| tally.snapshot()).collect()
    }
}

impl Tally {
    /// Counts what was taken.
    pub fn took(&self, records: u64, bytes: u64) {
        self.records.fetch_add(records, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.last_seen.store(Timestamp::now().unix_nanos(), Relaxed);
    }

    /// Says what is not read yet. Whether the source is held up is left as it was.
    pub fn has_before_it(&self, backlog: Backlog) {
        let mut held = self.backlog.lock();
        let held_up_since = held.and_then(|held| held.held_up_since);
        *held = Some(Backlog { held_up_since, ..backlog });
    }

    /// Says how large a receive buffer the kernel gives each of its sockets.
    pub fn has_receive_buffer(&self, bytes: u64) {
        self.receive_buffer_bytes.store(bytes, Relaxed);
    }

    /// Says that the source begins to wait, or no longer waits, for what it read to be taken.
    pub fn is_held_up(&self, waits: bool) {
        self.backlog.lock().get_or_insert_default().held_up_since = waits.then(Instant::now);
    }

    /// Counts something that could not be taken as it was, with what was met.
    pub fn problem(&self, reason: &'static str, count: u64, example: &[u8]) {
        // A secret is none the less one because its line could not be read.
        let example = String::from_utf8_lossy(&example[..example.len().min(EXAMPLE_BYTES_MAX)]);
        let example = censored(&example);
        let mut problems = self.problems.lock();
        let problem = problems.entry(reason).or_default();
        problem.count += count;
        problem.last_seen = Timestamp::now();
        problem.example = example.chars().map(|c| if c.is_control() { '·' } else { c }).collect();
    }

    /// Counts records that had come and were given up, because nobody took them in time.
    pub fn shed(&self, reason: &'static str, count: u64, example: &[u8]) {
        self.problem(reason, count, example);
        *self.shed.lock().entry(reason).or_default() += count;
    }

    /// Counts what a rule of the configuration did.
    pub fn rule_did(&self, rule: &Arc<str>, effect: &'static str, count: u64) {
        *self.rules.lock().entry((Arc::clone(rule), effect)).or_default() += count;
    }

    /// Counts now.
    pub fn snapshot(&self) -> TallySnapshot {
        let last_seen = self.last_seen.load(Relaxed);
        let backlog = *self.backlog.lock();
        let receive_buffer_bytes = self.receive_buffer_bytes.load(Relaxed);
        TallySnapshot {
            kind: self.kind,
            name: self.name.clone(),
            records: self.records.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            last_seen: (last_seen != i64::MIN).then(|| Timestamp::from_unix_nanos(last_seen).to_string()),
            open_files: backlog.map(|backlog| backlog.files),
            lag_bytes: backlog.map(|backlog| backlog.bytes),
            lag_seconds: backlog.map(Backlog::age_seconds),
            receive_buffer_bytes: (receive_buffer_bytes > 0).then_some(receive_buffer_bytes),
            problems: self
                .problems
                .lock()
                .iter()
                .map(|(reason, problem)| ProblemSnapshot {
                    reason,
                    count: problem.count,
                    last_seen: problem.last_seen.to_string(),
                    example: problem.example.clone(),
                })
                .collect(),
            rules: self
                .rules
                .lock()
                .iter()
                .map(|((rule, effect), count)| RuleSnapshot { rule: rule.to_string(), effect, count: *count })
                .collect(),
            shed: self.shed.lock().iter().map(|(reason, count)| ShedSnapshot { reason, count: *count }).collect(),
        }
    }
}

impl Backlog {
    fn age_seconds(self) -> f64 {
        let since = self.since.filter(|_| self.bytes > 0);
        since.into_iter().chain(self.held_up_since).min().map_or(0.0, |since| since.elapsed().as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_backlog_is_as_old_as_its_oldest_byte_or_as_the_wait_to_hand_over() {
        let tally = Tallies::default().of("files", "/a");
        assert_eq!((tally.snapshot().lag_bytes, tally.snapshot().lag_seconds), (None, None));
        let before = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds));
        let check = |bytes, since, expected: u64| {
            tally.has_before_it(Backlog { files: 2, bytes, since, held_up_since: None });
            let snapshot = tally.snapshot();
            assert_eq!((snapshot.open_files, snapshot.lag_bytes), (Some(2), Some(bytes)));
            assert_eq!(snapshot.lag_seconds.map(|seconds| seconds.round() as u64), Some(expected));
        };
        check(0, before(60), 0);
        check(10, before(60), 60);
        tally.backlog.lock().as_mut().unwrap().held_up_since = before(100);
        check(10, before(60), 100);
        check(0, None, 100);
        tally.is_held_up(false);
        check(0, None, 0);
    }
}
