//! What one request carries: a frame of the spool, or some rows of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::Shared;
use super::spool::parts_of;
use crate::file_system::{FileSystem, replace_file};
use crate::frame;
use crate::journal::{JournalError, JournalReader};
use crate::model::{Batch, Lane, StreamPlace};

/// A frame that a stream is to send next.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// The record it is part of.
    pub(super) record: u64,
    /// Its bytes as they were spooled.
    pub(super) frame: Bytes,
    /// Rows in it.
    pub(super) rows: u32,
    /// Whether it carries checkpoints.
    pub(super) has_checkpoints: bool,
}

/// What stands in the spool for a lane, from a record on.
pub(super) enum Found {
    Unit(Unit),
    /// Nothing of this lane below this record.
    Nothing(u64),
}

/// A journal reader, and the record that it goes on with.
pub(super) type Reader<F> = Option<(u64, JournalReader<F>)>;

impl Unit {
    /// The frame, unless it cannot be one of ours.
    pub(super) fn new(record: u64, frame: Bytes) -> Option<Unit> {
        let header = frame::peek(&frame).ok()?;
        Some(Unit { record, rows: header.rows(), has_checkpoints: header.checkpoints > 0, frame })
    }

    /// Some of its rows as a frame with this place; its checkpoints go with the last of them. `is_ahead` says that records
    /// before it are still to come. None when the frame cannot be read.
    pub(super) fn addressed(&self, row: u32, rows: u32, place: StreamPlace, is_ahead: bool) -> Option<Bytes> {
        let mut bytes = if row == 0 && rows == self.rows {
            self.frame.to_vec()
        } else {
            let (mut batch, _) = frame::decode(&self.frame).ok()?;
            if row + rows < self.rows {
                batch.checkpoints.clear();
            }
            let batch = rows_of(batch, row as usize, rows as usize);
            let mut bytes = Vec::new();
            frame::encode(&batch, &mut bytes).ok()?;
            bytes
        };
        frame::address(&mut bytes, place, is_ahead).ok()?;
        Some(bytes.into())
    }

    /// Puts one of its rows, or all of it, aside for a person to look at. Returns the file.
    pub(super) fn put_aside<F: FileSystem>(
        &self,
        lane: Lane,
        row: Option<u32>,
        file_system: &F,
        directory: &Path,
    ) -> std::io::Result<PathBuf> {
        let name = match row {
            Some(row) => format!("{:020}-{}-{row}.tfrm", self.record, lane.name()),
            None => format!("{:020}-{}.tfrm", self.record, lane.name()),
        };
        let path = directory.join(name);
        let place = StreamPlace { epoch: 0, stream: 0, lane, first_seq: 0 };
        let single = row.and_then(|row| self.addressed(row, 1, place, false));
        file_system.create_directories(directory)?;
        replace_file(file_system, &path, single.as_ref().unwrap_or(&self.frame))?;
        Ok(path)
    }
}

fn rows_of(mut batch: Batch, row: usize, rows: usize) -> Batch {
    let logs = batch.logs.len();
    let end = row + rows;
    batch.samples = batch.samples.drain(row.saturating_sub(logs)..end.saturating_sub(logs)).collect();
    batch.logs = batch.logs.drain(row.min(logs)..end.min(logs)).collect();
    batch
}

/// The next frame of this lane in the records `from..end` that are still in memory; none when they are not.
pub(super) fn find_recent<F: FileSystem>(shared: &Shared<F>, lane: Lane, from: u64, end: u64) -> Option<Found> {
    let spool = shared.spool.lock();
    for number in from..end {
        let record = spool.recent(number)?;
        if let Some((_, frame)) = record.frames.iter().find(|(of, _)| *of == lane) {
            return Unit::new(number, frame.clone()).map(Found::Unit);
        }
    }
    Some(Found::Nothing(end))
}

/// The same from disk. Blocks.
pub(super) fn find_on_disk<F: FileSystem>(
    shared: &Arc<Shared<F>>,
    lane: Lane,
    from: u64,
    end: u64,
    reader: Reader<F>,
) -> Result<(Found, Reader<F>), JournalError> {
    let kept = reader.filter(|(next, _)| *next == from).map(|(_, reader)| reader);
    let fresh = || shared.spool.lock().reader(from);
    // A reader that was opened before does not see what was appended since.
    let mut is_fresh = kept.is_none();
    let mut reader = kept.map_or_else(fresh, Ok)?;
    loop {
        match reader.next_record()? {
            Some(record) if record.seq < end => {
                let frame = parts_of(record.payload.into()).into_iter().find(|(of, _)| *of == lane);
                if let Some(unit) = frame.and_then(|(_, frame)| Unit::new(record.seq, frame)) {
                    return Ok((Found::Unit(unit), Some((record.seq + 1, reader))));
                }
            }
            Some(_) => return Ok((Found::Nothing(end), None)),
            None if is_fresh => return Ok((Found::Nothing(end), None)),
            None => {
                is_fresh = true;
                reader = fresh()?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::line;
    use super::*;
    use crate::model::{Checkpoint, LogRecord};

    const PLACE: StreamPlace = StreamPlace { epoch: 1, stream: 2, lane: Lane::Normal, first_seq: 3 };

    fn unit(rows: u32) -> Unit {
        let logs: Vec<LogRecord> = (0..rows).map(|row| line(row.to_string())).collect();
        let checkpoints = vec![Checkpoint { key: "file".to_owned(), value: vec![7; 9] }];
        let mut bytes = Vec::new();
        frame::encode(&Batch { logs, checkpoints, ..Batch::local() }, &mut bytes).unwrap();
        Unit::new(4, bytes.into()).unwrap()
    }

    #[test]
    fn any_rows_of_a_frame_make_a_frame_and_the_checkpoints_go_with_the_last() {
        let check = |row, rows, expected: &[&str], checkpoints| {
            let bytes = unit(5).addressed(row, rows, PLACE, false).unwrap();
            let (batch, _) = frame::decode(&bytes).unwrap();
            let bodies: Vec<_> = batch.logs.iter().map(|log| &*log.body).collect();
            assert_eq!((bodies, batch.checkpoints.len(), batch.place), (expected.to_vec(), checkpoints, Some(PLACE)));
        };
        check(0, 5, &["0", "1", "2", "3", "4"], 1);
        check(0, 2, &["0", "1"], 0);
        check(2, 2, &["2", "3"], 0);
        check(4, 1, &["4"], 1);
    }

    #[test]
    fn the_checkpoints_of_a_frame_that_is_ahead_of_others_are_not_believed() {
        let bytes = unit(2).addressed(0, 2, PLACE, true).unwrap();
        let (batch, _) = frame::decode(&bytes).unwrap();
        assert_eq!((batch.logs.len(), batch.checkpoints.len()), (2, 0));
    }
}
