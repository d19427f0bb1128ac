//! Records by the values of some fields together, in stretches of time of any lengths: what a metric made of records is.
//!
//! Where the filter takes all records of a service and severity or none, and nothing else is asked, whole minutes are taken
//! from the counts by minute; else templates and columns give the values, and only what neither gives is read as records.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rapidhash::fast::RandomState;
use taffrail_collector::model::{LogRecord, Timestamp};

use super::count::classes_of;
use super::field::Field;
use super::mask::MaskedFilter;
use super::matching::CompiledFilter;
use super::minute_counts::MinuteCounts;
use super::split_filter::{Hits, SplitFilter, Stop, Window, parts};
use super::split_reader::SplitReader;
use super::split_values::{FieldValues, ValueSink, each_hit};
use super::store::Snapshot;
use super::time_cells::{RowCells, TimeCells};
use super::work::{NO_NUMBER, Values, Work, works};
use super::{Ending, LogStoreError, RecordId};
use crate::scan::{Scan, TimeRange};

/// What is asked besides which records.
#[derive(Clone, Debug)]
pub struct GroupQuestion {
    /// The fields whose values make a group. Of a field with several values the first one counts.
    pub fields: Vec<Field>,
    /// Where a stretch ends and the next begins, rising and different: the stretch with the number `n` reaches from behind
    /// `bounds[n - 1]` to `bounds[n]`, which belongs to it. Records before the first and after the last are not asked for.
    pub bounds: Arc<[Timestamp]>,
    /// So many groups are told apart, and as many values of one field.
    pub groups_max: usize,
}

/// How many records each group has in each stretch.
#[derive(Clone, Debug, Default)]
pub struct GroupCounts {
    /// The groups, by rising values.
    pub groups: Vec<GroupCount>,
    /// Records of groups beyond the most.
    pub other: u64,
    /// How the scan ended.
    pub ending: Ending,
}

/// A group and its records.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupCount {
    /// One value for each field, empty where records are without it.
    pub values: Vec<String>,
    /// (number of the stretch, count) by rising stretch; those of 0 are left out.
    pub counts: Vec<(usize, u64)>,
}

/// See [`LogStore::count_groups`](super::LogStore::count_groups).
pub fn count_groups(
    snapshot: &Snapshot,
    filter: &MaskedFilter,
    range: TimeRange,
    question: &GroupQuestion,
    scan: &Scan,
) -> Result<GroupCounts, LogStoreError> {
    let (work, ending) = works(snapshot, filter, range, scan, GroupWork::new(question.clone()))?;
    Ok(work.finish(ending))
}

impl GroupQuestion {
    /// The time from the first bound to the last.
    pub fn range(&self) -> TimeRange {
        let behind = |moment: &Timestamp| moment.saturating_add(Duration::from_nanos(1));
        match (self.bounds.first(), self.bounds.last()) {
            (Some(first), Some(last)) => TimeRange { start: behind(first), end: behind(last) },
            _ => TimeRange { start: Timestamp::EPOCH, end: Timestamp::EPOCH },
        }
    }
}

impl TimeCells for GroupQuestion {
    fn cell_of(&self, moment: Timestamp) -> i64 {
        self.bounds.partition_point(|bound| *bound < moment) as i64
    }

    fn start_of(&self, cell: i64) -> Timestamp {
        let before = usize::try_from(cell - 1).ok().and_then(|at| self.bounds.get(at));
        before.map_or(Timestamp::MIN, |bound| bound.saturating_add(Duration::from_nanos(1)))
    }
}

struct GroupWork {
    question: GroupQuestion,
    /// Values of each field.
    values: Vec<Values>,
    /// Groups by the numbers of their values.
    numbers: HashMap<Box<[u32]>, u32, RandomState>,
    /// Counts by group and stretch.
    counts: HashMap<(u32, i64), u64, RandomState>,
    other: u64,
}

impl GroupWork {
    fn new(question: GroupQuestion) -> GroupWork {
        let values = question.fields.iter().map(|_| Values::new(question.groups_max)).collect();
        GroupWork { question, values, numbers: HashMap::default(), counts: HashMap::default(), other: 0 }
    }

