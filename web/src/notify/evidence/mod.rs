//! What explains an alert: the log lines it is about, traces, a small picture of its curve, and what changed just before.
//!
//! Reading order: here the parts; [`gather`] (how they are found), [`sparkline`] (the picture), [`pictures`] (where channels
//! find it).

pub mod gather;
pub mod pictures;
pub mod sparkline;

use std::sync::Arc;

use serde_json::{Value, json};

use super::notice::Notice;

/// Bytes of a line that others are given: enough to read, however long the line is.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// What explains the alerts of one notification.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Of each alert that was looked into, by its id.
    pub alerts: Vec<(String, Arc<AlertEvidence>)>,
}

/// What explains one alert.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertEvidence {
    /// The question that finds the lines.
    pub lines_query: String,
    /// The Logs page with that question around the moment.
    pub lines_link: String,
    /// Lines, the newest first.
    pub lines: Vec<Line>,
    /// How many lines there are in all.
    pub lines_total: u64,
    /// Traces of the lines and of the exemplars of the alert's series.
    pub traces: Vec<TraceLink>,
    /// What grew in the window before.
    pub changed: Vec<Changed>,
    /// The picture's bytes.
    pub picture: Option<Arc<Vec<u8>>>,
    /// Where the picture is served for a while.
    pub picture_url: Option<String>,
    /// What is missing, and why.
    pub without: Option<String>,
}

/// One log line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The record's id.
    pub id: String,
    /// When it was said.
    pub time: String,
    /// Its level.
    pub level: String,
    /// The host.
    pub host: String,
    /// The service.
    pub service: String,
    /// The text.
    pub message: String,
    /// The line in the Logs page.
    pub link: String,
}

/// One trace.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceLink {
    /// Its id.
    pub id: String,
    /// Its page.
    pub link: String,
}

/// One thing that came, or came more often.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// `pattern`, or the label whose value it is.
    pub what: String,
    /// The pattern or the value.
    pub text: String,
    /// `new` or `grown`.
    pub change: &'static str,
    /// Records before.
    pub before: u64,
    /// Records since.
    pub after: u64,
    /// The records in the Logs page.
    pub link: String,
}

impl Evidence {
    /// What explains this alert.
    pub fn of(&self, notice: &Notice) -> Option<&AlertEvidence> {
        let id = notice.id();
        self.alerts.iter().find(|(known, _)| *known == id).map(|(_, evidence)| &**evidence)
    }
}

impl AlertEvidence {
    /// As webhooks and the API have it.
    pub fn to_json(&self) -> Value {
        json!({
            "linesQuery": self.lines_query,
            "linesURL": self.lines_link,
            "linesTotal": self.lines_total,
            "lines": self.lines.iter().map(Line::to_json).collect::<Vec<_>>(),
            "traces": self.traces.iter().map(|trace| json!({ "traceID": trace.id, "url": trace.link })).collect::<Vec<_>>(),
            "changed": self.changed.iter().map(Changed::to_json).collect::<Vec<_>>(),
            "pictureURL": self.picture_url,
            "without": self.without,
        })
    }
}

impl Line {
    fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "time": self.time,
            "level": self.level,
            "host": self.host,
            "service": self.service,
            "message": super::channel::message::cut(&self.message, MESSAGE_BYTES_MAX),
            "url": self.link,
        })
    }

    /// In one line.
    pub fn summary(&self) -> String {
        let message = super::channel::message::cut(&self.message, super::channel::message::LINE_BYTES);
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let parts = [&self.time, &self.level, &self.host, &self.service, &message];
        parts.into_iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" ")
    }
}

impl Changed {
    fn to_json(&self) -> Value {
        let text = super::channel::message::cut(&self.text, MESSAGE_BYTES_MAX);
        json!({
            "what": self.what,
            "text": text,
            "change": self.change,
            "before": self.before,
            "after": self.after,
            "url": self.link,
        })
    }

    /// `new pattern (12 times): connection to <ip> refused`.
    pub fn sentence(&self) -> String {
        let text = super::channel::message::cut(&self.text, super::channel::message::LINE_BYTES);
        match self.change {
            "new" => format!("new {} ({}×): {text}", self.what, self.after),
            _ => format!("{} grew from {} to {}: {text}", self.what, self.before, self.after),
        }
    }
}
