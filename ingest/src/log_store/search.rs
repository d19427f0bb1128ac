//! Records in order of time from head and splits at once, as lazily as they are asked for: a part whose best record comes
//! after everything still wanted is never opened.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use super::head::{Chunk, HeadSnapshot};
use super::mask::MaskedFilter;
use super::matching::CompiledFilter;
use super::projection::Projection;
use super::split::Split;
use super::split_filter::{Place, SplitFilter, Stop};
use super::split_reader::SplitReader;
use super::split_records::RecordReader;
use super::store::Snapshot;
use super::{Interrupt, Order, RecordId, Search, StoredRecord};
use crate::scan::{Scan, TimeRange};

/// Rows of a chunk between two looks at the scan's budget.
const ROWS_PER_TOUCH: usize = 1000;

/// Emits what [`LogStore::search`](super::LogStore::search) promises.
pub fn search(
    snapshot: &Snapshot,
    wanted: &Search,
    fields: &Projection,
    filter: &MaskedFilter,
    scan: &Scan,
    emit: &mut dyn FnMut(StoredRecord) -> ControlFlow<()>,
) -> Result<(), Interrupt> {
    let question = Question { wanted, fields, range: wanted.filter.narrow(wanted.range), filter, scan };
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
    fields: &'a Projection,
    range: TimeRange,
    filter: &'a MaskedFilter,
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
        let filter = question.filter.of(chunk);
        let mut from = 0;
        for rows in chunk.records().chunks(ROWS_PER_TOUCH) {
            question.scan.touch(rows.len() as u64, 0)?;
            for (at, record) in (from..).zip(rows) {
                let id = chunk.id(at);
                if question.wants(id) && filter.matches(record) {
                    self.in_memory.push(InMemory { rank: question.rank(id), chunk, at });
                }
            }
            from += rows.len();
        }
        Ok(())
    }

    fn open_split(&mut self, split: &Arc<Split>, question: &Question<'_>) -> Result<(), Interrupt> {
        let reader = split.reader()?;
        question.scan.open_split();
        let failed = |error: io::Error| Interrupt::from(reader.failed(error));
        let mut range = reader.rows_in(question.range).map_err(failed)?;
        if let Some(after) = question.wanted.after {
            let rest = reader.rows_after(question.wanted.order, after).map_err(failed)?;
            range = range.start.max(rest.start)..range.end.min(rest.end);
        }
        if range.is_empty() {
            question.scan.finish_part();
            return Ok(());
        }
        self.splits.push(Some(SplitRows {
            split: split.clone(),
            reader,
            filter: question.filter.of(&**split),
            left: range,
            superblocks: 1,
            found: VecDeque::new(),
            places: VecDeque::new(),
            ready: VecDeque::new(),
        }));
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
    filter: Arc<CompiledFilter>,
    /// Rows that were not asked yet.
    left: Range<u32>,
    /// How many superblocks are asked next.
    superblocks: usize,
    /// Matching rows, in the order wanted.
    found: VecDeque<u32>,
    /// Where matching rows are that come before those, in the same order.
    places: VecDeque<Place>,
    /// The records of those before.
    ready: VecDeque<StoredRecord>,
}

/// Records put together at once, at most: more share the work, fewer are sooner there.
const RECORDS_AT_ONCE: usize = 256;
/// Rows of templates that are looked for in all of a split at once.
const FEW_ROWS: u64 = 20_000;
/// How many times more superblocks are asked each time none of the last ones held enough.
const GROWTH: usize = 4;

impl SplitRows {
    fn next(&mut self, question: &Question<'_>) -> Result<Option<StoredRecord>, Interrupt> {
        let reader = self.reader.clone();
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Ok(Some(record));
            }
            let more = match (self.places.is_empty(), self.found.is_empty()) {
                (false, _) => self.read(question),
                (true, false) => self.locate(question),
                (true, true) => self.find(question),
            };
            if !more.map_err(|stop| stop.of(&reader))? {
                return Ok(None);
            }
        }
    }

    /// How many of so many records to put together next: one more than asked for says that there are more.
    fn next_count(&self, left: usize, question: &Question<'_>) -> usize {
        left.min(RECORDS_AT_ONCE).min(question.wanted.limit.saturating_add(1))
    }

    /// Finds the places of the next rows.
    fn locate(&mut self, question: &Question<'_>) -> Result<bool, Stop> {
        let count = self.next_count(self.found.len(), question);
        let mut rows: Vec<u32> = self.found.drain(..count).collect();
        rows.sort_unstable();
        let places = rows.iter().zip(self.reader.locate(&rows)?);
        self.places.extend(places.map(|(&row, (template, ordinal))| Place { row, template, ordinal }));
        if question.wanted.order == Order::OldestFirst {
            self.places.make_contiguous().reverse();
        }
        Ok(true)
    }

    /// Puts the next records together.
    fn read(&mut self, question: &Question<'_>) -> Result<bool, Stop> {
        let count = self.next_count(self.places.len(), question);
        let bytes = self.split.meta.bytes * count as u64 / self.split.meta.rows.max(1);
        question.scan.touch(count as u64, bytes)?;
        let mut reader = RecordReader::of(&self.reader, question.fields)?;
        for Place { row, template, ordinal } in self.places.drain(..count) {
            self.ready.push_back(reader.record(row, template, ordinal)?);
        }
        Ok(true)
    }

    /// Asks the next rows; false when there are none left.
    fn find(&mut self, question: &Question<'_>) -> Result<bool, Stop> {
        if self.left.is_empty() {
            return Ok(false);
        }
        question.scan.touch(0, 0)?;
        let filter = SplitFilter::new(&self.reader, &self.filter, question.scan)?;
        if filter.possible().next_at_or_after(0).is_none() {
            self.left = 0..0;
            return Ok(false);
        }
        let all = SplitFilter::superblocks_of(&self.left);
        if filter.rows_max()? <= FEW_ROWS {
            // So few that finding them all costs less than looking for where they are.
            self.places = filter.places(all, self.left.clone())?.into();
            if question.wanted.order == Order::OldestFirst {
                self.places.make_contiguous().reverse();
            }
            self.left = 0..0;
            return Ok(true);
        }
        let asked = match question.wanted.order {
            Order::NewestFirst => all.start..all.end.min(all.start + self.superblocks),
            Order::OldestFirst => all.start.max(all.end.saturating_sub(self.superblocks))..all.end,
        };
        let (first, rows) = filter.rows(asked.clone(), self.left.clone())?;
        self.found.extend(rows.iter().map(|row| first + row));
        match question.wanted.order {
            Order::NewestFirst => self.left.start = self.reader.superblock_rows(asked.end - 1).end.min(self.left.end),
            Order::OldestFirst => {
                self.found.make_contiguous().reverse();
                self.left.end = self.reader.superblock_rows(asked.start).start.max(self.left.start);
            }
        }
        self.superblocks = self.superblocks.saturating_mul(GROWTH);
        Ok(true)
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
