//! The newest records, in memory, in the order in which they became durable; searchable at once.
//!
//! A head grows by whole chunks (the records of one batch, moved, never copied) and never changes what it holds, so that a
//! reader's snapshot is a list of shared chunks. One thread appends; any number read.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::RwLock;
use taffrail_collector::model::{Attributes, LogRecord, Value};

use super::{RecordId, TimeRange};

/// Chunks are kept in groups of this many, so that a snapshot of a head that took many small batches stays cheap.
const GROUP: usize = 256;

/// The records of one batch, with consecutive sequence numbers.
#[derive(Debug)]
pub struct Chunk {
    first_seq: u64,
    records: Vec<LogRecord>,
    oldest: RecordId,
    newest: RecordId,
    bytes: usize,
}

impl Chunk {
    /// The records with the sequence numbers `first_seq ..`; none when there are none.
    pub fn new(first_seq: u64, records: Vec<LogRecord>) -> Option<Chunk> {
        let id_of = |(seq, record): (u64, &LogRecord)| RecordId { time: record.timestamp, seq };
        let first = id_of((first_seq, records.first()?));
        let (mut oldest, mut newest, mut bytes) = (first, first, 0);
        for (seq, record) in (first_seq..).zip(&records) {
            let id = id_of((seq, record));
            (oldest, newest) = (oldest.min(id), newest.max(id));
            bytes += record_bytes(record);
        }
        Some(Chunk { first_seq, records, oldest, newest, bytes })
    }

    /// The sequence number of the first record.
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// The records, by rising sequence number.
    pub fn records(&self) -> &[LogRecord] {
        &self.records
    }

    /// The place of the record at this position.
    pub fn id(&self, at: usize) -> RecordId {
        RecordId { time: self.records[at].timestamp, seq: self.first_seq + at as u64 }
    }

    /// The least place.
    pub fn oldest(&self) -> RecordId {
        self.oldest
    }

    /// The greatest place.
    pub fn newest(&self) -> RecordId {
        self.newest
    }

    /// Bytes in memory, near enough.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether some record may lie in the range.
    pub fn overlaps(&self, range: &TimeRange) -> bool {
        range.overlaps(self.oldest.time, self.newest.time)
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Head {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    full: Vec<Arc<[Arc<Chunk>]>>,
    open: Vec<Arc<Chunk>>,
    size: HeadSize,
}

/// How much a head holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadSize {
    /// Records.
    pub rows: usize,
    /// Bytes in memory, near enough.
    pub bytes: usize,
    /// When the first record came.
    pub since: Option<Instant>,
}

impl Head {
    /// Appends a chunk; from now on every snapshot holds it.
    pub fn append(&self, chunk: Arc<Chunk>) {
        let mut state = self.state.write();
        state.size.rows += chunk.records.len();
        state.size.bytes += chunk.bytes;
        state.size.since.get_or_insert_with(Instant::now);
        state.open.push(chunk);
        if state.open.len() == GROUP {
            let group = std::mem::take(&mut state.open).into();
            state.full.push(group);
        }
    }

    /// What the head holds now.
    pub fn snapshot(&self) -> HeadSnapshot {
        let state = self.state.read();
        let mut groups = state.full.clone();
        if !state.open.is_empty() {
            groups.push(state.open.as_slice().into());
        }
        HeadSnapshot { groups }
    }

    /// How much the head holds now.
    pub fn size(&self) -> HeadSize {
        self.state.read().size
    }
}

/// What a head held at one moment.
#[derive(Clone, Debug, Default)]
pub struct HeadSnapshot {
    groups: Vec<Arc<[Arc<Chunk>]>>,
}

impl HeadSnapshot {
    /// Its chunks, by rising sequence number.
    pub fn chunks(&self) -> impl Iterator<Item = &Arc<Chunk>> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    /// Leaves out chunks without any of these sequence numbers.
    pub fn keep_numbered(&mut self, seqs: &Range<u64>) {
        let has_some = |chunk: &&Arc<Chunk>| {
            chunk.first_seq < seqs.end && seqs.start < chunk.first_seq + chunk.records.len() as u64
        };
        let kept: Arc<[Arc<Chunk>]> = self.chunks().filter(has_some).cloned().collect();
        self.groups = vec![kept];
    }
}

/// Bytes that a record takes in memory, near enough for limits; what it shares with others is left out.
pub fn record_bytes(record: &LogRecord) -> usize {
    size_of::<LogRecord>() + record.body.len() + attributes_bytes(&record.attributes)
}

fn attributes_bytes(attributes: &Attributes) -> usize {
    attributes.iter().map(|(name, value)| size_of_val(name) + name.len() + 16 + value_bytes(value)).sum()
}

fn value_bytes(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(value_bytes).sum(),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_store::test_records::record_at;

    #[test]
    fn a_snapshot_keeps_what_it_saw_and_misses_nothing_before_it() {
        let head = Head::default();
        let mut seq = 0;
        for batch in 0..600u64 {
            let records = (0..batch % 3).map(|n| record_at((1000 - n) as i64)).collect();
            let Some(chunk) = Chunk::new(seq, records) else { continue };
            seq += chunk.records().len() as u64;
            assert!(chunk.oldest() <= chunk.newest());
            let before = head.snapshot().chunks().count();
            let snapshot = head.snapshot();
            head.append(Arc::new(chunk));
            assert_eq!(snapshot.chunks().count(), before);
            assert_eq!(head.snapshot().chunks().count(), before + 1);
        }
        let snapshot = head.snapshot();
        let seqs: Vec<u64> =
            snapshot.chunks().flat_map(|chunk| (0..chunk.records().len()).map(|at| chunk.id(at).seq)).collect();
        assert_eq!(seqs, (0..seq).collect::<Vec<_>>());
        assert_eq!(head.size().rows as u64, seq);
    }
}
