//! Which values a field has in matching rows of a split: by template where the template decides it, by dictionary where the
//! column has one, row by row where there is no other way.

use std::borrow::Cow;
use std::ops::Range;

use super::field::{Field, visit_value};
use super::row_conditions::{Own, utf8};
use super::schema::FieldKind;
use super::split_file::damaged;
use super::split_filter::{Hits, Stop, Window};
use super::split_reader::{Origin, SplitReader};
use super::split_records::{AttributeReader, RecordReader};
use super::variable_column::{Column, ColumnCursor};
use crate::scan::Scan;

/// Rows between two looks at the scan's budget.
const ROWS_PER_TOUCH: u32 = 1 << 13;

/// Takes values and the rows that have them.
pub trait ValueSink {
    /// The number by which the value goes from now on; none: the field is missing.
    fn number(&mut self, value: Option<&str>) -> u32;

    /// Whether all that counts is how many rows have a value.
    const COUNTS_ONLY: bool = false;

    /// So many rows that have the value.
    fn count(&mut self, _number: u32, _rows: u64) {}

    /// A row that has the value.
    fn row(&mut self, number: u32, row: u32);

    /// Rows that have the value: those of the window that hit and lie in `clip`.
    fn rows(&mut self, number: u32, window: &Window<'_>, hits: &Hits, clip: &Range<u32>) -> Result<(), Stop> {
        hits.visit_rows(window, &mut |row| {
            if clip.contains(&row) {
                self.row(number, row);
            }
        })
    }
}

/// Visits the values of one field.
pub struct FieldValues<'a> {
    split: &'a SplitReader,
    field: &'a Field,
    /// Where each schema has the attribute.
    own: Vec<Own>,
    /// The numbers of each origin's values, once asked for.
    origins: Vec<Option<Vec<u32>>>,
    /// Rows by origin, while they are counted.
    counts: Vec<u64>,
}

