//! An answer of the Prometheus API in a terminal: a small table with a column for each label, lines for pipes, CSV, or the JSON as
//! it came.

use std::collections::BTreeSet;
use std::io;

use serde_json::Value;
use taffrail_collector::model::{LabelSet, Timestamp};

use super::output::{Output, RowPrinter};
use super::terminal::{Format, harmless, is_terminal, print_line};

/// The label that is the metric's name, and what its column is called.
const NAME: (&str, &str) = ("__name__", "metric");

/// Prints an answer's envelope; without a wish a table for eyes and lines for pipes.
pub fn print(answer: &Value, wish: Option<Output>) -> io::Result<()> {
    let output = wish.unwrap_or(if is_terminal() { Output::Table } else { Output::Lines });
    let data = &answer["data"];
    let kind = data["resultType"].as_str().unwrap_or_default();
    match (output, data["result"].as_array()) {
        (Output::Json, _) => print_line(&answer.to_string()),
        (Output::Lines | Output::Raw, Some(series)) if kind != "scalar" && kind != "string" => {
            series.iter().try_for_each(print_lines)
        }
        (Output::Table | Output::Csv, Some(series)) if kind != "scalar" && kind != "string" => {
            print_table(series, kind == "matrix", output)
        }
        (_, point) => print_line(&harmless(point.map_or("", |point| text_of(point.get(1))), Format::Plain)),
    }
}

fn print_lines(series: &Value) -> io::Result<()> {
    let labels = series["metric"].as_object().into_iter().flatten();
    let labels = labels.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()));
    let name = harmless(&LabelSet::new(labels).to_string(), Format::Plain);
    for (time, value) in points(series) {
        match series.get("values").or(series.get("histograms")) {
            Some(_) => print_line(&format!("{time}\t{value}\t{name}"))?,
            None => print_line(&format!("{value}\t{name}"))?,
        }
    }
    Ok(())
}

fn print_table(series: &[Value], with_time: bool, output: Output) -> io::Result<()> {
    let labels = series.iter().flat_map(|one| one["metric"].as_object().into_iter().flatten());
    let names: BTreeSet<&str> = labels.map(|(name, _)| name.as_str()).collect();
    let has_name = names.contains(NAME.0);
    let others: Vec<&str> = names.into_iter().filter(|name| *name != NAME.0).collect();
    let columns = has_name.then_some(NAME.1).into_iter().chain(others.iter().copied());
    let columns = columns.chain(with_time.then_some("time")).chain(["value"]).map(str::to_owned).collect();
    let mut rows = RowPrinter::new(output, columns);
    for one in series {
        for (time, value) in points(one) {
            let metric = &one["metric"];
            let mut row: Vec<Value> = has_name.then(|| metric[NAME.0].clone()).into_iter().collect();
            row.extend(others.iter().map(|name| metric[name].clone()));
            row.extend(with_time.then(|| time.into()));
            // As a number it stands to the right; what no JSON number can be (`NaN`, `+Inf`, a histogram) stays text.
            row.push(serde_json::from_str::<serde_json::Number>(&value).map_or(value.into(), Value::Number));
            rows.row(row)?;
        }
    }
    rows.flush()
}

/// Times and values of a series, whether it has one or many, numbers or histograms.
fn points(series: &Value) -> impl Iterator<Item = (String, String)> {
    let one = series.get("value").or(series.get("histogram")).into_iter();
    let many = ["values", "histograms"].into_iter().flat_map(|name| series[name].as_array().into_iter().flatten());
    one.chain(many).map(|point| {
        let milliseconds = (point[0].as_f64().unwrap_or(0.0) * 1000.0).round() as i64;
        let value = match &point[1] {
            Value::String(text) => text.clone(),
            histogram => format!("count {} sum {}", text_of(histogram.get("count")), text_of(histogram.get("sum"))),
        };
        (Timestamp::from_unix_millis(milliseconds).to_string(), value)
    })
}

fn text_of(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_or_many_numbers_or_histograms_are_all_points() {
        let check = |series: Value, expected: &[(&str, &str)]| {
            let found: Vec<_> = points(&series).collect();
            let found: Vec<_> = found.iter().map(|(time, value)| (time.as_str(), value.as_str())).collect();
            assert_eq!(found, expected, "{series}");
        };
        check(json!({"value": [1.5, "2"]}), &[("1970-01-01T00:00:01.500Z", "2")]);
        check(
            json!({"values": [[0, "1"], [60, "NaN"]]}),
            &[("1970-01-01T00:00:00.000Z", "1"), ("1970-01-01T00:01:00.000Z", "NaN")],
        );
        let histogram = json!({"count": "3", "sum": "4.5", "buckets": []});
        check(json!({"histogram": [0, histogram]}), &[("1970-01-01T00:00:00.000Z", "count 3 sum 4.5")]);
    }
}
