//! The series of one block: their labels as numbers into a dictionary of strings, and where their windows lie.
//!
//! ```text
//! table   := strings:varint string…  rows:varint row…
//! string  := length:varint bytes                    ; UTF-8, sorted, each once
//! row     := kind:u8 labels:varint (name:varint value:varint)… unit:varint interval_ms:varint
//!            windows:varint chunk:varint place:varint first_end:zigzag length:varint [before total]
//! before  := count:f64 sum:f64                      ; what all earlier windows added up to } counters and
//! total   := count:f64 sum:f64                      ; what the windows of this row add up to } distributions only
//! ```
//!
//! Rows are sorted by kind, then labels. `first_end` counts from the first end of the block, `length` up to the row's last
//! end. Kept in memory as it is written (some 130 bytes a series), because it is also the block's label index: a matcher
//! is tried once on each distinct value, then rows are compared by number.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;
use rapidhash::RapidHashMap;
use rapidhash::fast::RandomState;
use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_collector::model::{LabelSet, SampleKind};

use super::matcher::{LabelMatcher, LabelTest};
use super::points::{End, RunningTotal};
use crate::byte_cursor::{ByteCursor, Malformed, put_prefixed, put_signed, put_varint};

/// For a row on each so many strings, one verdict a string costs less than a map of those that are met.
const MANY_STRINGS: usize = 8;

/// A decoded table.
#[derive(Debug, Default)]
pub(super) struct SeriesTable {
    text: String,
    /// Where each string ends in `text`.
    string_ends: Vec<u32>,
    /// (name, value) of all rows, one after the other.
    pairs: Vec<(u32, u32)>,
    rows: Vec<Row>,
}

/// One series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) kind: SampleKind,
    pub(super) unit: u32,
    pub(super) interval_ms: u32,
    pub(super) windows: u32,
    /// Which chunk holds its windows …
    pub(super) chunk: u32,
    /// … and which of the chunk's series it is.
    pub(super) place: u32,
    pub(super) first_end: End,
    pub(super) last_end: End,
    pub(super) before: RunningTotal,
    pub(super) total: RunningTotal,
    pairs_end: u32,
}

/// What the writer says of one series; see [`Row`].
#[derive(Clone, Debug)]
pub(super) struct NewRow {
    pub(super) kind: SampleKind,
    pub(super) labels: Arc<LabelSet>,
    pub(super) unit: String,
    pub(super) interval_ms: u32,
    pub(super) windows: usize,
    pub(super) chunk: usize,
    pub(super) place: usize,
    pub(super) first_end: End,
    pub(super) last_end: End,
    pub(super) before: RunningTotal,
    pub(super) total: RunningTotal,
}

/// Gathers the rows of a block that is being written. A block may have millions, so they are kept as small as when they are
/// read: numbers, and each string once.
#[derive(Debug, Default)]
pub(super) struct TableWriter {
    table: SeriesTable,
    /// The numbers of the strings, by their hash.
    numbers: HashTable<u32>,
    hashing: RandomState,
}

impl TableWriter {
    /// Takes the next row; they come sorted by kind, then labels.
    pub(super) fn push(&mut self, row: &NewRow) {
        for (name, value) in row.labels.iter() {
            let pair = (self.string_number(name), self.string_number(value));
            self.table.pairs.push(pair);
        }
        let number = |count: usize| u32::try_from(count).expect("a block has fewer than 2^32 of anything");
        let row = Row {
            kind: row.kind,
            unit: self.string_number(&row.unit),
            interval_ms: row.interval_ms,
            windows: number(row.windows),
            chunk: number(row.chunk),
            place: number(row.place),
            first_end: row.first_end,
            last_end: row.last_end,
            before: row.before,
            total: row.total,
            pairs_end: number(self.table.pairs.len()),
        };
        self.table.rows.push(row);
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.table.rows.len()
    }

