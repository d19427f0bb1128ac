//! Records gathered into batches that the store takes in one piece.

use crate::model::{LogRecord, Value};

/// A batch holds at most this many records and, about, this many bytes: what the store takes in one piece. Each batch is
/// compressed by itself and names its senders anew, so that small ones cost more.
pub(super) const BATCH_RECORDS_MAX: usize = 20_000;
/// See [`BATCH_RECORDS_MAX`].
pub(super) const BATCH_BYTES_MAX: usize = 4 << 20;

/// Records in the making, batch by batch.
///
/// A batch is gathered in one place, kept for the next, and moves into a list of just its length: it stays there until it
/// is sealed, so it should take no memory for records that it has not; and a list that grows touches twice as much.
#[derive(Debug, Default)]
pub(super) struct Batches {
    full: Vec<Vec<LogRecord>>,
    open: Vec<LogRecord>,
    open_bytes: usize,
}

impl Batches {
    /// Adds a record.
    pub(super) fn push(&mut self, record: LogRecord) {
        let bytes = approximate_bytes(&record);
        let is_full = self.open.len() == BATCH_RECORDS_MAX || self.open_bytes + bytes > BATCH_BYTES_MAX;
        if is_full {
            self.close();
        }
        self.open_bytes += bytes;
        self.open.push(record);
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.full.is_empty()
    }

    /// All batches, none of them empty; there is none after.
    pub(super) fn take(&mut self) -> Vec<Vec<LogRecord>> {
        self.close();
        std::mem::take(&mut self.full)
    }

    fn close(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let mut batch = Vec::with_capacity(self.open.len());
        batch.append(&mut self.open);
        self.full.push(batch);
        self.open_bytes = 0;
    }
}

/// About as many bytes as the record takes on the wire.
fn approximate_bytes(record: &LogRecord) -> usize {
    record.body.len()
        + record.attributes.iter().map(|(name, value)| name.len() + value_bytes(value)).sum::<usize>()
        + 40
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 1,
        Value::Array(items) => items.iter().map(value_bytes).sum::<usize>() + 1,
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 9,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::enrich::{Enricher, ReceivedLine};
    use crate::model::Timestamp;

    #[test]
    fn batches_hold_no_more_than_they_may() {
        let check = |bodies: &[(usize, usize)], expected: &[usize]| {
            let resource = Arc::default();
            let mut batches = Batches::default();
            for &(count, length) in bodies {
                let text = "x".repeat(length);
                let line = || ReceivedLine::plain(text.as_bytes(), Timestamp::EPOCH, &resource);
                (0..count).for_each(|_| batches.push(Enricher::default().enrich(line()).unwrap()));
            }
            assert_eq!(batches.is_empty(), expected.is_empty());
            let batches = batches.take();
            assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), expected);
            assert!(batches.iter().all(|batch| batch.capacity() == batch.len()));
        };
        check(&[], &[]);
        check(&[(1, 5)], &[1]);
        check(&[(BATCH_RECORDS_MAX, 5)], &[BATCH_RECORDS_MAX]);
        check(&[(2 * BATCH_RECORDS_MAX + 1, 5)], &[BATCH_RECORDS_MAX, BATCH_RECORDS_MAX, 1]);
        check(&[(50, 200_000)], &[20, 20, 10]);
        check(&[(2, BATCH_BYTES_MAX + 1), (1, 1)], &[1, 1, 1]);
    }
}
