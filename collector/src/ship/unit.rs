//! What one request carries: a frame of the spool, some rows of it, or several small frames made one.
//!
//! A source that trickles makes a frame of a few lines every moment; over a line with a long round trip one such frame a request
//! would never keep up. Neighbours are made one as far as the server answers quickly ([`Pace`](super::pace::Pace)); the rows keep their
//! numbers, so that whatever of it the server has is recognised when they come one by one.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::Shared;
use super::spool::parts_of;
use crate::file_system::{FileSystem, replace_file};
use crate::frame;
use crate::journal::{JournalError, JournalReader};
use crate::model::{Batch, Lane, StreamPlace};

/// Frames are made one up to so many bytes of their content, and so many rows: larger ones gain nothing by it, and cost memory.
const JOINED_RAW_MAX: u64 = 1 << 20;
const JOINED_ROWS_MAX: u32 = 16 << 10;

/// Bytes that a search of the disk passes over without finding anything, before others have their turn: some 30 ms.
const WALKED_BYTES_MAX: usize = if cfg!(test) { 2 << 10 } else { 8 << 20 };

/// What a stream is to send next.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// The record it starts with.
    pub(super) record: u64,
    /// The record it ends with.
    pub(super) last: u64,
    /// Its frames as they were spooled; of one record each.
    frames: Vec<Bytes>,
    /// Rows of this lane that were spooled before it.
    pub(super) first_row: u64,
    /// Rows in them.
    pub(super) rows: u32,
    /// Whether one carries checkpoints.
    pub(super) has_checkpoints: bool,
    /// Whether more followed that did not fit.
    pub(super) is_full: bool,
    raw_bytes: u64,
    has_samples: bool,
}

/// What stands in the spool for a lane, from a record on.
pub(super) enum Found {
    Unit(Unit),
    /// Nothing of this lane below this record.
    Nothing(u64),
}

/// What came of looking for it on disk.
pub(super) struct Search<F: FileSystem> {
    pub(super) found: Found,
    /// Records before it that should be there and cannot be read.
    pub(super) missing: Vec<Range<u64>>,
    /// To go on with.
    pub(super) reader: Reader<F>,
}

/// Where the spool was read to.
pub(super) struct Reading<F: FileSystem> {
    /// The record it goes on with.
    next: u64,
    /// Everything below was read, though not all of it was of the lane.
    read_to: u64,
    /// The record behind that, if it was read already.
    ahead: Option<(u64, Bytes)>,
    /// The spool's [`Spool::generation`](super::spool::Spool::generation) when it was opened.
    generation: u64,
    reader: JournalReader<F>,
}

/// The same, if any.
pub(super) type Reader<F> = Option<Reading<F>>;

impl Unit {
    /// The frame of a record, unless it cannot be one of ours.
    pub(super) fn new(record: u64, frame: Bytes) -> Option<Unit> {
        let header = frame::peek(&frame).ok()?;
        Some(Unit {
            record,
            last: record,
            first_row: header.place.map_or(0, |place| place.first_seq),
            rows: header.rows(),
            has_checkpoints: header.checkpoints > 0,
            is_full: false,
            raw_bytes: header.raw_bytes.into(),
            has_samples: header.samples > 0,
            frames: vec![frame],
        })
    }

    /// Whether it may be made one with the frame of a later record: that it is no larger than `bytes_max` on the wire, and no row
    /// changes its place (in a frame records come before samples).
    fn takes(&self, next: &Unit, bytes_max: usize) -> bool {
        let has_logs = next.rows > 0 && !next.is_all_samples();
        self.bytes() + next.bytes() <= bytes_max
            && self.raw_bytes + next.raw_bytes <= JOINED_RAW_MAX
            && self.rows + next.rows <= JOINED_ROWS_MAX
            && !(self.has_samples && has_logs)
    }

