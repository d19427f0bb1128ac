//! Records per interval: in splits from counts by minute where they say it all, else from the rows that match, without
//! reading a record where columns and templates are enough.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use rapidhash::fast::RandomState;
use taffrail_collector::model::{LogRecord, Timestamp};

use super::bits::Bits;
use super::facet::VALUES_COUNTED_MAX;
use super::field::Field;
use super::mask::MaskedFilter;
use super::matching::CompiledFilter;
use super::minute_counts::{MINUTE, MinuteCounts};
use super::split_filter::{Hits, SplitFilter, Stop, Window, parts};
use super::split_reader::SplitReader;
use super::split_values::{FieldValues, ValueSink};
use super::store::Snapshot;
use super::work::{NO_NUMBER, Values, Work, works};
use super::{Ending, IntervalCounts, LogStoreError, OTHER, RecordId};
use crate::scan::{Scan, TimeRange};

/// See [`LogStore::count_by_interval`](super::LogStore::count_by_interval).
pub fn count_by_interval(
    snapshot: &Snapshot,
    filter: &MaskedFilter,
    range: TimeRange,
    interval_ms: u64,
    by: Option<&str>,
    values_max: usize,
    scan: &Scan,
) -> Result<IntervalCounts, LogStoreError> {
    let width = Duration::from_millis(interval_ms.max(1));
    let (counter, ending) = works(snapshot, filter, range, scan, Counter::new(width, by.map(Field::named)))?;
    Ok(counter.finish(values_max, ending))
}

struct Counter {
    width: Duration,
    by: Option<Field>,
    values: Values,
    /// Counts by interval and value.
    cells: HashMap<(Timestamp, u32), u64, RandomState>,
    total: u64,
}

impl Work for Counter {
    fn fresh(&self) -> Counter {
        Counter { values: self.values.fresh(), ..Counter::new(self.width, self.by.clone()) }
    }

    fn record(&mut self, _: RecordId, record: &LogRecord) {
        self.total += 1;
        let bucket = record.timestamp.floor_to(self.width);
        let Some(by) = self.by.clone() else { return self.add(bucket, "", 1) };
        let mut missing = true;
        by.visit_values(record, &mut |value: Cow<'_, str>| {
            missing = false;
            self.add(bucket, &value, 1);
        });
        if missing {
            self.add(bucket, "", 1);
        }
    }

    fn split(
        &mut self,
        split: &SplitReader,
        filter: &CompiledFilter,
        range: TimeRange,
        scan: &Scan,
    ) -> Result<(), Stop> {
        let Some((filter, rows)) = SplitFilter::of_rows_in(split, filter, range, scan)? else { return Ok(()) };
        let mut times = split.times()?;
        let newest = times.get(rows.start)?.floor_to(self.width);
        if self.by.is_none() && times.get(rows.end - 1)?.floor_to(self.width) == newest {
            let count = filter.count(rows)?;
            self.total += count;
            if count > 0 {
                self.add(newest, "", count);
            }
            return Ok(());
        }
        let minutes = self.width.as_nanos().is_multiple_of(MINUTE as u128);
        let counts = if minutes { split.minute_counts()? } else { None };
        let left =
            match counts.map(|counts| Ok::<_, Stop>((counts, self.classes(split, &filter, counts)?))).transpose()? {
                Some((counts, Some(classes))) => self.add_minutes(split, counts, &classes, rows)?,
                _ => vec![rows],
            };
        for rows in left {
            let buckets = match counts {
                Some(counts) => Buckets::of_minutes(counts, rows.clone(), self.width),
                None => Buckets::new(split, rows.clone(), self.width, scan)?,
            };
            self.add_rows(split, &filter, &buckets, rows, scan)?;
        }
        Ok(())
    }

    fn merge(&mut self, other: Counter) {
        let numbers: Vec<u32> = other.values.names().iter().map(|name| self.values.number(name)).collect();
        for ((bucket, number), count) in other.cells {
            let number = numbers.get(number as usize).copied().unwrap_or(NO_NUMBER);
            *self.cells.entry((bucket, number)).or_default() += count;
        }
        self.total += other.total;
    }
}

