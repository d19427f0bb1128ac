//! Checks everything below a data directory and repairs what can be: `taffrail doctor`.
//!
//! Reading order: here what is found and how it is said; `examine` (goes through catalog, splits, blocks, journal),
//! `repair` (one problem at a time), `rebuild` (a lost catalog, from what splits and blocks say of themselves),
//! `quarantine` (where damaged files go: nothing that holds data is deleted).

mod examine;
mod quarantine;
mod rebuild;
mod repair;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

/// What the doctor may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Look, at a data directory that no server uses.
    Check,
    /// Look, at a data directory that a server may be using: what is under way there is no problem.
    ReadOnly,
    /// Look and repair.
    Repair,
}

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Splits read to their last byte.
    pub splits: u64,
    /// Log records in them.
    pub split_rows: u64,
    /// Series blocks read to their last byte.
    pub blocks: u64,
    /// Metric windows in them.
    pub samples: u64,
    /// Records of the journal.
    pub journal_records: u64,
    /// Log records and metric windows in them.
    pub journal_rows: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What is wrong; nothing when all is sound.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What kind of thing.
    pub kind: ProblemKind,
    /// Where, below the data directory.
    pub place: String,
    /// What is wrong, and what it costs.
    pub message: String,
    /// What `--repair` did about it.
    pub repaired: Option<String>,
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// There are parts and no catalog that lists them.
    CatalogLost,
    /// The catalog's file is damaged.
    CatalogDamaged,
    /// The catalog contradicts itself.
    CatalogContradiction,
    /// A split's bytes are not what was written.
    SplitDamaged,
    /// A listed split is not there.
    SplitMissing,
    /// A series block's bytes are not what was written.
    BlockDamaged,
    /// A listed series block is not there.
    BlockMissing,
    /// A file that was not written to its end.
    Unfinished,
    /// A finished part that the catalog does not list.
    Unlisted,
    /// The journal's last record was not written to its end.
    JournalTorn,
    /// Something in the middle of the journal cannot be read.
    JournalDamaged,
    /// Rows are neither sealed nor in the journal.
    JournalGap,
}

/// Why nothing could be checked.
#[derive(Debug, Error)]
pub enum DoctorError {
    /// A server uses the directory.
    #[error("{0}: a taffrail is using it; stop that one, or check with --read-only")]
    InUse(PathBuf),
    /// The directory is not that of a store.
    #[error("{0} is no data directory of taffrail's: there is neither a catalog nor a journal")]
    NoStore(PathBuf),
    /// A newer or an older release wrote it.
    #[error("{0}")]
    Version(String),
    /// The disk said no.
    #[error("cannot {action} {path}: {message}")]
    Disk {
        /// Verb phrase.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's words.
        message: String,
    },
}

impl ProblemKind {
    /// What `--repair` does about it; none when nothing can be done here.
    pub fn remedy(self) -> Option<&'static str> {
        match self {
            ProblemKind::CatalogLost | ProblemKind::CatalogDamaged => {
                Some("makes the catalog anew from what splits and blocks say of themselves")
            }
            ProblemKind::SplitDamaged | ProblemKind::BlockDamaged => {
                Some("moves it to quarantine/ and goes on without it")
            }
            ProblemKind::SplitMissing | ProblemKind::BlockMissing => Some("takes it off the catalog's list"),
            ProblemKind::Unfinished => Some("removes it: the journal still has its rows"),
            ProblemKind::Unlisted => Some("moves it to quarantine/"),
            ProblemKind::JournalTorn => Some("cuts it off, as the next start would"),
            ProblemKind::CatalogContradiction | ProblemKind::JournalDamaged | ProblemKind::JournalGap => None,
        }
    }
}

/// Checks the data directory and, in [`Mode::Repair`], repairs what can be. `progress` is told (done, total) bytes.
pub fn examine(data_dir: &Path, mode: Mode, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, DoctorError> {
    examine::run(data_dir, mode, progress)
}

fn disk(action: &'static str, path: &Path, error: &dyn std::fmt::Display) -> DoctorError {
    DoctorError::Disk { action, path: path.to_owned(), message: error.to_string() }
}

impl Report {
    fn add(&mut self, kind: ProblemKind, place: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { kind, place: place.into(), message: message.into(), repaired: None });
    }
}
