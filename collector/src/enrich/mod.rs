//! What a line says about itself: from a [`ReceivedLine`] (a claim) to a [`LogRecord`] (checked).
use crate::model::{Attributes, LogRecord, Resource, Severity, Timestamp};
use std::sync::Arc;

/// A line as it arrived, with what its transport knew of it.
#[derive(Debug)]
pub struct ReceivedLine<'a> {
    /// The bytes between two line ends.
    pub bytes: &'a [u8],
    /// When it arrived.
    pub arrival: Timestamp,
    /// Who sent it, as far as the transport knows.
    pub resource: &'a Arc<Resource>,
    /// The moment the transport gives (syslog header, journald field).
    pub timestamp: Option<Timestamp>,
    /// The severity the transport gives.
    pub severity: Option<Severity>,
    /// What else the transport knows (syslog's app name, a file's path …).
    pub attributes: Attributes,
}

/// Turns lines into records.
#[derive(Clone, Debug, Default)]
pub struct Enricher {}

impl Enricher {
    /// Reads JSON, logfmt, severity, time and trace context out of the line.
    pub fn enrich(&self, line: ReceivedLine<'_>) -> LogRecord {
        let _ = line;
        unimplemented!()
    }
}
