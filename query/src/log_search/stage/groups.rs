//! Rows gathered in groups by the values of fields, with functions of each group: what `stats`, `top`, `uniq` and `facets` share.
//!
//! The key of a row is its fields' values as people type them, as the store counts them too: a row whose field is an array
//! counts in the group of each different item.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::{Timestamp, Value};
use taffrail_ingest::TimeRange;
use taffrail_ingest::log_store::{Field, RecordId};

use super::super::memory::Memory;
use super::super::row::{Cell, RowView, SortKey, TableRow};
use super::accumulator::{Accumulator, Place};
use super::function::Function;

/// What rows are told apart by.
#[derive(Clone, Debug)]
pub enum Key {
    /// A field's value.
    Field(Field),
    /// The interval that the row's time lies in.
    Time(Duration),
    /// The step of so much that the field's number lies in.
    Step(Field, f64),
}

/// What becomes of a row that lacks a field of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It counts in the group of those without; so does one whose field is the empty text.
    Counts,
    /// It does not count.
    IsLeftOut,
}

/// How rows are gathered.
#[derive(Clone, Debug)]
pub struct Grouping {
    /// The key, and what its columns are called.
    pub keys: Vec<(Arc<str>, Key)>,
    /// What is computed, and what its columns are called.
    pub functions: Vec<(Arc<str>, Function)>,
    /// What becomes of rows without a field of the key.
    pub missing: Missing,
}

/// Groups, so far.
#[derive(Debug)]
pub struct Groups {
    grouping: Arc<Grouping>,
    memory: Arc<Memory>,
    groups: HashMap<Box<[Part]>, Vec<Accumulator>>,
    rows: u64,
    /// Bytes of memory that the keys took.
    bytes: usize,
    key: Vec<Part>,
}

/// A part of a group's key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Text(Box<str>),
    Time(Timestamp),
    /// The bits of a number.
    Step(u64),
}

/// What a group takes besides its texts and values.
const GROUP_BYTES: usize = 160;

impl Groups {
    /// None yet.
    pub fn new(grouping: Arc<Grouping>, memory: Arc<Memory>) -> Groups {
        Groups { grouping, memory, groups: HashMap::new(), rows: 0, bytes: 0, key: Vec::new() }
    }

    /// None yet, gathered in the same way.
    pub fn fresh(&self) -> Groups {
        Groups::new(self.grouping.clone(), self.memory.clone())
    }

    /// Counts a row in its groups.
    pub(in super::super) fn add(&mut self, row: RowView<'_>) {
        let place = match row {
            RowView::Record(RecordId { time, seq }, _) => (time.unix_nanos(), seq),
            RowView::Table(_) => (0, self.rows),
        };
        self.rows += 1;
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        let grouping = self.grouping.clone();
        self.add_from(&grouping, row, place, &mut key);
        self.key = key;
    }

    /// Goes through all values of the rest of the key.
    fn add_from(&mut self, grouping: &Grouping, row: RowView<'_>, place: Place, key: &mut Vec<Part>) {
        let Some((_, next)) = grouping.keys.get(key.len()) else {
            return self.add_to(grouping, row, place, key);
        };
        let mut there = false;
        let mut with = |groups: &mut Groups, part: Part| {
            there = true;
            key.push(part);
            groups.add_from(grouping, row, place, key);
            key.pop();
        };
        match next {
            Key::Field(Field::Time) => {
                if let Cell::Time(time) = row.cell(&Field::Time) {
                    with(self, Part::Time(time));
                }
            }
            Key::Field(field) => row.visit_texts(field, &mut |text| with(self, Part::Text(text.as_ref().into()))),
            Key::Time(width) => {
                if let Cell::Time(time) = row.cell(&Field::Time) {
                    with(self, Part::Time(time.floor_to(*width)));
                }
            }
            Key::Step(field, width) => row.visit_numbers(field, &mut |number| {
                let step = (number.as_f64() / width).floor() * width;
                with(self, Part::Step((step + 0.0).to_bits()));
            }),
        }
        if !there && grouping.missing == Missing::Counts {
            key.push(Part::Text("".into()));
            self.add_from(grouping, row, place, key);
            key.pop();
        }
    }

    fn add_to(&mut self, grouping: &Grouping, row: RowView<'_>, place: Place, key: &[Part]) {
        let full = self.memory.was_full();
        let Some(group) = self.group(key) else { return };
        let mut bytes = 0;
        for ((_, function), accumulator) in grouping.functions.iter().zip(group) {
            if !(full && function.grows()) {
                bytes += function.add(accumulator, row, place);
            }
        }
        if bytes > 0 {
            self.memory.take(bytes);
        }
    }

