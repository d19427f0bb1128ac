//! How large the records of splits are in memory: that, and not what they take on disk, is what a merge takes.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;

use crate::log_store::SplitMeta;
use crate::log_store::rewrite::unpacked_bytes;
use crate::log_store::split::Split;

/// What is known of splits, by their names.
#[derive(Debug, Default)]
pub struct UnpackedSizes(Mutex<HashMap<String, u64>>);

impl UnpackedSizes {
    /// Bytes of the split's records in memory: as they were counted when it was written, or else by a sample.
    pub(super) fn of(&self, split: &Split) -> u64 {
        let mut known = self.0.lock();
        if let Some(bytes) = known.get(&split.meta.name) {
            return *bytes;
        }
        // One that cannot be read is found out by who reads it all.
        let bytes = unpacked_bytes(split).unwrap_or(split.meta.bytes);
        known.insert(split.meta.name.clone(), bytes);
        bytes
    }

    /// Notes what was counted.
    pub(super) fn learn(&self, splits: &[SplitMeta], unpacked_bytes: &[u64]) {
        let names = splits.iter().map(|split| split.name.clone());
        self.0.lock().extend(names.zip(unpacked_bytes.iter().copied()));
    }

    /// Forgets all splits but these.
    pub(super) fn keep(&self, names: &HashSet<&str>) {
        self.0.lock().retain(|name, _| names.contains(name.as_str()));
    }
}
