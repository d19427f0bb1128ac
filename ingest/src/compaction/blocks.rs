//! Merging series blocks: what the series store finds worth it, at the compaction's pace.

use std::time::Instant;

use taffrail_collector::crash_point::crash_point;
use taffrail_collector::model::Timestamp;

use super::budget::Pace;
use super::{CompactionError, Compactor};
use crate::scan::StopReason;

/// Windows after which the work may rest: some 10 ms of it.
const WINDOWS_BETWEEN_RESTS: u64 = 200_000;

impl Compactor {
    /// Makes one merge of series blocks, when one is worth it.
    pub(super) fn merge_blocks(&self) -> Result<bool, CompactionError> {
        if self.shared.is_interrupted() {
            return Ok(false);
        }
        let sizes = self.series.sizes();
        let (disk, reserve) = &self.disk;
        // A day is written once more beside itself; more than a tenth of all it hardly is.
        if disk.free_bytes() < reserve.saturating_add(sizes.block_bytes / 10) {
            self.shared.postponed();
            return Ok(false);
        }
        let started = Instant::now();
        let mut pace = Pace::new(self.budget, sizes.block_samples, sizes.block_bytes);
        let interrupt = self.shared.interrupt();
        let (mut windows, mut since_rest) = (0, 0);
        let mut progress = |more: u64| {
            since_rest += more;
            windows += more;
            if since_rest >= WINDOWS_BETWEEN_RESTS {
                pace.rest(std::mem::take(&mut since_rest), interrupt);
            }
            if self.shared.is_interrupted() { Err(StopReason::Cancelled) } else { Ok(()) }
        };
        let Some(change) = self.series.prepare_compaction(Timestamp::now(), &mut progress)? else { return Ok(false) };
        crash_point("blocks:after_write");
        let (removed, added) = (change.removed().len(), change.added().len());
        match self.catalog.record_blocks(change.removed(), change.added()) {
            Ok(true) => {}
            Ok(false) => return Ok(true),
            Err(error) => {
                change.leave_files();
                return Err(error.into());
            }
        }
        crash_point("blocks:after_catalog");
        let written: u64 = change.added().iter().map(|block| block.bytes).sum();
        self.series.commit(change);
        crash_point("blocks:after_swap");
        tracing::debug!(
            removed,
            added,
            windows,
            bytes_written = written,
            seconds = started.elapsed().as_secs_f64(),
            "series blocks were merged"
        );
        pace.rest(since_rest, interrupt);
        Ok(true)
    }
}
