//! From a filter to rows of a split without reading records, as far as the index can say.
//!
//! The answer is two sets: rows that surely match, and rows that possibly do; what lies between them is read and asked
//! ([`resolve`]). Two bounds instead of one keep negation sharp: what surely matches is what surely does not, inverted.

use std::ops::Range;

use super::Interrupt;
use super::bits::Bits;
use super::field::Field;
use super::matching::{CompiledFilter, Condition, FieldTest, Matcher};
use super::split_index::{
    LONG_NAME, NAME_BYTES_MAX, VALUE_BYTES_MAX, WORD_BYTES_MAX, cut_word, severity_term, tag, text_term, value_of_term,
};
use super::split_reader::{SplitReader, Terms};
use super::words::is_word_character;
use crate::scan::Scan;
use taffrail_collector::model::Severity;

/// Which rows match.
#[derive(Debug)]
pub struct Bounds {
    /// These do.
    pub sure: Bits,
    /// No others do.
    pub possible: Bits,
}

/// What the index says of the filter.
pub fn bounds(split: &SplitReader, filter: &CompiledFilter, scan: &Scan) -> Result<Bounds, Interrupt> {
    condition_bounds(split, &filter.root, scan)
}

/// Exactly the rows of the range that match: reads the records that the index leaves in doubt.
pub fn resolve(
    split: &SplitReader,
    filter: &CompiledFilter,
    range: Range<u32>,
    scan: &Scan,
) -> Result<Bits, Interrupt> {
    let Bounds { mut sure, mut possible } = bounds(split, filter, scan)?;
    sure.keep(range.clone());
    possible.keep(range);
    possible.subtract(&sure);
    let mut cursor = split.cursor(scan);
    for row in possible.iter() {
        if filter.matches(cursor.record(row)?) {
            sure.insert(row);
        }
    }
    Ok(sure)
}

impl Bounds {
    fn exactly(rows: Bits) -> Bounds {
        Bounds { possible: rows.clone(), sure: rows }
    }

    fn within(rows: Bits, split: &SplitReader) -> Bounds {
        Bounds { sure: Bits::empty(split.rows()), possible: rows }
    }

    fn unknown(split: &SplitReader) -> Bounds {
        Bounds::within(Bits::full(split.rows()), split)
    }

    fn intersect(&mut self, other: &Bounds) {
        self.sure.intersect(&other.sure);
        self.possible.intersect(&other.possible);
    }

    fn unite(&mut self, other: &Bounds) {
        self.sure.unite(&other.sure);
        self.possible.unite(&other.possible);
    }
}

fn condition_bounds(split: &SplitReader, condition: &Condition, scan: &Scan) -> Result<Bounds, Interrupt> {
    scan.touch(0, 0)?;
    let rows = split.rows();
    Ok(match condition {
        Condition::All => Bounds::exactly(Bits::full(rows)),
        Condition::Nothing => Bounds::exactly(Bits::empty(rows)),
        Condition::And(conditions) => {
            let mut all = Bounds::exactly(Bits::full(rows));
            for condition in conditions {
                all.intersect(&condition_bounds(split, condition, scan)?);
            }
            all
        }
        Condition::Or(conditions) => {
            let mut any = Bounds::exactly(Bits::empty(rows));
            for condition in conditions {
                any.unite(&condition_bounds(split, condition, scan)?);
            }
            any
        }
        Condition::Not(condition) => {
            let inner = condition_bounds(split, condition, scan)?;
            Bounds { sure: inner.possible.complement(), possible: inner.sure.complement() }
        }
        Condition::Text { text, everywhere } => {
            let mut found = text_bounds(split, Terms::Words, text, scan)?;
            if *everywhere {
                found.unite(&text_bounds(split, Terms::AttributeWords, text, scan)?);
            }
            found
        }
        Condition::Field { field, test } => field_bounds(split, field, test, scan)?,
        Condition::SeverityBetween(low, high) => {
            let mut found = Bits::empty(rows);
            for severity in (low.number()..=high.number()).filter_map(Severity::from_number) {
                found.unite(&split.postings(Terms::Values, &severity_term(severity))?);
            }
            Bounds::exactly(found)
        }
        Condition::Trace(id) => Bounds::exactly(text_value(split, "trace_id", &id.to_string())?),
        Condition::Span(id) => Bounds::exactly(text_value(split, "span_id", &id.to_string())?),
        Condition::Time(range) => Bounds::exactly(Bits::range(rows, split.rows_in(*range))),
    })
}

