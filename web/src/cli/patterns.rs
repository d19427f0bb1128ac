//! `taffrail query --patterns`: like messages as one, and what changed since a moment.

use std::io;

use serde_json::{Value, json};

use super::output::{Output, RowPrinter};
use super::terminal::{Format, harmless, print_line, print_remark};

const COUNTED: [&str; 6] = ["count", "level", "trend", "last seen", "id", "pattern"];
const COMPARED: [&str; 7] = ["change", "score", "before/h", "after/h", "level", "id", "pattern"];

/// Characters of a trend.
const TREND_WIDTH: usize = 20;

/// Prints an answer of `/api/v1/logs/patterns`: a row a pattern, or as JSON all that is known of it.
pub fn print(answer: &Value, output: Output) -> io::Result<()> {
    let patterns = answer["patterns"].as_array().into_iter().flatten();
    if output == Output::Json {
        patterns.into_iter().try_for_each(|pattern| print_line(&pattern.to_string()))?;
    } else {
        let is_compared = answer["since"].is_object();
        let columns = if is_compared { &COMPARED[..] } else { &COUNTED[..] };
        let mut rows = RowPrinter::new(output, columns.iter().map(|name| (*name).to_owned()).collect());
        let row = |pattern| if is_compared { compared(pattern) } else { counted(pattern) };
        patterns.into_iter().try_for_each(|pattern| rows.row(row(pattern)))?;
        rows.flush()?;
    }
    if let Some(why) = answer["summary"]["partial"].as_str() {
        print_remark(&format!("the answer is not complete: {}", harmless(why, Format::Plain)));
    }
    Ok(())
}

fn counted(pattern: &Value) -> Vec<Value> {
    let trend: Vec<u64> = pattern["trend"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    let [count, level, last_seen, id, text] =
        ["count", "level", "last_seen", "id", "pattern"].map(|name| pattern[name].clone());
    vec![count, level, sparkline(&trend, TREND_WIDTH).into(), last_seen, id, text]
}

fn compared(pattern: &Value) -> Vec<Value> {
    let an_hour = |side: &str| json!((pattern[side]["rate"].as_f64().unwrap_or(0.0) * 36_000.0).round() / 10.0);
    let [change, score, level, id, text] =
        ["change", "score", "level", "id", "pattern"].map(|name| pattern[name].clone());
    vec![change, score, an_hour("before"), an_hour("after"), level, id, text]
}

/// Counts as blocks of eight heights, so many of them that the line is not longer than `width`; none for 0.
fn sparkline(counts: &[u64], width: usize) -> String {
    let each = counts.len().div_ceil(width).max(1);
    let sums: Vec<u64> = counts.chunks(each).map(|chunk| chunk.iter().sum()).collect();
    let most = sums.iter().copied().max().unwrap_or(0).max(1);
    let block = |sum: &u64| match sum {
        0 => ' ',
        sum => {
            let height = (u128::from(*sum) * 8 - 1) / u128::from(most);
            ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][height.min(7) as usize]
        }
    };
    sums.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trend_is_as_high_as_its_counts() {
        let check =
            |counts: &[u64], width, expected: &str| assert_eq!(sparkline(counts, width), expected, "{counts:?}");
        check(&[0, 1, 4, 8], 20, " ▁▄█");
        check(&[1, 1, 4, 4], 2, "▂█");
        check(&[], 20, "");
        check(&[0, 0], 20, "  ");
        check(&[1, 1, 1], 2, "█▄");
        check(&[u64::MAX / 2], 2, "█");
    }

    #[test]
    fn a_row_says_what_the_answer_does() {
        let pattern = json!({
            "id": "a76a1ab304a70eb9", "pattern": "took <num> ms", "count": 12, "level": "error", "trend": [1, 2],
            "last_seen": "2024-11-21T07:00:00.000Z", "change": "grown", "score": 5.83,
            "before": { "count": 1, "rate": 0.001 }, "after": { "count": 11, "rate": 0.5 },
        });
        let rows = (counted(&pattern), compared(&pattern));
        assert_eq!(
            rows.0,
            [
                json!(12),
                json!("error"),
                json!("▄█"),
                json!("2024-11-21T07:00:00.000Z"),
                json!("a76a1ab304a70eb9"),
                json!("took <num> ms")
            ]
        );
        assert_eq!(
            rows.1,
            [
                json!("grown"),
                json!(5.83),
                json!(3.6),
                json!(1800.0),
                json!("error"),
                json!("a76a1ab304a70eb9"),
                json!("took <num> ms")
            ]
        );
    }
}
