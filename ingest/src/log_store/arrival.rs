//! Records in the order in which they became durable, a bounded number at a time: what a follower of live records missed while it was
//! away, and what it wants to see of the time before it came.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::{ControlFlow, Range};

use super::head::record_bytes;
use super::{Ending, Filter, LogStore, LogStoreError, Order, Search, StoredRecord};
use crate::scan::{Scan, TimeRange};

/// Which records.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which records.
    pub filter: Filter,
    /// From when to when.
    pub range: TimeRange,
    /// With which sequence numbers.
    pub seqs: Range<u64>,
    /// At most this many …
    pub rows_max: usize,
    /// … and of so many bytes in memory; one record is given whatever its size.
    pub bytes_max: usize,
}

/// Records by rising sequence number.
#[derive(Debug)]
pub struct Arrived {
    /// The records.
    pub records: Vec<StoredRecord>,
    /// Whether there are more than these.
    pub is_cut: bool,
    /// Every record that was wanted and has a lower number is among them, if the scan came to its end.
    pub next_seq: u64,
    /// How the scan ended.
    pub ending: Ending,
}

impl LogStore {
    /// The first of the wanted records, in the order in which they became durable. Blocks.
    ///
    /// Splits hold records by time, so all that match are looked at, and those with the lowest numbers are kept.
    pub fn first_arrived(&self, wanted: &Wanted, scan: &Scan) -> Result<Arrived, LogStoreError> {
        let mut kept: BinaryHeap<ByNumber> = BinaryHeap::new();
        let mut bytes = 0;
        let mut next_seq = wanted.seqs.end;
        let ending = self.search_numbered(&wanted.search(Order::OldestFirst), &wanted.seqs, scan, &mut |record| {
            if record.id.seq < next_seq {
                bytes += record_bytes(&record.record);
                kept.push(ByNumber(record));
                while kept.len() > wanted.rows_max || (bytes > wanted.bytes_max && kept.len() > 1) {
                    let ByNumber(last) = kept.pop().expect("there is more than one");
                    bytes -= record_bytes(&last.record);
                    next_seq = last.id.seq;
                }
            }
            ControlFlow::Continue(())
        })?;
        let records = kept.into_sorted_vec().into_iter().map(|ByNumber(record)| record).collect();
        Ok(Arrived { records, is_cut: next_seq < wanted.seqs.end, next_seq, ending })
    }

    /// The newest of the wanted records by their time, in the order in which they became durable. Blocks.
    pub fn newest_arrived(&self, wanted: &Wanted, scan: &Scan) -> Result<Arrived, LogStoreError> {
        let mut records: Vec<StoredRecord> = Vec::new();
        let mut bytes = 0;
        let mut is_cut = false;
        let ending = self.search_numbered(&wanted.search(Order::NewestFirst), &wanted.seqs, scan, &mut |record| {
            bytes += record_bytes(&record.record);
            is_cut = records.len() == wanted.rows_max || (bytes > wanted.bytes_max && !records.is_empty());
            if is_cut {
                return ControlFlow::Break(());
            }
            records.push(record);
            ControlFlow::Continue(())
        })?;
        records.sort_unstable_by_key(|record| record.id.seq);
        Ok(Arrived { records, is_cut, next_seq: wanted.seqs.end, ending })
    }
}

impl Wanted {
    fn search(&self, order: Order) -> Search {
        Search { filter: self.filter.clone(), range: self.range, order, after: None, limit: usize::MAX }
    }
}

/// Ordered by sequence number, which no two records share.
struct ByNumber(StoredRecord);

impl Ord for ByNumber {
    fn cmp(&self, other: &ByNumber) -> Ordering {
        self.0.id.seq.cmp(&other.0.id.seq)
    }
}

impl PartialOrd for ByNumber {
    fn partial_cmp(&self, other: &ByNumber) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByNumber {
    fn eq(&self, other: &ByNumber) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ByNumber {}
