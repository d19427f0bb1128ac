//! Every group on its time: evaluated on blocking threads, its series handed to the store, its alerts saved, the files
//! watched.
//!
//! A group is due whenever the wall clock passes a multiple of its interval, moved by an offset that its name decides, so
//! that groups spread out and a restart goes on in the same rhythm. An evaluation that is late because the one before took
//! too long is left out and counted, as in Prometheus.

use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use taffrail_collector::delivery::{Outcome as Delivered, Outlet};
use taffrail_collector::model::{Batch, Sample, Timestamp};
use taffrail_ingest::Scan;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::evaluate::{Budget, Environment, Given, Outcome, evaluate_group};
use super::rule::{Group, Problem};
use super::rule_files::{RuleFiles, stamps};
use super::saved_state::{SavedState, StateStore};
use super::snapshot::{GroupSnapshot, NamedAlert};
use super::state::Alert;
use super::status::{Status, ended};
use crate::promql::SeriesSource;

/// The longest that storing results may take: alerts must go on while the store takes nothing. A group waits its interval
/// for it, but not less than a second, which writing to a slow disk may need.
const STORE_PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// How often the state is saved while an alert is pending and nothing changes: a crash costs its `for` at most so much.
const SAVE_PENDING: Duration = Duration::from_secs(60);

/// How often the files are looked at for changes.
const POLL: Duration = Duration::from_secs(2);

/// Checked settings of the rules.
#[derive(Clone, Debug)]
pub struct Config {
    /// Names or patterns of rules files.
    pub rules: Vec<String>,
    /// Rules that come with the program: names and texts.
    pub built_in: &'static [(&'static str, &'static str)],
    /// How often groups are evaluated that do not say it.
    pub interval: Duration,
    /// How long one expression may take.
    pub timeout: Duration,
    /// How many rows one expression may look at.
    pub rows_max: u64,
    /// How many bytes a question over logs may keep in memory.
    pub memory_bytes_max: u64,
    /// The most alerts that one rule may have.
    pub alerts_max: usize,
    /// Labels of this server in templates.
    pub external_labels: BTreeMap<String, String>,
    /// Where people reach this server.
    pub external_url: String,
}

/// The running rules. Cheap to clone.
#[derive(Clone)]
pub struct Manager {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    source: Arc<dyn SeriesSource + Send + Sync>,
    outlet: Outlet,
    store: Arc<dyn StateStore>,
    loaded: Mutex<Loaded>,
    changes: watch::Sender<u64>,
    stop: CancellationToken,
}

/// What runs now, and where it came from.
#[derive(Default)]
struct Loaded {
    patterns: Vec<String>,
    files: RuleFiles,
    groups: Vec<Running>,
    problems: Vec<Problem>,
}

/// A group and its task.
struct Running {
    group: Arc<Group>,
    status: Arc<Mutex<Status>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Manager {
    /// Reads the files, takes up the saved state and starts the groups; call it inside a tokio runtime. With a problem in any
    /// file nothing starts. Blocks while it reads.
    pub fn start(
        config: Config,
        source: Arc<dyn SeriesSource + Send + Sync>,
        outlet: Outlet,
        store: Arc<dyn StateStore>,
        stop: CancellationToken,
    ) -> Result<Manager, Vec<Problem>> {
        let files = RuleFiles::read(&config.rules, config.built_in)?;
        let groups = files.parse()?;
        let saved = store.load().map_or_else(SavedState::default, |document| {
            SavedState::from_document(&document).unwrap_or_else(|error| {
                warn!("{error}; alerts start afresh");
                SavedState::default()
            })
        });
        let saved = saved.restored(Timestamp::now());
        let patterns = config.rules.clone();
        let (changes, _) = watch::channel(0);
        let manager = Manager {
            inner: Arc::new(Inner { config, source, outlet, store, loaded: Mutex::default(), changes, stop }),
        };
        manager.inner.replace(patterns, files, groups, &saved);
        tokio::spawn(watch_files(manager.inner.clone()));
        Ok(manager)
    }

    /// Reads the files again, named by these patterns from now on. With a problem in any of them everything stays as it was,
    /// the patterns included. Blocks while it reads. Gives the number of groups.
    pub fn reload(&self, patterns: Vec<String>) -> Result<usize, Vec<Problem>> {
        let read = RuleFiles::read(&patterns, self.inner.config.built_in);
        let read = read.and_then(|files| files.parse().map(|groups| (files, groups)));
        self.inner.take(patterns, read)
    }

    /// All groups in the order of their files.
    pub fn snapshot(&self) -> Vec<GroupSnapshot> {
        let loaded = self.inner.loaded.lock();
        let default = self.inner.config.interval;
        loaded.groups.iter().map(|running| running.status.lock().snapshot(&running.group, default)).collect()
    }

    /// Every alert that is pending, firing, or was resolved within the last quarter of an hour.
    pub fn alerts(&self) -> Vec<NamedAlert> {
        let loaded = self.inner.loaded.lock();
        let default = self.inner.config.interval;
        loaded.groups.iter().flat_map(|running| running.status.lock().alerts(&running.group, default)).collect()
    }

    /// The groups at work, in the order of their files.
    pub fn groups(&self) -> Vec<Group> {
        self.inner.loaded.lock().groups.iter().map(|running| (*running.group).clone()).collect()
    }

    /// How often groups are evaluated that do not say it.
    pub fn interval(&self) -> Duration {
        self.inner.config.interval
    }

    /// Where people reach this server.
    pub fn external_url(&self) -> &str {
        &self.inner.config.external_url
    }

    /// What was wrong with the files when they were last read; the rules before that are still at work.
    pub fn problems(&self) -> Vec<Problem> {
        self.inner.loaded.lock().problems.clone()
    }

    /// Counts up whenever an evaluation or a reload may have changed an alert.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// Waits until every evaluation under way has ended, after the token given at the start was cancelled.
    pub async fn stopped(&self) {
        self.inner.stop.cancelled().await;
        let tasks: Vec<_> = self.inner.loaded.lock().groups.drain(..).map(|running| running.task).collect();
        for task in tasks {
            // A task that panicked was logged by the panic itself.
            let _ = task.await;
        }
    }
}

impl Inner {
    fn take(
        self: &Arc<Self>,
        patterns: Vec<String>,
        read: Result<(RuleFiles, Vec<Group>), Vec<Problem>>,
    ) -> Result<usize, Vec<Problem>> {
        match read {
            Ok((files, groups)) => {
                let count = groups.len();
                let current = self.current_state();
                self.replace(patterns, files, groups, &current);
                info!("alert rules: {count} groups are at work");
                Ok(count)
            }
            Err(problems) => {
                let mut loaded = self.loaded.lock();
                if loaded.problems != problems {
                    for problem in &problems {
                        warn!("alert rules stay as they were: {problem}");
                    }
                    loaded.problems = problems.clone();
                }
                Err(problems)
            }
        }
    }

