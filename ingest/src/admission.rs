//! What is let in: limits of size, memory and disk, each with its named reason and the setting that changes it; and times
//! that cannot be true, which are replaced, never refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use taffrail_collector::delivery::{Refusal, RefusalReason};
use taffrail_collector::frame::EncodeError;
use taffrail_collector::journal::JournalError;
use taffrail_collector::model::{Batch, Sample, Timestamp, Value};

use crate::log_store::head::record_bytes;
use crate::retention::Retention;

/// Holds the time that a record claimed, when it lay too far in the future.
pub const CLAIMED_TIME: &str = "taffrail.claimed_time";
/// Counted for records and windows whose time was replaced.
pub const FUTURE_TIME: &str = "future_time";
/// Counted for records that are older than the retention: they are stored, shown to nobody, and go with the next round of it.
pub const OLDER_THAN_RETENTION: &str = "older_than_retention";
/// Counted for journal records that could not be replayed.
pub const UNREADABLE: &str = "unreadable_journal_record";

/// How long a look at the disk's free space holds.
const DISK_LOOK: Duration = Duration::from_secs(1);

/// What admission asks.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes that heads may hold.
    pub memory_bytes_max: usize,
    /// Free bytes that must stay on the disk.
    pub disk_reserve_bytes: u64,
    /// How far in the future a record's time may lie.
    pub future_max: Duration,
    /// What is older than this keeps is counted.
    pub retention: Arc<ArcSwap<Retention>>,
}

/// What was changed in a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adjusted {
    /// Times replaced.
    pub future: u64,
    /// Records older than the retention.
    pub old: u64,
}

/// Replaces times in the future by the time of arrival, keeping the claim in an attribute; counts what is too old.
pub fn adjust_times(batch: &mut Batch, limits: &Limits, now: Timestamp) -> Adjusted {
    let mut adjusted = Adjusted::default();
    let latest = now.saturating_add(limits.future_max);
    let oldest = |keep: Option<Duration>| keep.map_or(Timestamp::MIN, |keep| now.saturating_sub(keep));
    let (oldest_record, oldest_sample) = {
        let retention = limits.retention.load();
        (oldest(retention.rules.longest()), oldest(retention.series.longest()))
    };
    for record in &mut batch.logs {
        if record.timestamp > latest {
            adjusted.future += 1;
            let claim = Value::String(record.timestamp.to_string());
            record.attributes.push((CLAIMED_TIME.into(), claim));
            record.timestamp = if record.observed_timestamp > latest { now } else { record.observed_timestamp };
        }
        adjusted.old += u64::from(record.timestamp < oldest_record);
    }
    for sample in &mut batch.samples {
        if sample.timestamp > latest {
            adjusted.future += 1;
            // A window stays on its grid.
            sample.timestamp = match sample.interval_ms {
                0 => now,
                interval_ms => now.floor_to(Duration::from_millis(u64::from(interval_ms))),
            };
        }
        adjusted.old += u64::from(sample.timestamp < oldest_sample);
    }
    adjusted
}

/// Bytes that the batch takes in memory until it is in the heads, near enough: labels are shared, mostly.
pub fn batch_bytes(batch: &Batch) -> usize {
    log_bytes(batch) + batch.samples.len() * size_of::<Sample>()
}

/// Bytes that the batch's log records take in memory, near enough.
pub fn log_bytes(batch: &Batch) -> usize {
    batch.logs.iter().map(record_bytes).sum()
}

/// The disk that holds the data, looked at once a second at most.
#[derive(Debug)]
pub struct DiskSpace {
    directory: PathBuf,
    last: Mutex<Option<(Instant, u64)>>,
}

impl DiskSpace {
    /// The disk of this directory.
    pub fn new(directory: &Path) -> DiskSpace {
        DiskSpace { directory: directory.to_owned(), last: Mutex::new(None) }
    }

    /// Bytes that are free for us; as many as can be said when the system does not tell.
    pub fn free_bytes(&self) -> u64 {
        let mut last = self.last.lock();
        if let Some((at, free)) = *last
            && at.elapsed() < DISK_LOOK
        {
            return free;
        }
        let free =
            rustix::fs::statvfs(&self.directory).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        *last = Some((Instant::now(), free));
        free
    }
}

