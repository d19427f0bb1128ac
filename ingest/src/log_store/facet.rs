//! The commonest values of fields, and which fields there are: in splits by counting each value's postings among the
//! matching rows, so that no record is read where the index knows.

use std::collections::HashMap;

use taffrail_collector::model::{LogRecord, Value};

use super::bits::Bits;
use super::count::commonest_first;
use super::field::{self, Field};
use super::head::HeadSnapshot;
use super::matching::CompiledFilter;
use super::prune::resolve;
use super::split::Split;
use super::split_index::{LONG_NAME, NAME_BYTES_MAX, VALUE_BYTES_MAX, tag};
use super::split_reader::{SplitReader, Terms};
use super::store::Snapshot;
use super::{Ending, Facet, Interrupt, LogStoreError};
use crate::scan::{Scan, TimeRange};

/// Rows of a chunk between two looks at the scan's budget.
const ROWS_PER_TOUCH: usize = 1000;

/// Distinct values that are told apart while a field is counted; the records of further ones are counted together. A field
/// with so many (an id, a message) has no commonest values worth the memory of finding them.
pub const VALUES_COUNTED_MAX: usize = 100_000;

/// Something counted over matching records: one by one in memory, by split on disk.
pub trait Work {
    /// Counts a matching record.
    fn record(&mut self, record: &LogRecord);
    /// Counts the matching records of a split.
    fn split(&mut self, split: &Split, filter: &CompiledFilter, range: TimeRange, scan: &Scan)
    -> Result<(), Interrupt>;
}

/// Does the work on everything in the range. A split that breaks half way has been counted in part: then all is begun again
/// without it, with `new` work.
pub fn works<W: Work>(
    snapshot: &Snapshot,
    filter: &CompiledFilter,
    range: TimeRange,
    scan: &Scan,
    new: impl Fn() -> W,
) -> Result<(W, Ending), LogStoreError> {
    loop {
        let mut work = new();
        let whole = attempt(snapshot, filter, range, scan, &mut work);
        if !matches!(whole, Ok(false)) {
            return Ok((work, Ending::of(whole.map(drop))?));
        }
    }
}

/// Whether the work was done; not when a split broke half way.
fn attempt(
    snapshot: &Snapshot,
    filter: &CompiledFilter,
    range: TimeRange,
    scan: &Scan,
    work: &mut dyn Work,
) -> Result<bool, Interrupt> {
    let splits: Vec<_> =
        snapshot.splits.iter().filter(|split| range.overlaps(split.meta.oldest.time, split.meta.newest.time)).collect();
    scan.plan_parts(splits.len() as u64 + 1);
    for chunk in snapshot.heads.iter().flat_map(HeadSnapshot::chunks).filter(|chunk| chunk.overlaps(&range)) {
        for records in chunk.records().chunks(ROWS_PER_TOUCH) {
            scan.touch(records.len() as u64, 0)?;
            for record in records {
                if range.contains(record.timestamp) && filter.matches(record) {
                    work.record(record);
                }
            }
        }
    }
    scan.finish_part();
    for split in splits {
        let readable = split.unless_broken(scan, split.reader().map_err(Interrupt::from))?.is_some();
        if readable && split.unless_broken(scan, work.split(split, filter, range, scan))?.is_none() {
            return Ok(false);
        }
        scan.finish_part();
    }
    Ok(true)
}

/// Takes a value (none: the field is missing) and rows that have it.
pub type ValueVisitor<'a> = dyn FnMut(Option<&str>, &mut dyn Iterator<Item = u32>) + 'a;

/// Calls `visit` with every value that the field has among the rows, and the rows that have it; with none and the rows that
/// do not have the field. The same value may be visited several times, each time with other rows.
pub fn visit_split_values(
    reader: &SplitReader,
    field: &Field,
    rows: &Bits,
    scan: &Scan,
    visit: &mut ValueVisitor<'_>,
) -> Result<(), Interrupt> {
    let name = field.name();
    if name.len() > NAME_BYTES_MAX || matches!(field, Field::Message | Field::Time) {
        let mut cursor = reader.cursor(scan);
        for row in rows.iter() {
            let record = cursor.record(row)?;
            let mut missing = true;
            field.visit_values(record, &mut |value| {
                missing = false;
                visit(Some(&value), &mut std::iter::once(row));
            });
            if missing {
                visit(None, &mut std::iter::once(row));
            }
        }
        return Ok(());
    }
    let mut long = Bits::empty(reader.rows());
    reader.visit_values(name, scan, &mut |tag, value, having| {
        match tag {
            tag::LONG_TEXT => having.add_to(&mut long)?,
            tag::SEVERITY => {}
            _ => {
                let mut having = having.bits()?;
                having.intersect(rows);
                if having.next_at_or_after(0).is_some() {
                    visit(Some(value), &mut having.iter());
                }
            }
        }
        Ok(())
    })?;
    long.intersect(rows);
    let mut cursor = reader.cursor(scan);
    for row in long.iter() {
        visit_long_values(field, cursor.record(row)?, &mut |value| visit(Some(value), &mut std::iter::once(row)));
    }
    let mut missing = rows.clone();
    missing.subtract(&reader.postings(Terms::Names, name)?);
    if missing.next_at_or_after(0).is_some() {
        visit(None, &mut missing.iter());
    }
    Ok(())
}

