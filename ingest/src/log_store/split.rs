//! A split as the store holds it: what the catalog knows of it, opened when a question first needs it, and set aside when it
//! cannot be read ([`damage`](super::damage)).

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::damage::{Damage, DamagedSplit, check_length};
use super::split_reader::SplitReader;
use super::{Interrupt, LogStoreError, RecordId};
use crate::scan::Scan;

/// What the catalog knows of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitMeta {
    /// Its file's name.
    pub name: String,
    /// How many records it holds.
    pub rows: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// The least place of a record.
    pub oldest: RecordId,
    /// The greatest place of a record.
    pub newest: RecordId,
    /// The least sequence number.
    pub seq_first: u64,
    /// The greatest sequence number.
    pub seq_last: u64,
    /// How often its rows were rewritten at most: a head makes generation 0, a merge one more than the splits it replaces.
    pub generation: u32,
    /// The newest deletion whose records its writer left out, if they were among its rows; 0 before the first.
    pub deletions_through: u64,
}

/// A split on disk.
pub struct Split {
    /// What the catalog knows of it.
    pub meta: SplitMeta,
    path: PathBuf,
    reader: Mutex<Weak<SplitReader>>,
    damage: Mutex<Option<Damage>>,
    readers: Arc<OpenReaders>,
    deletions_through: AtomicU64,
    doomed: AtomicBool,
}

/// The splits that were read last, kept open: each open one takes a file descriptor, of which a process has a thousand, and
/// what was read of it stays in memory.
#[derive(Default)]
pub struct OpenReaders(Mutex<VecDeque<Arc<SplitReader>>>);

/// Splits that stay open while no question reads them …
const OPEN_MAX: usize = 64;
/// … and the bytes that they may hold in memory. What is dropped is read again from the system's cache of files, mostly.
const OPEN_BYTES_MAX: usize = 128 << 20;

impl OpenReaders {
    /// Keeps this one, and lets the one go that was not used for longest.
    fn keep(&self, reader: &Arc<SplitReader>) {
        let mut kept = self.0.lock();
        if let Some(at) = kept.iter().position(|other| Arc::ptr_eq(other, reader)) {
            kept.remove(at);
        }
        kept.push_back(reader.clone());
        let mut bytes: usize = kept.iter().map(|reader| reader.loaded_bytes()).sum();
        while kept.len() > OPEN_MAX || kept.len() > 1 && bytes > OPEN_BYTES_MAX {
            bytes -= kept.pop_front().map_or(0, |reader| reader.loaded_bytes()).min(bytes);
        }
    }

    fn forget(&self, reader: &Weak<SplitReader>) {
        self.0.lock().retain(|kept| !std::ptr::eq(Arc::as_ptr(kept), reader.as_ptr()));
    }
}

impl Split {
    /// The split at `path`, not opened yet.
    pub fn new(path: PathBuf, meta: SplitMeta, readers: Arc<OpenReaders>) -> Split {
        Split {
            deletions_through: AtomicU64::new(meta.deletions_through),
            meta,
            path,
            reader: Mutex::new(Weak::new()),
            damage: Mutex::default(),
            readers,
            doomed: AtomicBool::new(false),
        }
    }

    /// The open split; an error when it is damaged.
    pub fn reader(&self) -> Result<Arc<SplitReader>, LogStoreError> {
        let mut damage = self.damage.lock();
        if let Some(damage) = &mut *damage
            && !damage.may_be_mended(&self.path)
        {
            return Err(LogStoreError::Split {
                split: self.meta.name.clone(),
                message: damage.reason().to_owned(),
                kind: io::ErrorKind::InvalidData,
            });
        }
        let mut reader = self.reader.lock();
        let open = match reader.upgrade().filter(|_| damage.is_none()) {
            Some(open) => open,
            None => match SplitReader::open(&self.path, &self.meta) {
                Ok(open) => Arc::new(open),
                Err(error) => {
                    let found = Damage::new(&self.path, reason(&error), true);
                    match &*damage {
                        Some(earlier) => *damage = Some(found.found_before(earlier)),
                        None => *damage = Some(self.reported(found)),
                    }
                    return Err(error);
                }
            },
        };
        if damage.take().is_some() {
            tracing::info!(split = self.meta.name, "a damaged split can be read again; answers have its records again");
        }
        *reader = Arc::downgrade(&open);
        self.readers.keep(&open);
        Ok(open)
    }

    /// The open split, for one reading from end to end: it does not take the place of those that questions need.
    pub fn reader_for_once(&self) -> Result<Arc<SplitReader>, LogStoreError> {
        match self.reader.lock().upgrade() {
            Some(open) => Ok(open),
            None => SplitReader::open(&self.path, &self.meta).map(Arc::new),
        }
    }

    /// What work on this split gave; none when the split turned out to be broken. Then it is set aside, and `scan` knows that its
    /// answer is without it.
    pub fn unless_broken<T>(&self, scan: &Scan, work: Result<T, Interrupt>) -> Result<Option<T>, Interrupt> {
        match work {
            Ok(done) => Ok(Some(done)),
            Err(Interrupt::Broken(error @ LogStoreError::Split { .. })) => {
                self.set_aside(reason(&error), is_passing(&error));
                scan.leave_out(&self.meta.name);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// Sets the split aside when its file is not what the catalog says, as far as its length tells.
    pub fn check_length(&self) {
        if let Err(reason) = check_length(&self.path, &self.meta) {
            *self.damage.lock() = Some(self.reported(Damage::new(&self.path, reason, false)));
        }
    }

    /// What is wrong with the split, if anything was found. Looks again now and then.
    pub fn damage(&self) -> Option<DamagedSplit> {
        if self.damage.lock().is_some() {
            // Whether this opens it is all that matters here.
            let _ = self.reader();
        }
        self.damage.lock().as_ref().map(|damage| damage.of(&self.meta))
    }

    fn set_aside(&self, reason: String, passing: bool) {
        let mut damage = self.damage.lock();
        if damage.is_none() {
            *damage = Some(self.reported(Damage::new(&self.path, reason, passing)));
            self.readers.forget(&self.reader.lock());
        }
    }

    fn reported(&self, damage: Damage) -> Damage {
        tracing::error!(
            split = self.meta.name,
            path = %self.path.display(),
            rows = self.meta.rows,
            reason = damage.reason(),
            "a split is damaged; answers are without its records until it is restored from a backup (`taffrail doctor` says more)"
        );
        damage
    }

    /// The newest deletion that left nothing to remove here.
    pub fn deletions_through(&self) -> u64 {
        self.deletions_through.load(Relaxed)
    }

    /// Nothing is here that deletions up to this one remove.
    pub fn set_deletions_through(&self, id: u64) {
        self.deletions_through.fetch_max(id, Relaxed);
    }

    /// The split's file is removed once nobody reads them any more.
    pub fn doom(&self) {
        self.doomed.store(true, Relaxed);
    }
}

/// What is wrong, without the split's name.
fn reason(error: &LogStoreError) -> String {
    match error {
        LogStoreError::Split { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

/// Whether the split may be whole all the same: the system could not read it, or had no memory for it.
fn is_passing(error: &LogStoreError) -> bool {
    let LogStoreError::Split { kind, .. } = error else { return false };
    !matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

impl Drop for Split {
    fn drop(&mut self) {
        if !self.doomed.load(Relaxed) {
            return;
        }
        self.readers.forget(&self.reader.lock());
        if let Err(error) = fs::remove_file(&self.path) {
            // What stays is not in the catalog any more: the next start removes it.
            tracing::warn!(path = %self.path.display(), %error, "a removed split's file could not be removed");
        }
    }
}
