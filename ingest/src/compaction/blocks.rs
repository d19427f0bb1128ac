//! Series blocks: merging what the series store finds worth it, and leaving out what was deleted, at the compaction's pace.

use std::time::Instant;

use taffrail_collector::crash_point::crash_point;
use taffrail_collector::model::Timestamp;

use super::budget::Pace;
use super::{CompactionError, Compactor};
use crate::scan::StopReason;
use crate::series_store::{BlockChange, DeletionWork, SeriesStoreError};

/// Windows after which the work may rest: some 10 ms of it.
const WINDOWS_BETWEEN_RESTS: u64 = 200_000;

/// Told how many windows were read; says when to stop.
type Progress<'a> = dyn FnMut(u64) -> Result<(), StopReason> + 'a;

impl Compactor {
    /// Makes one merge of series blocks, when one is worth it.
    pub(super) fn merge_blocks(&self) -> Result<bool, CompactionError> {
        if self.shared.is_interrupted() {
            return Ok(false);
        }
        let (disk, reserve) = &self.disk;
        // A day is written once more beside itself; more than a tenth of all it hardly is.
        if disk.free_bytes() < reserve.saturating_add(self.series.sizes().block_bytes / 10) {
            self.shared.postponed();
            return Ok(false);
        }
        let prepare = |progress: &mut Progress<'_>| self.series.prepare_compaction(Timestamp::now(), progress);
        self.paced(prepare, |change| change.map_or(Ok(false), |change| self.replace_blocks(change)))
    }

    /// Rewrites blocks until none holds windows that were deleted.
    pub(super) fn remove_deleted_windows(&self) -> Result<(), CompactionError> {
        if !self.series.has_deletions() {
            return Ok(());
        }
        let finish = |work| match work {
            DeletionWork::Rewritten(change) => self.replace_blocks(change),
            DeletionWork::Unconcerned { blocks, through } => {
                self.catalog.record_blocks_checked(&blocks, through)?;
                self.series.note_unconcerned(&blocks, through);
                Ok(false)
            }
        };
        while self.paced(|progress| self.series.prepare_deletion(progress), finish)? {}
        crash_point("series_delete:before_finish");
        // Damaged blocks keep theirs pending.
        let pending = self.series.pending_deletions();
        for deletion in self.catalog.series_deletions()? {
            if deletion.finished_at.is_none() && !pending.contains(&deletion.id) {
                self.catalog.finish_series_deletion(deletion.id, self.logs.now())?;
                tracing::info!(deletion = deletion.id, "deleted series are off the disk");
            }
        }
        self.series.forget_finished_deletions();
        Ok(())
    }

    /// Does work on blocks at the pace of the budget, makes it count, and rests.
    fn paced<T>(
        &self,
        work: impl FnOnce(&mut Progress<'_>) -> Result<T, SeriesStoreError>,
        finish: impl FnOnce(T) -> Result<bool, CompactionError>,
    ) -> Result<bool, CompactionError> {
        let sizes = self.series.sizes();
        let mut pace = Pace::new(self.budget, sizes.block_samples, sizes.block_bytes);
        let interrupt = self.shared.interrupt();
        let (started, mut windows, mut since_rest) = (Instant::now(), 0, 0);
        let done = work(&mut |more| {
            since_rest += more;
            windows += more;
            if since_rest >= WINDOWS_BETWEEN_RESTS {
                pace.rest(std::mem::take(&mut since_rest), interrupt);
            }
            if self.shared.is_interrupted() { Err(StopReason::Cancelled) } else { Ok(()) }
        })?;
        if windows > 0 {
            tracing::debug!(windows, seconds = started.elapsed().as_secs_f64(), "series blocks were read to be merged");
        }
        let goes_on = finish(done)?;
        pace.rest(since_rest, interrupt);
        Ok(goes_on)
    }

    /// Puts what was written in the place of what it was made from. Says whether that was done or can be tried again.
    fn replace_blocks(&self, change: BlockChange) -> Result<bool, CompactionError> {
        crash_point("blocks:after_write");
        match self.catalog.record_blocks(change.removed(), change.added()) {
            Ok(true) => {}
            // The retention took one meanwhile.
            Ok(false) => return Ok(true),
            Err(error) => {
                change.leave_files();
                return Err(error.into());
            }
        }
        crash_point("blocks:after_catalog");
        tracing::debug!(
            removed = change.removed().len(),
            added = change.added().len(),
            bytes_written = change.added().iter().map(|block| block.bytes).sum::<u64>(),
            "series blocks were merged"
        );
        self.series.commit(change);
        crash_point("blocks:after_swap");
        Ok(true)
    }
}
