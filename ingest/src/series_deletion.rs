//! Deletions of metric series: hidden from every answer at once, removed from the disk soon after, written down for ever.
//!
//! ```text
//! asked ─► sealed ─► catalog (durable) ─► masks ─► answered      from here on no answer shows the windows
//!             compaction: blocks rewritten ─► done               from here on their bytes are gone
//! ```
//!
//! What was stored before is sealed first, so that a deletion concerns blocks only, and the journal holds none of it. Windows of the
//! same series that come later stay. Selectors are kept as they were written; who opens the store says how to read them
//! ([`SelectorParser`]), since this room knows no query language.

use std::sync::Arc;

use taffrail_collector::crash_point::crash_point;
use taffrail_collector::model::Timestamp;
use thiserror::Error;

use crate::catalog::CatalogError;
use crate::pipeline::{Ingest, OpenError};
use crate::scan::TimeRange;
use crate::series_store::{LabelMatcher, SeriesMask, SeriesStore};

/// Reads a selector like `{__name__=~"debug.*"}`; the message says what is wrong with one.
pub type SelectorParser = fn(&str) -> Result<Vec<LabelMatcher>, String>;

/// A deletion of series as the catalog keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesDeletion {
    /// Its number.
    pub id: u64,
    /// Which series: those that one of these selects.
    pub selectors: Vec<String>,
    /// When their windows end.
    pub range: TimeRange,
    /// Who asked.
    pub asked_by: String,
    /// When.
    pub asked_at: Timestamp,
    /// When no block held such a window any more.
    pub finished_at: Option<Timestamp>,
}

/// Why no series were deleted.
#[derive(Debug, Error)]
pub enum SeriesDeletionError {
    /// A selector cannot be read.
    #[error("{0}")]
    Selector(String),
    /// What is in memory could not be written.
    #[error(transparent)]
    Seal(#[from] OpenError),
    /// The catalog could not be written.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The store stopped meanwhile.
    #[error("the store has stopped")]
    Stopped,
}

impl Ingest {
    /// Deletes the windows that end in `range` of every series that one of the selectors selects, as far as they were stored
    /// before this call. When it returns, the deletion is durable and no answer shows them; their bytes go as soon as the
    /// compaction comes to it. Cancel-safe: what was begun goes on.
    pub async fn delete_series(
        self: &Arc<Ingest>,
        selectors: Vec<String>,
        range: TimeRange,
        asked_by: String,
    ) -> Result<SeriesDeletion, SeriesDeletionError> {
        let parsed = parse_all(&selectors, self.parse_selector)?;
        self.seal().await?;
        crash_point("series_delete:before_catalog");
        let ingest = self.clone();
        let work = move || {
            // Two at once could become hidden in another order than they are numbered.
            let _one_at_a_time = ingest.deleting.lock();
            let mut deletion =
                SeriesDeletion { id: 0, selectors, range, asked_by, asked_at: Timestamp::now(), finished_at: None };
            deletion.id = ingest.catalog.add_series_deletion(&deletion)?;
            crash_point("series_delete:after_catalog");
            ingest.shared.series.hide(SeriesMask { id: deletion.id, selectors: parsed, range });
            tracing::info!(
                deletion = deletion.id,
                selectors = deletion.selectors.join(" "),
                asked_by = deletion.asked_by,
                "series were deleted; what they take on the disk is removed now"
            );
            ingest.compaction.hurry();
            Ok(deletion)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| SeriesDeletionError::Stopped)?
    }

    /// All deletions of series there ever were, by rising number.
    pub fn series_deletions(&self) -> Result<Vec<SeriesDeletion>, CatalogError> {
        self.catalog.series_deletions()
    }

    /// Has the compaction remove now what deletions hide, should it rest.
    pub fn hurry_deletions(&self) {
        self.compaction.hurry();
    }
}

/// Puts the deletions in force that the catalog has, before anything can be asked.
pub(crate) fn hide_deleted(
    series: &SeriesStore,
    deletions: Vec<SeriesDeletion>,
    parse: SelectorParser,
) -> Result<(), SeriesDeletionError> {
    for SeriesDeletion { id, selectors, range, .. } in deletions {
        series.hide(SeriesMask { id, selectors: parse_all(&selectors, parse)?, range });
    }
    Ok(())
}

fn parse_all(selectors: &[String], parse: SelectorParser) -> Result<Vec<Vec<LabelMatcher>>, SeriesDeletionError> {
    let parsed: Result<_, String> = selectors.iter().map(|selector| parse(selector)).collect();
    parsed.map_err(SeriesDeletionError::Selector)
}
