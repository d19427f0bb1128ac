//! What the compaction is told (there is work, stop) and what it tells (what it has done).

use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde::Serialize;

/// Between the compaction's thread and everybody else.
#[derive(Debug, Default)]
pub struct Compaction {
    woken: Mutex<bool>,
    wake: Condvar,
    /// What is under way is to stop: something more urgent waits, or the store stops.
    interrupt: AtomicBool,
    running: Mutex<Option<String>>,
    rewrites: AtomicU64,
    splits: AtomicU64,
    rows: AtomicU64,
    rows_removed: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    milliseconds: AtomicU64,
    failures: AtomicU64,
    postponed: AtomicU64,
}

/// What the compaction has done since the start.
#[derive(Clone, Debug, Default, Serialize, PartialEq)]
pub struct CompactionStatus {
    /// What it does now.
    pub running: Option<String>,
    /// Times that splits were rewritten.
    pub rewrites: u64,
    /// Splits that were rewritten.
    pub splits: u64,
    /// Rows read for it.
    pub rows: u64,
    /// Rows left out: deleted or expired.
    pub rows_removed: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Seconds it took, rests included.
    pub seconds: f64,
    /// Attempts that failed; what they were about stayed as it was.
    pub failures: u64,
    /// Merges put off for want of disk space.
    pub postponed: u64,
}

impl Compaction {
    /// There may be work.
    pub fn wake(&self) {
        *self.woken.lock() = true;
        self.wake.notify_all();
    }

    /// There is urgent work: what is under way stops.
    pub fn hurry(&self) {
        self.interrupt.store(true, Relaxed);
        self.wake();
    }

    /// What the compaction has done.
    pub fn status(&self) -> CompactionStatus {
        CompactionStatus {
            running: self.running.lock().clone(),
            rewrites: self.rewrites.load(Relaxed),
            splits: self.splits.load(Relaxed),
            rows: self.rows.load(Relaxed),
            rows_removed: self.rows_removed.load(Relaxed),
            bytes_read: self.bytes_read.load(Relaxed),
            bytes_written: self.bytes_written.load(Relaxed),
            seconds: self.milliseconds.load(Relaxed) as f64 / 1000.0,
            failures: self.failures.load(Relaxed),
            postponed: self.postponed.load(Relaxed),
        }
    }

    /// Waits for work, at most so long.
    pub(super) fn wait(&self, most: Duration, abandon: &AtomicBool) {
        let until = Instant::now() + most;
        let mut woken = self.woken.lock();
        while !*woken && !abandon.load(Relaxed) && !self.wake.wait_until(&mut woken, until).timed_out() {}
        *woken = false;
    }

    /// What was interrupted is over; what comes next may run.
    pub(super) fn begin_round(&self) {
        // Before the next look at whether the store stops, which is set before the interruption.
        self.interrupt.swap(false, SeqCst);
        *self.running.lock() = None;
    }

    pub(super) fn interrupt(&self) -> &AtomicBool {
        &self.interrupt
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupt.load(Relaxed)
    }

    pub(super) fn begin(&self, what: String) {
        *self.running.lock() = Some(what);
    }

    pub(super) fn finished(&self, splits: u64, rows: u64, removed: u64, (read, written): (u64, u64), took: Duration) {
        *self.running.lock() = None;
        let counts = [
            (&self.rewrites, 1),
            (&self.splits, splits),
            (&self.rows, rows),
            (&self.rows_removed, removed),
            (&self.bytes_read, read),
            (&self.bytes_written, written),
            (&self.milliseconds, u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        ];
        for (counter, count) in counts {
            counter.fetch_add(count, Relaxed);
        }
    }

    pub(super) fn failed(&self) {
        *self.running.lock() = None;
        self.failures.fetch_add(1, Relaxed);
    }

    pub(super) fn postponed(&self) {
        self.postponed.fetch_add(1, Relaxed);
    }
}