    /// The group of a key; none when there is no memory left for a new one.
    fn group(&mut self, key: &[Part]) -> Option<&mut Vec<Accumulator>> {
        if !self.groups.contains_key(key) {
            let texts: usize = key.iter().map(|part| if let Part::Text(text) = part { text.len() } else { 0 }).sum();
            let functions = self.grouping.functions.len() * size_of::<Accumulator>();
            let bytes = GROUP_BYTES + texts + functions + size_of_val(key);
            if !self.memory.take(bytes) {
                return None;
            }
            self.bytes += bytes;
            let start = self.grouping.functions.iter().map(|(_, function)| function.start()).collect();
            self.groups.insert(key.into(), start);
        }
        self.groups.get_mut(key)
    }

    /// Counts so many rows in a group, when nothing but rows is counted.
    pub(super) fn count(&mut self, key: &[Part], rows: u64) {
        if let Some(group) = self.group(key) {
            for accumulator in group {
                if let Accumulator::Count(count) = accumulator {
                    *count += rows;
                }
            }
        }
    }

    /// Takes in groups of other rows.
    pub fn merge(&mut self, other: Groups) {
        let grouping = self.grouping.clone();
        self.memory.give_back(other.bytes);
        for (key, accumulators) in other.groups {
            let Some(group) = self.group(&key) else { continue };
            for (((_, function), own), more) in grouping.functions.iter().zip(group).zip(accumulators) {
                function.merge(own, more);
            }
        }
        self.rows += other.rows;
    }

    /// One row for each group, in the order of the keys; without a key one row in any case.
    pub fn table(mut self, range: TimeRange) -> Vec<TableRow> {
        let grouping = self.grouping.clone();
        if grouping.keys.is_empty() {
            self.group(&[]);
        }
        let mut sorted: Vec<_> = self
            .groups
            .into_iter()
            .map(|(key, accumulators)| {
                let names = grouping.keys.iter().map(|(name, _)| name);
                let sort: Vec<SortKey> =
                    names.zip(&key).map(|(name, part)| SortKey::of(name, &grouping.cell(part))).collect();
                (sort, key, accumulators)
            })
            .collect();
        // Texts that are one number (7, 7.0) stand in the order of their bytes.
        sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| texts(&a.1).cmp(texts(&b.1))));
        let rows = sorted.into_iter().map(|(_, key, accumulators)| {
            let seconds = grouping.seconds(&key, range);
            let names = grouping.keys.iter().map(|(name, _)| name.clone());
            let mut cells: Vec<(Arc<str>, Cell)> = names.zip(key.iter().map(|part| grouping.cell(part))).collect();
            let functions = grouping.functions.iter().zip(accumulators);
            cells.extend(functions.map(|((name, function), of)| (name.clone(), function.value(of, seconds))));
            TableRow(cells)
        });
        rows.collect()
    }
}

fn texts(key: &[Part]) -> impl Iterator<Item = &str> {
    key.iter().map(|part| if let Part::Text(text) = part { text } else { "" })
}

impl Grouping {
    fn cell(&self, part: &Part) -> Cell {
        match part {
            Part::Text(text) if text.is_empty() && self.missing == Missing::Counts => Cell::MISSING,
            Part::Text(text) => Cell::Value(Value::String(text.to_string())),
            Part::Time(time) => Cell::Time(*time),
            Part::Step(bits) => Cell::number(f64::from_bits(*bits)),
        }
    }

    /// How many seconds of the question's time a group covers.
    fn seconds(&self, key: &[Part], range: TimeRange) -> f64 {
        let mut range = range;
        for ((_, by), part) in self.keys.iter().zip(key) {
            if let (Key::Time(width), Part::Time(start)) = (by, part) {
                range.end = range.end.min(start.saturating_add(*width));
                range.start = range.start.max(*start);
            }
        }
        (range.end.unix_nanos() as f64 - range.start.unix_nanos() as f64) / 1e9
    }

    /// The fields that are read.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let keys = self.keys.iter().map(|(_, key)| match key {
            Key::Field(field) | Key::Step(field, _) => field.name(),
            Key::Time(_) => "time",
        });
        keys.chain(self.functions.iter().filter_map(|(_, function)| function.field().map(Field::name)))
    }
}
