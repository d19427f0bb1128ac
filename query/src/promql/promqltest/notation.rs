//! How scripts write series: `name{label="value"} 0+10x5 _ 7 stale`.
//!
//! ```text
//! value     := number | "_" | "stale" | histogram                       ; see `histogram_notation`
//! values    := value | value "x" times                                 ; once and so many times more ("_x3": three times)
//!            | number ("+"|"-") number "x" times                       ; rising or falling so many times
//!            | histogram ("+"|"-") histogram "x" times
//! ```

use std::sync::Arc;

use taffrail_collector::model::LabelSet;
use taffrail_collector::model::label_set::NAME_LABEL;

use super::super::STALE;
use super::histogram_notation::{self, WrittenHistogram};

/// Values of one series, at most: enough for a day at one second.
const VALUES_MAX: usize = 100_000;

/// A value at one step.
#[derive(Clone, Debug)]
pub(crate) enum Written {
    Nothing,
    Number(f64),
    Histogram(Arc<WrittenHistogram>),
}

/// A line of a `load`.
#[derive(Clone, Debug)]
pub(crate) struct LoadedSeries {
    pub(crate) labels: Arc<LabelSet>,
    pub(crate) values: Vec<Written>,
}

/// A line of expected values.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedSeries {
    pub(crate) labels: LabelSet,
    pub(crate) values: Vec<Written>,
}

/// `5m`, `1h30m`, `250ms`, or seconds; may be negative.
pub(super) fn duration_ms(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no duration (write 30s, 5m, 1h30m …)");
    if let Ok(seconds) = text.parse::<f64>() {
        return if seconds.is_finite() { Ok((seconds * 1000.0).round() as i64) } else { Err(wrong()) };
    }
    let (negative, mut rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let mut total = 0i64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let units: [(&str, i64); 7] = [
            ("ms", 1),
            ("s", 1_000),
            ("m", 60_000),
            ("h", 3_600_000),
            ("d", 86_400_000),
            ("w", 604_800_000),
            ("y", 365 * 86_400_000),
        ];
        let (unit, length) = units.iter().find(|(unit, _)| rest.starts_with(unit)).ok_or_else(wrong)?;
        total = number.checked_mul(*length).and_then(|ms| total.checked_add(ms)).ok_or_else(wrong)?;
        rest = &rest[unit.len()..];
    }
    Ok(if negative { -total } else { total })
}

pub(crate) fn loaded_series(text: &str) -> Result<LoadedSeries, String> {
    let (labels, rest) = labels(text)?;
    Ok(LoadedSeries { labels: Arc::new(labels), values: values(rest)? })
}

pub(crate) fn expected_series(text: &str) -> Result<ExpectedSeries, String> {
    let (labels, rest) = labels(text)?;
    Ok(ExpectedSeries { labels, values: values(rest)? })
}

/// The labels at the start of a line, and the rest.
fn labels(text: &str) -> Result<(LabelSet, &str), String> {
    let end = text.find(|c: char| c == '{' || c.is_whitespace()).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    let mut pairs = vec![(NAME_LABEL.to_owned(), name.to_owned())];
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside.trim_start();
        loop {
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (label, after) = if rest.starts_with(['"', '\'', '`']) {
                quoted(rest)?
            } else {
                let end = rest.find(|c: char| c == '=' || c.is_whitespace()).ok_or("a label has no value")?;
                (rest[..end].to_owned(), &rest[end..])
            };
            rest = after.trim_start();
            if let Some(after) = rest.strip_prefix('=') {
                let (value, after) = quoted(after.trim_start())?;
                pairs.push((label, value));
                rest = after.trim_start();
            } else {
                pairs.push((NAME_LABEL.to_owned(), label)); // a quoted name stands alone
            }
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
            if rest.is_empty() {
                return Err("the labels do not end".to_owned());
            }
        }
    }
    Ok((LabelSet::new(pairs), rest.trim_start()))
}

