//! `taffrail query`: log records that match a question, or, with `--promql`, metrics.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use taffrail_collector::model::Timestamp;
use taffrail_query::time_range;

use super::client::{BadQuestion, Client};
use super::explanation;
use super::output::{OutputChoice, RecordPrinter, RowPrinter};
use super::patterns;
use super::promql_answer;
use super::terminal::{Format, harmless, print_line, print_remark};
use super::{Ending, Outcome, ServerChoice, until_interrupted};

/// Records that one request asks for; more are fetched page by page.
const PAGE_ROWS: usize = 1_000;
/// How often a bar without progress moves.
const PROGRESS_TICK: Duration = Duration::from_millis(100);
/// Rows of a table that are asked for at most: as many as a server gives unless its settings say otherwise.
const TABLE_ROWS_MAX: usize = 10_000;
/// Points of a line when nobody says how far apart.
const POINTS_AIM: f64 = 100.0;

/// What to ask.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  taffrail query 'level:error timeout' --since 1h
  taffrail query 'service:checkout took_ms:>500' --fields took_ms,trace_id --limit 1000
  taffrail query '* | stats count(), p95(took_ms) by service, time:5m' --since 6h
  taffrail query 'service:checkout' --since 1d --limit 100000 --fields took_ms -o csv > checkout.csv
  taffrail query 'level:>=warn' --patterns --since 1d
  taffrail query --patterns-since 2026-01-31T14:05:00Z
  taffrail query --promql 'rate({\"web.hits\"}[5m])' --since 1h --step 1m
  taffrail query 'level:error timeout' --since 1h --link")]
pub struct QueryArguments {
    /// Words, \"phrases\", field:value, ranges, AND OR NOT, and stages behind |; nothing asks for everything
    #[arg(value_name = "QUESTION", default_value = "", conflicts_with = "promql")]
    question: String,
    /// Show like messages as one pattern with their counts, instead of records
    #[arg(long, conflicts_with = "promql")]
    patterns: bool,
    /// Show which patterns are new, gone, grown or shrunk since this moment, for instance a deploy
    #[arg(long, value_name = "TIME", conflicts_with = "promql")]
    patterns_since: Option<String>,
    /// Evaluate this PromQL expression instead
    #[arg(long, value_name = "EXPR")]
    promql: Option<String>,
    /// How far back: 15m, 2h, 7d
    #[arg(long, value_name = "SPAN", conflicts_with = "from")]
    since: Option<String>,
    /// From when: RFC 3339, Unix time or now-2h; one hour before --to when absent
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// To when; now when absent
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// How far apart the points of a PromQL range are
    #[arg(long, value_name = "SPAN", requires = "promql")]
    step: Option<String>,
    /// Records at most
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: usize,
    /// Which records first
    #[arg(long, value_parser = ["newest", "oldest"], default_value = "newest")]
    order: String,
    /// Attributes to show behind the message, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    fields: Vec<String>,
    #[command(flatten)]
    output: OutputChoice,
    /// Ask nothing: print the address of the page that shows the same
    #[arg(long)]
    link: bool,
    #[command(flatten)]
    server: ServerChoice,
}

/// Asks and prints.
pub fn run(arguments: QueryArguments) -> Outcome {
    let client = Client::new(&arguments.server.server)?;
    if arguments.link {
        return Ok(print_line(&page_link(&client, &arguments)?)?);
    }
    until_interrupted(async {
        match &arguments.promql {
            None if arguments.patterns || arguments.patterns_since.is_some() => {
                count_patterns(&client, &arguments).await
            }
            None => search(&client, &arguments).await,
            Some(expression) => evaluate(&client, &arguments, expression).await,
        }
    })
}

