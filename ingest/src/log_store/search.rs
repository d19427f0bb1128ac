//! Records in order of time from head and splits at once, as lazily as they are asked for: a part whose best record comes
//! after everything still wanted is never opened.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use super::bits::Bits;
use super::head::{Chunk, HeadSnapshot};
use super::matching::CompiledFilter;
use super::prune::{Bounds, bounds};
use super::split::Split;
use super::split_reader::SplitReader;
use super::store::Snapshot;
use super::{Interrupt, Order, RecordId, Search, StoredRecord};
use crate::scan::{Scan, TimeRange};

/// Rows of a chunk between two looks at the scan's budget.
const ROWS_PER_TOUCH: usize = 1000;

/// Emits what [`LogStore::search`](super::LogStore::search) promises.
pub fn search(
    snapshot: &Snapshot,
    wanted: &Search,
    filter: &CompiledFilter,
    scan: &Scan,
    emit: &mut dyn FnMut(StoredRecord) -> ControlFlow<()>,
) -> Result<(), Interrupt> {
    let question = Question { wanted, range: wanted.filter.narrow(wanted.range), filter, scan };
    let mut left = wanted.limit;
    if left == 0 {
        return Ok(());
    }
    let mut merge = Merge::new(snapshot, &question);
    while let Some(record) = merge.next(&question)? {
        left -= 1;
        if emit(record).is_break() || left == 0 {
            break;
        }
    }
    Ok(())
}

struct Question<'a> {
    wanted: &'a Search,
    range: TimeRange,
    filter: &'a CompiledFilter,
    scan: &'a Scan,
}

impl Question<'_> {
    /// A number that is the smaller, the sooner the record is wanted.
    fn rank(&self, id: RecordId) -> (i64, u64) {
        rank(self.wanted.order, id)
    }

    fn wants(&self, id: RecordId) -> bool {
        self.range.contains(id.time) && self.wanted.after.is_none_or(|after| self.rank(id) > self.rank(after))
    }

    /// The place of the first record that a part with these bounds could give; none when it has nothing that is wanted.
    fn best(&self, oldest: RecordId, newest: RecordId) -> Option<(i64, u64)> {
        let (first, last) = match self.wanted.order {
            Order::NewestFirst => (newest, oldest),
            Order::OldestFirst => (oldest, newest),
        };
        let outside = !self.range.overlaps(oldest.time, newest.time)
            || self.wanted.after.is_some_and(|after| self.rank(last) <= self.rank(after));
        (!outside).then(|| self.rank(first))
    }
}

fn rank(order: Order, id: RecordId) -> (i64, u64) {
    match order {
        // The bits inverted: an order upside down without overflow.
        Order::NewestFirst => (!id.time.unix_nanos(), !id.seq),
        Order::OldestFirst => (id.time.unix_nanos(), id.seq),
    }
}

/// Parts not opened yet, soonest last, and the next record of each open one.
struct Merge<'a> {
    unopened: Vec<((i64, u64), Part<'a>)>,
    open: BinaryHeap<Next>,
    /// Open splits; none once all their rows were looked at, so that a question over many holds few open at a time.
    splits: Vec<Option<SplitRows>>,
    /// Matching rows of opened chunks.
    in_memory: BinaryHeap<InMemory<'a>>,
}

enum Part<'a> {
    Chunk(&'a Arc<Chunk>),
    Split(&'a Arc<Split>),
}

/// The next record of an open split.
struct Next {
    rank: (i64, u64),
    record: StoredRecord,
    split: usize,
}

/// A matching record in memory.
struct InMemory<'a> {
    rank: (i64, u64),
    chunk: &'a Chunk,
    at: usize,
}

