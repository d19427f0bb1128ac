//! What `taffrail query` says when it found nothing.

use serde_json::Value;

use super::terminal::{Format, harmless};

/// The explanation of `/api/v1/logs/explain` as lines.
pub fn lines(explanation: &Value) -> Vec<String> {
    let mut lines = vec!["nothing found".to_owned()];
    let text = |value: &Value| harmless(value.as_str().unwrap_or_default(), Format::Plain);
    let list = |name: &str| explanation[name].as_array().into_iter().flatten();
    for one in list("conditions") {
        let (alone, without) = (&one["rows_alone"], &one["rows_without"]);
        lines.push(format!("  {}: {} alone, {} without it", text(&one["text"]), rows(alone), rows(without)));
    }
    for left in list("stages") {
        lines.push(format!("  | {}: {} left", text(&left["text"]), rows(&left["rows"])));
    }
    for unknown in list("unknown_fields") {
        let near = unknown["near"].as_str().map(|near| format!("; did you mean {}?", harmless(near, Format::Plain)));
        lines.push(format!("  no record has the field {}{}", text(&unknown["name"]), near.unwrap_or_default()));
    }
    for (side, words) in [("before", "the nearest before"), ("after", "the nearest after")] {
        if let Some(time) = explanation["nearest"][side].as_str() {
            lines.push(format!("  {words} this time: {}", harmless(time, Format::Plain)));
        }
    }
    lines
}

fn rows(count: &Value) -> String {
    match count.as_u64() {
        Some(1) => "1 row".to_owned(),
        count => format!("{} rows", count.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_explanation_is_a_few_lines() {
        let explanation = json!({
            "rows": 0,
            "conditions": [{"text": "level:\u{1b}x", "column": 1, "rows_alone": 1, "rows_without": 12}],
            "stages": [{"text": "where n:>7", "rows": 0}],
            "nearest": {"before": "2024-11-21T07:00:00.000Z", "after": null},
            "unknown_fields": [{"name": "servce", "near": "service"}, {"name": "x", "near": null}],
        });
        let expected = [
            "nothing found",
            "  level:\\x1bx: 1 row alone, 12 rows without it",
            "  | where n:>7: 0 rows left",
            "  no record has the field servce; did you mean service?",
            "  no record has the field x",
            "  the nearest before this time: 2024-11-21T07:00:00.000Z",
        ];
        assert_eq!(lines(&explanation), expected);
    }
}
