//! What the store has taken, refused and adjusted since it started.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use taffrail_collector::delivery::RefusalReason;

use crate::admission::{Adjusted, FUTURE_TIME, OLDER_THAN_RETENTION};

/// Counters that the pipeline's threads move and [`Ingest::status`](crate::Ingest::status) reads.
#[derive(Debug, Default)]
pub struct Counters {
    /// Log records taken.
    pub log_records: AtomicU64,
    /// Metric windows taken.
    pub samples: AtomicU64,
    /// Batches taken.
    pub batches: AtomicU64,
    /// Batches recognised as resends.
    pub duplicate_batches: AtomicU64,
    /// The next row's sequence number.
    pub next_seq: AtomicU64,
    /// Journal bytes on disk.
    pub journal_bytes: AtomicU64,
    refused: Mutex<BTreeMap<&'static str, u64>>,
    adjusted: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    /// Counts a refused batch.
    pub fn refuse(&self, reason: RefusalReason) {
        *self.refused.lock().entry(reason.name()).or_default() += 1;
    }

    /// Counts records that were not stored as they came.
    pub fn adjust(&self, adjusted: Adjusted) {
        self.add_adjusted(FUTURE_TIME, adjusted.future);
        self.add_adjusted(OLDER_THAN_RETENTION, adjusted.old);
    }

    /// Counts by reason.
    pub fn add_adjusted(&self, reason: &'static str, count: u64) {
        if count > 0 {
            *self.adjusted.lock().entry(reason).or_default() += count;
        }
    }

    /// Refused batches by reason.
    pub fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.refused.lock().clone()
    }

    /// Adjusted records by reason.
    pub fn adjusted(&self) -> BTreeMap<&'static str, u64> {
        self.adjusted.lock().clone()
    }

    /// Counts a batch that was taken.
    pub fn take(&self, logs: usize, samples: usize) {
        self.batches.fetch_add(1, Relaxed);
        self.log_records.fetch_add(logs as u64, Relaxed);
        self.samples.fetch_add(samples as u64, Relaxed);
    }
}