async fn count_patterns(client: &Client, arguments: &QueryArguments) -> Outcome {
    let (from, to) = fixed_range(arguments, Timestamp::now())?;
    // What a moment is compared with reaches as far back as the server finds fit.
    let is_open = arguments.patterns_since.is_some() && arguments.from.is_none() && arguments.since.is_none();
    let limit = arguments.limit.to_string();
    let mut parameters = vec![("q", arguments.question.as_str()), ("to", &to), ("limit", &limit)];
    parameters.extend((!is_open).then_some(("from", from.as_str())));
    parameters.extend(arguments.patterns_since.as_deref().map(|since| ("since", since)));
    let progress = progress_bar();
    progress.enable_steady_tick(PROGRESS_TICK);
    let answer = client.ask("/api/v1/logs/patterns", &parameters).await;
    progress.finish_and_clear();
    let answer = answer.map_err(|error| point_at(&arguments.question, error))?;
    Ok(patterns::print(&answer, arguments.output.for_rows())?)
}

async fn search(client: &Client, arguments: &QueryArguments) -> Outcome {
    let mut printer = RecordPrinter::new(arguments.output.for_records(), arguments.fields.clone());
    let mut rows: Option<RowPrinter> = None;
    let (from, to) = fixed_range(arguments, Timestamp::now())?;
    let progress = progress_bar();
    let mut left = arguments.limit;
    let mut cursor = String::new();
    let mut incomplete = BTreeSet::new();
    let mut found_nothing = left > 0;
    while left > 0 {
        // What stages make of records comes in one piece.
        let page = if arguments.question.contains('|') { left.min(TABLE_ROWS_MAX) } else { left.min(PAGE_ROWS) };
        let limit = page.to_string();
        let mut parameters = vec![("q", arguments.question.as_str()), ("limit", &limit), ("order", &arguments.order)];
        parameters.extend([("from", from.as_str()), ("to", to.as_str())]);
        if !cursor.is_empty() {
            parameters.push(("cursor", &cursor));
        }
        let lines = client.lines("/api/v1/logs/search", &parameters).await;
        let mut lines = lines.map_err(|error| point_at(&arguments.question, error))?;
        let mut summary = Value::Null;
        while let Some(line) = lines.next().await? {
            if let Some(columns) = line.get("columns").and_then(Value::as_array) {
                // A table tells its columns, and tells them again when a row brings new ones.
                rows.take().map_or(Ok(()), |mut rows| progress.suspend(|| rows.flush()))?;
                let names = columns.iter().filter_map(|column| column["name"].as_str()).map(str::to_owned).collect();
                rows = Some(RowPrinter::new(arguments.output.for_rows(), names));
            } else if let (Some(Value::Object(row)), Some(rows)) = (line.get("row"), &mut rows) {
                progress.suspend(|| rows.object(row.clone()))?;
            } else if let Some(record) = line.get("record") {
                progress.suspend(|| printer.print(record))?;
                left = left.saturating_sub(1);
            } else if let Some(state) = line.get("progress") {
                progress.set_length(state["parts"].as_u64().unwrap_or(0));
                progress.set_position(state["parts_done"].as_u64().unwrap_or(0));
                progress.set_message(format!("{} rows", state["scanned_rows"]));
            } else if let Some(error) = line.get("error") {
                progress.finish_and_clear();
                printer.flush()?;
                let message = error["message"].as_str().unwrap_or("the answer broke off");
                return Err(Ending::Failed(anyhow::anyhow!("{message}")));
            } else if let Some(found) = line.get("summary") {
                summary = found.clone();
            }
        }
        found_nothing = found_nothing && summary["rows"] == 0;
        if let Some(why) = summary["partial"].as_str() {
            incomplete.insert(format!("the answer is not complete: {}", harmless(why, Format::Plain)));
        }
        let damaged = summary["damaged_splits"].as_array().into_iter().flatten().filter_map(Value::as_str);
        incomplete.extend(damaged.map(|name| format!("  damaged split: {}", harmless(name, Format::Plain))));
        // A page that is not full is the last one, or one that stopped early.
        match summary["next_cursor"].as_str() {
            Some(next) if summary["rows"].as_u64() == limit.parse().ok() => next.clone_into(&mut cursor),
            None if summary["more"] == true => {
                incomplete.insert(format!("there are more rows than --limit {page} shows"));
                break;
            }
            _ => break,
        }
    }
    progress.finish_and_clear();
    printer.flush()?;
    if found_nothing {
        let parameters = [("q", arguments.question.as_str()), ("from", &from), ("to", &to)];
        // The answer stands without its explanation.
        if let Ok(explanation) = client.ask("/api/v1/logs/explain", &parameters).await {
            explanation::lines(&explanation).iter().for_each(|line| print_remark(line));
        }
    }
    rows.map_or(Ok(()), |mut rows| rows.flush())?;
    // What is indented sorts first.
    incomplete.iter().rev().for_each(|remark| print_remark(remark));
    Ok(())
}