    /// Kind, name and unit of each row.
    pub(super) fn names(&self) -> impl Iterator<Item = (SampleKind, &str, &str)> {
        let name = self.find(NAME_LABEL);
        self.table.rows.iter().enumerate().map(move |(at, row)| {
            let pair = self.table.pairs(at).iter().find(|pair| Some(pair.0) == name);
            (row.kind, pair.map_or("", |pair| self.table.string(pair.1)), self.table.string(row.unit))
        })
    }

    /// Writes the table of a block whose first window ends at `block_first_end`.
    pub(super) fn encode(&self, block_first_end: End) -> Vec<u8> {
        let table = &self.table;
        let mut sorted: Vec<u32> = (0..table.string_ends.len() as u32).collect(); // `string_number` keeps them below 2^32
        sorted.sort_unstable_by_key(|&number| table.string(number));
        let mut out = Vec::new();
        put_varint(&mut out, sorted.len() as u64);
        sorted.iter().for_each(|&number| put_prefixed(&mut out, table.string(number).as_bytes()));
        let mut ranks = vec![0u32; sorted.len()];
        (0..).zip(&sorted).for_each(|(rank, &number)| ranks[number as usize] = rank);
        drop(sorted);
        let rank = |number: u32| u64::from(ranks[number as usize]);
        put_varint(&mut out, table.rows.len() as u64);
        for (at, row) in table.rows.iter().enumerate() {
            let pairs = table.pairs(at);
            out.push(row.kind as u8);
            put_varint(&mut out, pairs.len() as u64);
            for &(name, value) in pairs {
                put_varint(&mut out, rank(name));
                put_varint(&mut out, rank(value));
            }
            put_varint(&mut out, rank(row.unit));
            for number in [row.interval_ms, row.windows, row.chunk, row.place] {
                put_varint(&mut out, u64::from(number));
            }
            put_signed(&mut out, row.first_end.wrapping_sub(block_first_end));
            put_varint(&mut out, row.last_end.wrapping_sub(row.first_end) as u64);
            if has_totals(row.kind) {
                for number in [row.before.count, row.before.sum, row.total.count, row.total.sum] {
                    out.extend(number.to_le_bytes());
                }
            }
        }
        out
    }

    fn find(&self, text: &str) -> Option<u32> {
        self.numbers.find(self.hashing.hash_one(text), |&number| self.table.string(number) == text).copied()
    }

    fn string_number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.find(text) {
            return number;
        }
        let TableWriter { table, numbers, hashing } = self;
        let number = u32::try_from(table.string_ends.len()).expect("a block has fewer than 2^32 of anything");
        table.text.push_str(text);
        table.string_ends.push(u32::try_from(table.text.len()).expect("the labels of a block are below 4 GiB"));
        numbers.insert_unique(hashing.hash_one(text), number, |&other| hashing.hash_one(table.string(other)));
        number
    }
}

impl SeriesTable {
    /// Reads what [`TableWriter::encode`] wrote.
    pub(super) fn decode(bytes: &[u8], block_first_end: End) -> Result<SeriesTable, Malformed> {
        let mut cursor = ByteCursor(bytes);
        let count = cursor.count(1, u32::MAX as usize)?;
        let mut text = String::with_capacity(bytes.len().min(1 << 20));
        let mut string_ends = Vec::with_capacity(count);
        for _ in 0..count {
            text.push_str(std::str::from_utf8(cursor.prefixed()?).map_err(|_| Malformed("a label is not UTF-8"))?);
            string_ends.push(u32::try_from(text.len()).map_err(|_| Malformed("the labels are too long"))?);
        }
        let row_count = cursor.count(9, u32::MAX as usize)?;
        let mut table = SeriesTable { text, string_ends, pairs: Vec::new(), rows: Vec::with_capacity(row_count) };
        for _ in 0..row_count {
            let row = table.read_row(&mut cursor, block_first_end)?;
            table.rows.push(row);
        }
        cursor.finish()?;
        table.text.shrink_to_fit();
        table.pairs.shrink_to_fit();
        Ok(table)
    }

