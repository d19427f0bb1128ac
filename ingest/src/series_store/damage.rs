//! Blocks that could not be read: left out of answers that can say so, and tried again by each question, which costs little. A
//! question that succeeds takes the mark away, and so does a change of the file.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::block_reader::Block;
use super::{DamagedBlock, SeriesStoreError};
use crate::log_store::{FileState, file_state};
use crate::scan::Scan;

/// What is wrong with which block.
#[derive(Debug, Default)]
pub(super) struct DamagedBlocks(Mutex<BTreeMap<String, Damage>>);

#[derive(Debug)]
struct Damage {
    reason: String,
    /// What the file was like then.
    file: Option<FileState>,
}

impl DamagedBlocks {
    /// What work on the block gave; none when the block is broken. Then `scan` knows that its answer is without it.
    pub(super) fn unless_broken<T>(
        &self,
        block: &Block,
        scan: &Scan,
        work: Result<T, SeriesStoreError>,
    ) -> Result<Option<T>, SeriesStoreError> {
        match work {
            Ok(done) => {
                self.0.lock().remove(&block.info.name);
                Ok(Some(done))
            }
            Err(error) => self.leave_out(block, scan, error).map(|()| None),
        }
    }

    /// Goes on without a block, or what of it was asked for, when that is damaged: `scan` knows it then. Any other error stops
    /// the work.
    pub(super) fn leave_out(
        &self,
        block: &Block,
        scan: &Scan,
        error: SeriesStoreError,
    ) -> Result<(), SeriesStoreError> {
        let SeriesStoreError::Block { message, .. } = error else { return Err(error) };
        self.note(block, message);
        scan.leave_out(&format!("series block {}", block.info.name));
        Ok(())
    }

    /// Notes what is wrong with the block, and logs it the first time.
    pub(super) fn note(&self, block: &Block, reason: String) {
        let damage = Damage { reason: reason.clone(), file: file_state(block.path()) };
        if self.0.lock().insert(block.info.name.clone(), damage).is_none() {
            tracing::error!(
                block = block.info.name,
                windows = block.info.samples,
                reason,
                "a series block is damaged; answers are without its windows until it is restored from a backup (`taffrail doctor` \
                 says more)"
            );
        }
    }

    /// Those among these blocks that are damaged.
    pub(super) fn among(&self, blocks: &[Arc<Block>]) -> Vec<DamagedBlock> {
        let mut damaged = self.0.lock();
        let mut found = Vec::new();
        for block in blocks {
            let Some(damage) = damaged.get(&block.info.name) else { continue };
            if damage.file == file_state(block.path()) {
                found.push(DamagedBlock { block: block.info.clone(), reason: damage.reason.clone() });
            } else {
                damaged.remove(&block.info.name);
            }
        }
        found
    }
}
