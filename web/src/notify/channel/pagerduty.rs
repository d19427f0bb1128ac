//! An incident in PagerDuty, by its Events API version 2
//! (<https://developer.pagerduty.com/docs/send-alert-event>): opened and closed under one `dedup_key` for each group.

use ring::digest;
use serde_json::{Value, json};

use super::Failure;
use super::http::{Address, Credentials, Post};
use super::message::{LINES_SHOWN, Message, cut, headline};
use super::secret::Secret;
use crate::notify::notice::common;

/// Where events go when the file does not say.
pub const URL: &str = "https://events.pagerduty.com/v2/enqueue";

/// PagerDuty takes this many characters in a summary.
const SUMMARY_BYTES_MAX: usize = 1_024;

/// Details are cut to stay far below the 512 KiB of an event.
const DETAILS_BYTES_MAX: usize = 64 << 10;

/// Where and as whom.
#[derive(Clone, Debug, PartialEq)]
pub struct PagerDuty {
    /// The events' address.
    pub address: Address,
    /// What the server wants besides, a proxy's token for example.
    pub credentials: Option<Credentials>,
    /// The integration key of the service.
    pub routing_key: Secret,
    /// `critical`, `error`, `warning` or `info` where the alerts' own label says none of them.
    pub severity: Option<String>,
}

impl PagerDuty {
    /// What may be shown of where it is.
    pub fn target(&self) -> String {
        self.address.origin().to_owned()
    }

    /// Tells once.
    pub async fn tell(&self, post: &Post, message: &Message<'_>) -> Result<(), Failure> {
        let body = self.body(message, &self.routing_key.read().await?);
        let json = serde_json::to_vec(&body).expect("names, texts and numbers are always JSON");
        post.json(&self.address, self.credentials.as_ref(), &[], json).await.map(drop)
    }

    fn body(&self, message: &Message<'_>, routing_key: &str) -> Value {
        let dedup_key = dedup_key(message);
        if message.due.firing.is_empty() {
            return json!({ "routing_key": routing_key, "event_action": "resolve", "dedup_key": dedup_key });
        }
        let labels = common(message.due.notices().map(|notice| &notice.labels));
        let label = |names: &[&str]| names.iter().find_map(|name| labels.get(*name)).cloned();
        let first = message.due.firing.iter().min_by_key(|notice| notice.starts_at);
        let summary = match &message.due.firing[..] {
            [only] => format!("{}: {}", message.title(), headline(only)),
            _ => message.title(),
        };
        let links: Vec<Value> = message
            .due
            .firing
            .iter()
            .take(LINES_SHOWN)
            .map(|notice| json!({ "href": message.link(notice), "text": cut(&headline(notice), 200) }))
            .collect();
        let pictures = message.due.firing.iter().filter_map(|notice| message.evidence.of(notice)?.picture_url.as_ref());
        let images: Vec<Value> =
            pictures.take(LINES_SHOWN).map(|url| json!({ "src": url, "alt": "the alert's curve" })).collect();
        json!({
            "routing_key": routing_key,
            "event_action": "trigger",
            "dedup_key": dedup_key,
            "client": "Taffrail",
            "client_url": format!("{}/alerts", message.external_url),
            "links": links,
            "images": images,
            "payload": {
                "summary": cut(&summary, SUMMARY_BYTES_MAX - 3),
                "source": label(&["host", "instance", "service", "job"]).unwrap_or_else(|| "taffrail".to_owned()),
                "severity": self.severity_of(labels.get("severity").map(String::as_str)),
                "timestamp": first.map(|notice| notice.began().to_string()),
                "component": label(&["service", "job"]),
                "group": label(&["team", "cluster", "env"]),
                "class": labels.get("alertname"),
                "custom_details": {
                    "firing": message.due.firing.len(),
                    "resolved": message.due.resolved.len(),
                    "message": cut(&message.text(), DETAILS_BYTES_MAX),
                    "silence": message.silence_link(),
                },
            },
        })
    }

    /// PagerDuty knows four words.
    fn severity_of(&self, label: Option<&str>) -> String {
        let known = |word: &str| match word.to_ascii_lowercase().as_str() {
            "page" | "critical" | "crit" | "fatal" | "emergency" | "alert" => Some("critical"),
            "error" | "err" | "high" => Some("error"),
            "warning" | "warn" | "medium" | "ticket" => Some("warning"),
            "info" | "notice" | "low" | "debug" => Some("info"),
            _ => None,
        };
        let word = label.and_then(known).or_else(|| self.severity.as_deref().and_then(known));
        word.unwrap_or("error").to_owned()
    }
}

/// The same for every notification of a group, and no longer than the 255 characters that it may have.
fn dedup_key(message: &Message<'_>) -> String {
    let digest = digest::digest(&digest::SHA256, message.due.key.to_string().as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