impl<'a> FieldValues<'a> {
    /// Values of the field in the split.
    pub fn new(split: &'a SplitReader, field: &'a Field) -> Result<FieldValues<'a>, Stop> {
        let table = split.table()?;
        let own = match field {
            Field::Attribute(name) => {
                let number = table.names.iter().position(|other| other == name).map(|at| at as u32);
                table.schemas.iter().map(|schema| Own::of(schema, number)).collect()
            }
            _ => Vec::new(),
        };
        Ok(FieldValues { split, field, own, origins: Vec::new(), counts: Vec::new() })
    }

    /// Tells the sink the values of the window's rows that hit and lie in `clip`.
    pub fn visit<S: ValueSink>(
        &mut self,
        window: &Window<'a>,
        hits: &Hits,
        clip: &Range<u32>,
        scan: &Scan,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let table = self.split.table()?;
        let template = &table.templates[window.template as usize];
        let mut decided = |value: &str| {
            let number = sink.number(Some(value).filter(|value| !value.is_empty()));
            sink.rows(number, window, hits, clip)
        };
        match self.field {
            Field::Level => decided(template.severity.name()),
            Field::Service => decided(&table.services[template.service as usize]),
            Field::SeverityText => decided(&table.severity_texts[template.severity_text as usize]),
            Field::Host => self.visit_origins(window, hits, clip, sink),
            Field::Attribute(_) => match self.own[template.schema as usize] {
                Own::Absent => self.visit_origins(window, hits, clip, sink),
                Own::Null => {
                    let number = sink.number(None);
                    sink.rows(number, window, hits, clip)
                }
                Own::Field(field, kind @ (FieldKind::Text | FieldKind::Bool | FieldKind::Int | FieldKind::Float)) => {
                    self.visit_column(window, hits, clip, (field, kind), scan, sink)
                }
                Own::Field(..) | Own::Loose(_) => self.visit_records(window, hits, clip, scan, sink),
            },
            Field::Message | Field::TraceId | Field::SpanId | Field::Time => {
                self.visit_records(window, hits, clip, scan, sink)
            }
        }
    }

    fn visit_origins<S: ValueSink>(
        &mut self,
        window: &Window<'a>,
        hits: &Hits,
        clip: &Range<u32>,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let (origins, codes) = (self.split.origins()?, self.split.origin_codes()?);
        self.origins.resize(origins.len(), None);
        if S::COUNTS_ONLY && window.len() as usize >= origins.len() / 8 {
            let (mut counts, mut unknown) = (std::mem::take(&mut self.counts), false);
            counts.clear();
            counts.resize(origins.len(), 0u64);
            hits.visit_rows(window, &mut |row| match counts.get_mut(codes.get(row as usize) as usize) {
                Some(count) => *count += u64::from(clip.contains(&row)),
                None => unknown = true,
            })?;
            for (code, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                let numbers = self.origins[code].get_or_insert_with(|| numbers_of(self.field, &origins[code], sink));
                numbers.iter().for_each(|&number| sink.count(number, count));
            }
            self.counts = counts;
            return if unknown { Err(damaged("a row's host is not there").into()) } else { Ok(()) };
        }
        let mut unknown = false;
        hits.visit_rows(window, &mut |row| {
            if !clip.contains(&row) {
                return;
            }
            let code = codes.get(row as usize) as usize;
            let Some(numbers) = self.origins.get_mut(code) else {
                unknown = true;
                return;
            };
            let numbers = numbers.get_or_insert_with(|| numbers_of(self.field, &origins[code], sink));
            for &number in &*numbers {
                sink.row(number, row);
            }
        })?;
        if unknown { Err(damaged("a row's host is not there").into()) } else { Ok(()) }
    }

    fn visit_column<S: ValueSink>(
        &self,
        window: &Window<'a>,
        hits: &Hits,
        clip: &Range<u32>,
        (field, kind): (usize, FieldKind),
        scan: &Scan,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let mut reader = AttributeReader::new(self.split, window.template, field)?;
        if let AttributeReader::Texts(_, cursor) = &mut reader
            && kind == FieldKind::Text
        {
            return self.visit_texts(window, hits, clip, cursor, scan, sink);
        }
        each_hit(window, hits, clip, scan, |ordinal, row| {
            let value = reader.value(ordinal as usize)?;
            let number = sink.number(value.map(|value| value.to_string()).as_deref());
            sink.row(number, row);
            Ok(())
        })
    }

    fn visit_texts<S: ValueSink>(
        &self,
        window: &Window<'a>,
        hits: &Hits,
        clip: &Range<u32>,
        cursor: &mut ColumnCursor<'_>,
        scan: &Scan,
        sink: &mut S,
    ) -> Result<(), Stop> {
        match cursor.column() {
            Column::Constant(text) => {
                let number = sink.number(Some(utf8(text)?));
                return sink.rows(number, window, hits, clip);
            }
            Column::Dictionary { entries, codes } => {
                let entries = entries.clone();
                let mut codes = super::number_column::NumberCursor::new(*codes);
                let mut numbers: Vec<Option<u32>> = vec![None; entries.len()];
                return each_hit(window, hits, clip, scan, |ordinal, row| {
                    let code = codes.get(ordinal as usize)? as usize;
                    let known = numbers.get_mut(code).ok_or_else(|| damaged("a column's dictionary is too short"))?;
                    let number = match *known {
                        Some(number) => number,
                        None => *known.insert(sink.number(Some(utf8(entries[code])?))),
                    };
                    sink.row(number, row);
                    Ok(())
                });
            }
            _ => {}
        }
        let mut text = Vec::new();
        each_hit(window, hits, clip, scan, |ordinal, row| {
            text.clear();
            cursor.append(ordinal as usize, &mut text)?;
            let number = sink.number(Some(utf8(&text)?));
            sink.row(number, row);
            Ok(())
        })
    }

    fn visit_records<S: ValueSink>(
        &self,
        window: &Window<'a>,
        hits: &Hits,
        clip: &Range<u32>,
        scan: &Scan,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let mut records = RecordReader::new(self.split)?;
        each_hit(window, hits, clip, scan, |ordinal, row| {
            let record = records.record(row, window.template, ordinal)?.record;
            let mut missing = true;
            self.field.visit_values(&record, &mut |value: Cow<'_, str>| {
                missing = false;
                let number = sink.number(Some(&value));
                sink.row(number, row);
            });
            if missing {
                let number = sink.number(None);
                sink.row(number, row);
            }
            Ok(())
        })
    }
}

/// The numbers of an origin's host, or of the values of an attribute of its resource.
fn numbers_of<S: ValueSink>(field: &Field, origin: &Origin, sink: &mut S) -> Vec<u32> {
    let mut numbers = Vec::new();
    match field {
        Field::Attribute(name) => {
            if let Some((_, value)) = origin.attributes.iter().find(|(other, _)| **other == **name) {
                visit_value(value, &mut |text| numbers.push(sink.number(Some(&text))));
            }
        }
        _ if origin.host.is_empty() => {}
        _ => numbers.push(sink.number(Some(&origin.host))),
    }
    if numbers.is_empty() {
        numbers.push(sink.number(None));
    }
    numbers
}

/// Calls `visit` with each hit in `clip`: its number among the template's rows, and its row.
pub fn each_hit(
    window: &Window<'_>,
    hits: &Hits,
    clip: &Range<u32>,
    scan: &Scan,
    mut visit: impl FnMut(u32, u32) -> Result<(), Stop>,
) -> Result<(), Stop> {
    for (at, &row) in (0..).zip(window.rows()?) {
        if at % ROWS_PER_TOUCH == 0 {
            scan.touch(0, 0)?;
        }
        if clip.contains(&row) && hits.contains(at) {
            visit(window.ordinals.start + at, row)?;
        }
    }
    Ok(())
}