/// See [`LogStore::facets`](super::LogStore::facets).
pub fn facets(
    snapshot: &Snapshot,
    filter: &CompiledFilter,
    range: TimeRange,
    fields: &[String],
    limit: usize,
    scan: &Scan,
) -> Result<(Vec<Facet>, Ending), LogStoreError> {
    let new = || FacetWork(fields.iter().map(|name| FieldCounts::new(Field::named(name))).collect());
    let (work, ending) = works(snapshot, filter, range, scan, new)?;
    let facets = work.0.into_iter().map(|counts| counts.finish(limit)).collect();
    Ok((facets, ending))
}

/// See [`LogStore::field_names`](super::LogStore::field_names).
pub fn field_names(
    snapshot: &Snapshot,
    filter: &CompiledFilter,
    range: TimeRange,
    scan: &Scan,
) -> Result<(Vec<(String, u64)>, Ending), LogStoreError> {
    let (work, ending) = works(snapshot, filter, range, scan, || NameWork(ValueCounts::new(VALUES_COUNTED_MAX)))?;
    Ok((commonest_first(work.0.counts.into_iter()), ending))
}

struct FacetWork(Vec<FieldCounts>);

struct FieldCounts {
    field: Field,
    counts: ValueCounts,
    missing: u64,
}

/// Counts by value, of `values_max` values at most.
struct ValueCounts {
    counts: HashMap<String, u64>,
    /// Counted for values that found no place.
    other: u64,
    values_max: usize,
}

impl FieldCounts {
    fn new(field: Field) -> FieldCounts {
        FieldCounts { field, counts: ValueCounts::new(VALUES_COUNTED_MAX), missing: 0 }
    }

    fn finish(self, limit: usize) -> Facet {
        let mut values = commonest_first(self.counts.counts.into_iter());
        let rest: u64 = values.split_off(limit.min(values.len())).iter().map(|(_, count)| count).sum();
        let other = self.counts.other + rest;
        Facet { field: self.field.name().to_owned(), values, other, missing: self.missing }
    }
}

impl ValueCounts {
    fn new(values_max: usize) -> ValueCounts {
        ValueCounts { counts: HashMap::new(), other: 0, values_max }
    }

    fn add(&mut self, value: &str, count: u64) {
        if let Some(total) = self.counts.get_mut(value) {
            *total += count;
        } else if self.counts.len() < self.values_max {
            self.counts.insert(value.to_owned(), count);
        } else {
            self.other += count;
        }
    }
}

impl Work for FacetWork {
    fn record(&mut self, record: &LogRecord) {
        for FieldCounts { field, counts, missing } in &mut self.0 {
            let mut there = false;
            field.visit_values(record, &mut |value| {
                there = true;
                counts.add(&value, 1);
            });
            *missing += u64::from(!there);
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
        let matching = resolve(&reader, filter, reader.rows_in(range), scan)?;
        for FieldCounts { field, counts, missing } in &mut self.0 {
            visit_split_values(&reader, field, &matching, scan, &mut |value, rows| match value {
                Some(value) => counts.add(value, rows.count() as u64),
                None => *missing += rows.count() as u64,
            })?;
        }
        Ok(())
    }
}

struct NameWork(ValueCounts);

impl Work for NameWork {
    fn record(&mut self, record: &LogRecord) {
        field::visit_names(record, &mut |name| self.0.add(name, 1));
    }

    fn split(
        &mut self,
        split: &Split,
        filter: &CompiledFilter,
        range: TimeRange,
        scan: &Scan,
    ) -> Result<(), Interrupt> {
        let reader = split.reader()?;
        let matching = resolve(&reader, filter, reader.rows_in(range), scan)?;
        let mut long = Bits::empty(reader.rows());
        reader.visit_terms(Terms::Names, "", scan, &mut |name, rows| {
            if name == LONG_NAME {
                rows.add_to(&mut long)?;
                return Ok(());
            }
            let count = rows.bits()?.count_common(&matching);
            if count > 0 {
                self.0.add(name, count);
            }
            Ok(())
        })?;
        long.intersect(&matching);
        let mut cursor = reader.cursor(scan);
        for row in long.iter() {
            field::visit_names(cursor.record(row)?, &mut |name| {
                if name.len() > NAME_BYTES_MAX {
                    self.0.add(name, 1);
                }
            });
        }
        Ok(())
    }
}

/// The field's text values that are too long for the dictionary.
fn visit_long_values(field: &Field, record: &LogRecord, visit: &mut dyn FnMut(&str)) {
    let mut text = |text: &str| {
        if text.len() > VALUE_BYTES_MAX {
            visit(text);
        }
    };
    match field {
        Field::Attribute(name) => {
            let Some(value) = record.attribute(name) else { return };
            field::visit_leaves(value, &mut |leaf| {
                if let Value::String(long) = leaf {
                    text(long);
                }
            });
        }
        other => other.visit_values(record, &mut |value| text(&value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_most_are_counted_together() {
        let mut counts = FieldCounts { field: Field::named("user"), counts: ValueCounts::new(2), missing: 0 };
        for value in ["a", "b", "c", "b", "d", "a", "b"] {
            counts.counts.add(value, 1);
        }
        let facet = counts.finish(1);
        assert_eq!((facet.values, facet.other), (vec![("b".to_owned(), 3)], 4));
    }
}