/// The text in quotes at the start, and what follows.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let quote = text.chars().next().filter(|c| ['"', '\'', '`'].contains(c)).ok_or("a value is not quoted")?;
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote != '`' {
            escaped = true;
        } else if c == quote {
            return Ok((super::super::syntax::unquote(&text[..=at])?, &text[at + 1..]));
        }
    }
    Err("a quote is not closed".to_owned())
}

fn values(mut text: &str) -> Result<Vec<Written>, String> {
    let mut values = Vec::new();
    while !text.is_empty() {
        let end = word_end(text);
        let (word, rest) = text.split_at(end);
        text = rest.trim_start();
        add_values(word, &mut values)?;
        if values.len() > VALUES_MAX {
            return Err(format!("a series has more than {VALUES_MAX} values"));
        }
    }
    Ok(values)
}

/// Histograms hold spaces in their braces.
fn word_end(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ if c.is_whitespace() && depth <= 0 => return at,
            _ => {}
        }
    }
    text.len()
}

fn add_values(word: &str, values: &mut Vec<Written>) -> Result<(), String> {
    let wrong = || format!("{word:?} is no value (write 1, 0+10x5, _x3, stale …)");
    let count = |times: &str| times.parse().ok().filter(|&times: &usize| times <= VALUES_MAX).ok_or_else(wrong);
    if let Some(inside) = word.strip_prefix("{{") {
        let (inside, after) = inside.split_once("}}").ok_or_else(wrong)?;
        let mut histogram = histogram_notation::histogram(inside)?;
        let (step, times) = match after.split_once("}}") {
            Some((step, times)) => (Some(step), times),
            None => (None, after),
        };
        let times = match times.strip_prefix('x') {
            Some(times) => count(times)?,
            None if times.is_empty() && step.is_none() => 0,
            None => return Err(wrong()),
        };
        let step = match step {
            Some(step) => {
                let falls = step.starts_with('-');
                let step = step.strip_prefix(['+', '-']).and_then(|step| step.strip_prefix("{{")).ok_or_else(wrong)?;
                Some((falls, histogram_notation::histogram(step)?.histogram))
            }
            None => None,
        };
        values.push(Written::Histogram(Arc::new(histogram.clone())));
        for _ in 0..times {
            if let Some((falls, step)) = &step {
                let moved = match falls {
                    true => histogram.histogram.subtract(step),
                    false => histogram.histogram.add(step),
                };
                moved.map_err(|_| format!("{word:?} mixes listed bounds with a schema"))?;
            }
            values.push(Written::Histogram(Arc::new(histogram.clone())));
        }
        return Ok(());
    }
    // As in Prometheus there are no hexadecimal numbers here: `0x5` is six zeros.
    let (first, times) = match word.rsplit_once('x') {
        Some((first, times)) => (first, Some(count(times)?)),
        None => (word, None),
    };
    match first {
        "_" => values.extend(std::iter::repeat_n(Written::Nothing, times.unwrap_or(1))),
        "stale" => values.extend(std::iter::repeat_n(Written::Number(STALE), times.unwrap_or(0) + 1)),
        _ => {
            let (start, step) = start_and_step(first).ok_or_else(wrong)?;
            if step != 0.0 && times.is_none() {
                return Err(wrong());
            }
            let mut value = start;
            values.push(Written::Number(value));
            for _ in 0..times.unwrap_or(0) {
                value += step;
                values.push(Written::Number(value));
            }
        }
    }
    Ok(())
}

/// `10`, `0+1.5`, `1e3-2`: the sign that separates stands neither first nor after an exponent's `e`.
fn start_and_step(text: &str) -> Option<(f64, f64)> {
    if let Ok(number) = histogram_notation::number(text) {
        return Some((number, 0.0));
    }
    let bytes = text.as_bytes();
    let at = (1..bytes.len()).find(|&i| matches!(bytes[i], b'+' | b'-') && !matches!(bytes[i - 1], b'e' | b'E'))?;
    Some((histogram_notation::number(&text[..at]).ok()?, histogram_notation::number(&text[at..]).ok()?))
}