    fn read_row(&mut self, cursor: &mut ByteCursor<'_>, block_first_end: End) -> Result<Row, Malformed> {
        let kind = SampleKind::from_number(cursor.u8()?).ok_or(Malformed("a series is of an unknown kind"))?;
        for _ in 0..cursor.count(2, u32::MAX as usize)? {
            let pair = (self.string_number(cursor)?, self.string_number(cursor)?);
            self.pairs.push(pair);
        }
        let pairs_end = u32::try_from(self.pairs.len()).map_err(|_| Malformed("there are too many labels"))?;
        let unit = self.string_number(cursor)?;
        let mut number = || u32::try_from(cursor.varint()?).map_err(|_| Malformed("a number is too large"));
        let [interval_ms, windows, chunk, place] = [number()?, number()?, number()?, number()?];
        let first_end = block_first_end.wrapping_add(cursor.signed()?);
        let last_end = first_end.wrapping_add(cursor.varint()? as i64);
        let (mut before, mut total) = (RunningTotal::default(), RunningTotal::default());
        if has_totals(kind) {
            before = RunningTotal { count: cursor.f64()?, sum: cursor.f64()? };
            total = RunningTotal { count: cursor.f64()?, sum: cursor.f64()? };
        }
        Ok(Row { kind, unit, interval_ms, windows, chunk, place, first_end, last_end, before, total, pairs_end })
    }

    fn string_number(&self, cursor: &mut ByteCursor<'_>) -> Result<u32, Malformed> {
        let number = cursor.varint()?;
        if number < self.string_ends.len() as u64 { Ok(number as u32) } else { Err(Malformed("a label is missing")) }
    }

    /// All rows, sorted by kind, then labels.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The labels of a row.
    pub(super) fn labels(&self, row: usize) -> LabelSet {
        let pairs = self.pairs(row).iter().map(|&(name, value)| (self.string(name), self.string(value)));
        LabelSet::from_sorted(pairs.clone()).unwrap_or_else(|| LabelSet::new(pairs))
    }

