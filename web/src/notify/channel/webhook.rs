//! A POST of what Alertmanager's webhook sends, version 4
//! (<https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>), with what explains the alerts besides.
//!
//! With a secret the request carries `Taffrail-Signature: t=<seconds>,v1=<hex>`: the HMAC-SHA256 of `<seconds>.<body>`. Who
//! receives it computes the same and refuses what is older than a few minutes.

use http::HeaderName;
use ring::hmac;
use serde::Serialize;
use taffrail_collector::model::Timestamp;
use taffrail_query::alert::state::Labels;

use super::Failure;
use super::http::{Address, Credentials, Post};
use super::message::Message;
use super::secret::Secret;
use crate::notify::evidence::AlertEvidence;
use crate::notify::notice::{Notice, common};

/// The header that signs a body.
pub const SIGNATURE: HeaderName = HeaderName::from_static("taffrail-signature");

/// The most alerts in one notification when the file does not say; how many were left out is said in it.
pub const ALERTS_MAX: usize = 500;

/// Where and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// The URL.
    pub address: Address,
    /// What lets us in.
    pub credentials: Option<Credentials>,
    /// The key that signs the body.
    pub hmac_secret: Option<Secret>,
    /// The most alerts in one notification.
    pub alerts_max: usize,
}

impl Webhook {
    /// What may be shown of where it is.
    pub fn target(&self) -> String {
        self.address.origin().to_owned()
    }

    /// Tells once.
    pub async fn tell(&self, post: &Post, message: &Message<'_>) -> Result<(), Failure> {
        let json = Payload::new(message, self.alerts_max).to_json();
        let mut headers = Vec::new();
        if let Some(secret) = &self.hmac_secret {
            let seconds = message.now.unix_seconds() as i64;
            headers.push((SIGNATURE, signature(secret.read().await?.as_bytes(), seconds, &json)));
        }
        post.json(&self.address, self.credentials.as_ref(), &headers, json).await.map(drop)
    }
}

/// The header's value for a body at this second.
fn signature(key: &[u8], seconds: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(format!("{seconds}.").as_bytes());
    context.update(body);
    let hex: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

/// The JSON that is posted.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Payload {
    version: &'static str,
    group_key: String,
    truncated_alerts: usize,
    status: &'static str,
    receiver: String,
    #[serde(rename = "notification_reason")]
    notification_reason: &'static str,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<serde_json::Value>,
}

