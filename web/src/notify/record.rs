//! A notification as a log record: what was told to whom by which attempt, and whether it arrived
//! (`service:taffrail notify.channel:* notify.outcome:failed`).

use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::{Attributes, LogRecord, Resource, Severity, Timestamp, Value};

use super::channel::{Channel, Failure};
use super::ledger::{Due, Reason};
use super::notice::{Notice, common};
use super::routing::silence::Silence;

/// Alerts that a record names by their ids, so that the notifications of each can be found.
const IDS_MAX: usize = 100;

/// One attempt.
pub struct Attempt<'a> {
    /// What was told.
    pub due: &'a Due,
    /// To whom.
    pub channel: &'a Channel,
    /// What became of it.
    pub result: &'a Result<(), Failure>,
    /// From 1.
    pub number: u32,
    /// How long it took.
    pub duration: Duration,
}

impl Attempt<'_> {
    /// `delivered`, `retrying` (it is tried again) or `refused` (the receiver will not take it; tried again rarely).
    pub const fn outcome(&self) -> &'static str {
        match self.result {
            Ok(()) => "delivered",
            Err(Failure::Refused(_)) => "refused",
            Err(Failure::Away(_) | Failure::Later(..)) => "retrying",
        }
    }

    /// The record of it.
    pub fn record(&self, resource: &Arc<Resource>, now: Timestamp) -> LogRecord {
        let due = self.due;
        let all = || due.notices();
        let labels = common(all().map(|notice| &notice.labels));
        let annotations = common(all().map(|notice| &notice.annotations));
        let name = labels.get("alertname").map(String::as_str).unwrap_or_default();
        let mut attributes: Attributes = vec![
            ("notify.channel".into(), self.channel.name.as_str().into()),
            ("notify.receiver".into(), self.channel.receiver.as_str().into()),
            ("notify.target".into(), self.channel.target().into()),
            ("notify.outcome".into(), self.outcome().into()),
            ("notify.reason".into(), due.reason.name().into()),
            ("notify.attempt".into(), i64::from(self.number).into()),
            ("notify.duration_ms".into(), (self.duration.as_millis() as i64).into()),
            ("notify.group".into(), due.key.to_string().into()),
            ("alert.name".into(), name.into()),
            ("alert.status".into(), due.status().into()),
            ("alert.firing".into(), (due.firing.len() as i64).into()),
            ("alert.resolved".into(), (due.resolved.len() as i64).into()),
            ("alert.ids".into(), all().take(IDS_MAX).map(Notice::id).collect::<Vec<_>>().join(" ").into()),
        ];
        if let Err(failure) = self.result {
            attributes.push(("notify.error".into(), failure.message().into()));
        }
        if let [only] = &all().collect::<Vec<&Notice>>()[..] {
            let value = only.value.parse::<f64>().ok().filter(|value| value.is_finite());
            let value = value.map_or_else(|| Value::from(only.value.as_str()), Value::Float);
            attributes.push(("alert.value".into(), value));
            attributes.push(("alert.group".into(), only.rule_group.as_str().into()));
            attributes.push(("alert.file".into(), only.file.as_str().into()));
        }
        attributes.extend(prefixed("alert.labels", &labels));
        attributes.extend(prefixed("alert.annotations", &annotations));
        let severity = severity(due, self.result.is_err(), labels.get("severity").map(String::as_str));
        plain(severity, self.sentence(name, annotations.get("summary").map(String::as_str)), attributes, resource, now)
    }

    fn sentence(&self, name: &str, summary: Option<&str>) -> String {
        let due = self.due;
        let count = |number: usize, what: &str| (number > 0).then(|| format!("{number} {what}"));
        let counts = [count(due.firing.len(), "firing"), count(due.resolved.len(), "resolved")];
        let counts = counts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let summary =
            summary.filter(|summary| !summary.is_empty()).map(|summary| format!(": {summary}")).unwrap_or_default();
        let (channel, target) = (&self.channel.name, self.channel.target());
        let end = match self.result {
            Err(failure) => format!("; {channel} could not be told ({target}): {}", failure.message()),
            Ok(()) if target.is_empty() => String::new(),
            Ok(()) => format!("; told {channel} ({target})"),
        };
        let name = if name.is_empty() { "group" } else { name };
        format!("alert {name} {} ({counts}){summary}{end}", due.status())
    }
}

/// The record that says that a silence ends soon.
pub fn silence_ends(silence: &Silence, resource: &Arc<Resource>, now: Timestamp) -> LogRecord {
    let matchers = super::routing::matcher::write_matchers(&silence.matchers);
    let minutes = silence.ends_at.saturating_since(now).as_secs().div_ceil(60);
    let body = format!(
        "the silence {matchers} by {} ends in {minutes} min, at {}: {}",
        silence.created_by, silence.ends_at, silence.comment
    );
    let attributes = vec![
        ("silence.id".into(), silence.id.as_str().into()),
        ("silence.matchers".into(), matchers.into()),
        ("silence.author".into(), silence.created_by.as_str().into()),
        ("silence.reason".into(), silence.comment.as_str().into()),
        ("silence.ends_at".into(), silence.ends_at.to_string().into()),
    ];
    plain(Severity::WARN, body, attributes, resource, now)
}

fn plain(
    severity: Severity,
    body: String,
    attributes: Attributes,
    resource: &Arc<Resource>,
    now: Timestamp,
) -> LogRecord {
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

fn prefixed(prefix: &str, labels: &taffrail_query::alert::state::Labels) -> Attributes {
    labels.iter().map(|(name, value)| (Arc::from(format!("{prefix}.{name}")), value.as_str().into())).collect()
}

impl Reason {
    /// In one word.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::New => "new",
            Reason::Resolved => "resolved",
            Reason::Repeat => "repeat",
            Reason::Test => "test",
        }
    }
}

/// What fires is as grave as its `severity` label says, a warning when it says nothing.
fn severity(due: &Due, failed: bool, label: Option<&str>) -> Severity {
    if failed {
        return Severity::ERROR;
    }
    match label {
        _ if due.firing.is_empty() || due.reason == Reason::Test => Severity::INFO,
        Some("page") => Severity::ERROR,
        Some(word) => Severity::from_word(word).unwrap_or(Severity::WARN),
        None => Severity::WARN,
    }
}