/// There is not enough memory for `batch_bytes` more.
pub fn overloaded(held: usize, batch_bytes: usize, limits: &Limits) -> Refusal {
    Refusal {
        reason: RefusalReason::Overloaded,
        message: format!(
            "{held} bytes wait in memory to be written to disk and the batch has {batch_bytes}: more than \
             store.memory_bytes_max = {} allows",
            limits.memory_bytes_max
        ),
        retry_after: Some(Duration::from_secs(1)),
    }
}

/// The disk's reserve is reached.
pub fn disk_reserve_reached(free: u64, limits: &Limits) -> Refusal {
    Refusal {
        reason: RefusalReason::DiskFull,
        message: format!(
            "{free} bytes are free on the disk of data_dir, less than store.disk_reserve_bytes = {}; free some, or keep less \
             with store.retention_age or store.retention_bytes",
            limits.disk_reserve_bytes
        ),
        retry_after: Some(Duration::from_secs(10)),
    }
}

/// The batch does not fit in a frame.
pub fn too_large(error: &EncodeError) -> Refusal {
    Refusal { reason: RefusalReason::BatchTooLarge, message: error.to_string(), retry_after: None }
}

/// The journal could not be written.
pub fn not_written(error: &JournalError) -> Refusal {
    if let JournalError::RecordTooLarge { .. } = error {
        return Refusal { reason: RefusalReason::BatchTooLarge, message: error.to_string(), retry_after: None };
    }
    if error.is_disk_full() {
        let message = format!(
            "the disk of data_dir is full ({error}); free some, or keep less with store.retention_age or store.retention_bytes"
        );
        return Refusal { reason: RefusalReason::DiskFull, message, retry_after: Some(Duration::from_secs(10)) };
    }
    let message = format!("the journal below data_dir could not be written: {error}");
    Refusal { reason: RefusalReason::WriteFailed, message, retry_after: Some(Duration::from_secs(5)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_store::RetentionRules;
    use crate::log_store::test_records::record_at;

    fn limits() -> Limits {
        let rules = RetentionRules { keep_rest: Some(Duration::from_secs(100)), rules: Vec::new() };
        Limits {
            memory_bytes_max: 0,
            disk_reserve_bytes: 0,
            future_max: Duration::from_secs(60),
            retention: Arc::new(ArcSwap::from_pointee(Retention { rules, ..Retention::default() })),
        }
    }

    #[test]
    fn times_in_the_future_become_the_arrival_and_the_claim_is_kept() {
        let now = Timestamp::from_unix_seconds(1_000);
        let mut batch = Batch::local();
        batch.logs = [1_061, 1_060, 900, 899].map(record_at).into();
        batch.logs[0].observed_timestamp = Timestamp::from_unix_seconds(999);
        batch.logs.push(record_at(5_000));
        let adjusted = adjust_times(&mut batch, &limits(), now);
        assert_eq!(adjusted, Adjusted { future: 2, old: 1 });
        let seconds: Vec<i64> = batch.logs.iter().map(|record| record.timestamp.unix_millis() / 1000).collect();
        assert_eq!(seconds, [999, 1_060, 900, 899, 1_000]);
        assert_eq!(batch.logs[0].attribute(CLAIMED_TIME), Some(&Value::from("1970-01-01T00:17:41.000Z")));
        assert_eq!(batch.logs[1].attribute(CLAIMED_TIME), None);
    }

    #[test]
    fn refusals_name_the_setting_and_say_when_to_come_again() {
        let check = |refusal: Refusal, setting: &str, again: bool| {
            assert!(refusal.message.contains(setting), "{refusal}");
            assert_eq!(refusal.retry_after.is_some(), again, "{refusal}");
        };
        check(overloaded(1, 2, &limits()), "store.memory_bytes_max", true);
        check(disk_reserve_reached(1, &limits()), "store.disk_reserve_bytes", true);
        check(too_large(&EncodeError { what: "rows", found: 2, limit: 1 }), "smaller batches", false);
        let full =
            |kind| JournalError::Io { action: "append to", path: "j".into(), source: std::io::Error::from(kind) };
        assert_eq!(not_written(&full(std::io::ErrorKind::StorageFull)).reason, RefusalReason::DiskFull);
        assert_eq!(not_written(&full(std::io::ErrorKind::Other)).reason, RefusalReason::WriteFailed);
    }
}
