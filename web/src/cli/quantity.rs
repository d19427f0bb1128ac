//! Numbers as people read them in a column: counts with thousands, bytes, rates, spans of time.

/// `1,203,112`; a fraction is shown below ten.
pub fn count(number: f64) -> String {
    if !number.is_finite() {
        return "?".to_owned();
    }
    if number.fract() != 0.0 && number.abs() < 9.95 {
        return format!("{number:.1}");
    }
    let digits = format!("{:.0}", number.abs());
    let mut text = if number < 0.0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `0 B`, `4.0 KiB`, `240 MiB`.
pub fn bytes(number: f64) -> String {
    let mut number = number.max(0.0);
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    while number >= 1023.5 && unit + 1 < units.len() {
        number /= 1024.0;
        unit += 1;
    }
    let decimals = usize::from(unit > 0 && number < 9.95);
    format!("{number:.decimals$} {}", units[unit])
}

/// `3 ms`, `2.0 s`, `5m 12s`, `3h 4m`, `2d 6h`.
pub fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        _ if seconds <= 0.0 => "0 s".to_owned(),
        _ if seconds < 0.9995 => format!("{:.0} ms", (seconds * 1000.0).max(1.0)),
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3_600 => format!("{}m {}s", whole / 60, whole % 60),
        3_600..86_400 => format!("{}h {}m", whole / 3_600, whole / 60 % 60),
        _ => format!("{}d {}h", whole / 86_400, whole / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        for (number, expected) in
            [(0.0, "0"), (0.25, "0.2"), (7.0, "7"), (12.6, "13"), (999.0, "999"), (1_203_112.0, "1,203,112")]
        {
            assert_eq!(count(number), expected);
        }
        for (number, expected) in
            [(0.0, "0 B"), (999.0, "999 B"), (1024.0, "1.0 KiB"), (246_000.0, "240 KiB"), (1e30, "888178419700125 PiB")]
        {
            assert_eq!(bytes(number), expected);
        }
        for (seconds, expected) in [
            (0.0, "0 s"),
            (0.0001, "1 ms"),
            (0.012, "12 ms"),
            (2.0, "2.0 s"),
            (59.4, "59 s"),
            (312.0, "5m 12s"),
            (11_050.0, "3h 4m"),
            (194_400.0, "2d 6h"),
        ] {
            assert_eq!(span(seconds), expected);
        }
    }
}
