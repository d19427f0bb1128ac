//! Reading a journal from the start, one segment in memory at a time, so that memory does not depend on the backlog.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::JournalError;
use super::segment::{NewerVersion, Next, SegmentCursor, first_seq_of, numbers_taken};
use super::writer::READ;
use crate::file_system::FileSystem;

/// One good record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRecord {
    /// Sequence number of its first row.
    pub seq: u64,
    /// How many rows it holds.
    pub rows: u32,
    /// What was appended.
    pub payload: Vec<u8>,
}

/// What was met besides good records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// Good records.
    pub records: u64,
    /// Damaged stretches in the middle, skipped.
    pub damaged: u64,
    /// Bytes of them.
    pub damaged_bytes: u64,
    /// Bytes of a torn tail.
    pub torn_bytes: u64,
}

/// Iterates over the good records from a sequence number on.
pub struct JournalReader<F: FileSystem> {
    file_system: F,
    from_seq: u64,
    /// First seq and file of the segments still to be read.
    segments: VecDeque<(u64, PathBuf)>,
    open: Option<OpenSegment>,
    report: ReadReport,
}

struct OpenSegment {
    bytes: Vec<u8>,
    cursor: SegmentCursor,
    /// The next segment's first seq, if there is one: what stands here from it on was given up.
    end: Option<u64>,
}

impl<F: FileSystem> JournalReader<F> {
    /// Opens the journal in `directory`; records wholly below `from_seq` are passed over. A directory that does not exist
    /// is an empty journal. Segments that are removed while this reads are passed over, too.
    pub fn open(file_system: F, directory: &Path, from_seq: u64) -> Result<Self, JournalError> {
        let mut segments: VecDeque<_> = segments_of(&file_system, directory)?.into();
        while segments.get(1).is_some_and(|&(next_first, _)| next_first <= from_seq) {
            segments.pop_front();
        }
        Ok(JournalReader::over(file_system, segments, from_seq))
    }

    /// Reads these segments, given by first seq and file in order.
    pub(super) fn over(file_system: F, segments: VecDeque<(u64, PathBuf)>, from_seq: u64) -> Self {
        JournalReader { file_system, from_seq, segments, open: None, report: ReadReport::default() }
    }

    /// The next good record, or none at the end.
    pub fn next_record(&mut self) -> Result<Option<JournalRecord>, JournalError> {
        loop {
            let Some(segment) = &mut self.open else {
                match self.open_next()? {
                    true => continue,
                    false => return Ok(None),
                }
            };
            match segment.cursor.next(&segment.bytes) {
                Next::Record { seq, .. } if segment.end.is_some_and(|end| seq >= end) => self.open = None,
                Next::Record { seq, rows, .. } if seq + numbers_taken(rows) <= self.from_seq => {}
                Next::Record { seq, rows, payload } => {
                    self.report.records += 1;
                    return Ok(Some(JournalRecord { seq, rows, payload: payload.to_vec() }));
                }
                Next::Damage(bytes) => {
                    self.report.damaged += 1;
                    self.report.damaged_bytes += bytes as u64;
                }
                Next::Tail(bytes) if segment.end.is_some_and(|end| segment.cursor.expected() < end) => {
                    self.report.damaged += 1;
                    self.report.damaged_bytes += bytes as u64;
                }
                Next::Tail(bytes) => self.report.torn_bytes += bytes as u64,
                Next::End => self.open = None,
            }
        }
    }

    /// What was met so far.
    pub fn report(&self) -> ReadReport {
        self.report
    }

    fn open_next(&mut self) -> Result<bool, JournalError> {
        while let Some((first_seq, path)) = self.segments.pop_front() {
            let bytes = match self.file_system.read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(JournalError::Io { action: READ, path, source }),
            };
            let cursor = SegmentCursor::new(&bytes, first_seq)
                .map_err(|NewerVersion(version)| JournalError::NewerVersion { path, version })?;
            let end = self.segments.front().map(|&(next_first, _)| next_first);
            self.open = Some(OpenSegment { bytes, cursor, end });
            return Ok(true);
        }
        Ok(false)
    }
}

/// First seq and file of all segments, in order.
pub(super) fn segments_of<F: FileSystem>(
    file_system: &F,
    directory: &Path,
) -> Result<Vec<(u64, PathBuf)>, JournalError> {
    match file_system.list(directory) {
        Ok(files) => Ok(files.into_iter().filter_map(|path| Some((first_seq_of(&path)?, path))).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(JournalError::Io { action: "list", path: directory.to_owned(), source }),
    }
}
