//! Which attributes the rows of a template have, and how their values become columns.
//!
//! Mostly a template's records all have the same attributes of the same types: a schema lists them in order, and each is a
//! column of its type. A service whose records rarely have the same attributes twice steps down to a loose schema: its
//! frequent attributes are columns of anything or nothing ([`FieldKind::Loose`]), and whatever else a record has lies
//! together in one column ([`FieldKind::Rest`]), so that no number of different attributes makes more schemas than one.
//!
//! ```text
//! Bool   a number column of 0 and 1
//! Int    0 numbers | 1 numbers                  ; as they are, or with the sign bit turned where one is negative
//! Float  places:u8 Int | 255 numbers            ; integers of so many decimal places, or the bits of binary64
//! Text   a variable column
//! Array, Loose, Rest  a variable column of:
//!   Array  value                                ; Loose: nothing for an absent one, else a value
//!   Rest   { position:varint name:bytes value:bytes }… ; position: where the attribute stands among the record's
//! value  := n | t | f | i decimal | d binary64le | s text | a { value:bytes }…
//! bytes  := length:varint bytes
//! ```

use std::sync::Arc;

use taffrail_collector::model::{Attributes, Value};

use super::number_column::{self, NumberColumn, NumberCursor};
use crate::byte_cursor::{ByteCursor, Malformed, put_prefixed, put_varint};

/// Arrays in arrays; frames hold no deeper ones.
const DEPTH_MAX: usize = 64;

/// The attributes of a template's rows, in order: (place among the split's names, kind).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Schema {
    /// The attributes.
    pub fields: Vec<(u32, FieldKind)>,
}

/// What is kept of an attribute in each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FieldKind {
    /// Null in every row.
    Null = 0,
    /// A truth value.
    Bool = 1,
    /// A whole number.
    Int = 2,
    /// Another number.
    Float = 3,
    /// Text.
    Text = 4,
    /// An array.
    Array = 5,
    /// Anything or nothing.
    Loose = 6,
    /// All attributes that have no column; its name means nothing.
    Rest = 7,
}

impl FieldKind {
    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<FieldKind> {
        use FieldKind::{Array, Bool, Float, Int, Loose, Null, Rest, Text};
        [Null, Bool, Int, Float, Text, Array, Loose, Rest].get(usize::from(number)).copied()
    }

    /// The kind of a value in a schema that knows its type.
    pub fn of(value: &Value) -> FieldKind {
        match value {
            Value::Null => FieldKind::Null,
            Value::Bool(_) => FieldKind::Bool,
            Value::Int(_) => FieldKind::Int,
            Value::Float(_) => FieldKind::Float,
            Value::String(_) => FieldKind::Text,
            Value::Array(_) => FieldKind::Array,
        }
    }

    /// Whether its column is one of texts.
    pub fn is_text(self) -> bool {
        matches!(self, FieldKind::Text | FieldKind::Array | FieldKind::Loose | FieldKind::Rest)
    }

    /// Whether it has a column.
    pub fn has_column(self) -> bool {
        self != FieldKind::Null
    }
}

impl Schema {
    /// How many of its columns are of texts.
    pub fn text_columns(&self) -> usize {
        self.fields.iter().filter(|(_, kind)| kind.is_text()).count()
    }

    /// How many columns it has.
    pub fn columns(&self) -> usize {
        self.fields.iter().filter(|(_, kind)| kind.has_column()).count()
    }

    /// Whether some attributes may lie in a column of theirs together.
    pub fn has_rest(&self) -> bool {
        self.fields.last().is_some_and(|(_, kind)| *kind == FieldKind::Rest)
    }
}

/// Appends a value.
pub fn put_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(b'n'),
        Value::Bool(true) => out.push(b't'),
        Value::Bool(false) => out.push(b'f'),
        Value::Int(number) => {
            out.push(b'i');
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Value::Float(number) => {
            out.push(b'd');
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::String(text) => {
            out.push(b's');
            out.extend_from_slice(text.as_bytes());
        }
        Value::Array(items) => {
            out.push(b'a');
            let mut bytes = Vec::new();
            for item in items {
                bytes.clear();
                put_value(item, &mut bytes);
                put_prefixed(out, &bytes);
            }
        }
    }
}

