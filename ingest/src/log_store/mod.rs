//! The log store: newest records in memory, older ones in immutable splits.
//!
//! Reading order: [`words`] (what a word is), [`filter`] (which records are wanted), [`matching`] (what that means),
//! [`field`] (fields by name).

pub mod field;
pub mod filter;
pub mod matching;
pub mod words;

use std::ops::ControlFlow;

use taffrail_collector::model::{LogRecord, Timestamp, TraceId};
use thiserror::Error;

pub use field::Field;
pub use filter::{Filter, Test, TextMatch};
pub use matching::{CompiledFilter, FilterError};

use crate::scan::{Scan, StopReason, TimeRange};

/// Where a record stands: records are ordered by time, then by the order in which they became durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The record's timestamp.
    pub time: Timestamp,
    /// Its sequence number.
    pub seq: u64,
}

/// A stored record.
#[derive(Clone, Debug)]
pub struct StoredRecord {
    /// Its place.
    pub id: RecordId,
    /// What was stored.
    pub record: LogRecord,
}

/// Newest or oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    NewestFirst,
    /// Oldest first.
    OldestFirst,
}

/// Which records, in which order, from where on.
#[derive(Clone, Debug)]
pub struct Search {
    /// Which records.
    pub filter: Filter,
    /// From when to when.
    pub range: TimeRange,
    /// In which order.
    pub order: Order,
    /// Only what comes after this record in that order.
    pub after: Option<RecordId>,
    /// At most this many.
    pub limit: usize,
}

/// What became of a scan besides what it emitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Why it stopped early; none when the answer is whole.
    pub stopped: Option<StopReason>,
}

/// Records per interval, by the value of one field.
#[derive(Clone, Debug, Default)]
pub struct IntervalCounts {
    /// (start of the interval, (value, count) by falling count); only intervals that hold records, by rising time. Without a
    /// field to split by there is one value, the empty string.
    pub buckets: Vec<(Timestamp, Vec<(String, u64)>)>,
    /// All records counted.
    pub total: u64,
    /// How the scan ended.
    pub ending: Ending,
}

/// The commonest values of one field.
#[derive(Clone, Debug, Default)]
pub struct Facet {
    /// The field's name.
    pub field: String,
    /// (value, count) by falling count.
    pub values: Vec<(String, u64)>,
    /// Records with other values of the field.
    pub other: u64,
    /// Records without the field.
    pub missing: u64,
}

/// A split could not be read.
#[derive(Debug, Error)]
#[error("split {split}: {message}")]
pub struct LogStoreError {
    /// Which split.
    pub split: String,
    /// What is wrong with it.
    pub message: String,
}

/// The log store. All methods work on one consistent view (a record is never missing or seen twice while a head is handed
/// over to a split) and block: call them from a blocking thread.
pub struct LogStore {}

impl LogStore {
    /// Emits matching records in order until `limit`, the consumer's break or the scan's end.
    pub fn search(
        &self,
        search: &Search,
        scan: &Scan,
        emit: &mut dyn FnMut(StoredRecord) -> ControlFlow<()>,
    ) -> Result<Ending, LogStoreError> {
        let _ = (search, scan, emit);
        unimplemented!()
    }
    /// Counts matching records per interval (`interval_ms` aligned to the epoch), split by a field's value when `by` is given
    /// (at most `values_max` values, the rest under `"\u{0}other"`).
    pub fn count_by_interval(
        &self,
        filter: &Filter,
        range: TimeRange,
        interval_ms: u64,
        by: Option<&str>,
        values_max: usize,
        scan: &Scan,
    ) -> Result<IntervalCounts, LogStoreError> {
        let _ = (filter, range, interval_ms, by, values_max, scan);
        unimplemented!()
    }
    /// The commonest `limit` values of each field among matching records.
    pub fn facets(
        &self,
        filter: &Filter,
        range: TimeRange,
        fields: &[String],
        limit: usize,
        scan: &Scan,
    ) -> Result<(Vec<Facet>, Ending), LogStoreError> {
        let _ = (filter, range, fields, limit, scan);
        unimplemented!()
    }
    /// Names of the fields that matching records have, with how many of them have it, commonest first.
    pub fn field_names(
        &self,
        filter: &Filter,
        range: TimeRange,
        scan: &Scan,
    ) -> Result<(Vec<(String, u64)>, Ending), LogStoreError> {
        let _ = (filter, range, scan);
        unimplemented!()
    }
    /// All records of a trace, oldest first.
    pub fn trace(
        &self,
        trace_id: TraceId,
        limit: usize,
        scan: &Scan,
    ) -> Result<(Vec<StoredRecord>, Ending), LogStoreError> {
        let _ = (trace_id, limit, scan);
        unimplemented!()
    }
}
