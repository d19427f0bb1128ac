//! Damaged splits: found at the start or by the first question that cannot read one, then left out of answers until their
//! file changes, or, where the system could not read it, until it can.
//!
//! A split that cannot be read costs its own rows and nothing else. It is not removed, and the catalog goes on listing it: put
//! back from a backup, it is found whole again within [`LOOK_AGAIN`] by the next question or health check.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use taffrail_collector::model::Timestamp;

use super::SplitMeta;

/// How often, at most, the file of a damaged split is looked at again.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// A split that answers are without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedSplit {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
    /// When that was found.
    pub found: Timestamp,
    /// How many records it holds, by the catalog.
    pub rows: u64,
    /// The time of its oldest record.
    pub oldest: Timestamp,
    /// The time of its newest record.
    pub newest: Timestamp,
}

/// What is wrong with a split, and what its file was like then.
#[derive(Debug)]
pub(super) struct Damage {
    reason: String,
    found: Timestamp,
    /// It could not even be opened, or the system could not read it. That may also be want of file descriptors or memory, so it
    /// is tried again though its file is as it was: it costs little.
    may_pass: bool,
    file: Option<FileState>,
    looked: Instant,
}

/// What changes when a file is replaced, written, cut, or made readable.
#[derive(Debug, PartialEq, Eq)]
pub struct FileState {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Damage {
    /// Damage of the split at `path`.
    pub(super) fn new(path: &Path, reason: String, may_pass: bool) -> Damage {
        Damage { reason, found: Timestamp::now(), may_pass, file: file_state(path), looked: Instant::now() }
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether opening the split at `path` is worth another attempt.
    pub(super) fn may_be_mended(&mut self, path: &Path) -> bool {
        if self.looked.elapsed() < LOOK_AGAIN {
            return false;
        }
        self.looked = Instant::now();
        self.may_pass || file_state(path) != self.file
    }

    /// The attempt failed as well: the damage was found when it was found.
    pub(super) fn found_before(mut self, earlier: &Damage) -> Damage {
        self.found = earlier.found;
        self
    }

    pub(super) fn of(&self, meta: &SplitMeta) -> DamagedSplit {
        DamagedSplit {
            name: meta.name.clone(),
            reason: self.reason.clone(),
            found: self.found,
            rows: meta.rows,
            oldest: meta.oldest.time,
            newest: meta.newest.time,
        }
    }
}

/// Whether all of the split's bytes are there, without reading them.
pub fn check_length(path: &Path, meta: &SplitMeta) -> Result<(), String> {
    match fs::metadata(path).map(|file| file.len()) {
        Ok(length) if length == meta.bytes => Ok(()),
        Ok(length) => Err(format!("it has {length} bytes, not the {} that were written", meta.bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("it is missing".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The state of the file at `path`; none when it is not there.
pub fn file_state(path: &Path) -> Option<FileState> {
    let file = fs::metadata(path).ok()?;
    Some(FileState {
        inode: file.ino(),
        length: file.len(),
        modified: (file.mtime(), file.mtime_nsec()),
        changed: (file.ctime(), file.ctime_nsec()),
    })
}
