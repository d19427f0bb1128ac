//! A notification as Alertmanager's webhook sends it, version 4
//! (<https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>).

use serde::Serialize;
use taffrail_collector::model::Timestamp;
use taffrail_query::alert::state::Labels;

use super::ledger::{Due, GroupKey, Notice};

/// The most alerts in one notification; how many were left out is said in it.
pub const ALERTS_MAX: usize = 500;

/// The JSON that is posted.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Payload {
    version: &'static str,
    group_key: String,
    truncated_alerts: usize,
    status: &'static str,
    receiver: String,
    group_labels: Labels,
    common_labels: Labels,
    common_annotations: Labels,
    #[serde(rename = "externalURL")]
    external_url: String,
    alerts: Vec<PayloadAlert>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PayloadAlert {
    status: &'static str,
    labels: Labels,
    annotations: Labels,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    fingerprint: String,
}

impl Payload {
    /// The payload for a receiver, with links below `external_url`.
    pub fn new(due: &Due, receiver: &str, external_url: &str) -> Payload {
        let firing = due.firing.iter().map(|notice| ("firing", notice));
        let resolved = due.resolved.iter().map(|notice| ("resolved", notice));
        let all: Vec<(&'static str, &Notice)> = firing.chain(resolved).collect();
        let alert = |&(status, notice): &(&'static str, &Notice)| PayloadAlert {
            status,
            labels: notice.labels.clone(),
            annotations: notice.annotations.clone(),
            starts_at: Timestamp::from_unix_nanos(notice.starts_at).to_string(),
            // Go's zero time: what Alertmanager sends while an alert fires.
            ends_at: match (status, notice.ends_at) {
                ("resolved", Some(ends_at)) => Timestamp::from_unix_nanos(ends_at).to_string(),
                _ => "0001-01-01T00:00:00Z".to_owned(),
            },
            generator_url: format!("{external_url}/explore?expr={}", percent_encode(&notice.expr)),
            fingerprint: format!("{:016x}", fingerprint(&notice.labels)),
        };
        Payload {
            version: "4",
            group_key: group_key(&due.key),
            truncated_alerts: all.len().saturating_sub(ALERTS_MAX),
            status: due.status(),
            receiver: receiver.to_owned(),
            group_labels: Labels::from([("alertname".to_owned(), due.key.alert.clone())]),
            common_labels: common(all.iter().map(|(_, notice)| &notice.labels)),
            common_annotations: common(all.iter().map(|(_, notice)| &notice.annotations)),
            external_url: external_url.to_owned(),
            alerts: all.iter().take(ALERTS_MAX).map(alert).collect(),
        }
    }

    /// The bytes of the JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names, texts and numbers are always JSON")
    }
}

impl Due {
    /// `firing` while any of the alerts does, else `resolved`.
    pub fn status(&self) -> &'static str {
        if self.firing.is_empty() { "resolved" } else { "firing" }
    }
}

/// What all of them have in common.
pub(super) fn common<'a>(mut all: impl Iterator<Item = &'a Labels>) -> Labels {
    let mut common = all.next().cloned().unwrap_or_default();
    for labels in all {
        common.retain(|name, value| labels.get(name) == Some(value));
    }
    common
}

/// Prometheus' fingerprint of a label set: FNV-1a over names and values, each followed by a byte 255
/// (`common/model/signature.go`).
pub fn fingerprint(labels: &Labels) -> u64 {
    let parts = labels.iter().flat_map(|(name, value)| [name, value]);
    parts
        .flat_map(|part| part.bytes().chain([255]))
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn group_key(key: &GroupKey) -> String {
    format!("{}/{}:{{alertname={:?}}}", key.file, key.group, key.alert)
}

fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::ledger::Reason;
    use serde_json::json;

    fn notice(instance: &str, ends_at: Option<i64>) -> Notice {
        let labels = [("alertname", "Down"), ("instance", instance), ("severity", "page")];
        Notice {
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            annotations: Labels::from([("summary".to_owned(), format!("{instance} is down"))]),
            expr: "up == 0".to_owned(),
            value: "0".to_owned(),
            starts_at: 1_000_000_000,
            ends_at,
        }
    }

    #[test]
    fn the_json_is_alertmanagers() {
        let key = GroupKey { file: "r.yml".into(), group: "g".into(), alert: "Down".into() };
        let due = Due {
            key,
            reason: Reason::New,
            firing: vec![notice("a", None)],
            resolved: vec![notice("b", Some(2_000_000_000))],
        };
        let payload = Payload::new(&due, "http://hook", "http://127.0.0.1:6464");
        let found: serde_json::Value = serde_json::from_slice(&payload.to_json()).unwrap();
        let alert = |status: &str, instance: &str, ends_at: &str, fingerprint: &str| {
            json!({
                "status": status,
                "labels": {"alertname": "Down", "instance": instance, "severity": "page"},
                "annotations": {"summary": format!("{instance} is down")},
                "startsAt": "1970-01-01T00:00:01.000Z",
                "endsAt": ends_at,
                "generatorURL": "http://127.0.0.1:6464/explore?expr=up%20%3D%3D%200",
                "fingerprint": fingerprint,
            })
        };
        let print = |instance| format!("{:016x}", fingerprint(&notice(instance, None).labels));
        assert_eq!(
            found,
            json!({
                "version": "4",
                "groupKey": "r.yml/g:{alertname=\"Down\"}",
                "truncatedAlerts": 0,
                "status": "firing",
                "receiver": "http://hook",
                "groupLabels": {"alertname": "Down"},
                "commonLabels": {"alertname": "Down", "severity": "page"},
                "commonAnnotations": {},
                "externalURL": "http://127.0.0.1:6464",
                "alerts": [
                    alert("firing", "a", "0001-01-01T00:00:00Z", &print("a")),
                    alert("resolved", "b", "1970-01-01T00:00:02.000Z", &print("b")),
                ],
            })
        );
    }

    #[test]
    fn fingerprints_are_those_of_prometheus() {
        // common/model/signature_test.go: the empty set, and one with two labels.
        assert_eq!(fingerprint(&Labels::new()), 14_695_981_039_346_656_037);
        let labels = [("name", "garland, briggs"), ("fear", "love is not enough")];
        let labels: Labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(fingerprint(&labels), 5_799_056_148_416_392_346);
    }

    #[test]
    fn a_crowd_is_cut_and_counted() {
        let key = GroupKey::default();
        let firing = (0..ALERTS_MAX + 7).map(|n| notice(&n.to_string(), None)).collect();
        let payload = Payload::new(&Due { key, reason: Reason::New, firing, resolved: Vec::new() }, "r", "");
        assert_eq!((payload.alerts.len(), payload.truncated_alerts), (ALERTS_MAX, 7));
    }
}