    /// A string of the dictionary.
    pub(super) fn string(&self, number: u32) -> &str {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.string_ends[number - 1] as usize };
        &self.text[start..self.string_ends[number] as usize]
    }

    /// The rows that pass all matchers, in rising order.
    pub(super) fn select(&self, matchers: &[LabelMatcher]) -> Vec<usize> {
        let mut found: Vec<usize> = (0..self.rows.len()).collect();
        for matcher in matchers {
            let Some(name) = self.number_of(&matcher.name) else {
                if !matcher.test.passes("") {
                    return Vec::new();
                }
                continue;
            };
            let absent = matcher.test.passes("");
            let value_in = |row: usize| self.pairs(row).iter().find(|pair| pair.0 == name).map(|pair| pair.1);
            if let LabelTest::Equal(wanted) = &matcher.test {
                let wanted = self.number_of(wanted);
                found.retain(|&row| value_in(row).map_or(absent, |value| Some(value) == wanted));
                continue;
            }
            let passes = |value| matcher.test.passes(self.string(value));
            if found.len() >= self.string_ends.len() / MANY_STRINGS {
                let mut verdicts = vec![None; self.string_ends.len()];
                let mut verdict = |value| *verdicts[value as usize].get_or_insert_with(|| passes(value));
                found.retain(|&row| value_in(row).map_or(absent, &mut verdict));
            } else {
                let mut verdicts: RapidHashMap<u32, bool> = RapidHashMap::default();
                let mut verdict = |value| *verdicts.entry(value).or_insert_with(|| passes(value));
                found.retain(|&row| value_in(row).map_or(absent, &mut verdict));
            }
        }
        found
    }

    /// The values that a label has in these rows, each once, in the order of their bytes.
    pub(super) fn values_of(&self, label: &str, rows: impl Iterator<Item = usize>) -> impl Iterator<Item = &str> {
        let mut is_there = vec![false; self.string_ends.len()];
        if let Some(name) = self.number_of(label) {
            for row in rows {
                let pair = self.pairs(row).iter().find(|pair| pair.0 == name);
                pair.into_iter().for_each(|&(_, value)| is_there[value as usize] = true);
            }
        }
        (0..).zip(is_there).filter(|(_, is_there)| *is_there).map(|(number, _)| self.string(number))
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + 4 * self.string_ends.len() + 8 * self.pairs.len() + size_of::<Row>() * self.rows.len()
    }

    fn pairs(&self, row: usize) -> &[(u32, u32)] {
        let start = if row == 0 { 0 } else { self.rows[row - 1].pairs_end as usize };
        &self.pairs[start..self.rows[row].pairs_end as usize]
    }

    fn number_of(&self, text: &str) -> Option<u32> {
        let (mut low, mut high) = (0, self.string_ends.len() as u32);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.string(middle).cmp(text) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

fn has_totals(kind: SampleKind) -> bool {
    matches!(kind, SampleKind::Counter | SampleKind::Distribution)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: SampleKind, labels: &[(&str, &str)]) -> NewRow {
        NewRow {
            kind,
            labels: Arc::new(LabelSet::new(labels.iter().copied())),
            unit: "ms".to_owned(),
            interval_ms: 10_000,
            windows: 3,
            chunk: 1,
            place: 2,
            first_end: 1_000,
            last_end: 3_000,
            before: RunningTotal { count: 0.0, sum: 5.0 },
            total: RunningTotal { count: 0.0, sum: 7.5 },
        }
    }

    #[test]
    fn rows_come_back_and_are_found_by_their_labels() {
        let rows = [
            row(SampleKind::Counter, &[("__name__", "hits"), ("env", "prod")]),
            row(SampleKind::Counter, &[("__name__", "hits"), ("env", "test")]),
            row(SampleKind::Gauge, &[("__name__", "heat")]),
        ];
        let mut writer = TableWriter::default();
        rows.iter().for_each(|row| writer.push(row));
        assert_eq!(writer.names().map(|(_, name, _)| name).collect::<Vec<_>>(), ["hits", "hits", "heat"]);
        let table = SeriesTable::decode(&writer.encode(500), 500).unwrap();
        for (i, row) in rows.iter().enumerate() {
            let found = &table.rows()[i];
            assert_eq!(table.labels(i), *row.labels);
            assert_eq!((found.kind, found.windows, found.chunk, found.place), (row.kind, 3, 1, 2));
            assert_eq!((found.first_end, found.last_end, table.string(found.unit)), (1_000, 3_000, "ms"));
        }
        assert_eq!(table.rows()[0].total.sum, 7.5);
        assert_eq!(table.rows()[2].total, RunningTotal::default());
        let check = |name: &str, test, expected: &[usize]| {
            assert_eq!(table.select(&[LabelMatcher { name: name.to_owned(), test }]), expected);
        };
        check("env", LabelTest::Equal("prod".into()), &[0]);
        check("env", LabelTest::NotEqual("prod".into()), &[1, 2]);
        check("env", LabelTest::Equal(String::new()), &[2]);
        check("zone", LabelTest::Equal(String::new()), &[0, 1, 2]);
        check("zone", LabelTest::Equal("a".into()), &[]);
        assert_eq!(table.select(&[]), [0, 1, 2]);
        let values = |label: &str, rows: &[usize]| -> Vec<String> {
            table.values_of(label, rows.iter().copied()).map(str::to_owned).collect()
        };
        assert_eq!(values("env", &[0, 1, 2]), ["prod", "test"]);
        assert_eq!(values("__name__", &[1, 0]), ["hits"]);
        assert!(values("zone", &[0, 1, 2]).is_empty());
    }
}