impl Counter {
    fn new(width: Duration, by: Option<Field>) -> Counter {
        Counter { width, by, values: Values::new(VALUES_COUNTED_MAX), cells: HashMap::default(), total: 0 }
    }

    fn add(&mut self, bucket: Timestamp, value: &str, count: u64) {
        let number = self.values.number(value);
        *self.cells.entry((bucket, number)).or_default() += count;
    }

    /// Which classes of the counts by minute match, when they can answer: the filter takes all of a class or nothing.
    fn classes(
        &self,
        split: &SplitReader,
        filter: &SplitFilter<'_>,
        counts: &MinuteCounts,
    ) -> Result<Option<Vec<bool>>, Stop> {
        match (filter.decided(), &self.by) {
            (Some(templates), None | Some(Field::Level | Field::Service)) => classes_of(split, templates, counts),
            _ => Ok(None),
        }
    }

    /// Counts the minutes that lie whole in the rows. Returns the rows that do not.
    fn add_minutes(
        &mut self,
        split: &SplitReader,
        counts: &MinuteCounts,
        classes: &[bool],
        rows: Range<u32>,
    ) -> Result<Vec<Range<u32>>, Stop> {
        let table = split.table()?;
        let numbers: Vec<u32> = counts
            .classes
            .iter()
            .map(|(service, severity)| {
                self.values.number(match self.by {
                    Some(Field::Level) => severity.name(),
                    Some(Field::Service) => table.services.get(*service as usize).map_or("", String::as_str),
                    _ => "",
                })
            })
            .collect();
        let whole_from = counts.starts.partition_point(|&start| start < rows.start);
        let whole_to = counts.starts.partition_point(|&start| start <= rows.end) - 1;
        if whole_from >= whole_to {
            return Ok(vec![rows]);
        }
        // Different values, and which of them each class that matches has.
        let mut different = numbers.clone();
        different.sort_unstable();
        different.dedup();
        let slots: Vec<(usize, usize)> = (0..numbers.len())
            .filter(|&class| classes[class])
            .map(|class| (class, different.binary_search(&numbers[class]).expect("one of them")))
            .collect();
        let mut sums = vec![0u64; different.len()];
        for minute in whole_from..whole_to {
            let counts_now = counts.counts(minute);
            slots.iter().for_each(|&(class, slot)| sums[slot] += u64::from(counts_now[class]));
            let interval = counts.time(minute).floor_to(self.width);
            if minute + 1 == whole_to || counts.time(minute + 1).floor_to(self.width) != interval {
                for (slot, sum) in sums.iter_mut().enumerate().filter(|(_, sum)| **sum > 0) {
                    self.total += *sum;
                    *self.cells.entry((interval, different[slot])).or_default() += *sum;
                    *sum = 0;
                }
            }
        }
        let edges = [rows.start..counts.starts[whole_from], counts.starts[whole_to]..rows.end];
        Ok(edges.into_iter().filter(|edge| !edge.is_empty()).collect())
    }

    fn add_rows(
        &mut self,
        split: &SplitReader,
        filter: &SplitFilter<'_>,
        buckets: &Buckets,
        rows: Range<u32>,
        scan: &Scan,
    ) -> Result<(), Stop> {
        let by = self.by.clone();
        let mut total = 0;
        let mut sink = BucketSink {
            values: &mut self.values,
            buckets,
            at: 0,
            counts: HashMap::default(),
            sparse: HashMap::default(),
        };
        let mut values = by.as_ref().map(|by| FieldValues::new(split, by)).transpose()?;
        for part in parts(split, &rows) {
            filter.visit(SplitFilter::superblocks_of(&part), &mut |window, hits| {
                scan.touch(0, 0)?;
                match &mut values {
                    None => {
                        let number = sink.number(None);
                        sink.rows(number, window, &hits, &part)?;
                    }
                    Some(values) => values.visit(window, &hits, &part, scan, &mut sink)?,
                }
                total += hits.count_within(window, &part)?;
                Ok(())
            })?;
        }
        for (number, counts) in sink.counts {
            for (bucket, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
                *self.cells.entry((buckets.times[bucket], number)).or_default() += count;
            }
        }
        for ((number, bucket), count) in sink.sparse {
            *self.cells.entry((buckets.times[bucket], number)).or_default() += count;
        }
        self.total += total;
        Ok(())
    }

