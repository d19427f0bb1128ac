//! Counts of what each source took and what it could not take, by reason, with the last example of each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use serde::Serialize;

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
    problems: Mutex<BTreeMap<&'static str, Problem>>,
    rules: Mutex<BTreeMap<(Arc<str>, &'static str), u64>>,
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
    /// What went wrong, by reason.
    pub problems: Vec<ProblemSnapshot>,
    /// What rules of the configuration did, by rule and effect.
    pub rules: Vec<RuleSnapshot>,
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
                problems: Mutex::default(),
                rules: Mutex::default(),
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

    /// Counts something that could not be taken as it was, with what was met.
    pub fn problem(&self, reason: &'static str, count: u64, example: &[u8]) {
        let example = &example[..example.len().min(EXAMPLE_BYTES_MAX)];
        let mut problems = self.problems.lock();
        let problem = problems.entry(reason).or_default();
        problem.count += count;
        problem.last_seen = Timestamp::now();
        problem.example =
            String::from_utf8_lossy(example).chars().map(|c| if c.is_control() { '·' } else { c }).collect();
    }

    /// Counts what a rule of the configuration did.
    pub fn rule_did(&self, rule: &Arc<str>, effect: &'static str, count: u64) {
        *self.rules.lock().entry((Arc::clone(rule), effect)).or_default() += count;
    }

    /// Counts now.
    pub fn snapshot(&self) -> TallySnapshot {
        let last_seen = self.last_seen.load(Relaxed);
        TallySnapshot {
            kind: self.kind,
            name: self.name.clone(),
            records: self.records.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            last_seen: (last_seen != i64::MIN).then(|| Timestamp::from_unix_nanos(last_seen).to_string()),
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
        }
    }
}