/// Reads a value.
pub fn read_value(bytes: &[u8]) -> Result<Value, Malformed> {
    read_value_within(bytes, DEPTH_MAX)
}

fn read_value_within(bytes: &[u8], depth: usize) -> Result<Value, Malformed> {
    const DAMAGED: Malformed = Malformed("an attribute's value is damaged");
    let (tag, rest) = bytes.split_first().ok_or(DAMAGED)?;
    Ok(match tag {
        b'n' => Value::Null,
        b't' => Value::Bool(true),
        b'f' => Value::Bool(false),
        b'i' => Value::Int(std::str::from_utf8(rest).ok().and_then(|text| text.parse().ok()).ok_or(DAMAGED)?),
        b'd' => Value::Float(f64::from_le_bytes(rest.try_into().map_err(|_| DAMAGED)?)),
        b's' => Value::String(text(rest)?),
        b'a' => {
            let depth = depth.checked_sub(1).ok_or(DAMAGED)?;
            let (mut cursor, mut items) = (ByteCursor(rest), Vec::new());
            while !cursor.0.is_empty() {
                items.push(read_value_within(cursor.prefixed()?, depth)?);
            }
            Value::Array(items)
        }
        _ => return Err(DAMAGED),
    })
}

/// Text of a column that was made of text.
pub fn text(bytes: &[u8]) -> Result<String, Malformed> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Malformed("a text is not UTF-8"))
}

/// Appends an attribute to the bytes of a [`FieldKind::Rest`].
pub fn put_rest(position: usize, name: &str, value: &Value, out: &mut Vec<u8>) {
    put_varint(out, position as u64);
    put_prefixed(out, name.as_bytes());
    let mut bytes = Vec::new();
    put_value(value, &mut bytes);
    put_prefixed(out, &bytes);
}

/// The attributes in the bytes of a [`FieldKind::Rest`], with their positions.
pub fn read_rest(bytes: &[u8]) -> Result<Vec<(usize, &str, Value)>, Malformed> {
    let (mut cursor, mut found) = (ByteCursor(bytes), Vec::new());
    while !cursor.0.is_empty() {
        let position = cursor.count(0, usize::MAX)?;
        let name = std::str::from_utf8(cursor.prefixed()?).map_err(|_| Malformed("a name is not UTF-8"))?;
        found.push((position, name, read_value(cursor.prefixed()?)?));
    }
    Ok(found)
}

/// Puts the attributes of a rest back where they stood.
pub fn insert_rest(bytes: &[u8], attributes: &mut Attributes) -> Result<(), Malformed> {
    for (position, name, value) in read_rest(bytes)? {
        attributes.insert(position.min(attributes.len()), (Arc::from(name), value));
    }
    Ok(())
}

/// Numbers, truth values and other numbers on their way into a column.
#[derive(Clone, Debug, Default)]
pub struct Plain(Vec<u64>);

impl Plain {
    /// Appends a value, which is of the column's kind.
    pub fn push(&mut self, value: &Value) {
        self.0.push(match value {
            Value::Bool(truth) => u64::from(*truth),
            Value::Int(number) => *number as u64,
            Value::Float(number) => number.to_bits(),
            Value::Null | Value::String(_) | Value::Array(_) => 0,
        });
    }

    /// Appends the column.
    pub fn encode(&self, kind: FieldKind, out: &mut Vec<u8>) {
        match kind {
            FieldKind::Int => put_integers(&self.0, out),
            FieldKind::Float => match decimals(&self.0) {
                Some((places, mantissas)) => {
                    out.push(places);
                    put_integers(&mantissas, out);
                }
                None => {
                    out.push(BINARY);
                    number_column::encode(&self.0, out);
                }
            },
            _ => number_column::encode(&self.0, out),
        }
    }
}

const BINARY: u8 = 255;
const PLACES_MAX: u8 = 9;
const SIGN: u64 = 1 << 63;

fn put_integers(numbers: &[u64], out: &mut Vec<u8>) {
    if numbers.iter().any(|number| number & SIGN != 0) {
        out.push(1);
        number_column::encode(&numbers.iter().map(|number| number ^ SIGN).collect::<Vec<_>>(), out);
    } else {
        out.push(0);
        number_column::encode(numbers, out);
    }
}

