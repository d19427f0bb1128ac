//! Lengths of time as texts say them, each number with its unit: `250ms`, `1.5s`, `1h30m`.

/// Units and their seconds; those that begin like others stand before them.
const UNITS: [(&str, f64); 9] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3_600.0),
    ("d", 86_400.0),
    ("w", 604_800.0),
];

/// Seconds, when all of the text is a length. A bare number is none: it does not say of what.
pub(super) fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    let (sign, mut rest) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    if !rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let behind = rest[digits..].trim_start();
        let (unit, width) = UNITS.into_iter().find(|(unit, _)| {
            let after = behind.strip_prefix(unit);
            after.is_some_and(|after| !after.starts_with(char::is_alphabetic))
        })?;
        sum += number * width;
        rest = behind[unit.len()..].trim_start();
    }
    Some(sign * sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_with_their_units_and_nothing_else_is() {
        let check = |text, expected| assert_eq!(seconds(text), expected, "{text}");
        check("250ms", Some(0.25));
        check(" 1.5s ", Some(1.5));
        check("4 s", Some(4.0));
        check("1h30m", Some(5_400.0));
        check("1h 30m", Some(5_400.0));
        check("-2m", Some(-120.0));
        check("8µs", Some(8e-6));
        check("2d", Some(172_800.0));
        for text in ["", "5", "1.5", "ms", "-", ".", "5 minutes", "5ms x", "1.2.3s", "5mss", "é5s", "5é"] {
            check(text, None);
        }
    }
}