/// Bare text: in words of the body, or of the attributes.
fn text_bounds(split: &SplitReader, terms: Terms, text: &Matcher, scan: &Scan) -> Result<Bounds, Interrupt> {
    let word = |word: &String| -> Result<Bounds, Interrupt> {
        let (term, perhaps_cut) = cut_word(word);
        let found = split.postings(terms, term)?;
        Ok(if perhaps_cut { Bounds::within(found, split) } else { Bounds::exactly(found) })
    };
    Ok(match text {
        // An empty phrase is in every body, but only in attributes that are there; left to the records.
        Matcher::Phrase(phrase) if phrase.is_empty() && terms == Terms::Words => {
            Bounds::exactly(Bits::full(split.rows()))
        }
        Matcher::Phrase(phrase) if phrase.is_empty() => Bounds::unknown(split),
        Matcher::Phrase(phrase) => {
            let mut all = Bounds::exactly(Bits::full(split.rows()));
            for wanted in phrase {
                all.intersect(&word(wanted)?);
            }
            if phrase.len() > 1 { Bounds::within(all.possible, split) } else { all }
        }
        Matcher::Prefix(prefix) if !prefix.chars().all(is_word_character) => Bounds::exactly(Bits::empty(split.rows())),
        Matcher::Prefix(prefix) => {
            let (term, perhaps_cut) = cut_word(prefix);
            let mut found = Bits::empty(split.rows());
            split.visit_terms(terms, term, scan, &mut |_, rows| Ok(rows.add_to(&mut found)?))?;
            if perhaps_cut { Bounds::within(found, split) } else { Bounds::exactly(found) }
        }
        Matcher::Wildcard(pattern) => {
            let mut found = Bounds::exactly(Bits::empty(split.rows()));
            split.visit_terms(terms, "", scan, &mut |term, rows| {
                if term.len() > WORD_BYTES_MAX - 4 {
                    rows.add_to(&mut found.possible)?;
                } else if pattern.matches(term) {
                    rows.add_to(&mut found.sure)?;
                }
                Ok(())
            })?;
            found.possible.unite(&found.sure);
            found
        }
        Matcher::Regex(_) => Bounds::unknown(split),
    })
}

fn field_bounds(split: &SplitReader, field: &Field, test: &FieldTest, scan: &Scan) -> Result<Bounds, Interrupt> {
    let name = field.name();
    if name.len() > NAME_BYTES_MAX {
        return Ok(Bounds::within(split.postings(Terms::Names, LONG_NAME)?, split));
    }
    match (field, test) {
        (_, FieldTest::Exists) => Ok(Bounds::exactly(split.postings(Terms::Names, name)?)),
        (Field::Time, _) => Ok(Bounds::unknown(split)),
        (Field::Message, FieldTest::Text(text @ Matcher::Phrase(phrase), _)) if !phrase.is_empty() => {
            text_bounds(split, Terms::Words, text, scan)
        }
        (Field::Message, FieldTest::Text(text @ Matcher::Prefix(prefix), _))
            if prefix.chars().all(is_word_character) && !prefix.is_empty() =>
        {
            text_bounds(split, Terms::Words, text, scan)
        }
        (Field::Message, _) => Ok(Bounds::within(split.postings(Terms::Names, name)?, split)),
        (_, FieldTest::Equals(typed)) if typed.len() <= VALUE_BYTES_MAX => {
            equality_bounds(split, field, typed, test, scan)
        }
        _ => dictionary_bounds(split, field, test, scan),
    }
}

/// Asks every different value of the field, of which there are mostly few.
fn dictionary_bounds(split: &SplitReader, field: &Field, test: &FieldTest, scan: &Scan) -> Result<Bounds, Interrupt> {
    let mut found = Bounds::exactly(Bits::empty(split.rows()));
    split.visit_values(field.name(), scan, &mut |tag, text, rows| {
        if tag == tag::LONG_TEXT {
            rows.add_to(&mut found.possible)?;
        } else if value_of_term(tag, text).is_some_and(|value| test.passes_value(field, &value)) {
            rows.add_to(&mut found.sure)?;
        }
        Ok(())
    })?;
    found.possible.unite(&found.sure);
    Ok(found)
}

/// Looks the text up, and asks the numbers and truth values.
fn equality_bounds(
    split: &SplitReader,
    field: &Field,
    typed: &str,
    test: &FieldTest,
    scan: &Scan,
) -> Result<Bounds, Interrupt> {
    if matches!(field, Field::TraceId | Field::SpanId) {
        return dictionary_bounds(split, field, test, scan);
    }
    let mut found = text_value(split, field.name(), typed)?;
    let number = typed.trim().parse::<f64>().is_ok();
    let truth = ["true", "false"].iter().any(|word| typed.trim().eq_ignore_ascii_case(word));
    if number || truth {
        split.visit_values(field.name(), scan, &mut |tag, text, rows| {
            let plain = matches!(tag, tag::BOOL | tag::INT | tag::FLOAT);
            if plain && value_of_term(tag, text).is_some_and(|value| test.passes_value(field, &value)) {
                rows.add_to(&mut found)?;
            }
            Ok(())
        })?;
    }
    Ok(Bounds::exactly(found))
}

fn text_value(split: &SplitReader, name: &str, text: &str) -> Result<Bits, Interrupt> {
    let mut term = String::new();
    text_term(&mut term, name, text);
    Ok(split.postings(Terms::Values, &term)?)
}
