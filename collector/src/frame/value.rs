//! An attribute's value: a tag byte and its content.
//!
//! ```text
//! 0 null   1 false   2 true   3 int: signed   4 float: 8 bytes   5 text   6 array: count, values
//! ```

use super::primitive::{Allowance, Reader, put_bytes, put_signed, put_varint};
use super::{DEPTH_MAX, FrameError};
use crate::model::Value;

const TOO_DEEP: FrameError =
    FrameError::TooLarge { what: "arrays inside arrays", found: DEPTH_MAX as u64 + 1, limit: DEPTH_MAX as u64 };

/// Writes a value.
#[inline]
pub(super) fn put_value(out: &mut Vec<u8>, value: &Value, allowance: &mut Allowance) -> Result<(), FrameError> {
    match value {
        Value::Null => out.push(0),
        Value::Bool(false) => out.push(1),
        Value::Bool(true) => out.push(2),
        Value::Int(number) => {
            out.push(3);
            put_signed(out, *number);
        }
        Value::Float(number) => {
            out.push(4);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::String(text) => {
            out.push(5);
            put_bytes(out, text.as_bytes());
        }
        Value::Array(items) => put_array(out, items, DEPTH_MAX, allowance)?,
    }
    Ok(())
}

fn put_array(
    out: &mut Vec<u8>,
    items: &[Value],
    depth_left: usize,
    allowance: &mut Allowance,
) -> Result<(), FrameError> {
    let depth_left = depth_left.checked_sub(1).ok_or(TOO_DEEP)?;
    allowance.take(items.len())?;
    out.push(6);
    put_varint(out, items.len() as u64);
    for item in items {
        match item {
            Value::Array(items) => put_array(out, items, depth_left, allowance)?,
            plain => put_value(out, plain, allowance)?,
        }
    }
    Ok(())
}

/// Reads a value.
#[inline]
pub(super) fn value(reader: &mut Reader<'_>, allowance: &mut Allowance) -> Result<Value, FrameError> {
    value_within(reader, DEPTH_MAX, allowance)
}

fn value_within(reader: &mut Reader<'_>, depth_left: usize, allowance: &mut Allowance) -> Result<Value, FrameError> {
    Ok(match reader.byte()? {
        0 => Value::Null,
        1 => Value::Bool(false),
        2 => Value::Bool(true),
        3 => Value::Int(reader.signed()?),
        4 => Value::Float(f64::from_le_bytes(reader.array()?)),
        5 => Value::String(reader.text()?.to_owned()),
        6 => {
            let depth_left = depth_left.checked_sub(1).ok_or(TOO_DEEP)?;
            let count = reader.count(allowance)?;
            Value::Array((0..count).map(|_| value_within(reader, depth_left, allowance)).collect::<Result<_, _>>()?)
        }
        _ => return Err(FrameError::Malformed("an unknown kind of value")),
    })
}