    /// Puts these groups to work; those that did not change go on undisturbed, others take their alerts from `state`.
    fn replace(self: &Arc<Self>, patterns: Vec<String>, files: RuleFiles, groups: Vec<Group>, state: &SavedState) {
        let mut loaded = self.loaded.lock();
        let mut before: Vec<Running> = std::mem::take(&mut loaded.groups);
        for group in groups {
            let same = before.iter().position(|running| *running.group == group);
            let running = match same {
                Some(at) => before.swap_remove(at),
                None => self.run(group, state),
            };
            loaded.groups.push(running);
        }
        let mut orphans = HashSet::new();
        for old in before {
            old.stop.cancel();
            let stored = old.status.lock().stored();
            let same_name = |new: &&Running| new.group.file == old.group.file && new.group.name == old.group.name;
            match loaded.groups.iter().find(same_name) {
                Some(new) => new.status.lock().inherit(stored),
                None => orphans.extend(stored),
            }
        }
        loaded.patterns = patterns;
        loaded.files = files;
        loaded.problems.clear();
        drop(loaded);
        let outlet = self.outlet.clone();
        tokio::spawn(async move {
            let ends = ended(orphans, Timestamp::now()).collect();
            if let Err(reason) = deliver(&outlet, ends, STORE_PATIENCE.1).await {
                warn!("series of rules that are gone could not be ended: {reason}");
            }
        });
        self.changes.send_modify(|count| *count += 1);
    }

    fn run(self: &Arc<Self>, group: Group, state: &SavedState) -> Running {
        let group = Arc::new(group);
        let status = Arc::new(Mutex::new(Status::new(state.alerts_of(&group))));
        let stop = self.stop.child_token();
        let task = tokio::spawn(run_group(self.clone(), group.clone(), status.clone(), stop.clone()));
        Running { group, status, stop, task }
    }

    fn current_state(&self) -> SavedState {
        let mut state = SavedState::default();
        for running in &self.loaded.lock().groups {
            state.add(&running.group, &running.status.lock().all_alerts());
        }
        state
    }

