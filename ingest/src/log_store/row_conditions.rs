//! Asking conditions of the rows of one template: of the columns that the condition looks at, and of nothing else.

use std::collections::HashMap;
use std::ops::Range;

use super::bits::Bits;
use super::matching::{Condition, FieldTest, Matcher, text_in_value};
use super::pattern::PatternId;
use super::schema::{FieldKind, Schema, read_rest};
use super::split_file::damaged;
use super::split_filter::{Hits, Stop, Window};
use super::split_reader::IdColumn;
use super::split_records::{AttributeReader, BodyReader, RecordReader, value_of};
use super::template::literals;
use super::text_automaton::{State, TextAutomaton};
use super::variable_column::{Column, ColumnCursor, Shape, visit_numbers};
use crate::scan::Scan;

/// Rows between two looks at the scan's budget.
const ROWS_PER_TOUCH: u32 = 1 << 13;
/// Bytes of bodies between two looks.
const BYTES_PER_TOUCH: usize = 1 << 20;

/// A condition that a template leaves open.
pub enum RowCondition<'a> {
    /// Words in the body: for each template, the ways in which its variables may give them; bodies are read where it has none.
    Words(HashMap<u32, Vec<Vec<Need>>>, &'a Matcher),
    /// Text in the body.
    BodyText(&'a Matcher),
    /// A regular expression or a pattern of words in the body.
    Automaton(&'a TextAutomaton, &'a Matcher),
    /// A test of the body.
    Body(&'a FieldTest),
    /// The body's pattern.
    Pattern(PatternId),
    /// Text in attributes.
    AttributeText(&'a Matcher),
    /// Which origins pass.
    Origin(Vec<bool>),
    /// Which ids pass.
    Ids(&'a IdColumn, Vec<bool>),
    /// Which of each template's rows pass, rising.
    Ordinals(HashMap<u32, Vec<u32>>),
    /// Rows that pass.
    Rows(Range<u32>),
    /// A test of the time.
    Time(&'a FieldTest),
    /// A test of an attribute.
    Attribute {
        /// Its name.
        name: &'a str,
        /// The test.
        test: &'a FieldTest,
        /// Where rows of each schema have it.
        own: Vec<Own>,
        /// Which origins pass, for rows that have none of their own.
        pass: Vec<bool>,
        /// The whole condition, for rows that must be looked at as records.
        condition: &'a Condition,
    },
}

/// What must hold of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Its number.
    pub variable: usize,
    /// What it equals, or starts with; folded.
    pub text: String,
    /// Whether it only starts so.
    pub beginning: bool,
}

/// Where rows of a schema have an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Nowhere: the resource's counts.
    Absent,
    /// It is null in all of them.
    Null,
    /// In this field, always.
    Field(usize, FieldKind),
    /// In this field if there is one, or among the rest, or nowhere.
    Loose(Option<usize>),
}

impl Own {
    /// Where rows of the schema have the attribute whose name has this number.
    pub fn of(schema: &Schema, name: Option<u32>) -> Own {
        let field = schema.fields.iter().position(|(other, kind)| Some(*other) == name && *kind != FieldKind::Rest);
        match field.map(|at| (at, schema.fields[at].1)) {
            _ if schema.has_rest() => Own::Loose(field),
            None => Own::Absent,
            Some((_, FieldKind::Null)) => Own::Null,
            Some((at, kind)) => Own::Field(at, kind),
        }
    }
}

impl Need {
    /// Whether variables of these shapes can meet it.
    pub fn may_be_met(&self, shapes: &[Shape]) -> bool {
        let Some(shape) = shapes.get(self.variable) else { return false };
        if self.beginning { shape.may_start_with(&self.text) } else { shape.may_equal(&self.text) }
    }
}

impl RowCondition<'_> {
    /// How dear the condition is: the cheaper, the earlier it is asked.
    pub fn cost(&self) -> u8 {
        match self {
            RowCondition::Ordinals(_) | RowCondition::Rows(_) => 1,
            RowCondition::Origin(_) => 2,
            RowCondition::Words(..) | RowCondition::Ids(..) | RowCondition::Time(_) => 3,
            RowCondition::Attribute { .. } => 4,
            RowCondition::AttributeText(_) | RowCondition::Automaton(..) => 5,
            RowCondition::BodyText(_) | RowCondition::Body(_) | RowCondition::Pattern(_) => 6,
        }
    }

    /// Which rows of the window have it.
    pub fn hits(&self, window: &Window<'_>, scan: &Scan) -> Result<Hits, Stop> {
        match self {
            RowCondition::Words(needs, text) => match needs.get(&window.template) {
                Some(ways) => word_hits(window, ways, scan),
                None => body_hits(window, scan, |body| text.is_in(body)),
            },
            RowCondition::BodyText(text) => body_hits(window, scan, |body| text.is_in(body)),
            RowCondition::Automaton(automaton, text) => {
                if window.split.table()?.beyond_ascii.contains(window.template) {
                    return body_hits(window, scan, |body| text.is_in(body));
                }
                automaton_hits(window, automaton, scan)
            }
            RowCondition::Body(test) => body_hits(window, scan, |body| !body.is_empty() && test.passes_text(body)),
            RowCondition::Pattern(id) => body_hits(window, scan, |body| PatternId::of(body) == *id),
            RowCondition::AttributeText(text) => attribute_text_hits(window, text, scan),
            RowCondition::Origin(pass) => origin_hits(window, pass),
            RowCondition::Ids(column, pass) => {
                row_hits(window, scan, |row| Ok(pass.get(column.runs.code(row) as usize).copied().unwrap_or(false)))
            }
            RowCondition::Ordinals(ordinals) => {
                let mut bits = Bits::empty(window.len());
                for &ordinal in ordinals.get(&window.template).map_or(&[][..], Vec::as_slice) {
                    if window.ordinals.contains(&ordinal) {
                        bits.insert(ordinal - window.ordinals.start);
                    }
                }
                Ok(Hits::of(bits))
            }
            RowCondition::Rows(range) => row_hits(window, scan, |row| Ok(range.contains(&row))),
            RowCondition::Time(test) => {
                let mut times = window.split.times()?;
                row_hits(window, scan, |row| Ok(test.passes_time(times.get(row)?)))
            }
            RowCondition::Attribute { name, test, own, pass, condition } => {
                let table = window.split.table()?;
                let schema = table.templates[window.template as usize].schema;
                match own[schema as usize] {
                    Own::Absent => origin_hits(window, pass),
                    Own::Null => Ok(Hits::None),
                    Own::Field(field, kind) => field_hits(window, field, kind, test, scan),
                    Own::Loose(field) => Loose { name, test, pass, condition, field }.hits(window, scan),
                }
            }
        }
    }
}

/// The window's rows in parts, the budget looked at before each.
fn each_part(
    window: &Window<'_>,
    scan: &Scan,
    mut work: impl FnMut(Range<u32>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut start = window.ordinals.start;
    while start < window.ordinals.end {
        let end = window.ordinals.end.min(start + ROWS_PER_TOUCH);
        work(start..end)?;
        scan.touch(0, 0)?;
        start = end;
    }
    Ok(())
}

fn row_hits(
    window: &Window<'_>,
    scan: &Scan,
    mut passes: impl FnMut(u32) -> std::io::Result<bool>,
) -> Result<Hits, Stop> {
    let mut bits = Bits::empty(window.len());
    for (at, &row) in (0..).zip(window.rows()?) {
        if at % ROWS_PER_TOUCH == 0 {
            scan.touch(0, 0)?;
        }
        if passes(row)? {
            bits.insert(at);
        }
    }
    Ok(Hits::of(bits))
}

fn origin_hits(window: &Window<'_>, pass: &[bool]) -> Result<Hits, Stop> {
    let codes = window.split.origin_codes()?;
    let mut bits = Bits::empty(window.len());
    let mut at = 0;
    window.visit_rows(&mut |row| {
        if at < bits.len() && pass.get(codes.get(row as usize) as usize).copied().unwrap_or(false) {
            bits.insert(at);
        }
        at += 1;
    })?;
    if at == window.len() { Ok(Hits::of(bits)) } else { Err(damaged("a template has another number of rows").into()) }
}

fn word_hits(window: &Window<'_>, ways: &[Vec<Need>], scan: &Scan) -> Result<Hits, Stop> {
    let columns = window.split.columns(window.template)?;
    let start = window.ordinals.start;
    let mut any = Bits::empty(window.len());
    for way in ways {
        let mut all = Bits::full(window.len());
        for need in way {
            let mut cursor = ColumnCursor::new(columns.texts(need.variable)?, window.split);
            let mut bits = Bits::empty(window.len());
            each_part(window, scan, |part| {
                let range = part.start as usize..part.end as usize;
                let hit = &mut |at: usize| bits.insert(at as u32 - start);
                if need.beginning {
                    cursor.find_prefix(range, &need.text, hit)?;
                } else {
                    cursor.find_equal(range, &need.text, hit)?;
                }
                Ok(())
            })?;
            all.intersect(&bits);
        }
        any.unite(&all);
    }
    Ok(Hits::of(any))
}

fn body_hits(window: &Window<'_>, scan: &Scan, mut passes: impl FnMut(&str) -> bool) -> Result<Hits, Stop> {
    let mut reader = BodyReader::new(window.split, window.template)?;
    let mut bits = Bits::empty(window.len());
    let mut body = Vec::new();
    let mut read = 0;
    each_part(window, scan, |part| {
        for ordinal in part {
            body.clear();
            reader.append(ordinal as usize, &mut body)?;
            read += body.len();
            if read > BYTES_PER_TOUCH {
                scan.touch(0, 0)?;
                read = 0;
            }
            if passes(utf8(&body)?) {
                bits.insert(ordinal - window.ordinals.start);
            }
        }
        Ok(())
    })?;
    Ok(Hits::of(bits))
}

/// Moves the states of some rows on at once, piece by piece; a variable is read only where its shape does not say enough.
fn automaton_hits(window: &Window<'_>, automaton: &TextAutomaton, scan: &Scan) -> Result<Hits, Stop> {
    let table = window.split.table()?;
    let template = &table.templates[window.template as usize];
    let (columns, shapes) = (window.split.columns(window.template)?, table.shapes(template));
    let pieces: Vec<&[u8]> = literals(table.text(template)).collect();
    let mut cursors: Vec<Option<ColumnCursor<'_>>> = (1..pieces.len()).map(|_| None).collect();
    let mut bits = Bits::empty(window.len());
    let one = |state, variable: usize| match automaton.image(state, &shapes[variable]).as_deref() {
        Some([state]) => Some(*state),
        _ => None,
    };
    each_part(window, scan, |part| {
        let mut shared = automaton.run(automaton.start(), pieces[0]);
        // The states of the rows, once they differ.
        let mut states: Option<Vec<State>> = None;
        for (variable, literal) in pieces[1..].iter().enumerate() {
            match (&mut states, one(shared, variable)) {
                (None, Some(state)) => shared = state,
                (states, _) => {
                    let states = states.get_or_insert_with(|| vec![shared; part.len()]);
                    let mut different = states.clone();
                    different.sort_unstable();
                    different.dedup();
                    let moved: Option<Vec<State>> = different.iter().map(|&state| one(state, variable)).collect();
                    if let Some(moved) = moved {
                        for state in states.iter_mut() {
                            *state = moved[different.binary_search(state).expect("one of them")];
                        }
                    } else {
                        if cursors[variable].is_none() {
                            cursors[variable] = Some(ColumnCursor::new(columns.texts(variable)?, window.split));
                        }
                        let cursor = cursors[variable].as_mut().expect("just made");
                        let start = part.start as usize;
                        cursor.visit(start..part.end as usize, &mut |ordinal, text| {
                            let state = &mut states[ordinal - start];
                            *state = automaton.run(*state, text);
                            Ok(())
                        })?;
                    }
                }
            }
            match &mut states {
                None => shared = automaton.run(shared, literal),
                Some(states) => states.iter_mut().for_each(|state| *state = automaton.run(*state, literal)),
            }
        }
        let at = part.start - window.ordinals.start;
        match states {
            None if automaton.at_end(shared) => bits.unite(&Bits::range(window.len(), at..at + part.len() as u32)),
            None => {}
            Some(states) => {
                (at..).zip(states).filter(|(_, state)| automaton.at_end(*state)).for_each(|(at, _)| bits.insert(at));
            }
        }
        Ok(())
    })?;
    Ok(Hits::of(bits))
}

fn attribute_text_hits(window: &Window<'_>, text: &Matcher, scan: &Scan) -> Result<Hits, Stop> {
    let table = window.split.table()?;
    let schema = &table.schemas[table.templates[window.template as usize].schema as usize];
    let mut any = Bits::empty(window.len());
    if schema.text_columns() == 0 {
        return Ok(Hits::None);
    }
    for reader in AttributeReader::all(window.split, window.template)? {
        if let AttributeReader::Texts(kind, mut cursor) = reader {
            let passes = |bytes: &[u8]| -> std::io::Result<bool> {
                Ok(match kind {
                    FieldKind::Text => text.is_in(utf8(bytes)?),
                    FieldKind::Rest => read_rest(bytes)?.iter().any(|(_, _, value)| text_in_value(text, value)),
                    _ => value_of(kind, bytes)?.is_some_and(|value| text_in_value(text, &value)),
                })
            };
            text_hits(window, &mut cursor, scan, &passes, &mut any)?;
        }
    }
    Ok(Hits::of(any))
}

fn field_hits(window: &Window<'_>, field: usize, kind: FieldKind, test: &FieldTest, scan: &Scan) -> Result<Hits, Stop> {
    if matches!(test, FieldTest::Exists) && kind != FieldKind::Array {
        return Ok(Hits::All);
    }
    let mut bits = Bits::empty(window.len());
    match AttributeReader::new(window.split, window.template, field)? {
        AttributeReader::Null => {}
        AttributeReader::Plain(mut numbers) => each_part(window, scan, |part| {
            for ordinal in part {
                if test.passes(&numbers.value(ordinal as usize)?) {
                    bits.insert(ordinal - window.ordinals.start);
                }
            }
            Ok(())
        })?,
        AttributeReader::Texts(_, mut cursor) => {
            let passes = |bytes: &[u8]| -> std::io::Result<bool> {
                Ok(match kind {
                    FieldKind::Text => test.passes_text(utf8(bytes)?),
                    _ => value_of(kind, bytes)?.is_some_and(|value| test.passes(&value)),
                })
            };
            text_hits(window, &mut cursor, scan, &passes, &mut bits)?;
        }
    }
    Ok(Hits::of(bits))
}

/// Puts the rows whose text passes into the set; asks once of what is the same in many rows.
fn text_hits(
    window: &Window<'_>,
    cursor: &mut ColumnCursor<'_>,
    scan: &Scan,
    passes: &dyn Fn(&[u8]) -> std::io::Result<bool>,
    hits: &mut Bits,
) -> Result<(), Stop> {
    let start = window.ordinals.start;
    let range = |part: &Range<u32>| part.start as usize..part.end as usize;
    match cursor.column() {
        Column::Constant(text) => {
            if passes(text)? {
                hits.unite(&Bits::full(window.len()));
            }
            Ok(())
        }
        Column::Dictionary { entries, codes } => {
            let pass = entries.iter().map(|entry| passes(entry)).collect::<std::io::Result<Vec<bool>>>()?;
            if !pass.contains(&true) {
                return Ok(());
            }
            let codes = *codes;
            each_part(window, scan, |part| {
                visit_numbers(codes, range(&part), &mut |at, code| {
                    if *pass.get(code as usize).ok_or_else(|| damaged("a column's dictionary is too short"))? {
                        hits.insert(at as u32 - start);
                    }
                    Ok(())
                })?;
                Ok(())
            })
        }
        _ => each_part(window, scan, |part| {
            cursor.visit(range(&part), &mut |at, text| {
                if passes(text)? {
                    hits.insert(at as u32 - start);
                }
                Ok(())
            })?;
            Ok(())
        }),
    }
}

/// A test of an attribute of rows that may have it in a column, among the rest, or not at all.
struct Loose<'a> {
    name: &'a str,
    test: &'a FieldTest,
    pass: &'a [bool],
    condition: &'a Condition,
    field: Option<usize>,
}

impl Loose<'_> {
    fn hits(&self, window: &Window<'_>, scan: &Scan) -> Result<Hits, Stop> {
        let table = window.split.table()?;
        let schema = &table.schemas[table.templates[window.template as usize].schema as usize];
        let mut column = match self.field {
            Some(field) => Some(AttributeReader::new(window.split, window.template, field)?),
            None => None,
        };
        let AttributeReader::Texts(_, mut rest) =
            AttributeReader::new(window.split, window.template, schema.fields.len() - 1)?
        else {
            return Err(damaged("a loose schema has no rest").into());
        };
        let name = memchr::memmem::Finder::new(self.name);
        let (codes, rows) = (window.split.origin_codes()?, window.rows()?);
        let mut records = RecordReader::new(window.split)?;
        let mut bits = Bits::empty(window.len());
        let mut bytes = Vec::new();
        each_part(window, scan, |part| {
            for ordinal in part {
                let at = ordinal - window.ordinals.start;
                let row = rows[at as usize];
                bytes.clear();
                rest.append(ordinal as usize, &mut bytes)?;
                let passes = if name.find(&bytes).is_some() {
                    // It may stand there twice, or in another's text: only the record can tell.
                    self.condition.matches(&records.record(row, window.template, ordinal)?.record)
                } else {
                    match column.as_mut().map(|column| column.value(ordinal as usize)).transpose()?.flatten() {
                        Some(value) => self.test.passes(&value),
                        None => self.pass.get(codes.get(row as usize) as usize).copied().unwrap_or(false),
                    }
                };
                if passes {
                    bits.insert(at);
                }
            }
            Ok(())
        })?;
        Ok(Hits::of(bits))
    }
}

/// Bytes that were text.
pub fn utf8(bytes: &[u8]) -> std::io::Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| damaged("a text is not UTF-8"))
}
