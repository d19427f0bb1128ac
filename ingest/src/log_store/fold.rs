//! Anything that can be gathered from matching records in any order, where they are read: several splits at once, without the
//! fields that nobody asks for.

use taffrail_collector::model::LogRecord;

use super::mask::MaskedFilter;
use super::matching::CompiledFilter;
use super::projection::Projection;
use super::split_filter::{SplitFilter, Stop, parts};
use super::split_reader::SplitReader;
use super::split_records::RecordReader;
use super::split_values::each_hit;
use super::store::Snapshot;
use super::work::{Work, works};
use super::{Ending, LogStoreError, RecordId};
use crate::scan::{Scan, StopReason, TimeRange};

/// What is gathered.
pub trait Fold: Send + Sized {
    /// The same with nothing in it.
    fn fresh(&self) -> Self;
    /// Takes in a matching record.
    fn record(&mut self, id: RecordId, record: &LogRecord);
    /// Takes in what was gathered elsewhere.
    fn merge(&mut self, other: Self);
}

/// See [`LogStore::fold`](super::LogStore::fold).
pub(super) fn fold<F: Fold>(
    snapshot: &Snapshot,
    filter: &MaskedFilter,
    range: TimeRange,
    fields: &Projection,
    fold: F,
    scan: &Scan,
) -> Result<(F, Ending), LogStoreError> {
    let (work, ending) = works(snapshot, filter, range, scan, FoldWork { fields, fold })?;
    Ok((work.fold, ending))
}

struct FoldWork<'a, F> {
    fields: &'a Projection,
    fold: F,
}

impl<F: Fold> Work for FoldWork<'_, F> {
    fn fresh(&self) -> Self {
        FoldWork { fields: self.fields, fold: self.fold.fresh() }
    }

    fn record(&mut self, id: RecordId, record: &LogRecord) {
        self.fold.record(id, record);
    }

    fn split(
        &mut self,
        split: &SplitReader,
        filter: &CompiledFilter,
        range: TimeRange,
        scan: &Scan,
    ) -> Result<(), Stop> {
        /// Rows between two looks at the budget: each may cost a few microseconds.
        const ROWS_PER_TOUCH: u64 = 256;
        let Some((filter, rows)) = SplitFilter::of_rows_in(split, filter, range, scan)? else { return Ok(()) };
        let mut records = RecordReader::of(split, self.fields)?;
        for part in parts(split, &rows) {
            filter.visit(SplitFilter::superblocks_of(&part), &mut |window, hits| {
                let mut read = 0;
                each_hit(window, &hits, &part, scan, |ordinal, row| {
                    let stored = records.record(row, window.template, ordinal)?;
                    self.fold.record(stored.id, &stored.record);
                    read += 1;
                    if read % ROWS_PER_TOUCH == 0 {
                        scan.touch(ROWS_PER_TOUCH, 0)?;
                    }
                    Ok(())
                })?;
                scan.touch(read % ROWS_PER_TOUCH, 0).map_err(|reason: StopReason| reason.into())
            })?;
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.fold.merge(other.fold);
    }
}
