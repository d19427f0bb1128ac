//! Reading a journal from the start, one segment in memory at a time.
use super::JournalError;
use crate::file_system::FileSystem;
use std::path::Path;

/// One good record.
#[derive(Debug)]
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
    _file_system: F,
}

impl<F: FileSystem> JournalReader<F> {
    /// Opens the journal in `directory`; records wholly below `from_seq` are passed over.
    pub fn open(file_system: F, directory: &Path, from_seq: u64) -> Result<Self, JournalError> {
        let _ = (file_system, directory, from_seq);
        unimplemented!()
    }
    /// The next good record, or none at the end.
    pub fn next_record(&mut self) -> Result<Option<JournalRecord>, JournalError> {
        unimplemented!()
    }
    /// What was met so far.
    pub fn report(&self) -> ReadReport {
        unimplemented!()
    }
}
