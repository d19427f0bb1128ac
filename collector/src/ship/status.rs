//! What the sender did and what went wrong, for `taffrail top`, metrics and tests.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use crate::model::{AgentId, Timestamp};

/// A handle on the sender's counters, cheap to clone.
#[derive(Clone, Debug)]
pub struct ShipStatus(Arc<Mutex<ShipSnapshot>>);

/// The sender at one moment. Counts are since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ShipSnapshot {
    /// Who the agent is, 32 hexadecimal digits.
    pub agent: String,
    /// Batches that a server acknowledged, resends included.
    pub acked_batches: u64,
    /// Their records and samples.
    pub acked_rows: u64,
    /// Acknowledged batches that the server had before.
    pub duplicate_batches: u64,
    /// Attempts that were not acknowledged, for whatever reason.
    pub failed_attempts: u64,
    /// Batches that servers refused for good: they lie in the quarantine.
    pub quarantined_batches: u64,
    /// How often a server asked to go on at an earlier place, and the spool still held it.
    pub rewinds: u64,
    /// How often the stream had to start anew because server and spool no longer fit together.
    pub new_epochs: u64,
    /// Bytes of the spool on disk.
    pub spool_bytes: u64,
    /// Batches that wait in the spool.
    pub waiting_batches: u64,
    /// When the last batch was acknowledged, RFC 3339.
    pub last_acked: Option<String>,
    /// The servers.
    pub endpoints: Vec<EndpointSnapshot>,
}

/// One server at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EndpointSnapshot {
    /// Its URL.
    pub url: String,
    /// Failed attempts since its last acknowledgement.
    pub failures_in_a_row: u32,
    /// What went wrong last; empty when nothing did.
    pub last_error: String,
}

impl ShipStatus {
    pub(super) fn new<'a>(agent: AgentId, urls: impl Iterator<Item = &'a str>) -> ShipStatus {
        let endpoints = urls.map(|url| EndpointSnapshot { url: url.to_owned(), ..EndpointSnapshot::default() });
        let snapshot =
            ShipSnapshot { agent: agent.to_string(), endpoints: endpoints.collect(), ..ShipSnapshot::default() };
        ShipStatus(Arc::new(Mutex::new(snapshot)))
    }

    /// Counters now.
    pub fn snapshot(&self) -> ShipSnapshot {
        self.0.lock().clone()
    }

    pub(super) fn spool(&self, bytes: u64, waiting: u64) {
        let mut snapshot = self.0.lock();
        (snapshot.spool_bytes, snapshot.waiting_batches) = (bytes, waiting);
    }

    pub(super) fn acked(&self, endpoint: usize, rows: u64, duplicate: bool) {
        let mut snapshot = self.0.lock();
        snapshot.acked_batches += 1;
        snapshot.acked_rows += rows;
        snapshot.duplicate_batches += u64::from(duplicate);
        snapshot.last_acked = Some(Timestamp::now().to_string());
        snapshot.endpoints[endpoint].failures_in_a_row = 0;
    }

    pub(super) fn failed(&self, endpoint: usize, error: &str) {
        let mut snapshot = self.0.lock();
        snapshot.failed_attempts += 1;
        let endpoint = &mut snapshot.endpoints[endpoint];
        endpoint.failures_in_a_row = endpoint.failures_in_a_row.saturating_add(1);
        endpoint.last_error = error.to_owned();
    }

    pub(super) fn quarantined(&self) {
        self.0.lock().quarantined_batches += 1;
    }

    pub(super) fn rewound(&self) {
        self.0.lock().rewinds += 1;
    }

    pub(super) fn epoch_opened(&self) {
        self.0.lock().new_epochs += 1;
    }
}
