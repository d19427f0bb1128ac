//! Deletions by query, for personal data: hidden from every answer at once, removed from the disk soon after, written down for
//! ever.
//!
//! ```text
//! asked ─► catalog (durable) ─► masks ─► answered      from here on no answer shows the records
//!             compaction: seal ─► journal emptied ─► splits rewritten ─► done      from here on their bytes are gone
//! ```
//!
//! A deletion concerns what was stored before it was asked for. Records that match and come later stay. A crash at any
//! point is made good by the next start: a deletion in the catalog is in force, and the compaction goes on with it.

use taffrail_collector::model::Timestamp;
use thiserror::Error;

use crate::catalog::CatalogError;
use crate::log_store::mask::{DeletionMask, Extent};
use crate::log_store::{Filter, FilterError, stored_filter};
use crate::pipeline::Ingest;
use crate::scan::TimeRange;
use taffrail_collector::crash_point::crash_point;

/// What is to be deleted, and why.
#[derive(Clone, Debug)]
pub struct DeletionRequest {
    /// The query as it was typed, for the record.
    pub query: String,
    /// What it means.
    pub filter: Filter,
    /// From when to when.
    pub range: TimeRange,
    /// Who asked.
    pub asked_by: String,
    /// Why.
    pub reason: String,
}

/// A deletion as the catalog keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Deletion {
    /// The query as it was typed.
    pub query: String,
    /// Its number and what it hides.
    pub mask: DeletionMask,
    /// Who asked.
    pub asked_by: String,
    /// When.
    pub asked_at: Timestamp,
    /// Why.
    pub reason: String,
    /// How far it has come.
    pub progress: DeletionProgress,
}

/// How far a deletion has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletionProgress {
    /// Splits that had to be rewritten; none while that is not known.
    pub splits: Option<u64>,
    /// Splits that were.
    pub splits_done: u64,
    /// Records removed from the disk so far.
    pub rows_removed: u64,
    /// Splits that could not be read: should they come back, their matching records stay hidden.
    pub damaged_splits: Vec<String>,
    /// When no matching record was left on the disk.
    pub finished_at: Option<Timestamp>,
}

/// Why nothing was deleted.
#[derive(Debug, Error)]
pub enum DeletionError {
    /// The filter cannot be used.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The filter cannot be written down.
    #[error("the query nests too deep, or has a number that is none, and cannot be written down")]
    NotStorable,
    /// The catalog could not be written.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl Ingest {
    /// Deletes what matches and was stored before this call. When it returns, the deletion is durable and no answer shows the
    /// records any more; their bytes go as soon as the compaction comes to it. Blocks on the disk.
    pub fn delete(&self, request: DeletionRequest) -> Result<Deletion, DeletionError> {
        let DeletionRequest { query, filter, range, asked_by, reason } = request;
        filter.compile()?;
        let text = stored_filter::to_text(&filter).ok_or(DeletionError::NotStorable)?;
        // Two at once could become hidden in another order than they are numbered.
        let _one_at_a_time = self.deleting.lock();
        // Counted before anybody is told that his records are stored.
        let seq_below = self.shared.counters.next_seq.load(std::sync::atomic::Ordering::Acquire);
        let mut deletion = Deletion {
            query,
            mask: DeletionMask { id: 0, seq_below, range, filter },
            asked_by,
            asked_at: Timestamp::now(),
            reason,
            progress: DeletionProgress::default(),
        };
        crash_point("delete:before_catalog");
        deletion.mask.id = self.catalog.add_deletion(&deletion, &text)?;
        crash_point("delete:after_catalog");
        self.shared.logs.change_masks(|masks, _| masks.with_deletion(deletion.mask.clone()))?;
        self.shared.feed.hide(&deletion.mask)?;
        tracing::info!(
            deletion = deletion.mask.id,
            query = deletion.query,
            asked_by = deletion.asked_by,
            "records were deleted; what they take on the disk is removed now"
        );
        self.compaction.hurry();
        Ok(deletion)
    }

    /// All deletions there ever were, by rising number.
    pub fn deletions(&self) -> Result<Vec<Deletion>, CatalogError> {
        self.catalog.deletions()
    }
}

/// Whether the deletion has to go on hiding records: as long as it is not finished, or some part may still hold some.
pub(crate) fn is_needed(deletion: &Deletion, mut parts: impl Iterator<Item = Extent>) -> bool {
    deletion.progress.finished_at.is_none() || parts.any(|part| deletion.mask.concerns(&part))
}
