//! What a follower is told of the time before it came, read from the store in pages: all that it missed since a number, or the newest
//! records of some span. The store is read up to a number, the live records follow from there: together they have no gap and
//! no repeat, whatever is sealed or merged meanwhile.

use std::ops::Range;
use std::sync::Arc;

use taffrail_ingest::log_store::Filter;
use taffrail_ingest::log_store::arrival::{Arrived, Wanted};
use taffrail_ingest::{Scan, TimeRange};

use crate::api::App;
use crate::api::question::{stop_words, tell_whether_whole};
use crate::api_error::ApiError;

/// Records of a page: they are in memory together …
pub const PAGE_ROWS: usize = 10_000;
/// … and so are their bytes.
const PAGE_BYTES: usize = 32 << 20;
/// Records that a follower is told of the past before it must search instead.
pub const ROWS_MAX: u64 = 200_000;

/// What is wanted of the past.
#[derive(Clone, Debug)]
pub enum Past {
    /// Everything from this number on.
    Since(u64),
    /// The newest records of a range, so many at most.
    Newest {
        /// From when to when.
        range: TimeRange,
        /// At most this many.
        rows: usize,
        /// Whether all of the range are wanted, so that it is told when these are not all.
        wants_all: bool,
    },
}

/// A page of the past.
pub struct Page {
    /// The records, in the order in which they became durable, and the number that they end before.
    pub arrived: Arrived,
    /// Why records may be missing; none when they are all there.
    pub partial: Option<String>,
}

/// Reads a page of the records with these numbers.
pub async fn read(app: Arc<App>, filter: Filter, past: Past, seqs: Range<u64>) -> Result<Page, ApiError> {
    let logs = app.ingest.logs().clone();
    let work = move |scan: &Scan| {
        let wanted = |range, rows_max| Wanted { filter, range, seqs, rows_max, bytes_max: PAGE_BYTES };
        let arrived = match past {
            Past::Since(_) => logs.first_arrived(&wanted(TimeRange::ALL, PAGE_ROWS), scan)?,
            Past::Newest { range, rows, .. } => logs.newest_arrived(&wanted(range, rows.min(PAGE_ROWS)), scan)?,
        };
        Ok::<_, ApiError>(arrived)
    };
    let (arrived, scan) = app.questions.ask(work).await?;
    let mut said = serde_json::Value::default();
    tell_whether_whole(&mut said, &scan, arrived.ending.stopped.map(stop_words));
    Ok(Page { partial: said["partial"].as_str().map(str::to_owned), arrived })
}
