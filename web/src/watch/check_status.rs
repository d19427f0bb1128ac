//! How checks stand, as a series: DogStatsD's service checks (`_sc`) come as log records, and each makes a sample.

use std::sync::Arc;

use taffrail_collector::model::{LabelSet, LogRecord, Sample, Value};

use super::deploys::gauge;

/// What records of checks have and others do not.
pub const CHECK_FIELD: &str = "check.name";
/// The series of how a check stands: 0 ok, 1 warning, 2 critical, 3 unknown, as DogStatsD counts.
pub const SERIES: &str = "taffrail.check.status";
/// Tags of a check that become labels, at most.
const LABELS_MAX: usize = 20;

/// The sample of a check's record; none of others.
pub fn status_sample(record: &LogRecord) -> Option<Sample> {
    let attribute = |name: &str| {
        let found = record.attributes.iter().find(|(key, _)| &**key == name);
        found.and_then(|(_, value)| value.as_str())
    };
    let name = attribute(CHECK_FIELD)?;
    let status = match attribute("check.status")? {
        "ok" => 0.0,
        "warning" => 1.0,
        "critical" => 2.0,
        "unknown" => 3.0,
        _ => return None,
    };
    let mut labels = vec![("__name__", SERIES), ("check", name)];
    let origin = [("host", &*record.resource.host), ("service", &*record.resource.service)];
    labels.extend(origin.into_iter().filter(|(_, value)| !value.is_empty()));
    for (key, value) in &record.attributes {
        let is_tag = !key.starts_with("check.") && !labels.iter().any(|(taken, _)| *taken == &**key);
        if let (true, Value::String(value), true) = (is_tag, value, labels.len() < LABELS_MAX) {
            labels.push((key, value));
        }
    }
    Some(gauge(Arc::new(LabelSet::new(labels)), record.timestamp, status))
}

#[cfg(test)]
mod tests {
    use taffrail_collector::model::{Resource, SampleValue, Timestamp};
    use taffrail_collector::source::statsd::event;

    use super::*;

    #[test]
    fn a_service_check_is_a_series_by_check_host_and_tags() {
        let resource = Arc::new(Resource { host: "h1".into(), ..Resource::default() });
        let read = |line: &str| event::parse(line, Timestamp::from_unix_seconds(7), &resource).unwrap().record;
        let sample = status_sample(&read("_sc|db.up|2|d:99|h:db1|#env:prod|m:no route")).unwrap();
        let label = |name: &str| sample.labels.get(name).to_owned();
        assert_eq!(["__name__", "check", "host", "env"].map(label), [SERIES, "db.up", "db1", "prod"]);
        assert_eq!(sample.timestamp, Timestamp::from_unix_seconds(99));
        assert!(matches!(sample.value, SampleValue::Gauge { last: 2.0, .. }));
        assert!(status_sample(&read("_e{1,1}:a|x")).is_none());
    }
}
