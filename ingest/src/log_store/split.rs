//! A split as the store holds it: what the catalog knows of it, opened when a question first needs it.

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::split_reader::SplitReader;
use super::{LogStoreError, RecordId};

/// What the catalog knows of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitMeta {
    /// Its directory's name.
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
}

/// A split on disk.
pub struct Split {
    /// What the catalog knows of it.
    pub meta: SplitMeta,
    path: PathBuf,
    reader: Mutex<Weak<SplitReader>>,
    readers: Arc<OpenReaders>,
    doomed: AtomicBool,
}

/// The splits that were read last, kept open: each open one takes a file descriptor and a few mappings, of which a process
/// has a thousand and some ten thousands.
#[derive(Default)]
pub struct OpenReaders(Mutex<VecDeque<Arc<SplitReader>>>);

/// Splits that stay open while no question reads them.
const OPEN_MAX: usize = 64;

impl OpenReaders {
    /// Keeps this one, and lets the one go that was not used for longest.
    fn keep(&self, reader: &Arc<SplitReader>) {
        let mut kept = self.0.lock();
        if let Some(at) = kept.iter().position(|other| Arc::ptr_eq(other, reader)) {
            kept.remove(at);
        }
        kept.push_back(reader.clone());
        if kept.len() > OPEN_MAX {
            kept.pop_front();
        }
    }

    fn forget(&self, reader: &Weak<SplitReader>) {
        self.0.lock().retain(|kept| !std::ptr::eq(Arc::as_ptr(kept), reader.as_ptr()));
    }
}

impl Split {
    /// The split at `path`, not opened yet.
    pub fn new(path: PathBuf, meta: SplitMeta, readers: Arc<OpenReaders>) -> Split {
        Split { meta, path, reader: Mutex::new(Weak::new()), readers, doomed: AtomicBool::new(false) }
    }

    /// The open split.
    pub fn reader(&self) -> Result<Arc<SplitReader>, LogStoreError> {
        let mut reader = self.reader.lock();
        let open = match reader.upgrade() {
            Some(open) => open,
            None => Arc::new(SplitReader::open(&self.path, &self.meta)?),
        };
        *reader = Arc::downgrade(&open);
        self.readers.keep(&open);
        Ok(open)
    }

    /// The split's files are removed once nobody reads them any more.
    pub fn doom(&self) {
        self.doomed.store(true, Relaxed);
    }
}

impl Drop for Split {
    fn drop(&mut self) {
        if !self.doomed.load(Relaxed) {
            return;
        }
        self.readers.forget(&self.reader.lock());
        if let Err(error) = fs::remove_dir_all(&self.path) {
            // What stays is not in the catalog any more: the next start removes it.
            tracing::warn!(path = %self.path.display(), %error, "an expired split's files could not be removed");
        }
    }
}
