//! Tells that an error group is new or back: as a sample of a series that a rule can ask about.

use std::sync::Arc;

use taffrail_collector::model::{LabelSet, LogRecord, Sample, Timestamp};
use taffrail_ingest::error_group::fingerprint::called_after;
use taffrail_ingest::error_group::record::read;
use taffrail_ingest::error_group::stack_trace::StackTrace;
use taffrail_query::error_group::group::Group;
use taffrail_query::error_group::tracker::Event;

use super::deploys::{Deploy, gauge};

/// The series with a sample for each group that is new or back; its label `event` says which.
pub const SERIES: &str = "taffrail.error.event";

/// Where a record says its version.
pub const VERSION_FIELDS: [&str; 5] = ["version", "service.version", "app.version", "release", "deployment.version"];
/// The longest version, message, type or function that is kept, in bytes.
const TEXT_BYTES_MAX: usize = 300;

/// The version that a record tells of; empty when it tells of none.
pub fn version_of(record: &LogRecord) -> String {
    let said = VERSION_FIELDS.iter().find_map(|name| record.attribute(name)).map(ToString::to_string);
    said.map_or_else(String::new, |version| cut(&version).to_owned())
}

/// What a group is, by its first record.
pub fn describe(record: &LogRecord) -> Group {
    let error = read(record);
    Group {
        service: record.resource.service.to_string(),
        kind: cut(error.kind).to_owned(),
        message: cut(error.message).to_owned(),
        culprit: error.trace.as_ref().map_or_else(String::new, culprit),
        language: error.trace.as_ref().map_or("", |trace| trace.language.name()).to_owned(),
        ..Group::default()
    }
}

/// The own function that failed, or else the innermost.
fn culprit(trace: &StackTrace<'_>) -> String {
    let innermost = trace.exceptions.iter().rev().flat_map(|exception| &exception.frames);
    let found = innermost.clone().find(|frame| frame.is_own).or_else(|| innermost.clone().next());
    found.or_else(|| called_after(trace)?.frames.first()).map_or_else(String::new, |frame| {
        let name = if frame.function.is_empty() { frame.file } else { frame.function };
        cut(name).to_owned()
    })
}

/// The sample that tells of it: 1 when the error happened, labelled with all that a person who is woken by it needs.
pub fn sample((id, group): (&str, &Group), event: Event, deploy: Option<&Deploy>, now: Timestamp) -> Sample {
    let deployed = deploy.map_or(("", ""), |deploy| (deploy.id.as_str(), deploy.version.as_str()));
    let labels = [
        ("__name__", SERIES),
        ("event", event.name()),
        ("error", id),
        ("service", &group.service),
        ("type", &group.kind),
        ("message", &group.message),
        ("culprit", &group.culprit),
        ("version", group.versions.last().map_or("", String::as_str)),
        ("deploy", deployed.0),
        ("deploy_version", deployed.1),
    ];
    let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
    gauge(Arc::new(LabelSet::new(labels)), now, 1.0)
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use taffrail_collector::model::{Resource, Severity};

    use super::*;

    #[test]
    fn a_new_group_is_told_with_what_it_is_and_the_deploy_before_it() {
        let record = LogRecord {
            timestamp: Timestamp::EPOCH,
            observed_timestamp: Timestamp::EPOCH,
            severity: Severity::ERROR,
            severity_text: Default::default(),
            body: "oops\nTypeError: no tea\n    at f (/app/node_modules/a.js:1:1)\n    at total (/app/b.js:2:2)".into(),
            trace_id: None,
            span_id: None,
            resource: Arc::new(Resource { service: "web".into(), ..Resource::default() }),
            attributes: vec![("version".into(), "1.2".into())],
        };
        let mut group = describe(&record);
        assert_eq!(
            (group.kind.as_str(), group.culprit.as_str(), group.language.as_str()),
            ("TypeError", "total", "javascript")
        );
        assert_eq!(version_of(&record), "1.2");
        group.versions.push("1.2".to_owned());
        let deploy = Deploy { id: "d1".to_owned(), version: "1.2".to_owned(), at: 0 };
        let told = sample(("g1", &group), Event::Regressed, Some(&deploy), Timestamp::EPOCH);
        let labels: Vec<String> = told.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = [
            "__name__=taffrail.error.event",
            "culprit=total",
            "deploy=d1",
            "deploy_version=1.2",
            "error=g1",
            "event=regressed",
            "message=no tea",
            "service=web",
            "type=TypeError",
            "version=1.2",
        ];
        assert_eq!(labels, expected);
    }
}
