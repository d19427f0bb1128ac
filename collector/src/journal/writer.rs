//! Appending, syncing, dropping old segments.
use crate::file_system::FileSystem;
use std::path::PathBuf;
use thiserror::Error;

/// Where the journal lies and how long its segments get.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// The journal's own directory.
    pub directory: PathBuf,
    /// A segment is closed once it is longer than this.
    pub segment_bytes_max: u64,
}

/// What the journal could not do.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The disk said no.
    #[error("{action} {path}: {source}")]
    Io {
        /// Verb phrase.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

/// The journal's writing end.
pub struct JournalWriter<F: FileSystem> {
    _file_system: F,
}

impl<F: FileSystem> JournalWriter<F> {
    /// Opens the journal after recovery: cuts a torn tail, goes on after the last good record. `next_seq` is where an
    /// empty journal starts.
    pub fn open(file_system: F, config: JournalConfig, next_seq: u64) -> Result<Self, JournalError> {
        let _ = (file_system, config, next_seq);
        unimplemented!()
    }
    /// The sequence number of the next record's first row.
    pub fn next_seq(&self) -> u64 {
        unimplemented!()
    }
    /// Appends a record of `rows` rows (sequence numbers `next_seq .. next_seq + rows`); not durable before [`Self::sync`]. Returns its first.
    pub fn append(&mut self, rows: u32, payload: &[u8]) -> Result<u64, JournalError> {
        let _ = (rows, payload);
        unimplemented!()
    }
    /// Makes everything appended durable.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        unimplemented!()
    }
    /// Removes the segments all of whose rows are below `seq`.
    pub fn remove_below(&mut self, seq: u64) -> Result<(), JournalError> {
        let _ = seq;
        unimplemented!()
    }
    /// Bytes of all segments on disk.
    pub fn disk_bytes(&self) -> u64 {
        unimplemented!()
    }
}