/// The ends of the range as moments: a relative time would move between the pages of one question, and lose records.
fn fixed_range(arguments: &QueryArguments, now: Timestamp) -> anyhow::Result<(String, String)> {
    let from = arguments.from.clone().or_else(|| arguments.since.as_ref().map(|span| format!("now-{span}")));
    let range = time_range::parse_range(from.as_deref(), arguments.to.as_deref(), now).map_err(anyhow::Error::msg)?;
    // With its fraction written out, a Unix time is one of seconds whatever its size.
    let seconds = |moment: Timestamp| {
        let nanos = i128::from(moment.unix_nanos());
        let sign = if nanos < 0 { "-" } else { "" };
        let (whole, fraction) = (nanos.unsigned_abs() / 1_000_000_000, nanos.unsigned_abs() % 1_000_000_000);
        format!("{sign}{whole}.{fraction:09}")
    };
    Ok((seconds(range.start), seconds(range.end)))
}

/// The page that shows what the arguments ask for. Relative times stay so: the page moves on with the clock.
fn page_link(client: &Client, arguments: &QueryArguments) -> anyhow::Result<String> {
    let now = Timestamp::now();
    let moment = |text: &str| match text.starts_with("now") {
        true => Ok(text.to_owned()),
        false => time_range::parse_moment(text, now).map(|at| at.to_string()).map_err(anyhow::Error::msg),
    };
    let since = arguments.since.as_ref().map(|span| format!("now-{span}"));
    let from = arguments.from.as_deref().map(moment).transpose()?.or(since);
    let to = arguments.to.as_deref().map(moment).transpose()?;
    let columns = arguments.fields.join(",");
    let (path, asked) = match &arguments.promql {
        Some(expression) => ("/explore", ("expr", expression.as_str())),
        None => ("/logs", ("q", arguments.question.as_str())),
    };
    let parameters = [
        Some(asked),
        from.as_deref().map(|from| ("from", from)),
        to.as_deref().map(|to| ("to", to)),
        Some(("cols", columns.as_str())),
    ];
    let parameters: Vec<_> = parameters.into_iter().flatten().filter(|(_, value)| !value.is_empty()).collect();
    Ok(client.url(path, &parameters))
}

async fn evaluate(client: &Client, arguments: &QueryArguments, expression: &str) -> Outcome {
    let now = Timestamp::now();
    let moment = |text: &str| time_range::parse_moment(text, now).map_err(anyhow::Error::msg);
    let seconds = |moment: Timestamp| moment.unix_seconds().to_string();
    let to = arguments.to.as_deref().map_or(Ok(now), moment)?;
    let from = arguments.from.clone().or_else(|| arguments.since.as_ref().map(|span| format!("now-{span}")));
    let progress = progress_bar();
    progress.enable_steady_tick(PROGRESS_TICK);
    let answer = match from.as_deref().map(moment).transpose()? {
        None => client.ask("/api/v1/query", &[("query", expression), ("time", &seconds(to))]).await,
        Some(from) => {
            let apart = (to.saturating_since(from).as_secs_f64() / POINTS_AIM).max(1.0).ceil();
            let step = arguments.step.clone().unwrap_or_else(|| apart.to_string());
            let (start, end) = (seconds(from), seconds(to));
            let parameters = [("query", expression), ("start", &start), ("end", &end), ("step", &step)];
            client.ask("/api/v1/query_range", &parameters).await
        }
    };
    progress.finish_and_clear();
    let answer = answer.map_err(|error| point_at(expression, error))?;
    for remark in ["warnings", "infos"].iter().flat_map(|name| answer[name].as_array().into_iter().flatten()) {
        print_remark(&harmless(remark.as_str().unwrap_or_default(), Format::Plain));
    }
    Ok(promql_answer::print(&answer, arguments.output.chosen())?)
}