    fn join(&mut self, next: Unit) {
        self.last = next.last;
        self.rows += next.rows;
        self.has_checkpoints |= next.has_checkpoints;
        self.raw_bytes += next.raw_bytes;
        self.has_samples |= next.has_samples;
        self.frames.extend(next.frames);
    }

    fn is_all_samples(&self) -> bool {
        self.frames.iter().all(|frame| frame::peek(frame).is_ok_and(|header| header.logs == 0))
    }

    /// Rows of this lane that were spooled up to its end.
    pub(super) fn end_row(&self) -> u64 {
        self.first_row + u64::from(self.rows)
    }

    /// Whether it is made of several records.
    pub(super) fn is_joined(&self) -> bool {
        self.frames.len() > 1
    }

    /// Its bytes as they were spooled.
    pub(super) fn bytes(&self) -> usize {
        self.frames.iter().map(Bytes::len).sum()
    }

    /// Some of its rows as a frame with this place; its checkpoints go with the last of them. `is_ahead` says that records
    /// before it are still to come. None when a frame cannot be read.
    pub(super) fn addressed(&self, row: u32, rows: u32, place: StreamPlace, is_ahead: bool) -> Option<Bytes> {
        let is_whole = row == 0 && rows == self.rows;
        let mut bytes = match &*self.frames {
            [frame] if is_whole => frame.to_vec(),
            frames => {
                let mut batch = Batch::local();
                for frame in frames {
                    let (next, _) = frame::decode(frame).ok()?;
                    batch.agent = next.agent;
                    batch.logs.extend(next.logs);
                    batch.samples.extend(next.samples);
                    batch.checkpoints.extend(next.checkpoints);
                }
                if row + rows < self.rows {
                    batch.checkpoints.clear();
                }
                let mut bytes = Vec::new();
                frame::encode(&rows_of(batch, row as usize, rows as usize), &mut bytes).ok()?;
                bytes
            }
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
        replace_file(file_system, &path, single.as_ref().unwrap_or(&self.frames[0]))?;
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

/// What is next of this lane in the records `from..end`, made one up to `bytes_max`, as far as they are still in memory; none when
/// the first is not.
pub(super) fn find_recent<F: FileSystem>(
    shared: &Shared<F>,
    lane: Lane,
    from: u64,
    end: u64,
    bytes_max: usize,
) -> Option<Found> {
    let spool = shared.spool.lock();
    let mut found: Option<Unit> = None;
    for number in from..end {
        let Some(record) = spool.recent(number) else { return found.map(Found::Unit) };
        let frame = record.frames.iter().find(|(of, _)| *of == lane);
        let Some(next) = frame.and_then(|(_, frame)| Unit::new(number, frame.clone())) else { continue };
        match &mut found {
            None => found = Some(next),
            Some(unit) if unit.takes(&next, bytes_max) => unit.join(next),
            Some(unit) => {
                unit.is_full = true;
                break;
            }
        }
    }
    Some(found.map_or(Found::Nothing(end), Found::Unit))
}

/// The same from disk. Blocks.
pub(super) fn find_on_disk<F: FileSystem>(
    shared: &Arc<Shared<F>>,
    lane: Lane,
    from: u64,
    end: u64,
    bytes_max: usize,
    kept: Reader<F>,
) -> Result<Search<F>, JournalError> {
    let mut seen = Vec::new();
    let search = search_disk(shared, lane, from..end, bytes_max, kept, &mut seen);
    shared.spool.lock().note_lanes(&seen);
    search
}

/// Notes the records that it reads with their lanes in `seen`.
fn search_disk<F: FileSystem>(
    shared: &Arc<Shared<F>>,
    lane: Lane,
    Range { start: from, end }: Range<u64>,
    bytes_max: usize,
    kept: Reader<F>,
    seen: &mut Vec<(u64, Vec<Lane>)>,
) -> Result<Search<F>, JournalError> {
    let generation = shared.spool.lock().generation();
    let kept = kept.filter(|reading| reading.next == from && reading.generation == generation);
    let fresh = |from| {
        let spool = shared.spool.lock();
        let (generation, reader) = (spool.generation(), spool.reader(from, end));
        Reading { next: from, read_to: from, ahead: None, generation, reader }
    };
    // A reader that was opened before does not see what was appended since.
    let mut is_fresh = kept.is_none();
    let mut reading = kept.unwrap_or_else(|| fresh(from));
    let mut missing = Vec::new();
    let (mut expected, mut found, mut walked) = (reading.read_to.max(from), None::<Unit>, 0);
    loop {
        if found.is_none() && walked > WALKED_BYTES_MAX && expected < end {
            return Ok(Search { found: Found::Nothing(expected), missing, reader: None });
        }
        let record = match reading.ahead.take() {
            Some(record) => Ok(Some(record)),
            None if expected >= end => Ok(None),
            None => reading.reader.next_record().map(|record| record.map(|record| (record.seq, record.payload.into()))),
        };
        let (number, payload) = match (record, &found) {
            (Ok(Some((number, payload))), _) if number < end => (number, payload),
            (Ok(None), None) if !is_fresh && expected < end => {
                is_fresh = true;
                reading = fresh(from);
                (missing, expected) = (Vec::new(), from);
                continue;
            }
            (Err(error), None) => return Err(error),
            // What is behind it is for the next time.
            (_, Some(unit)) => return Ok(Search { found: Found::Unit(unit.clone()), missing, reader: None }),
            (Ok(_), None) => {
                missing.extend(Some(expected..end).filter(|range| !range.is_empty()));
                return Ok(Search { found: Found::Nothing(end), missing, reader: None });
            }
        };
        walked += payload.len();
        let frames = parts_of(Bytes::clone(&payload));
        seen.push((number, frames.iter().map(|(of, _)| *of).collect()));
        let frame = frames.into_iter().find(|(of, _)| *of == lane);
        let next = frame.and_then(|(_, frame)| Unit::new(number, frame));
        match &mut found {
            None => {
                missing.extend(Some(expected..number).filter(|range| !range.is_empty()));
                found = next;
            }
            Some(unit) => match next {
                Some(next) if number == expected && unit.takes(&next, bytes_max) => unit.join(next),
                None if number == expected => {}
                _ => {
                    unit.is_full = true;
                    let (next, ahead) = (unit.last + 1, Some((number, payload)));
                    let reading = Reading { next, read_to: expected, ahead, ..reading };
                    return Ok(Search { found: Found::Unit(unit.clone()), missing, reader: Some(reading) });
                }
            },
        }
        expected = number + 1;
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
    fn small_neighbours_make_one_frame_unless_rows_would_change_their_order() {
        let sample_rows = |record| Unit { record, last: record, has_samples: true, ..unit(0) };
        let mut joined = unit(2);
        assert!(joined.takes(&unit(3), 1 << 20) && !joined.takes(&unit(3), joined.bytes()));
        joined.join(Unit { record: 7, last: 7, ..unit(3) });
        let bytes = joined.addressed(0, 5, PLACE, false).unwrap();
        let (batch, _) = frame::decode(&bytes).unwrap();
        let bodies: Vec<_> = batch.logs.iter().map(|log| &*log.body).collect();
        assert_eq!((bodies, batch.checkpoints.len()), (vec!["0", "1", "0", "1", "2"], 2));
        assert_eq!((joined.record, joined.last, joined.rows, joined.is_joined()), (4, 7, 5, true));
        assert!(joined.takes(&sample_rows(8), 1 << 20), "samples may follow records");
        joined.join(sample_rows(8));
        assert!(!joined.takes(&unit(1), 1 << 20), "records may not follow samples");
    }

    #[test]
    fn the_checkpoints_of_a_frame_that_is_ahead_of_others_are_not_believed() {
        let bytes = unit(2).addressed(0, 2, PLACE, true).unwrap();
        let (batch, _) = frame::decode(&bytes).unwrap();
        assert_eq!((batch.logs.len(), batch.checkpoints.len()), (2, 0));
    }
}
