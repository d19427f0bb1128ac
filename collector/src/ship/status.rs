//! What the sender did and what went wrong, for `taffrail top`, metrics and tests.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use super::ledger::LANES;
use crate::model::{AgentId, Lane, Timestamp};

/// A handle on the sender's counters, cheap to clone.
#[derive(Clone, Debug)]
pub struct ShipStatus(Arc<Mutex<ShipSnapshot>>);

/// The sender at one moment. Counts are since its start.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ShipSnapshot {
    /// Who the agent is, 32 hexadecimal digits.
    pub agent: String,
    /// Batches that a server acknowledged, resends included; small ones that were sent as one count as one.
    pub acked_batches: u64,
    /// Their records and samples.
    pub acked_rows: u64,
    /// Their bytes as they were sent.
    pub acked_wire_bytes: u64,
    /// Acknowledged batches that the server had before.
    pub duplicate_batches: u64,
    /// Attempts that were not acknowledged, for whatever reason.
    pub failed_attempts: u64,
    /// Records that servers refused for good: they lie in the quarantine.
    pub quarantined_records: u64,
    /// Batches whose fate at a server stayed unknown, so that they were sent once more, and may be stored twice: for longer than
    /// `collector.uncertain_wait`, or because server and spool no longer fit together.
    pub possible_duplicates: u64,
    /// How often a stream had to start anew because server and spool no longer fit together.
    pub new_streams: u64,
    /// How often all of them had to.
    pub new_epochs: u64,
    /// Batches of the spool that could not be read any more.
    pub damaged_records: u64,
    /// Bytes of the spool on disk.
    pub spool_bytes: u64,
    /// Bytes it may hold.
    pub spool_bytes_max: u64,
    /// Batches that wait in the spool.
    pub waiting_batches: u64,
    /// How long the oldest of them has waited, in milliseconds; as far as it was spooled since the start.
    pub oldest_waiting_ms: u64,
    /// When the last batch was acknowledged, RFC 3339.
    pub last_acked: Option<String>,
    /// The servers.
    pub endpoints: Vec<EndpointSnapshot>,
    /// The lanes, the most urgent first.
    pub lanes: Vec<LaneSnapshot>,
}

/// One server at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EndpointSnapshot {
    /// Its URL.
    pub url: String,
    /// `new`, `closed` (in use), `paused` (for a moment), `open` (left alone), `half_open` (being tried).
    pub state: &'static str,
    /// Failed attempts since its last acknowledgement.
    pub failures_in_a_row: u32,
    /// What went wrong last; empty when nothing did.
    pub last_error: String,
    /// Requests under way.
    pub in_flight: usize,
    /// Requests that may be.
    pub concurrency: usize,
    /// How long an answer may take.
    pub deadline_ms: u64,
    /// How long it usually takes.
    pub rtt_ms: Option<f64>,
    /// Batches it acknowledged.
    pub acked_batches: u64,
}

/// One lane at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LaneSnapshot {
    /// `control`, `urgent`, `normal` or `bulk`.
    pub lane: &'static str,
    /// Batches of the spool that this lane has not dealt with (they may hold nothing of it).
    pub waiting_batches: u64,
    /// Of these, the backlog.
    pub backlog_batches: u64,
    /// Requests under way.
    pub in_flight: usize,
    /// Records and samples acknowledged.
    pub acked_rows: u64,
}

impl ShipStatus {
    pub(super) fn new<'a>(agent: AgentId, spool_bytes_max: u64, urls: impl Iterator<Item = &'a str>) -> ShipStatus {
        let endpoint =
            |url: &str| EndpointSnapshot { url: url.to_owned(), state: "new", ..EndpointSnapshot::default() };
        let lane = |lane: Lane| LaneSnapshot { lane: lane.name(), ..LaneSnapshot::default() };
        ShipStatus(Arc::new(Mutex::new(ShipSnapshot {
            agent: agent.to_string(),
            spool_bytes_max,
            endpoints: urls.map(endpoint).collect(),
            lanes: Lane::ALL.into_iter().map(lane).collect(),
            ..ShipSnapshot::default()
        })))
    }

    /// Counters now.
    pub fn snapshot(&self) -> ShipSnapshot {
        self.0.lock().clone()
    }

    /// Changes counters.
    pub(super) fn update(&self, change: impl FnOnce(&mut ShipSnapshot)) {
        change(&mut self.0.lock());
    }

    pub(super) fn acked(&self, lane: Lane, rows: u64, wire_bytes: u64, is_duplicate: bool) {
        let mut snapshot = self.0.lock();
        snapshot.acked_batches += 1;
        snapshot.acked_rows += rows;
        snapshot.acked_wire_bytes += wire_bytes;
        snapshot.duplicate_batches += u64::from(is_duplicate);
        snapshot.last_acked = Some(Timestamp::now().to_string());
        debug_assert_eq!(snapshot.lanes.len(), LANES);
        snapshot.lanes[lane as usize].acked_rows += rows;
    }
}
