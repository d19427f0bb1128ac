//! An alert as it is told: what stays true of it after its rule has gone.

use serde::{Deserialize, Serialize};
use taffrail_collector::model::Timestamp;
use taffrail_query::alert::snapshot::NamedAlert;
use taffrail_query::alert::state::{Labels, LinesAsked};

/// One alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// The rules file.
    pub file: String,
    /// The group of rules.
    pub rule_group: String,
    /// The rule.
    pub rule: String,
    /// Its labels.
    pub labels: Labels,
    /// Its texts.
    pub annotations: Labels,
    /// Its rule's expression.
    pub expr: String,
    /// The last value, as text (JSON has no infinity).
    pub value: String,
    /// Nanoseconds since the epoch: when it began to fire; while that is not known, since when the expression has held.
    pub starts_at: i64,
    /// Nanoseconds since the epoch: when it was resolved.
    pub ends_at: Option<i64>,
    /// Which log lines belong to it, as far as its rule says.
    #[serde(default)]
    pub lines: Option<LinesAsked>,
}

impl Notice {
    /// Of an alert as it stands.
    pub fn of(named: &NamedAlert) -> Notice {
        let alert = &named.alert;
        Notice {
            file: named.file.clone(),
            rule_group: named.group.clone(),
            rule: named.rule.clone(),
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            expr: named.expr.clone(),
            value: alert.value.to_string(),
            starts_at: alert.fired_at.unwrap_or(alert.active_at).unix_nanos(),
            ends_at: alert.resolved_at.map(Timestamp::unix_nanos),
            lines: alert.log_lines.clone(),
        }
    }

    /// Its name in links and APIs: Prometheus' fingerprint of its labels, in hexadecimal digits.
    pub fn id(&self) -> String {
        alert_id(&self.labels)
    }

    /// When it began to fire.
    pub fn began(&self) -> Timestamp {
        Timestamp::from_unix_nanos(self.starts_at)
    }
}

/// The name in links and APIs of an alert with these labels.
pub fn alert_id(labels: &Labels) -> String {
    format!("{:016x}", fingerprint(labels))
}

/// Prometheus' fingerprint of a label set: FNV-1a over names and values, each followed by a byte 255
/// (`common/model/signature.go`).
pub fn fingerprint(labels: &Labels) -> u64 {
    let parts = labels.iter().flat_map(|(name, value)| [name, value]);
    parts
        .flat_map(|part| part.bytes().chain([255]))
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What all of them have in common.
pub fn common<'a>(mut all: impl Iterator<Item = &'a Labels>) -> Labels {
    let mut common = all.next().cloned().unwrap_or_default();
    for labels in all {
        common.retain(|name, value| labels.get(name) == Some(value));
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_those_of_prometheus() {
        // common/model/signature_test.go: the empty set, and one with two labels.
        assert_eq!(fingerprint(&Labels::new()), 14_695_981_039_346_656_037);
        let labels = [("name", "garland, briggs"), ("fear", "love is not enough")];
        let labels: Labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(fingerprint(&labels), 5_799_056_148_416_392_346);
    }
}
