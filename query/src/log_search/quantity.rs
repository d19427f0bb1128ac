//! Numbers as people and programs write them: bare, as sizes (`10KB`, `2MiB`) and as lengths of time (`250ms`, `1h30m`).

use crate::time_range::parse_span;

/// A number with a unit of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Quantity {
    /// A bare number, or a size in bytes.
    Number(f64),
    /// A length of time in nanoseconds.
    Nanoseconds(f64),
}

/// What the text says, when all of it is a finite number with or without a unit.
pub(super) fn read(text: &str) -> Option<Quantity> {
    let text = text.trim();
    let start = text.trim_start_matches(['-', '+']);
    if !start.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if let Ok(number) = text.parse::<f64>() {
        return number.is_finite().then_some(Quantity::Number(number));
    }
    let digits = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (amount, unit) = text.split_at(digits);
    if let (Some(bytes), Ok(amount)) = (bytes_in(unit), amount.trim_end().parse::<f64>()) {
        return Some(Quantity::Number(amount * bytes));
    }
    let (sign, span) = text.strip_prefix('-').map_or((1.0, text), |span| (-1.0, span));
    parse_span(span).ok().map(|span| Quantity::Nanoseconds(sign * span.as_nanos() as f64))
}

/// The number that a stored text is: a length of time in the unit that the field's name ends with, else in seconds.
pub(super) fn number_in(field: &str, text: &str) -> Option<f64> {
    // Most texts are no numbers, and begin like none.
    if !text.trim_start().starts_with(|c: char| c.is_ascii_digit() || "-+.".contains(c)) {
        return None;
    }
    read(text).map(|quantity| match quantity {
        Quantity::Number(number) => number,
        Quantity::Nanoseconds(nanos) => nanos / unit_of(field).unwrap_or(1e9),
    })
}

/// Nanoseconds in the unit of time that the field's name ends with (`duration_ms`, `elapsedSeconds`, `took.us`).
pub(super) fn unit_of(field: &str) -> Option<f64> {
    let starts =
        |(at, c): (usize, char)| if c.is_uppercase() { Some(at) } else { (!c.is_alphanumeric()).then_some(at + 1) };
    let last = field.char_indices().filter_map(starts).next_back().unwrap_or(0);
    Some(match field.get(last..)?.to_ascii_lowercase().as_str() {
        "ns" | "nanos" | "nanoseconds" => 1.0,
        "us" | "micros" | "microseconds" => 1e3,
        "ms" | "millis" | "milliseconds" => 1e6,
        "s" | "sec" | "secs" | "seconds" => 1e9,
        "min" | "mins" | "minutes" => 6e10,
        "h" | "hours" => 3.6e12,
        _ => return None,
    })
}

fn bytes_in(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_numbers_with_and_without_units() {
        let check = |field: &str, text: &str, expected: Option<f64>| {
            assert_eq!(number_in(field, text), expected, "{field} {text}");
        };
        check("n", "5", Some(5.0));
        check("n", " -1.5e3 ", Some(-1500.0));
        check("size", "10KB", Some(10_000.0));
        check("size", "1.5 MiB", Some(1_572_864.0));
        check("took_ms", "1.5s", Some(1500.0));
        check("took", "250ms", Some(0.25));
        check("took", "-2m", Some(-120.0));
        for text in ["", "abc", "5 apples", "1.2.3", "nan", "inf", "-", "1e999", "10.0.0.1"] {
            check("n", text, None);
        }
    }
}
