//! Records that are longer than they may be.

use crate::enrich::{TRUNCATED_ATTRIBUTE, cut_at_character};
use crate::model::{LogRecord, Value};

/// Cuts a record's texts so that together they have no more than `bytes_max` bytes, and marks it if that cut any.
pub(super) fn cut(mut record: LogRecord, bytes_max: usize) -> LogRecord {
    let mut room = bytes_max;
    let mut was_cut = cut_text(&mut record.body, &mut room);
    for (_, value) in &mut record.attributes {
        was_cut |= cut_value(value, &mut room);
    }
    if was_cut {
        record.attributes.push((TRUNCATED_ATTRIBUTE.into(), Value::Bool(true)));
    }
    record
}

fn cut_value(value: &mut Value, room: &mut usize) -> bool {
    match value {
        Value::String(text) => cut_text(text, room),
        Value::Array(items) => items.iter_mut().fold(false, |was_cut, item| cut_value(item, room) | was_cut),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => false,
    }
}

fn cut_text(text: &mut String, room: &mut usize) -> bool {
    let length = cut_at_character(text.as_bytes(), *room).len();
    let is_cut = length < text.len();
    text.truncate(length);
    *room -= length;
    is_cut
}
