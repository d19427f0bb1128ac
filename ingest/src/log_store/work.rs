//! Counting over matching records: one by one in memory, split by split on disk, several splits at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use parking_lot::Mutex;
use taffrail_collector::model::LogRecord;

use super::head::HeadSnapshot;
use super::mask::MaskedFilter;
use super::matching::CompiledFilter;
use super::split::Split;
use super::split_filter::Stop;
use super::split_reader::SplitReader;
use super::store::Snapshot;
use super::{Ending, Interrupt, LogStoreError, RecordId};
use crate::scan::{Scan, TimeRange};

/// Rows of a chunk between two looks at the scan's budget.
const ROWS_PER_TOUCH: usize = 1000;

/// Something counted over matching records.
pub trait Work: Send + Sized {
    /// Work of the same kind that has counted nothing.
    fn fresh(&self) -> Self;
    /// Counts a matching record, which stands there.
    fn record(&mut self, id: RecordId, record: &LogRecord);
    /// Counts the matching records of a split in the range.
    fn split(
        &mut self,
        split: &SplitReader,
        filter: &CompiledFilter,
        range: TimeRange,
        scan: &Scan,
    ) -> Result<(), Stop>;
    /// Adds what the other has counted.
    fn merge(&mut self, other: Self);
}

/// Does the work on everything in the range. A split that cannot be read adds nothing, also when it breaks half way.
pub fn works<W: Work>(
    snapshot: &Snapshot,
    filter: &MaskedFilter,
    range: TimeRange,
    scan: &Scan,
    mut work: W,
) -> Result<(W, Ending), LogStoreError> {
    let splits: Vec<&Split> = snapshot
        .splits
        .iter()
        .map(AsRef::as_ref)
        .filter(|split| range.overlaps(split.meta.oldest.time, split.meta.newest.time))
        .collect();
    scan.plan_parts(splits.len() as u64 + 1);
    let counted = heads(snapshot, filter, range, scan, &mut work).and_then(|()| {
        scan.finish_part();
        each_split(&splits, filter, range, scan, &mut work)
    });
    Ok((work, Ending::of(counted)?))
}

fn heads<W: Work>(
    snapshot: &Snapshot,
    filter: &MaskedFilter,
    range: TimeRange,
    scan: &Scan,
    work: &mut W,
) -> Result<(), Interrupt> {
    for chunk in snapshot.heads.iter().flat_map(HeadSnapshot::chunks).filter(|chunk| chunk.overlaps(&range)) {
        let filter = filter.of(&**chunk);
        for (records, from) in chunk.records().chunks(ROWS_PER_TOUCH).zip((0..).step_by(ROWS_PER_TOUCH)) {
            scan.touch(records.len() as u64, 0)?;
            for (at, record) in (from..).zip(records) {
                if range.contains(record.timestamp) && filter.matches(record) {
                    work.record(chunk.id(at), record);
                }
            }
        }
    }
    Ok(())
}

/// As many splits at once as there are cores; what was counted before the budget ended stays counted.
fn each_split<W: Work>(
    splits: &[&Split],
    filter: &MaskedFilter,
    range: TimeRange,
    scan: &Scan,
    work: &mut W,
) -> Result<(), Interrupt> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (next, sum) = (AtomicUsize::new(0), Mutex::new((work, Ok(()))));
    let fresh = || sum.lock().0.fresh();
    let worker = || {
        let mut own = fresh();
        let mut done = Ok(());
        while let Some(split) = splits.get(next.fetch_add(1, Relaxed)) {
            let mut part = own.fresh();
            let counted = split.reader().map_err(Interrupt::from).and_then(|reader| {
                scan.open_split();
                part.split(&reader, &filter.of(*split), range, scan).map_err(|stop| stop.of(&reader))
            });
            match split.unless_broken(scan, counted) {
                Ok(Some(())) => own.merge(part),
                Ok(None) => {}
                Err(stopped) => {
                    own.merge(part);
                    done = Err(stopped);
                    break;
                }
            }
            scan.finish_part();
        }
        let mut sum = sum.lock();
        sum.0.merge(own);
        if done.is_err() {
            sum.1 = done;
        }
    };
    thread::scope(|scope| {
        for _ in 1..cores.min(splits.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    sum.into_inner().1
}

/// Stands for the number of a value that came when enough were told apart.
pub const NO_NUMBER: u32 = u32::MAX;

/// Different values, numbered in the order they came, up to so many.
#[derive(Clone, Debug)]
pub struct Values {
    numbers: HashMap<String, u32>,
    names: Vec<String>,
    most: usize,
}

impl Values {
    /// No value yet, and at most so many.
    pub fn new(most: usize) -> Values {
        Values { numbers: HashMap::new(), names: Vec::new(), most }
    }

    /// The value's number; [`NO_NUMBER`] when enough others have one.
    pub fn number(&mut self, value: &str) -> u32 {
        match self.numbers.get(value) {
            Some(&number) => number,
            None if self.names.len() >= self.most => NO_NUMBER,
            None => {
                let number = self.names.len() as u32;
                self.names.push(value.to_owned());
                self.numbers.insert(value.to_owned(), number);
                number
            }
        }
    }

    /// The values by number.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// None yet, and at most as many.
    pub fn fresh(&self) -> Values {
        Values::new(self.most)
    }
}

/// By falling count, then by value.
pub fn commonest_first(counts: impl Iterator<Item = (String, u64)>) -> Vec<(String, u64)> {
    let mut counts: Vec<(String, u64)> = counts.collect();
    counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts
}