    fn finish(self, values_max: usize, ending: Ending) -> IntervalCounts {
        let names = self.values.names();
        let mut totals: Vec<(u64, u32)> = (0..names.len() as u32).map(|number| (0, number)).collect();
        for ((_, number), count) in &self.cells {
            if let Some(total) = totals.get_mut(*number as usize) {
                total.0 += count;
            }
        }
        totals.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| names[a.1 as usize].cmp(&names[b.1 as usize])));
        let mut shown = vec![OTHER; names.len()];
        for (_, number) in totals.iter().take(values_max) {
            shown[*number as usize] = &names[*number as usize];
        }
        let value = |number: u32| shown.get(number as usize).copied().unwrap_or(OTHER);
        let mut cells: Vec<(Timestamp, &str, u64)> =
            self.cells.iter().map(|((bucket, number), count)| (*bucket, value(*number), *count)).collect();
        cells.sort_unstable();
        let mut buckets: Vec<(Timestamp, Vec<(String, u64)>)> = Vec::new();
        for same in cells.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let (bucket, value, _) = same[0];
            if buckets.last().is_none_or(|(last, _)| *last != bucket) {
                buckets.push((bucket, Vec::new()));
            }
            let counts = &mut buckets.last_mut().expect("just pushed").1;
            counts.push((value.to_owned(), same.iter().map(|(_, _, count)| count).sum()));
        }
        // By falling count; those of one count stay sorted by value.
        buckets.iter_mut().for_each(|(_, counts)| counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count)));
        IntervalCounts { buckets, total: self.total, ending }
    }
}

/// Which classes the templates make up; none when they split one.
pub(super) fn classes_of(
    split: &SplitReader,
    templates: &Bits,
    counts: &MinuteCounts,
) -> Result<Option<Vec<bool>>, Stop> {
    if templates.count() == u64::from(templates.len()) {
        return Ok(Some(vec![true; counts.classes.len()]));
    }
    let mut seen: Vec<Option<bool>> = vec![None; counts.classes.len()];
    for (number, template) in split.table()?.templates.iter().enumerate() {
        let Ok(class) = counts.classes.binary_search(&(template.service, template.severity)) else { return Ok(None) };
        let matches = templates.contains(number as u32);
        if *seen[class].get_or_insert(matches) != matches {
            return Ok(None);
        }
    }
    Ok(Some(seen.into_iter().map(|matches| matches.unwrap_or(false)).collect()))
}

/// The intervals that a split's rows lie in, falling in time.
struct Buckets {
    times: Vec<Timestamp>,
    /// The first row of each, and the row behind the last.
    starts: Vec<u32>,
}

/// So many intervals are looked up one by one; for more it is quicker to read all times.
const LOOKED_UP_MAX: u128 = 64;

impl Buckets {
    /// From counts by minute, which say at which row each minute starts.
    fn of_minutes(counts: &MinuteCounts, rows: Range<u32>, width: Duration) -> Buckets {
        let mut buckets = Buckets { times: Vec::new(), starts: Vec::new() };
        let first = counts.starts.partition_point(|&start| start <= rows.start).saturating_sub(1);
        for minute in first..counts.minutes.len() {
            let start = counts.starts[minute].max(rows.start);
            if start >= rows.end {
                break;
            }
            let time = counts.time(minute).floor_to(width);
            if buckets.times.last() != Some(&time) {
                buckets.times.push(time);
                buckets.starts.push(start);
            }
        }
        buckets.starts.push(rows.end);
        buckets
    }

