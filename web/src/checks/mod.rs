//! Checks from this server: whether a URL answers as it should, or an address takes connections (`[[checks]]`).
//!
//! Each check is a task of its own, so that one that hangs delays no other. Each result is the gauge [`UP`] (1 or 0) and the timer
//! [`DURATION`], labelled `check` and `target`; a log record tells of each change, with the fields that DogStatsD's service
//! checks have (`check.name`, `check.status`). Reading order: [`probe`] (one look), here the tasks.

pub mod probe;

use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::delivery::{Outcome, Outlet};
use taffrail_collector::model::{
    Batch, Distribution, LabelSet, LogRecord, Resource, Sample, SampleValue, Severity, Timestamp,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use probe::Probe;

/// 1 when it answered as it should, else 0.
pub const UP: &str = "taffrail.check.up";
/// How long that took, in milliseconds.
pub const DURATION: &str = "taffrail.check.duration";
/// How long the store may take to take a result.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// A checked `[[checks]]`.
#[derive(Clone, Debug)]
pub struct Check {
    /// What it is called.
    pub name: String,
    /// What is looked at.
    pub probe: Probe,
    /// How often.
    pub interval: Duration,
    /// How long it may take.
    pub timeout: Duration,
}

/// The checks at work.
pub struct Running {
    tasks: Vec<JoinHandle<()>>,
}

/// Starts all checks; they end once `stop` is cancelled.
pub fn start(checks: &[Check], outlet: &Outlet, resource: &Arc<Resource>, stop: &CancellationToken) -> Running {
    let tasks = checks.iter().cloned().enumerate().map(|(number, check)| {
        let (outlet, resource, stop) = (outlet.clone(), resource.clone(), stop.clone());
        // Not all in the same moment.
        let delay = check.interval.min(Duration::from_secs(10)) / 10 * (number as u32 % 10);
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = run(check, delay, outlet, resource) => {}
            }
        })
    });
    Running { tasks: tasks.collect() }
}

impl Running {
    /// Waits for their end.
    pub async fn stopped(self) {
        for task in self.tasks {
            // A panic of a task was logged by the panic itself.
            let _ = task.await;
        }
    }
}

async fn run(check: Check, delay: Duration, outlet: Outlet, resource: Arc<Resource>) {
    let mut ticks = tokio::time::interval_at(Instant::now() + delay, check.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_up = None;
    loop {
        ticks.tick().await;
        let began = Instant::now();
        let looked = tokio::time::timeout(check.timeout, check.probe.look()).await;
        let result = looked.unwrap_or_else(|_| Err(format!("no answer within {:?}", check.timeout)));
        let (took, now) = (began.elapsed(), Timestamp::now());
        let is_up = result.is_ok();
        let mut batch = Batch { samples: samples(&check, is_up, took, now), ..Batch::local() };
        // The first look is told when it finds something wrong.
        if was_up.map_or(!is_up, |was_up| was_up != is_up) {
            batch.logs.push(record(&check, result.as_ref().err().map(String::as_str), &resource, now));
        }
        match tokio::time::timeout(STORE_PATIENCE, outlet.deliver(batch)).await {
            Ok(Outcome::Stored { .. } | Outcome::Duplicate { .. } | Outcome::Gap { .. }) => was_up = Some(is_up),
            // The next result tells of the change again.
            Ok(Outcome::Refused(refusal)) => tracing::warn!("check {}: not stored: {}", check.name, refusal.message),
            Err(_) => tracing::warn!("check {}: the store gave no answer within {STORE_PATIENCE:?}", check.name),
        }
    }
}

fn samples(check: &Check, is_up: bool, took: Duration, now: Timestamp) -> Vec<Sample> {
    let target = check.probe.target();
    let labels = |name: &str| {
        Arc::new(LabelSet::new([("__name__", name), ("check", check.name.as_str()), ("target", target.as_str())]))
    };
    let sample = |name: &str, value, unit| Sample {
        labels: labels(name),
        timestamp: now,
        interval_ms: 0,
        value,
        unit,
        exemplars: Vec::new(),
    };
    let level = f64::from(u8::from(is_up));
    let mut duration = Distribution::new();
    duration.observe(took.as_secs_f64() * 1e3, 1.0);
    vec![
        sample(UP, SampleValue::Gauge { last: level, min: level, max: level }, ""),
        sample(DURATION, SampleValue::Distribution(Box::new(duration)), "ms"),
    ]
}

fn record(check: &Check, error: Option<&str>, resource: &Arc<Resource>, now: Timestamp) -> LogRecord {
    let (status, severity) = if error.is_some() { ("critical", Severity::ERROR) } else { ("ok", Severity::INFO) };
    let mut attributes = vec![
        ("check.name".into(), check.name.as_str().into()),
        ("check.status".into(), status.into()),
        ("check.target".into(), check.probe.target().into()),
    ];
    let mut body = format!("{} is {status}", check.name);
    if let Some(error) = error {
        body = format!("{body}: {error}");
        attributes.push(("check.error".into(), error.into()));
    }
    LogRecord {
        timestamp: now,
        observed_timestamp: now,
        severity,
        severity_text: Default::default(),
        body,
        trace_id: None,
        span_id: None,
        resource: resource.clone(),
        attributes,
    }
}
