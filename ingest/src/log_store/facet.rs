//! The commonest values of fields, and which fields there are.

use std::collections::HashMap;
use std::ops::Range;

use taffrail_collector::model::LogRecord;

use super::field::{self, Field, SHORT_NAMES, is_there};
use super::mask::MaskedFilter;
use super::matching::CompiledFilter;
use super::schema::{FieldKind, Schema};
use super::split_filter::{Hits, SplitFilter, Stop, Window, parts};
use super::split_reader::SplitReader;
use super::split_records::RecordReader;
use super::split_values::{FieldValues, ValueSink, each_hit};
use super::store::Snapshot;
use super::template::Holds;
use super::template_table::TemplateTable;
use super::work::{NO_NUMBER, Values, Work, commonest_first, works};
use super::{Ending, Facet, LogStoreError, RecordId};
use crate::scan::{Scan, TimeRange};

/// Distinct values that are told apart while a field is counted; the records of further ones are counted together. A field
/// with so many (an id, a message) has no commonest values worth the memory of finding them.
pub const VALUES_COUNTED_MAX: usize = 100_000;

/// See [`LogStore::facets`](super::LogStore::facets).
pub fn facets(
    snapshot: &Snapshot,
    filter: &MaskedFilter,
    range: TimeRange,
    fields: &[String],
    limit: usize,
    scan: &Scan,
) -> Result<(Vec<Facet>, Ending), LogStoreError> {
    let counts = |name: &String| FieldCounts::new(Field::named(name), VALUES_COUNTED_MAX);
    let (work, ending) = works(snapshot, filter, range, scan, FacetWork(fields.iter().map(counts).collect()))?;
    let facets = work.0.into_iter().map(|counts| counts.finish(limit)).collect();
    Ok((facets, ending))
}

/// See [`LogStore::field_names`](super::LogStore::field_names).
pub fn field_names(
    snapshot: &Snapshot,
    filter: &MaskedFilter,
    range: TimeRange,
    scan: &Scan,
) -> Result<(Vec<(String, u64)>, Ending), LogStoreError> {
    let (work, ending) = works(snapshot, filter, range, scan, NameWork::default())?;
    Ok((commonest_first(work.0.into_iter()), ending))
}

struct FacetWork(Vec<FieldCounts>);

/// Records by the value of one field.
struct FieldCounts {
    field: Field,
    values: Values,
    counts: Vec<u64>,
    /// Records whose value found no number.
    other: u64,
    missing: u64,
}

/// The number of "the field is missing".
const MISSING: u32 = NO_NUMBER - 1;

impl FieldCounts {
    fn new(field: Field, values_max: usize) -> FieldCounts {
        FieldCounts { field, values: Values::new(values_max), counts: Vec::new(), other: 0, missing: 0 }
    }

    fn add(&mut self, number: u32, count: u64) {
        match number {
            NO_NUMBER => self.other += count,
            MISSING => self.missing += count,
            number => {
                if self.counts.len() <= number as usize {
                    self.counts.resize(number as usize + 1, 0);
                }
                self.counts[number as usize] += count;
            }
        }
    }

    fn finish(self, limit: usize) -> Facet {
        // A value of which no row lay in the range has a number, too.
        let counts = self.values.names().iter().cloned().zip(self.counts.iter().copied());
        let mut values = commonest_first(counts.filter(|(_, count)| *count > 0));
        let rest: u64 = values.split_off(limit.min(values.len())).iter().map(|(_, count)| count).sum();
        let field = self.field.name().to_owned();
        Facet { field, values, other: self.other + rest, missing: self.missing }
    }
}

impl ValueSink for FieldCounts {
    fn number(&mut self, value: Option<&str>) -> u32 {
        value.map_or(MISSING, |value| self.values.number(value))
    }

    const COUNTS_ONLY: bool = true;

    fn count(&mut self, number: u32, rows: u64) {
        self.add(number, rows);
    }

    fn row(&mut self, number: u32, _: u32) {
        self.add(number, 1);
    }

    fn rows(&mut self, number: u32, window: &Window<'_>, hits: &Hits, clip: &Range<u32>) -> Result<(), Stop> {
        let count = hits.count_within(window, clip)?;
        if count > 0 {
            self.add(number, count);
        }
        Ok(())
    }
}

impl Work for FacetWork {
    fn fresh(&self) -> FacetWork {
        let fresh = |counts: &FieldCounts| FieldCounts {
            values: counts.values.fresh(),
            ..FieldCounts::new(counts.field.clone(), 0)
        };
        FacetWork(self.0.iter().map(fresh).collect())
    }