    fn new(split: &SplitReader, rows: Range<u32>, width: Duration, scan: &Scan) -> Result<Buckets, Stop> {
        let mut buckets = Buckets { times: Vec::new(), starts: Vec::new() };
        let mut times = split.times()?;
        let (newest, oldest) = (times.get(rows.start)?, times.get(rows.end - 1)?);
        let few = (newest.unix_nanos().abs_diff(oldest.unix_nanos())) as u128 / width.as_nanos() < LOOKED_UP_MAX;
        let mut row = rows.start;
        while row < rows.end {
            let bucket = times.get(row)?.floor_to(width);
            buckets.times.push(bucket);
            buckets.starts.push(row);
            row = match few {
                true => split.first_before(bucket)?.clamp(row + 1, rows.end),
                false => {
                    scan.touch(0, 0)?;
                    let mut next = row + 1;
                    while next < rows.end && times.get(next)? >= bucket {
                        next += 1;
                    }
                    next
                }
            };
        }
        buckets.starts.push(rows.end);
        Ok(buckets)
    }
}

/// Counts rows by interval and value.
struct BucketSink<'a> {
    values: &'a mut Values,
    buckets: &'a Buckets,
    /// The interval of the last row.
    at: usize,
    counts: HashMap<u32, Vec<u64>, RandomState>,
    /// Counts by value and interval, of values that came when there were many.
    sparse: HashMap<(u32, usize), u64, RandomState>,
}

/// Cells of dense counts; a field of many values has most of them empty.
const DENSE_CELLS_MAX: usize = 1 << 20;

impl BucketSink<'_> {
    fn is_dense(&self, number: u32) -> bool {
        (self.counts.len() + 1) * self.buckets.times.len() <= DENSE_CELLS_MAX || self.counts.contains_key(&number)
    }

    fn bucket(&mut self, row: u32) -> usize {
        let starts = &self.buckets.starts;
        if row < starts[self.at] {
            self.at = starts.partition_point(|&start| start <= row) - 1;
        }
        while row >= starts[self.at + 1] {
            self.at += 1;
        }
        self.at
    }
}

impl ValueSink for BucketSink<'_> {
    fn number(&mut self, value: Option<&str>) -> u32 {
        self.values.number(value.unwrap_or(""))
    }

    fn row(&mut self, number: u32, row: u32) {
        let bucket = self.bucket(row);
        let buckets = self.buckets.times.len();
        if self.is_dense(number) {
            self.counts.entry(number).or_insert_with(|| vec![0; buckets])[bucket] += 1;
        } else {
            *self.sparse.entry((number, bucket)).or_default() += 1;
        }
    }

    fn rows(&mut self, number: u32, window: &Window<'_>, hits: &Hits, clip: &Range<u32>) -> Result<(), Stop> {
        let buckets = self.buckets.times.len();
        if !self.is_dense(number) {
            return hits.visit_rows(window, &mut |row| {
                if clip.contains(&row) {
                    self.row(number, row);
                }
            });
        }
        let mut counts = self.counts.remove(&number).unwrap_or_else(|| vec![0; buckets]);
        hits.visit_rows(window, &mut |row| {
            if clip.contains(&row) {
                counts[self.bucket(row)] += 1;
            }
        })?;
        self.counts.insert(number, counts);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_most_are_counted_together() {
        let mut counter = Counter::new(Duration::from_secs(1), Some(Field::named("user")));
        counter.values = Values::new(2);
        counter.total = 5;
        for value in ["a", "b", "c", "d", "b"] {
            counter.add(Timestamp::from_unix_seconds(7), value, 1);
        }
        let counts = counter.finish(10, Ending { stopped: None });
        let expected = [(OTHER, 2), ("b", 2), ("a", 1)].map(|(value, count)| (value.to_owned(), count));
        assert_eq!(counts.buckets, [(Timestamp::from_unix_seconds(7), expected.to_vec())]);
    }
}