impl<'a> Merge<'a> {
    fn new(snapshot: &'a Snapshot, question: &Question<'_>) -> Merge<'a> {
        let chunks =
            snapshot.heads.iter().flat_map(HeadSnapshot::chunks).filter_map(|chunk| {
                question.best(chunk.oldest(), chunk.newest()).map(|best| (best, Part::Chunk(chunk)))
            });
        let splits = snapshot.splits.iter().filter_map(|split| {
            question.best(split.meta.oldest, split.meta.newest).map(|best| (best, Part::Split(split)))
        });
        let mut unopened: Vec<_> = chunks.chain(splits).collect();
        unopened.sort_unstable_by_key(|(best, _)| std::cmp::Reverse(*best));
        let parts = unopened.iter().filter(|(_, part)| matches!(part, Part::Split(_))).count();
        // All of the memory counts as one part.
        question.scan.plan_parts(parts as u64 + 1);
        question.scan.finish_part();
        Merge { unopened, open: BinaryHeap::new(), splits: Vec::new(), in_memory: BinaryHeap::new() }
    }

    fn next(&mut self, question: &Question<'_>) -> Result<Option<StoredRecord>, Interrupt> {
        loop {
            let ready = match (self.open.peek().map(|next| next.rank), self.in_memory.peek().map(|next| next.rank)) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            match (self.unopened.last(), ready) {
                (Some((best, _)), Some(ready)) if *best < ready => {}
                (Some(_), None) => {}
                (_, Some(ready)) => return self.take(ready, question).map(Some),
                (None, None) => return Ok(None),
            }
            let (_, part) = self.unopened.pop().expect("looked at above");
            match part {
                Part::Chunk(chunk) => self.open_chunk(chunk, question)?,
                Part::Split(split) => {
                    let opened = self.open_split(split, question);
                    if split.unless_broken(question.scan, opened)?.is_none() {
                        question.scan.finish_part();
                    }
                }
            }
        }
    }

    fn take(&mut self, ready: (i64, u64), question: &Question<'_>) -> Result<StoredRecord, Interrupt> {
        if self.in_memory.peek().is_some_and(|next| next.rank == ready) {
            let next = self.in_memory.pop().expect("just seen");
            return Ok(StoredRecord { id: next.chunk.id(next.at), record: next.chunk.records()[next.at].clone() });
        }
        let next = self.open.pop().expect("the least rank is at one of the two tops");
        self.advance(next.split, question)?;
        Ok(next.record)
    }

    fn open_chunk(&mut self, chunk: &'a Chunk, question: &Question<'_>) -> Result<(), Interrupt> {
        let mut from = 0;
        for rows in chunk.records().chunks(ROWS_PER_TOUCH) {
            question.scan.touch(rows.len() as u64, 0)?;
            for (at, record) in (from..).zip(rows) {
                let id = chunk.id(at);
                if question.wants(id) && question.filter.matches(record) {
                    self.in_memory.push(InMemory { rank: question.rank(id), chunk, at });
                }
            }
            from += rows.len();
        }
        Ok(())
    }

    fn open_split(&mut self, split: &Arc<Split>, question: &Question<'_>) -> Result<(), Interrupt> {
        let reader = split.reader()?;
        let mut range = reader.rows_in(question.range);
        if let Some(after) = question.wanted.after {
            let rest = reader.rows_after(question.wanted.order, after);
            range = range.start.max(rest.start)..range.end.min(rest.end);
        }
        if range.is_empty() {
            question.scan.finish_part();
            return Ok(());
        }
        let Bounds { sure, mut possible } = bounds(&reader, question.filter, question.scan)?;
        possible.keep(range.clone());
        self.splits.push(Some(SplitRows { split: split.clone(), reader, sure, possible, left: range, block: None }));
        self.advance(self.splits.len() - 1, question)
    }

    /// Finds the next record of an open split.
    fn advance(&mut self, split: usize, question: &Question<'_>) -> Result<(), Interrupt> {
        let rows = self.splits[split].as_mut().expect("a split that gave a record was not at its end");
        let next = rows.next(question);
        match rows.split.clone().unless_broken(question.scan, next)?.flatten() {
            Some(record) => self.open.push(Next { rank: question.rank(record.id), record, split }),
            None => {
                self.splits[split] = None;
                question.scan.finish_part();
            }
        }
        Ok(())
    }
}

/// An open split's rows that still have to be looked at.
struct SplitRows {
    split: Arc<Split>,
    reader: Arc<SplitReader>,
    sure: Bits,
    possible: Bits,
    left: Range<u32>,
    block: Option<super::split_reader::Block>,
}

impl SplitRows {
    fn next(&mut self, question: &Question<'_>) -> Result<Option<StoredRecord>, Interrupt> {
        loop {
            let row = match question.wanted.order {
                Order::NewestFirst => {
                    self.possible.next_at_or_after(self.left.start).filter(|&row| row < self.left.end)
                }
                Order::OldestFirst => self.possible.last_before(self.left.end).filter(|&row| row >= self.left.start),
            };
            let Some(row) = row else { return Ok(None) };
            match question.wanted.order {
                Order::NewestFirst => self.left.start = row + 1,
                Order::OldestFirst => self.left.end = row,
            }
            let mut cursor = self.reader.cursor_at(question.scan, self.block.take());
            let matches = self.sure.contains(row) || question.filter.matches(cursor.record(row)?);
            let record = if matches { Some(cursor.take(row)?) } else { None };
            self.block = cursor.into_block();
            if let Some(record) = record {
                return Ok(Some(StoredRecord { id: self.reader.id(row), record }));
            }
        }
    }
}

/// The heap gives the greatest first: the record wanted soonest is the greatest.
macro_rules! ordered_by_rank {
    ($($type:ty),*) => {$(
        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.rank == other.rank
            }
        }
        impl Eq for $type {}
        impl PartialOrd for $type {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for $type {
            fn cmp(&self, other: &Self) -> Ordering {
                other.rank.cmp(&self.rank)
            }
        }
    )*};
}

ordered_by_rank!(Next, InMemory<'_>);
