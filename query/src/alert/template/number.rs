//! How Go and Prometheus write numbers: `%g`, and the `humanize…` functions of Prometheus' `template.go`.

/// The shortest text that reads as this number, as Go's `%v` prints a float (`strconv.FormatFloat(number, 'g', -1, 64)`:
/// exponents below -4 and from 6 on are written out, hence the `1e+06` that Prometheus users know).
pub(super) fn shortest(number: f64) -> String {
    match special(number) {
        Some(text) => text.to_owned(),
        None => assemble(&format!("{number:e}"), 6, false),
    }
}

/// `%.{precision}g`: that many significant digits, trailing zeros left out.
pub(super) fn general(number: f64, precision: usize) -> String {
    let precision = precision.clamp(1, 64);
    match special(number) {
        Some(text) => text.to_owned(),
        None => assemble(&format!("{number:.*e}", precision - 1), precision as i32, true),
    }
}

/// `%.{precision}e` with Go's exponent of at least two digits.
pub(super) fn exponent(number: f64, precision: usize) -> String {
    match special(number) {
        Some(text) => text.to_owned(),
        None => {
            let text = format!("{number:.*e}", precision.min(64));
            let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
            format!("{mantissa}e{}", go_power(power.parse().unwrap_or(0)))
        }
    }
}

/// `humanize`: four significant digits with a metric prefix (`1.235k`, `12m`).
pub fn humanize(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return general(number, 4);
    }
    let (scaled, prefix) = if number.abs() >= 1.0 {
        scale(number, &["k", "M", "G", "T", "P", "E", "Z", "Y"], 1000.0)
    } else {
        scale_up(number)
    };
    format!("{}{prefix}", general(scaled, 4))
}

/// `humanize1024`: the same with binary prefixes (`1.5Ki`).
pub(super) fn humanize_1024(number: f64) -> String {
    if number.abs() <= 1.0 || !number.is_finite() {
        return general(number, 4);
    }
    let (scaled, prefix) = scale(number, &["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"], 1024.0);
    format!("{}{prefix}", general(scaled, 4))
}

/// `humanizeDuration`: `1d 2h 3m 4s`, `1.5s`, `12ms`.
pub(super) fn humanize_duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return general(seconds, 4);
    }
    if seconds == 0.0 {
        return "0s".to_owned();
    }
    if seconds.abs() < 1.0 {
        let (scaled, prefix) = scale_up(seconds);
        return format!("{}{prefix}s", general(scaled, 4));
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let size = seconds.abs();
    let whole = size as u64;
    let (days, hours, minutes, rest) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    if days > 0 {
        format!("{sign}{days}d {hours}h {minutes}m {rest}s")
    } else if hours > 0 {
        format!("{sign}{hours}h {minutes}m {rest}s")
    } else if minutes > 0 {
        format!("{sign}{minutes}m {rest}s")
    } else {
        format!("{sign}{}s", general(size, 4))
    }
}

/// `humanizePercentage`: `0.123` is `12.3%`.
pub(super) fn humanize_percentage(number: f64) -> String {
    format!("{}%", general(number * 100.0, 4))
}

/// `humanizeTimestamp`: `2015-02-13 13:00:00 +0000 UTC`.
pub(super) fn humanize_timestamp(seconds: f64) -> String {
    if !seconds.is_finite() {
        return general(seconds, 4);
    }
    let nanos = (seconds * 1e3).round() * 1e6;
    match jiff::Timestamp::from_nanosecond(nanos as i128) {
        Ok(moment) => {
            let text = moment.strftime("%Y-%m-%d %H:%M:%S%.f");
            format!("{text} +0000 UTC")
        }
        Err(_) => general(seconds, 4),
    }
}

/// `time.Duration.String`: `1h30m0s`, `1.5s`, `250ms`.
pub(super) fn go_duration(seconds: f64) -> String {
    let nanos = (seconds * 1e9).round();
    let sign = if nanos < 0.0 { "-" } else { "" };
    let nanos = nanos.abs() as u64;
    let decimal = |number: u64, width: u64, unit: &str| {
        let text = format!("{}.{:0digits$}", number / width, number % width, digits = width.ilog10() as usize);
        format!("{sign}{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{nanos}ns"),
        1_000..1_000_000 => decimal(nanos, 1_000, "µs"),
        1_000_000..1_000_000_000 => decimal(nanos, 1_000_000, "ms"),
        _ => {
            let minutes = nanos / 60_000_000_000;
            let head = match (minutes / 60, minutes % 60) {
                (0, 0) => return decimal(nanos, 1_000_000_000, "s"),
                (0, minutes) => format!("{minutes}m"),
                (hours, minutes) => format!("{hours}h{minutes}m"),
            };
            let rest = decimal(nanos % 60_000_000_000, 1_000_000_000, "s");
            format!("{sign}{head}{}", rest.trim_start_matches('-'))
        }
    }
}

fn special(number: f64) -> Option<&'static str> {
    match number {
        n if n.is_nan() => Some("NaN"),
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

fn scale(mut number: f64, prefixes: &[&'static str], by: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for next in prefixes {
        if number.abs() < by {
            break;
        }
        prefix = next;
        number /= by;
    }
    (number, prefix)
}

fn scale_up(mut number: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for next in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if number.abs() >= 1.0 {
            break;
        }
        prefix = next;
        number *= 1000.0;
    }
    (number, prefix)
}

/// From Rust's `d.ddde±x` to Go's `%g`: plain digits while the exponent lies in `-4 .. limit`.
fn assemble(scientific: &str, limit: i32, trim: bool) -> String {
    let (mantissa, power) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let digits = if trim { digits.trim_end_matches('0') } else { &digits };
    let digits = if digits.is_empty() { "0" } else { digits };
    if power < -4 || power >= limit {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        return format!("{sign}{first}{point}{rest}e{}", go_power(power));
    }
    if power < 0 {
        return format!("{sign}0.{}{digits}", "0".repeat((-power - 1) as usize));
    }
    let whole = power as usize + 1;
    if digits.len() <= whole {
        format!("{sign}{digits}{}", "0".repeat(whole - digits.len()))
    } else {
        format!("{sign}{}.{}", &digits[..whole], &digits[whole..])
    }
}

fn go_power(power: i32) -> String {
    format!("{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}
