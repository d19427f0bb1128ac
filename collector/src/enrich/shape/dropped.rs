//! What sampling and limits dropped, until a record says so.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{LogRecord, Resource, Severity, SeverityText, Timestamp, Value};

/// A rule says at most so often what it drops.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// Services that a report names.
const SERVICES_MAX: usize = 20;

/// What one rule dropped since its last report.
#[derive(Debug, Default)]
pub(super) struct Dropped {
    count: u64,
    /// When the first and the last of them arrived.
    first: Timestamp,
    last: Timestamp,
    services: Vec<Arc<str>>,
}

impl Dropped {
    pub(super) fn add(&mut self, arrival: Timestamp, service: &Arc<str>) {
        if self.count == 0 {
            (self.first, self.last) = (arrival, arrival);
        }
        self.count += 1;
        self.first = self.first.min(arrival);
        self.last = self.last.max(arrival);
        if !self.services.contains(service) && self.services.len() < SERVICES_MAX && !service.is_empty() {
            self.services.push(Arc::clone(service));
        }
    }

    /// The record that says what was dropped, when it is time for one; `at_end` it always is.
    pub(super) fn report(
        &mut self,
        rule: &str,
        why: &'static str,
        now: Timestamp,
        at_end: bool,
        host: &Arc<Resource>,
    ) -> Option<LogRecord> {
        if self.count == 0 || !(at_end || now.saturating_since(self.first) >= REPORT_INTERVAL) {
            return None;
        }
        let Dropped { count, first, last, services } = std::mem::take(self);
        let resource = match services.as_slice() {
            [service] => Arc::new(Resource { service: Arc::clone(service), ..(**host).clone() }),
            _ => Arc::clone(host),
        };
        let mut attributes = vec![
            ("taffrail.dropped.count".into(), Value::Int(i64::try_from(count).unwrap_or(i64::MAX))),
            ("taffrail.dropped.rule".into(), rule.into()),
            ("taffrail.dropped.by".into(), why.into()),
            ("taffrail.dropped.from".into(), first.to_string().into()),
            ("taffrail.dropped.to".into(), last.to_string().into()),
        ];
        if services.len() > 1 {
            let names = services.iter().map(|service| Value::from(&**service)).collect();
            attributes.push(("taffrail.dropped.services".into(), Value::Array(names)));
        }
        Some(LogRecord {
            timestamp: last,
            observed_timestamp: now,
            severity: if why == "limit" { Severity::WARN } else { Severity::INFO },
            severity_text: SeverityText::NONE,
            body: format!(
                "taffrail.dropped: the {why} of the rule {rule} dropped {count} records from {first} to {last}"
            ),
            trace_id: None,
            span_id: None,
            resource,
            attributes,
        })
    }
}
