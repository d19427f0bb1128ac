//! What one question may cost, what it has cost so far, and whether it is still wanted: shared by the query that
//! started it and the stores that work for it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use taffrail_collector::model::Timestamp;

use crate::log_store::stored_filter::nanoseconds;

/// From `start` up to but not including `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// The first moment inside.
    #[serde(with = "nanoseconds")]
    pub start: Timestamp,
    /// The first moment after.
    #[serde(with = "nanoseconds")]
    pub end: Timestamp,
}

impl TimeRange {
    /// All of time.
    pub const ALL: TimeRange = TimeRange { start: Timestamp::MIN, end: Timestamp::MAX };

    /// Whether the moment lies inside.
    pub fn contains(&self, moment: Timestamp) -> bool {
        self.start <= moment && moment < self.end
    }

    /// Whether anything from `first` to `last`, both included, lies inside.
    pub fn overlaps(&self, first: Timestamp, last: Timestamp) -> bool {
        first < self.end && self.start <= last
    }
}

/// One question's budget and meter. Stores call [`Scan::touch`] as they work and stop at the first error.
#[derive(Debug)]
pub struct Scan {
    started: Instant,
    deadline: Option<Instant>,
    rows_max: u64,
    cancelled: AtomicBool,
    rows: AtomicU64,
    bytes: AtomicU64,
    parts_done: AtomicU64,
    parts: AtomicU64,
    splits: AtomicU64,
    left_out: Mutex<BTreeSet<String>>,
}

/// Why a scan stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Nobody waits for the answer any more.
    Cancelled,
    /// It took longer than it may.
    OutOfTime,
    /// It looked at more rows than it may.
    OutOfRows,
}

impl Scan {
    /// A scan that may last `time_max` (for ever when none) and look at `rows_max` rows.
    pub fn new(time_max: Option<Duration>, rows_max: u64) -> Scan {
        let started = Instant::now();
        Scan {
            started,
            deadline: time_max.map(|span| started + span),
            rows_max,
            cancelled: AtomicBool::new(false),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            parts_done: AtomicU64::new(0),
            parts: AtomicU64::new(0),
            splits: AtomicU64::new(0),
            left_out: Mutex::default(),
        }
    }

    /// A scan without limits, for tests and maintenance.
    pub fn unlimited() -> Scan {
        Scan::new(None, u64::MAX)
    }

    /// Nobody waits for the answer any more; the next [`Scan::touch`] stops the work.
    pub fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    /// Notes that rows and bytes were looked at, and says whether to stop. Call it at least every few thousand rows.
    pub fn touch(&self, rows: u64, bytes: u64) -> Result<(), StopReason> {
        let seen = self.rows.fetch_add(rows, Relaxed).saturating_add(rows);
        self.bytes.fetch_add(bytes, Relaxed);
        if self.cancelled.load(Relaxed) {
            Err(StopReason::Cancelled)
        } else if seen > self.rows_max {
            Err(StopReason::OutOfRows)
        } else if self.deadline.is_some_and(|deadline| Instant::now() > deadline) {
            Err(StopReason::OutOfTime)
        } else {
            Ok(())
        }
    }

    /// How much longer it may take; none when that has no limit.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Announces parts (splits, blocks) that will be looked at.
    pub fn plan_parts(&self, parts: u64) {
        self.parts.fetch_add(parts, Relaxed);
    }

    /// Notes that a part is done with.
    pub fn finish_part(&self) {
        self.parts_done.fetch_add(1, Relaxed);
    }

    /// Notes that a split was opened for the answer.
    pub fn open_split(&self) {
        self.splits.fetch_add(1, Relaxed);
    }

    /// Splits opened so far.
    pub fn splits(&self) -> u64 {
        self.splits.load(Relaxed)
    }

    /// Notes that the answer is without a part that it needs, because that is damaged.
    pub fn leave_out(&self, part: &str) {
        let mut left_out = self.left_out.lock();
        if !left_out.contains(part) {
            left_out.insert(part.to_owned());
        }
    }

    /// The names of the parts that the answer is without, though it needs them.
    pub fn left_out(&self) -> Vec<String> {
        self.left_out.lock().iter().cloned().collect()
    }

    /// Rows looked at so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Relaxed)
    }

    /// Bytes looked at so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Parts done with, and parts in all.
    pub fn parts(&self) -> (u64, u64) {
        (self.parts_done.load(Relaxed), self.parts.load(Relaxed))
    }

    /// Time since the question was asked.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
