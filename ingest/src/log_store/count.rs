//! Records per interval: in splits from postings and doc ranges, without reading a record where the index is exact.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use taffrail_collector::model::{LogRecord, Timestamp};

use super::facet::{VALUES_COUNTED_MAX, Work, visit_split_values, works};
use super::field::Field;
use super::matching::CompiledFilter;
use super::prune::resolve;
use super::split::Split;
use super::split_reader::SplitReader;
use super::store::Snapshot;
use super::{Ending, Interrupt, IntervalCounts, LogStoreError, OTHER};
use crate::scan::{Scan, TimeRange};

/// See [`LogStore::count_by_interval`](super::LogStore::count_by_interval).
pub fn count_by_interval(
    snapshot: &Snapshot,
    filter: &CompiledFilter,
    range: TimeRange,
    interval_ms: u64,
    by: Option<&str>,
    values_max: usize,
    scan: &Scan,
) -> Result<IntervalCounts, LogStoreError> {
    let new = || Counter {
        width: Duration::from_millis(interval_ms.max(1)),
        by: by.map(Field::named),
        values: HashMap::new(),
        names: Vec::new(),
        values_counted_max: VALUES_COUNTED_MAX,
        cells: HashMap::new(),
        total: 0,
    };
    let (counter, ending) = works(snapshot, filter, range, scan, new)?;
    Ok(counter.finish(values_max, ending))
}

/// Stands for the number of a value that came when enough were counted.
const NO_NUMBER: u32 = u32::MAX;

struct Counter {
    width: Duration,
    by: Option<Field>,
    /// Numbers of values.
    values: HashMap<String, u32>,
    /// Values by number.
    names: Vec<String>,
    values_counted_max: usize,
    cells: HashMap<(Timestamp, u32), u64>,
    total: u64,
}

impl Work for Counter {
    fn record(&mut self, record: &LogRecord) {
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
        split: &Split,
        filter: &CompiledFilter,
        range: TimeRange,
        scan: &Scan,
    ) -> Result<(), Interrupt> {
        let reader = split.reader()?;
        let rows = reader.rows_in(range);
        let matching = resolve(&reader, filter, rows.clone(), scan)?;
        self.total += matching.count();
        let Some(by) = self.by.clone() else {
            let mut row = rows.start;
            while row < rows.end {
                let bucket = reader.time(row).floor_to(self.width);
                let next = reader.first_before(bucket).min(rows.end);
                let count = matching.count_in(row..next);
                if count > 0 {
                    self.add(bucket, "", count);
                }
                row = next;
            }
            return Ok(());
        };
        visit_split_values(&reader, &by, &matching, scan, &mut |value, rows| {
            self.add_rows(&reader, value.unwrap_or(""), rows);
        })
    }
}

impl Counter {
    fn add_rows(&mut self, reader: &SplitReader, value: &str, rows: &mut dyn Iterator<Item = u32>) {
        let number = self.number(value);
        for row in rows {
            *self.cells.entry((reader.time(row).floor_to(self.width), number)).or_default() += 1;
        }
    }

    fn add(&mut self, bucket: Timestamp, value: &str, count: u64) {
        let number = self.number(value);
        *self.cells.entry((bucket, number)).or_default() += count;
    }

    fn number(&mut self, value: &str) -> u32 {
        match self.values.get(value) {
            Some(&number) => number,
            None if self.names.len() >= self.values_counted_max => NO_NUMBER,
            None => {
                let number = self.names.len() as u32;
                self.names.push(value.to_owned());
                self.values.insert(value.to_owned(), number);
                number
            }
        }
    }

    fn finish(self, values_max: usize, ending: Ending) -> IntervalCounts {
        let mut totals: Vec<(u64, u32)> = (0..self.names.len() as u32).map(|number| (0, number)).collect();
        for ((_, number), count) in &self.cells {
            if let Some(total) = totals.get_mut(*number as usize) {
                total.0 += count;
            }
        }
        totals.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| self.names[a.1 as usize].cmp(&self.names[b.1 as usize])));
        let mut shown = vec![OTHER; self.names.len()];
        for (_, number) in totals.iter().take(values_max) {
            shown[*number as usize] = &self.names[*number as usize];
        }
        let mut buckets: BTreeMap<Timestamp, HashMap<&str, u64>> = BTreeMap::new();
        for ((bucket, number), count) in &self.cells {
            let value = shown.get(*number as usize).copied().unwrap_or(OTHER);
            *buckets.entry(*bucket).or_default().entry(value).or_default() += count;
        }
        let buckets = buckets
            .into_iter()
            .map(|(bucket, counts)| (bucket, commonest_first(counts.into_iter().map(|(v, n)| (v.to_owned(), n)))))
            .collect();
        IntervalCounts { buckets, total: self.total, ending }
    }
}

/// By falling count, then by value.
pub fn commonest_first(counts: impl Iterator<Item = (String, u64)>) -> Vec<(String, u64)> {
    let mut counts: Vec<(String, u64)> = counts.collect();
    counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_most_are_counted_together() {
        let mut counter = Counter {
            width: Duration::from_secs(1),
            by: Some(Field::named("user")),
            values: HashMap::new(),
            names: Vec::new(),
            values_counted_max: 2,
            cells: HashMap::new(),
            total: 5,
        };
        for value in ["a", "b", "c", "d", "b"] {
            counter.add(Timestamp::from_unix_seconds(7), value, 1);
        }
        let counts = counter.finish(10, Ending { stopped: None });
        let expected = [(OTHER, 2), ("b", 2), ("a", 1)].map(|(value, count)| (value.to_owned(), count));
        assert_eq!(counts.buckets, [(Timestamp::from_unix_seconds(7), expected.to_vec())]);
    }
}
