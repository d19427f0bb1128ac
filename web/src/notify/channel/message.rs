//! What all channels say, each in its own form: a title, then each alert with its texts, its evidence and a link.

use std::fmt::Write;

use taffrail_collector::model::Timestamp;
use taffrail_query::alert::state::Labels;

use crate::notify::evidence::{AlertEvidence, Evidence};
use crate::notify::ledger::Due;
use crate::notify::notice::{Notice, common};

/// Alerts that a message for people shows one by one.
pub const ALERTS_SHOWN: usize = 10;

/// Lines of evidence below each of them.
pub const LINES_SHOWN: usize = 5;

/// Bytes of a line, so that one that is a megabyte long does not hide the others.
pub const LINE_BYTES: usize = 300;

/// One notification.
pub struct Message<'a> {
    /// What it tells.
    pub due: &'a Due,
    /// The receiver's name.
    pub receiver: &'a str,
    /// Where people reach this server, without a slash at its end.
    pub external_url: &'a str,
    /// What explains the alerts.
    pub evidence: &'a Evidence,
    /// The moment it is sent.
    pub now: Timestamp,
}

impl Message<'_> {
    /// `[FIRING:2] QueueDeep (shop=north)`.
    pub fn title(&self) -> String {
        let labels = common(self.due.notices().map(|notice| &notice.labels));
        let name = labels.get("alertname").map_or("Alerts", String::as_str);
        let rest: Vec<String> = labels
            .iter()
            .filter(|(label, _)| label.as_str() != "alertname")
            .map(|(label, value)| format!("{label}={value}"))
            .collect();
        let rest = if rest.is_empty() { String::new() } else { format!(" ({})", rest.join(" ")) };
        match self.due.firing.len() {
            0 => format!("[RESOLVED] {name}{rest}"),
            count => format!("[FIRING:{count}] {name}{rest}"),
        }
    }

    /// The alerts that are shown one by one, firing ones first, and how many are left out.
    pub fn shown(&self) -> (Vec<(&'static str, &Notice)>, usize) {
        let firing = self.due.firing.iter().map(|notice| ("firing", notice));
        let resolved = self.due.resolved.iter().map(|notice| ("resolved", notice));
        let all: Vec<(&'static str, &Notice)> = firing.chain(resolved).collect();
        let left = all.len().saturating_sub(ALERTS_SHOWN);
        (all.into_iter().take(ALERTS_SHOWN).collect(), left)
    }

    /// The page of an alert, frozen at the moment it began to fire.
    pub fn link(&self, notice: &Notice) -> String {
        alert_link(self.external_url, notice)
    }

    /// The page that makes a silence for everything this message is about.
    pub fn silence_link(&self) -> String {
        let labels = common(self.due.notices().map(|notice| &notice.labels));
        let matchers: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        format!("{}/alerts?silence={}", self.external_url, percent_encode(&matchers.join(",")))
    }

    /// The whole message as plain text.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.title());
        let (shown, left) = self.shown();
        for (status, notice) in shown {
            let _ = write!(text, "\n{} {}\n", status.to_uppercase(), headline(notice));
            for (name, value) in details(notice) {
                let _ = writeln!(text, "  {name}: {value}");
            }
            let _ = writeln!(text, "  {}", self.link(notice));
            if let Some(evidence) = self.evidence.of(notice) {
                write_evidence(&mut text, evidence);
            }
        }
        if left > 0 {
            let _ = write!(text, "\nand {left} more: {}/alerts\n", self.external_url);
        }
        if !self.due.firing.is_empty() {
            let _ = write!(text, "\nSilence: {}\n", self.silence_link());
        }
        text
    }
}

/// The first line about an alert: its summary, else its name and what sets it apart.
pub fn headline(notice: &Notice) -> String {
    match notice.annotations.get("summary").filter(|summary| !summary.is_empty()) {
        Some(summary) => summary.clone(),
        None => {
            let name = notice.labels.get("alertname").unwrap_or(&notice.rule);
            format!("{name} {}", write_labels(&notice.labels))
        }
    }
}

/// What is said below it: labels, value, since when, and the other texts.
pub fn details(notice: &Notice) -> Vec<(String, String)> {
    let mut details =
        vec![("labels".to_owned(), write_labels(&notice.labels)), ("value".to_owned(), notice.value.clone())];
    details.push(("since".to_owned(), notice.began().to_string()));
    if let Some(ends_at) = notice.ends_at {
        details.push(("until".to_owned(), Timestamp::from_unix_nanos(ends_at).to_string()));
    }
    let texts = notice.annotations.iter().filter(|(name, text)| name.as_str() != "summary" && !text.is_empty());
    details.extend(texts.map(|(name, text)| (name.clone(), text.clone())));
    details
}

/// A text of at most so many bytes, with a sign where it was cut.
pub fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(bytes_max)])
}

/// The page of an alert, frozen at the moment it began to fire.
pub fn alert_link(external_url: &str, notice: &Notice) -> String {
    format!("{external_url}/alerts/{}?at={}", notice.id(), percent_encode(&notice.began().to_string()))
}

/// A text as it may stand in a URL's query.
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            byte => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

fn write_labels(labels: &Labels) -> String {
    let pairs = labels.iter().filter(|(name, _)| name.as_str() != "alertname");
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn write_evidence(text: &mut String, evidence: &AlertEvidence) {
    if !evidence.lines.is_empty() {
        let _ = writeln!(text, "  log lines ({}):", evidence.lines_link);
        for line in evidence.lines.iter().take(LINES_SHOWN) {
            let _ = writeln!(text, "    {} {}", line.summary(), line.link);
        }
    }
    for changed in &evidence.changed {
        let _ = writeln!(text, "  {}", changed.sentence());
    }
    for trace in &evidence.traces {
        let _ = writeln!(text, "  trace {}", trace.link);
    }
    if let Some(without) = &evidence.without {
        let _ = writeln!(text, "  ({without})");
    }
}