    /// The group of these values; none when there are enough others.
    fn group(&mut self, key: &[u32]) -> Option<u32> {
        if let Some(&number) = self.numbers.get(key) {
            return Some(number);
        }
        if key.contains(&NO_NUMBER) || self.numbers.len() >= self.question.groups_max {
            return None;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(key.into(), number);
        Some(number)
    }

    fn add(&mut self, group: Option<u32>, cell: i64, count: u64) {
        match group {
            Some(group) => *self.counts.entry((group, cell)).or_default() += count,
            None => self.other += count,
        }
    }

    /// Counts whole minutes that lie in one stretch each, when the filter takes all of a class or nothing and the groups are
    /// made of classes. Returns the rows that are not counted yet.
    fn add_minutes(
        &mut self,
        split: &SplitReader,
        filter: &SplitFilter<'_>,
        cells: &RowCells,
        rows: Range<u32>,
    ) -> Result<Vec<Range<u32>>, Stop> {
        let by_class = |field: &Field| matches!(field, Field::Level | Field::Service);
        let (Some(templates), true) = (filter.decided(), self.question.fields.iter().all(by_class)) else {
            return Ok(vec![rows]);
        };
        let Some(counts) = split.minute_counts()? else { return Ok(vec![rows]) };
        let Some(classes) = classes_of(split, templates, counts)? else { return Ok(vec![rows]) };
        let groups = self.groups_of_classes(split, counts)?;
        let mut left: Vec<Range<u32>> = Vec::new();
        let first = counts.starts.partition_point(|&start| start <= rows.start).saturating_sub(1);
        for minute in first..counts.minutes.len() {
            let of_minute = counts.starts[minute]..counts.starts[minute + 1];
            let asked = of_minute.start.max(rows.start)..of_minute.end.min(rows.end);
            if asked.is_empty() {
                break;
            }
            match cells.cell_of_all(&asked).filter(|_| asked == of_minute) {
                Some(cell) => {
                    let counted = counts.counts(minute).iter().enumerate();
                    for (class, &count) in counted.filter(|(class, count)| classes[*class] && **count > 0) {
                        self.add(groups[class], cell, u64::from(count));
                    }
                }
                None => match left.last_mut() {
                    Some(last) if last.end == asked.start => last.end = asked.end,
                    _ => left.push(asked),
                },
            }
        }
        Ok(left)
    }

    fn groups_of_classes(&mut self, split: &SplitReader, counts: &MinuteCounts) -> Result<Vec<Option<u32>>, Stop> {
        let table = split.table()?;
        let mut groups = Vec::with_capacity(counts.classes.len());
        for (service, severity) in &counts.classes {
            let service = table.services.get(*service as usize).map_or("", String::as_str);
            let of_field = |(field, values): (&Field, &mut Values)| match field {
                Field::Level => values.number(severity.name()),
                _ => values.number(service),
            };
            let key: Vec<u32> = self.question.fields.iter().zip(&mut self.values).map(of_field).collect();
            groups.push(self.group(&key));
        }
        Ok(groups)
    }

    /// Counts the window's rows that hit and lie in `clip`.
    fn add_window<'a>(
        &mut self,
        (window, hits, clip): (&Window<'a>, &Hits, &Range<u32>),
        fields: &mut [FieldValues<'a>],
        cells: &RowCells,
        scan: &Scan,
    ) -> Result<(), Stop> {
        let mut codes = Vec::with_capacity(fields.len());
        for (field, values) in fields.iter_mut().zip(&mut self.values) {
            let mut sink = CodeSink { values, window, at: 0, codes: Codes::None };
            field.visit(window, hits, clip, scan, &mut sink)?;
            codes.push(sink.codes);
        }
        let same: Option<Vec<u32>> = codes.iter().map(Codes::same).collect();
        if let Some(key) = same {
            let counted = cells.count(window, hits, clip)?;
            if counted.count > 0 {
                let group = self.group(&key);
                counted.cells.iter().for_each(|(cell, count)| self.add(group, *cell, *count));
            }
            return Ok(());
        }
        let (mut cursor, mut key) = (cells.cursor(window, clip), vec![0; codes.len()]);
        each_hit(window, hits, clip, scan, |ordinal, row| {
            let at = (ordinal - window.ordinals.start) as usize;
            key.iter_mut().zip(&codes).for_each(|(slot, codes)| *slot = codes.at(at));
            let group = self.group(&key);
            self.add(group, cursor.of(row), 1);
            Ok(())
        })
    }

    fn finish(self, ending: Ending) -> GroupCounts {
        let mut groups = vec![GroupCount::default(); self.numbers.len()];
        for (key, group) in &self.numbers {
            let values = key.iter().zip(&self.values).map(|(number, values)| values.names()[*number as usize].clone());
            groups[*group as usize].values = values.collect();
        }
        for ((group, cell), count) in self.counts {
            groups[group as usize].counts.push((usize::try_from(cell).unwrap_or(0), count));
        }
        groups.retain(|group| !group.counts.is_empty());
        groups.iter_mut().for_each(|group| group.counts.sort_unstable());
        groups.sort_unstable();
        GroupCounts { groups, other: self.other, ending }
    }
}

impl Work for GroupWork {
    fn fresh(&self) -> GroupWork {
        GroupWork::new(self.question.clone())
    }

    fn record(&mut self, id: RecordId, record: &LogRecord) {
        let first = |(field, values): (&Field, &mut Values)| {
            let mut number = None;
            field.visit_values(record, &mut |value: Cow<'_, str>| {
                number.get_or_insert_with(|| values.number(&value));
            });
            number.unwrap_or_else(|| values.number(""))
        };
        let key: Vec<u32> = self.question.fields.iter().zip(&mut self.values).map(first).collect();
        let group = self.group(&key);
        self.add(group, self.question.cell_of(id.time), 1);
    }

    fn split(
        &mut self,
        split: &SplitReader,
        filter: &CompiledFilter,
        range: TimeRange,
        scan: &Scan,
    ) -> Result<(), Stop> {
        let Some((filter, rows)) = SplitFilter::of_rows_in(split, filter, range, scan)? else { return Ok(()) };
        let cells = RowCells::new(split, rows.clone(), &self.question, scan)?;
        let fields = self.question.fields.clone();
        let mut values: Vec<FieldValues<'_>> =
            fields.iter().map(|field| FieldValues::new(split, field)).collect::<Result<_, _>>()?;
        for rows in self.add_minutes(split, &filter, &cells, rows)? {
            for part in parts(split, &rows) {
                filter.visit(SplitFilter::superblocks_of(&part), &mut |window, hits| {
                    scan.touch(0, 0)?;
                    self.add_window((window, &hits, &part), &mut values, &cells, scan)
                })?;
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: GroupWork) {
        let translated =
            |(own, other): (&mut Values, &Values)| other.names().iter().map(|name| own.number(name)).collect();
        let values: Vec<Vec<u32>> = self.values.iter_mut().zip(&other.values).map(translated).collect();
        let mut groups = vec![None; other.numbers.len()];
        for (key, group) in &other.numbers {
            let key: Vec<u32> = key.iter().zip(&values).map(|(number, values)| values[*number as usize]).collect();
            groups[*group as usize] = self.group(&key);
        }
        for ((group, cell), count) in other.counts {
            self.add(groups[group as usize], cell, count);
        }
        self.other += other.other;
    }
}

/// The number of each row's value.
enum Codes {
    /// No row has been seen.
    None,
    /// All have this.
    Same(u32),
    /// By place in the window; those that do not hit mean nothing.
    Each(Vec<u32>),
}

impl Codes {
    fn same(&self) -> Option<u32> {
        match self {
            Codes::None => Some(NO_NUMBER),
            Codes::Same(number) => Some(*number),
            Codes::Each(_) => None,
        }
    }

    fn at(&self, at: usize) -> u32 {
        match self {
            Codes::None => NO_NUMBER,
            Codes::Same(number) => *number,
            Codes::Each(numbers) => numbers.get(at).copied().unwrap_or(NO_NUMBER),
        }
    }
}

/// Takes the first value of each row of a window.
struct CodeSink<'s, 'w> {
    values: &'s mut Values,
    window: &'w Window<'w>,
    /// The place after that of the last row.
    at: usize,
    codes: Codes,
}

impl ValueSink for CodeSink<'_, '_> {
    fn number(&mut self, value: Option<&str>) -> u32 {
        self.values.number(value.unwrap_or(""))
    }

    fn row(&mut self, number: u32, row: u32) {
        let Ok(rows) = self.window.rows() else { return };
        if !matches!(self.codes, Codes::Each(_)) {
            self.codes = Codes::Each(vec![NO_NUMBER; rows.len()]);
        }
        while rows.get(self.at).is_some_and(|&other| other < row) {
            self.at += 1;
        }
        if let Codes::Each(codes) = &mut self.codes
            && rows.get(self.at) == Some(&row)
        {
            codes[self.at] = number;
            // A further value of the same row finds the next place, which is another row's.
            self.at += 1;
        }
    }

    fn rows(&mut self, number: u32, _: &Window<'_>, _: &Hits, _: &Range<u32>) -> Result<(), Stop> {
        self.codes = Codes::Same(number);
        Ok(())
    }
}