impl Payload {
    /// The payload of a message.
    pub fn new(message: &Message<'_>, alerts_max: usize) -> Payload {
        let due = message.due;
        let firing = due.firing.iter().map(|notice| ("firing", notice));
        let resolved = due.resolved.iter().map(|notice| ("resolved", notice));
        let all: Vec<(&'static str, &Notice)> = firing.chain(resolved).collect();
        let alerts_max = if alerts_max == 0 { ALERTS_MAX } else { alerts_max.min(ALERTS_MAX) };
        let alert = |&(status, notice): &(&'static str, &Notice)| PayloadAlert {
            status,
            labels: notice.labels.clone(),
            annotations: notice.annotations.clone(),
            starts_at: notice.began().to_string(),
            // Go's zero time: what Alertmanager sends while an alert fires.
            ends_at: match (status, notice.ends_at) {
                ("resolved", Some(ends_at)) => Timestamp::from_unix_nanos(ends_at).to_string(),
                _ => "0001-01-01T00:00:00Z".to_owned(),
            },
            generator_url: message.link(notice),
            fingerprint: notice.id(),
            evidence: message.evidence.of(notice).map(AlertEvidence::to_json),
        };
        Payload {
            version: "4",
            group_key: due.key.to_string(),
            truncated_alerts: all.len().saturating_sub(alerts_max),
            status: due.status(),
            receiver: message.receiver.to_owned(),
            notification_reason: due.reason.name(),
            group_labels: due.key.labels.clone(),
            common_labels: common(all.iter().map(|(_, notice)| &notice.labels)),
            common_annotations: common(all.iter().map(|(_, notice)| &notice.annotations)),
            external_url: message.external_url.to_owned(),
            alerts: all.iter().take(alerts_max).map(alert).collect(),
        }
    }

    /// The bytes of the JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names, texts and numbers are always JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::evidence::Evidence;
    use crate::notify::ledger::{Due, Reason};
    use crate::notify::routing::plan::GroupKey;
    use serde_json::json;

    fn notice(instance: &str, ends_at: Option<i64>) -> Notice {
        let labels = [("alertname", "Down"), ("instance", instance), ("severity", "page")];
        Notice {
            file: "r.yml".to_owned(),
            rule_group: "g".to_owned(),
            rule: "Down".to_owned(),
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            annotations: Labels::from([("summary".to_owned(), format!("{instance} is down"))]),
            expr: "up == 0".to_owned(),
            value: "0".to_owned(),
            starts_at: 1_000_000_000,
            ends_at,
            lines: None,
        }
    }

    fn payload(firing: Vec<Notice>, resolved: Vec<Notice>, alerts_max: usize) -> Payload {
        let labels = Labels::from([("alertname".to_owned(), "Down".to_owned())]);
        let mut due = Due::test(notice("", None));
        due.key = GroupKey { route: "{}".into(), labels };
        (due.firing, due.resolved, due.reason) = (firing, resolved, Reason::New);
        let evidence = Evidence::default();
        let message = Message {
            due: &due,
            receiver: "pager",
            external_url: "http://127.0.0.1:6464",
            evidence: &evidence,
            now: Timestamp::EPOCH,
        };
        Payload::new(&message, alerts_max)
    }

    #[test]
    fn the_json_is_alertmanagers() {
        let payload = payload(vec![notice("a", None)], vec![notice("b", Some(2_000_000_000))], 0);
        let found: serde_json::Value = serde_json::from_slice(&payload.to_json()).unwrap();
        let alert = |status: &str, instance: &str, ends_at: &str| {
            let id = notice(instance, None).id();
            json!({
                "status": status,
                "labels": {"alertname": "Down", "instance": instance, "severity": "page"},
                "annotations": {"summary": format!("{instance} is down")},
                "startsAt": "1970-01-01T00:00:01.000Z",
                "endsAt": ends_at,
                "generatorURL": format!("http://127.0.0.1:6464/alerts/{id}?at=1970-01-01T00%3A00%3A01.000Z"),
                "fingerprint": id,
            })
        };
        assert_eq!(
            found,
            json!({
                "version": "4",
                "groupKey": "{}:{alertname=\"Down\"}",
                "truncatedAlerts": 0,
                "status": "firing",
                "receiver": "pager",
                "notification_reason": "new",
                "groupLabels": {"alertname": "Down"},
                "commonLabels": {"alertname": "Down", "severity": "page"},
                "commonAnnotations": {},
                "externalURL": "http://127.0.0.1:6464",
                "alerts": [
                    alert("firing", "a", "0001-01-01T00:00:00Z"),
                    alert("resolved", "b", "1970-01-01T00:00:02.000Z"),
                ],
            })
        );
    }

    #[test]
    fn a_crowd_is_cut_and_counted() {
        let crowd: Vec<Notice> = (0..ALERTS_MAX + 7).map(|n| notice(&n.to_string(), None)).collect();
        let cut = |alerts_max| {
            let payload = payload(crowd.clone(), Vec::new(), alerts_max);
            (payload.alerts.len(), payload.truncated_alerts)
        };
        assert_eq!(cut(0), (ALERTS_MAX, 7));
        assert_eq!(cut(3), (3, ALERTS_MAX + 4));
    }

    #[test]
    fn a_body_is_signed_with_its_second() {
        // printf '%s' '5.{}' | openssl dgst -sha256 -hmac key
        assert_eq!(
            signature(b"key", 5, b"{}"),
            "t=5,v1=9be615aec64f0d044b5ad6854ab1d893ec88617fb728d2149dcd3a3428e8c45d"
        );
    }
}
