//! A split as the store holds it: what the catalog knows of it, opened when a question first needs it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

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
}

/// A split on disk.
pub struct Split {
    /// What the catalog knows of it.
    pub meta: SplitMeta,
    path: PathBuf,
    reader: Mutex<Option<Arc<SplitReader>>>,
    doomed: AtomicBool,
}

impl Split {
    /// The split at `path`, not opened yet.
    pub fn new(path: PathBuf, meta: SplitMeta) -> Split {
        Split { meta, path, reader: Mutex::new(None), doomed: AtomicBool::new(false) }
    }

    /// Opens the split, once.
    pub fn reader(&self) -> Result<Arc<SplitReader>, LogStoreError> {
        let mut reader = self.reader.lock();
        if let Some(open) = &*reader {
            return Ok(open.clone());
        }
        let open = Arc::new(SplitReader::open(&self.path, &self.meta)?);
        *reader = Some(open.clone());
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
        *self.reader.lock() = None;
        if let Err(error) = fs::remove_dir_all(&self.path) {
            // What stays is not in the catalog any more: the next start removes it.
            tracing::warn!(path = %self.path.display(), %error, "an expired split's files could not be removed");
        }
    }
}