    fn record(&mut self, _: RecordId, record: &LogRecord) {
        for counts in &mut self.0 {
            let mut there = false;
            let field = counts.field.clone();
            field.visit_values(record, &mut |value| {
                there = true;
                let number = counts.number(Some(&value));
                counts.add(number, 1);
            });
            if !there {
                counts.missing += 1;
            }
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
        let fields: Vec<Field> = self.0.iter().map(|counts| counts.field.clone()).collect();
        let mut values: Vec<FieldValues<'_>> =
            fields.iter().map(|field| FieldValues::new(split, field)).collect::<Result<_, _>>()?;
        for part in parts(split, &rows) {
            filter.visit(SplitFilter::superblocks_of(&part), &mut |window, hits| {
                scan.touch(0, 0)?;
                for (values, counts) in values.iter_mut().zip(&mut self.0) {
                    values.visit(window, &hits, &part, scan, counts)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn merge(&mut self, other: FacetWork) {
        for (counts, other) in self.0.iter_mut().zip(other.0) {
            for (name, count) in other.values.names().iter().zip(&other.counts) {
                let number = counts.values.number(name);
                counts.add(number, *count);
            }
            counts.other += other.other;
            counts.missing += other.missing;
        }
    }
}

/// Records by the names of the fields they have, of the commonest [`VALUES_COUNTED_MAX`] or so.
#[derive(Default)]
struct NameWork(HashMap<String, u64>);

impl NameWork {
    fn add(&mut self, name: &str, count: u64) {
        if count == 0 {
        } else if let Some(total) = self.0.get_mut(name) {
            *total += count;
        } else if self.0.len() < VALUES_COUNTED_MAX {
            self.0.insert(name.to_owned(), count);
        }
    }

    /// Counts what all rows of a template have; false when its records must be looked at.
    fn template(
        &mut self,
        split: &SplitReader,
        window: &Window<'_>,
        hits: &Hits,
        clip: &Range<u32>,
    ) -> Result<bool, Stop> {
        let table = split.table()?;
        let template = &table.templates[window.template as usize];
        let schema = &table.schemas[template.schema as usize];
        if template.holds == Holds::Anything || !is_plain(schema, table) {
            return Ok(false);
        }
        let count = hits.count_within(window, clip)?;
        let texts = [
            ("message", template.variables > 0 || !table.text(template).is_empty()),
            ("level", !template.severity.name().is_empty()),
            ("severity_text", !table.severity_texts[template.severity_text as usize].is_empty()),
            ("service", !table.services[template.service as usize].is_empty()),
            ("time", true),
        ];
        texts.iter().filter(|(_, there)| *there).for_each(|(name, _)| self.add(name, count));
        for &(name, kind) in &schema.fields {
            if kind != FieldKind::Null {
                self.add(&table.names[name as usize], count);
            }
        }
        self.inherited(split, window, hits, clip, schema)?;
        for (name, ids) in [("trace_id", split.traces()?), ("span_id", split.spans()?)] {
            let Some(ids) = ids else { continue };
            let (mut there, none) = (0, ids.dictionary.len() as u32);
            hits.visit_rows(window, &mut |row| {
                there += u64::from(clip.contains(&row) && ids.runs.code(row) < none);
            })?;
            self.add(name, there);
        }
        Ok(true)
    }

    /// Hosts, and attributes of resources.
    fn inherited(
        &mut self,
        split: &SplitReader,
        window: &Window<'_>,
        hits: &Hits,
        clip: &Range<u32>,
        schema: &Schema,
    ) -> Result<(), Stop> {
        let (origins, codes, table) = (split.origins()?, split.origin_codes()?, split.table()?);
        let mut rows = vec![0u64; origins.len()];
        hits.visit_rows(window, &mut |row| {
            if clip.contains(&row)
                && let Some(rows) = rows.get_mut(codes.get(row as usize) as usize)
            {
                *rows += 1;
            }
        })?;
        for (origin, count) in origins.iter().zip(rows).filter(|(_, count)| *count > 0) {
            if !origin.host.is_empty() {
                self.add("host", count);
            }
            for (at, (name, value)) in origin.attributes.iter().enumerate() {
                let shadowed = schema.fields.iter().any(|(own, _)| table.names[*own as usize] == **name)
                    || origin.attributes[..at].iter().any(|(earlier, _)| earlier == name)
                    || SHORT_NAMES.contains(&&**name);
                if !shadowed && is_there(value) {
                    self.add(name, count);
                }
            }
        }
        Ok(())
    }
}

/// Whether every row of the schema has each of its fields, under a name of its own.
fn is_plain(schema: &Schema, table: &TemplateTable) -> bool {
    schema.fields.iter().enumerate().all(|(at, (name, kind))| {
        !matches!(kind, FieldKind::Array | FieldKind::Loose | FieldKind::Rest)
            && !schema.fields[..at].iter().any(|(earlier, _)| earlier == name)
            && !SHORT_NAMES.contains(&table.names[*name as usize].as_str())
    })
}

impl Work for NameWork {
    fn fresh(&self) -> NameWork {
        NameWork::default()
    }

    fn record(&mut self, _: RecordId, record: &LogRecord) {
        field::visit_names(record, &mut |name| self.add(name, 1));
    }

    fn split(
        &mut self,
        split: &SplitReader,
        filter: &CompiledFilter,
        range: TimeRange,
        scan: &Scan,
    ) -> Result<(), Stop> {
        let Some((filter, rows)) = SplitFilter::of_rows_in(split, filter, range, scan)? else { return Ok(()) };
        let mut records = RecordReader::new(split)?;
        for part in parts(split, &rows) {
            filter.visit(SplitFilter::superblocks_of(&part), &mut |window, hits| {
                scan.touch(0, 0)?;
                if self.template(split, window, &hits, &part)? {
                    return Ok(());
                }
                each_hit(window, &hits, &part, scan, |ordinal, row| {
                    let stored = records.record(row, window.template, ordinal)?;
                    self.record(stored.id, &stored.record);
                    Ok(())
                })
            })?;
        }
        Ok(())
    }

    fn merge(&mut self, other: NameWork) {
        other.0.iter().for_each(|(name, count)| self.add(name, *count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_most_are_counted_together() {
        let mut counts = FieldCounts::new(Field::named("user"), 2);
        for value in ["a", "b", "c", "b", "d", "a", "b"] {
            let number = counts.number(Some(value));
            counts.add(number, 1);
        }
        let facet = counts.finish(1);
        assert_eq!((facet.values, facet.other), (vec![("b".to_owned(), 3)], 4));
    }
}
