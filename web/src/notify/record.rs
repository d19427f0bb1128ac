//! A notification as a log record: what was told to whom, and whether it arrived.

use std::sync::Arc;

use taffrail_collector::model::{Attributes, LogRecord, Resource, Severity, Timestamp, Value};

use super::ledger::{Due, Notice, Reason};
use super::payload::common;

/// The record of a notification that arrived or, with an `error`, did not.
pub fn record(due: &Due, receiver: &str, error: Option<&str>, resource: &Arc<Resource>, now: Timestamp) -> LogRecord {
    let all = || due.firing.iter().chain(&due.resolved);
    let (labels, annotations) =
        (common(all().map(|notice| &notice.labels)), common(all().map(|notice| &notice.annotations)));
    let mut attributes: Attributes = vec![
        ("alert.name".into(), due.key.alert.as_str().into()),
        ("alert.group".into(), due.key.group.as_str().into()),
        ("alert.file".into(), due.key.file.as_str().into()),
        ("alert.status".into(), due.status().into()),
        ("alert.reason".into(), reason_name(due.reason).into()),
        ("alert.receiver".into(), receiver.into()),
        ("alert.delivery".into(), if error.is_some() { "failed" } else { "delivered" }.into()),
        ("alert.firing".into(), (due.firing.len() as i64).into()),
        ("alert.resolved".into(), (due.resolved.len() as i64).into()),
    ];
    if let Some(error) = error {
        attributes.push(("alert.error".into(), error.into()));
    }
    if let [only] = &all().collect::<Vec<&Notice>>()[..] {
        let value = only.value.parse::<f64>().ok().filter(|value| value.is_finite());
        attributes.push(("alert.value".into(), value.map_or_else(|| Value::from(only.value.as_str()), Value::Float)));
    }
    let named = |prefix: &str, name: &str| Arc::from(format!("{prefix}.{name}"));
    attributes.extend(labels.iter().map(|(name, value)| (named("alert.labels", name), value.as_str().into())));
    attributes
        .extend(annotations.iter().map(|(name, value)| (named("alert.annotations", name), value.as_str().into())));
    let severity = severity(due, error.is_some(), labels.get("severity").map(String::as_str));
    LogRecord {
        timestamp: now,
        observed_timestamp: now,
        severity,
        severity_text: Default::default(),
        body: sentence(due, receiver, error, annotations.get("summary").map(String::as_str)),
        trace_id: None,
        span_id: None,
        resource: resource.clone(),
        attributes,
    }
}

fn sentence(due: &Due, receiver: &str, error: Option<&str>, summary: Option<&str>) -> String {
    let count = |number: usize, what: &str| (number > 0).then(|| format!("{number} {what}"));
    let counts = [count(due.firing.len(), "firing"), count(due.resolved.len(), "resolved")];
    let counts = counts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let summary =
        summary.filter(|summary| !summary.is_empty()).map(|summary| format!(": {summary}")).unwrap_or_default();
    let end = match (error, receiver) {
        (Some(error), _) => format!("; {receiver} could not be told: {error}"),
        (None, "") => String::new(),
        (None, _) => format!("; told {receiver}"),
    };
    format!("alert {} {} ({counts}){summary}{end}", due.key.alert, due.status())
}

const fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::New => "new",
        Reason::Resolved => "resolved",
        Reason::Repeat => "repeat",
    }
}

/// What fires is as grave as its `severity` label says, a warning when it says nothing.
fn severity(due: &Due, failed: bool, label: Option<&str>) -> Severity {
    if failed {
        return Severity::ERROR;
    }
    match label {
        _ if due.firing.is_empty() => Severity::INFO,
        Some("page") => Severity::ERROR,
        Some(word) => Severity::from_word(word).unwrap_or(Severity::WARN),
        None => Severity::WARN,
    }
}