/// Shows the question with a mark below the place where it went wrong.
pub fn point_at(question: &str, error: anyhow::Error) -> Ending {
    if let Some(bad) = error.downcast_ref::<BadQuestion>().filter(|_| !question.is_empty()) {
        let shown = harmless(question, Format::Plain);
        let mark =
            bad.column.map(|column| format!("\n  {}^", " ".repeat(column.saturating_sub(1)))).unwrap_or_default();
        return Ending::Failed(anyhow::anyhow!("{}\n  {shown}{mark}", bad.message));
    }
    Ending::Failed(error)
}

/// A bar on standard error; indicatif draws none where standard error is no terminal.
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {bar:30} {pos}/{len} parts, {msg}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        query: QueryArguments,
    }

    #[test]
    fn a_range_stays_where_it_is_from_page_to_page() {
        let check = |line: &[&str], start: i64, end: i64| {
            let arguments = Line::parse_from([&["query"], line].concat()).query;
            let now = Timestamp::from_unix_nanos(1_732_172_400_123_456_789);
            let (from, to) = fixed_range(&arguments, now).unwrap();
            let later = now.saturating_add(Duration::from_secs(60));
            let range = time_range::parse_range(Some(&from), Some(&to), later).unwrap();
            assert_eq!((range.start.unix_nanos(), range.end.unix_nanos()), (start, end), "{line:?}: {from} {to}");
        };
        let now = 1_732_172_400_123_456_789;
        check(&[], now - 3_600_000_000_000, now);
        check(&["--since", "15m"], now - 900_000_000_000, now);
        check(&["--from", "now-2h", "--to", "now-1h"], now - 7_200_000_000_000, now - 3_600_000_000_000);
        check(&["--from", "1970-01-01T00:00:01.5Z"], 1_500_000_000, now);
    }

    #[test]
    fn a_link_leads_to_the_page_that_shows_the_same() {
        let check = |line: &[&str], expected: &str| {
            let arguments = Line::parse_from([&["query"], line].concat()).query;
            let client = Client::new("http://h:1/").unwrap();
            assert_eq!(page_link(&client, &arguments).unwrap(), format!("http://h:1{expected}"), "{line:?}");
        };
        check(&[], "/logs");
        check(&["level:error a", "--since", "2h"], "/logs?q=level%3Aerror%20a&from=now-2h");
        check(
            &["x", "--from", "1970-01-01", "--to", "now-1h"],
            "/logs?q=x&from=1970-01-01T00%3A00%3A00.000Z&to=now-1h",
        );
        check(&["x", "--fields", "a,b"], "/logs?q=x&cols=a%2Cb");
        check(&["--promql", "rate(x[5m])", "--since", "1d"], "/explore?expr=rate%28x%5B5m%5D%29&from=now-1d");
    }

    #[test]
    fn a_bad_question_is_shown_with_its_place() {
        let check = |column, expected: &str| {
            let error = BadQuestion { message: "a parenthesis is not closed".into(), column }.into();
            let Ending::Failed(error) = point_at("level:(", error) else { panic!("it failed") };
            assert_eq!(error.to_string(), expected);
        };
        check(Some(7), "a parenthesis is not closed\n  level:(\n        ^");
        check(None, "a parenthesis is not closed\n  level:(");
    }
}