    fn evaluate(&self, group: &Group, alerts: &mut [Vec<Alert>], given: &Given, time: Timestamp) -> Vec<Outcome> {
        let config = &self.config;
        let environment = Environment {
            source: &*self.source,
            budget: Budget::Each(&|| Scan::new(Some(config.timeout), config.rows_max)),
            memory_bytes_max: config.memory_bytes_max,
            alerts_max: config.alerts_max,
            interval: group.interval.unwrap_or(config.interval),
            external_labels: &config.external_labels,
            external_url: &config.external_url,
        };
        evaluate_group(group, alerts, given, &environment, time)
    }
}

/// Evaluates one group until it is stopped.
async fn run_group(inner: Arc<Inner>, group: Arc<Group>, status: Arc<Mutex<Status>>, stop: CancellationToken) {
    let interval = group.interval.unwrap_or(inner.config.interval);
    let mut before: Option<Timestamp> = None;
    let mut saved: Option<Instant> = None;
    loop {
        let now = Timestamp::now();
        before = believable(before, now, interval);
        let due = next_due(&group, interval, before.map_or(now, |before| now.max(before)));
        if let Some(before) = before {
            status.lock().missed += missed(before, due, interval);
        }
        before = Some(due);
        tokio::select! {
            () = tokio::time::sleep(due.saturating_since(now)) => {}
            () = stop.cancelled() => return,
        }
        let save_anyway = saved.is_none_or(|saved| saved.elapsed() >= SAVE_PENDING);
        let evaluation = tokio::task::spawn_blocking({
            let (inner, group, status) = (inner.clone(), group.clone(), status.clone());
            move || {
                let (mut alerts, given) = {
                    let status = status.lock();
                    (status.all_alerts(), status.given())
                };
                let outcomes = inner.evaluate(&group, &mut alerts, &given, due);
                let (samples, changed) = status.lock().finish(&group, alerts, outcomes, due);
                let save = changed || save_anyway && status.lock().pending();
                if save {
                    inner.store.save(&inner.current_state().to_document(Timestamp::now()));
                }
                (samples, save)
            }
        });
        let Ok((samples, save)) = evaluation.await else {
            // The panic was logged; the group's alerts are as they were, and its next evaluation may go better.
            status.lock().fail("the evaluation ended unexpectedly; see the server's log");
            continue;
        };
        if save {
            saved = Some(Instant::now());
        }
        inner.changes.send_modify(|count| *count += 1);
        let patience = interval.clamp(STORE_PATIENCE.0, STORE_PATIENCE.1);
        if let Err(reason) = deliver(&inner.outlet, samples, patience).await {
            status.lock().fail(&format!("the results could not be stored: {reason}"));
        }
    }
}

/// How many evaluations between two were left out: the one before them took too long, or the clock was set forward.
fn missed(before: Timestamp, due: Timestamp, interval: Duration) -> u64 {
    let passed = due.saturating_since(before).as_nanos() / interval.as_nanos().max(1);
    u64::try_from(passed).unwrap_or(u64::MAX).saturating_sub(1)
}

/// The moment of the last evaluation, unless the wall clock was set back since: then waiting for it to pass again would stop
/// the group for as long.
fn believable(before: Option<Timestamp>, now: Timestamp, interval: Duration) -> Option<Timestamp> {
    before.filter(|before| *before <= now.saturating_add(interval))
}

/// Offers the samples once. What is refused is lost and said in the rules' health: the next evaluation brings newer ones, and
/// waiting for a full disk would mean that nobody hears of it.
async fn deliver(outlet: &Outlet, samples: Vec<Sample>, patience: Duration) -> Result<(), String> {
    if samples.is_empty() {
        return Ok(());
    }
    match tokio::time::timeout(patience, outlet.deliver(Batch { samples, ..Batch::local() })).await {
        Ok(Delivered::Refused(refusal)) => Err(refusal.message),
        Ok(Delivered::Stored { .. } | Delivered::Duplicate { .. } | Delivered::Gap { .. }) => Ok(()),
        Err(_) => Err(format!("the store gave no answer within {patience:?}")),
    }
}

/// The first moment after `now` at which the group is due.
pub(super) fn next_due(group: &Group, interval: Duration, now: Timestamp) -> Timestamp {
    let width = i64::try_from(interval.as_nanos()).unwrap_or(i64::MAX).max(1);
    // The offset must be the same after a restart, so it comes from a hash that does not change: FNV-1a.
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    (&group.file, &group.name).hash(&mut hasher);
    let offset = (hasher.finish() % width.unsigned_abs()) as i64;
    let since = now.unix_nanos().saturating_sub(offset).rem_euclid(width);
    Timestamp::from_unix_nanos(now.unix_nanos().saturating_add(width - since))
}

struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Reads the files again when they change.
async fn watch_files(inner: Arc<Inner>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = inner.stop.cancelled() => return,
        }
        let inner = inner.clone();
        // A panic here would have been logged; the next look may go better.
        let _ = tokio::task::spawn_blocking(move || look_again(&inner)).await;
    }
}

fn look_again(inner: &Arc<Inner>) {
    let (patterns, known) = {
        let loaded = inner.loaded.lock();
        (loaded.patterns.clone(), loaded.files.stamps.clone())
    };
    if stamps(&patterns).is_ok_and(|stamps| stamps == known) {
        return;
    }
    let read = RuleFiles::read(&patterns, inner.config.built_in);
    if let Ok(files) = &read {
        let mut loaded = inner.loaded.lock();
        if loaded.patterns != patterns {
            return;
        }
        if loaded.files.same_texts(files) {
            loaded.files = files.clone();
            loaded.problems.clear();
            return;
        }
    }
    // What is wrong is kept for `problems`, and logged once.
    let _ = inner.take(patterns, read.and_then(|files| files.parse().map(|groups| (files, groups))));
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
