//! The newest deploy of each service: what new errors are told with, and a series that rules can ask about.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::{LabelSet, Sample, SampleValue, Timestamp};
use taffrail_ingest::catalog::annotations::{Annotation, DEPLOY};

/// The series with one sample for each deploy, labelled `service` and `version`.
pub const SERIES: &str = "taffrail.deploy";
/// An error is told with the deploy before it when that is no older.
pub const RECENT: Duration = Duration::from_secs(24 * 3_600);

/// A deploy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deploy {
    /// The annotation's name.
    pub id: String,
    /// What was deployed; empty when it is not told.
    pub version: String,
    /// When, in nanoseconds since the epoch.
    pub at: i64,
}

/// The newest deploy of each service; under the empty name that of all services.
#[derive(Debug, Default)]
pub struct Deploys(HashMap<String, Deploy>);

impl Deploys {
    /// Takes in an annotation; others than deploys change nothing.
    pub fn take(&mut self, annotation: &Annotation) {
        if annotation.kind != DEPLOY {
            return;
        }
        let at = annotation.time.unix_nanos();
        let newest = self.0.entry(annotation.service.clone()).or_default();
        if newest.id.is_empty() || newest.at <= at {
            *newest = Deploy { id: annotation.id.clone(), version: annotation.version.clone(), at };
        }
    }

    /// The deploy that came before this moment and not long ago, of the service or of all.
    pub fn before(&self, service: &str, moment: i64) -> Option<&Deploy> {
        let recent = i64::try_from(RECENT.as_nanos()).unwrap_or(i64::MAX);
        let candidates = [self.0.get(service), self.0.get("")].into_iter().flatten();
        candidates.filter(|deploy| deploy.at <= moment && moment - deploy.at <= recent).max_by_key(|deploy| deploy.at)
    }
}

/// The sample of a deploy; none of other annotations.
pub fn sample(annotation: &Annotation) -> Option<Sample> {
    if annotation.kind != DEPLOY {
        return None;
    }
    let labels = [("__name__", SERIES), ("service", &annotation.service), ("version", &annotation.version)];
    let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
    Some(gauge(Arc::new(LabelSet::new(labels)), annotation.time, 1.0))
}

/// A sample of a gauge.
pub fn gauge(labels: Arc<LabelSet>, timestamp: Timestamp, value: f64) -> Sample {
    Sample {
        labels,
        timestamp,
        interval_ms: 0,
        value: SampleValue::Gauge { last: value, min: value, max: value },
        unit: "",
        exemplars: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_deploy_before_a_moment_is_found() {
        let mut deploys = Deploys::default();
        let hour = 3_600_000_000_000;
        for (id, service, kind, hours) in
            [("a", "web", DEPLOY, 10), ("b", "web", DEPLOY, 9), ("c", "", DEPLOY, 5), ("d", "web", "note", 11)]
        {
            let time = Timestamp::from_unix_nanos(hours * hour);
            deploys.take(&Annotation {
                id: id.into(),
                service: service.into(),
                kind: kind.into(),
                time,
                ..Annotation::default()
            });
        }
        let check = |service, hours: i64, expected: Option<&str>| {
            assert_eq!(deploys.before(service, hours * hour).map(|deploy| deploy.id.as_str()), expected);
        };
        check("web", 12, Some("a"));
        check("web", 6, Some("c"));
        check("db", 12, Some("c"));
        check("db", 4, None);
        check("db", 50, None);
    }
}