/// The numbers as integers of a common number of decimal places, if that gives back every bit.
fn decimals(bits: &[u64]) -> Option<(u8, Vec<u64>)> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    (0..=PLACES_MAX).find_map(|places| {
        let scale = 10f64.powi(i32::from(places));
        let mantissas: Option<Vec<u64>> = bits
            .iter()
            .map(|&bits| {
                let mantissa = (f64::from_bits(bits) * scale).round();
                let exact = mantissa.abs() <= EXACT && (mantissa as i64 as f64 / scale).to_bits() == bits;
                exact.then_some(mantissa as i64 as u64)
            })
            .collect();
        mantissas.map(|mantissas| (places, mantissas))
    })
}

/// Reads a column of numbers or truth values.
#[derive(Debug)]
pub struct PlainCursor<'a> {
    kind: FieldKind,
    /// Decimal places of a float.
    places: u8,
    turned: bool,
    numbers: NumberCursor<'a>,
}

impl<'a> PlainCursor<'a> {
    /// A cursor over the column of `rows` values in `bytes`.
    pub fn new(kind: FieldKind, bytes: &'a [u8], rows: usize) -> Result<PlainCursor<'a>, Malformed> {
        let mut cursor = ByteCursor(bytes);
        let places = if kind == FieldKind::Float { cursor.u8()? } else { 0 };
        if places != BINARY && places > PLACES_MAX {
            return Err(Malformed("a column has too many decimal places"));
        }
        let integers = kind == FieldKind::Int || kind == FieldKind::Float && places != BINARY;
        let turned = integers && cursor.u8()? == 1;
        Ok(PlainCursor { kind, places, turned, numbers: NumberCursor::new(NumberColumn::new(cursor.0, rows)) })
    }

    /// The value at a position.
    pub fn value(&mut self, at: usize) -> Result<Value, Malformed> {
        let number = self.numbers.get(at)?;
        let integer = || (if self.turned { number ^ SIGN } else { number }) as i64;
        Ok(match self.kind {
            FieldKind::Bool => Value::Bool(number != 0),
            FieldKind::Float if self.places == BINARY => Value::Float(f64::from_bits(number)),
            FieldKind::Float => Value::Float(integer() as f64 / 10f64.powi(i32::from(self.places))),
            _ => Value::Int(integer()),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log_store::test_records;

    proptest! {
        #[test]
        fn values_come_back(value in test_records::value(), positions in prop::collection::vec(0usize..5, 0..4)) {
            let mut bytes = Vec::new();
            put_value(&value, &mut bytes);
            prop_assert_eq!(read_value(&bytes).expect("reads"), value.clone());
            let mut rest = Vec::new();
            positions.iter().for_each(|&position| put_rest(position, "name", &value, &mut rest));
            let found = read_rest(&rest).expect("reads");
            prop_assert_eq!(found, positions.iter().map(|&position| (position, "name", value.clone())).collect::<Vec<_>>());
            for cut in 0..rest.len() {
                let _ = read_rest(&rest[..cut]);
                let _ = read_value(&rest[cut..]);
            }
        }

        #[test]
        fn columns_of_numbers_come_back(
            ints in prop::collection::vec(prop_oneof![any::<i64>(), 0i64..500], 1..50),
            floats in prop::collection::vec(prop_oneof![any::<f64>().prop_filter("finite", |f| f.is_finite()), (0i64..9999).prop_map(|n| n as f64 / 100.0), Just(-0.0)], 1..50),
            flags in prop::collection::vec(any::<bool>(), 1..50),
        ) {
            let check = |kind: FieldKind, values: Vec<Value>| {
                let mut plain = Plain::default();
                values.iter().for_each(|value| plain.push(value));
                let mut bytes = Vec::new();
                plain.encode(kind, &mut bytes);
                let mut cursor = PlainCursor::new(kind, &bytes, values.len()).expect("reads");
                for (at, value) in values.iter().enumerate() {
                    let found = cursor.value(at).expect("reads");
                    match (&found, value) {
                        (Value::Float(found), Value::Float(value)) => assert_eq!(found.to_bits(), value.to_bits()),
                        _ => assert_eq!(&found, value),
                    }
                }
            };
            check(FieldKind::Int, ints.into_iter().map(Value::Int).collect());
            check(FieldKind::Float, floats.into_iter().map(Value::Float).collect());
            check(FieldKind::Bool, flags.into_iter().map(Value::Bool).collect());
        }
    }
}
