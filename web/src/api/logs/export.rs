//! `/api/v1/logs/export`: every matching record, or row of what stages make of them, as a file: NDJSON as `/api/v1/logs` takes it again,
//! CSV that no spreadsheet runs, or one JSON array. Written as it is found and as fast as it is read, so that a file of any size takes no
//! memory; but for stages that gather rows, which have that of any question (`query.memory_bytes_max`).
//!
//! A file that could not be written to its end says so in its last line (NDJSON: `{"error":{"message"}}`, CSV: a cell that begins with
//! `#`, JSON: an `{"error":…}` as the last element).

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::Scan;
use taffrail_ingest::log_store::LogStore;
use taffrail_query::log_search::question::Question;
use taffrail_query::log_search::row::Row;
use taffrail_query::log_search::run::{Asked, run};
use taffrail_query::log_search::stage::shape::Shape;
use tokio::sync::mpsc;

use super::search::send;
use crate::api::App;
use crate::api::ndjson::NDJSON;
use crate::api::parameters::Parameters;
use crate::api::question::{Turn, stop_words, tell_whether_whole};
use crate::api::row_json::RowJson;
use crate::api_error::ApiError;
use crate::csv;

/// Bytes that are sent at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Chunks that may wait for a slow reader before the search waits too.
const CHUNKS_WAITING_MAX: usize = 4;
/// Columns that every CSV has, before and after those that were asked for.
const COLUMNS: (&[&str], &[&str]) = (&["time", "level", "host", "service"], &["trace_id", "message"]);

/// What the file looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Format {
    Ndjson,
    Csv(Vec<String>),
    Json,
}

/// Answers `q` with any stages, `from`, `to`, `order`, `format`, `fields` (of a CSV) and `limit` (all when absent).
pub async fn export(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Response, ApiError> {
    let question = Question::parse(parameters.get("q").unwrap_or_default())?;
    let format = Format::read(&parameters, &question.shape)?;
    let limit = parameters.get("limit").map(|_| parameters.count("limit", usize::MAX, usize::MAX)).transpose()?;
    let asked = Asked {
        range: parameters.range()?,
        order: parameters.order()?,
        after: None,
        limit: limit.unwrap_or(usize::MAX),
        memory_bytes_max: app.questions.settings().memory_bytes_max,
    };
    let headers = format.headers(Timestamp::now());
    let Turn { scan, guard, permit } = app.questions.turn_of_export()?;
    let (chunks, waiting) = mpsc::channel(CHUNKS_WAITING_MAX);
    let logs = app.ingest.logs().clone();
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        write(&logs, (&question, &asked), &format, &scan, &mut |chunk| send(&chunks, chunk, &scan).map_err(stop_words));
    });
    let file = stream::unfold((waiting, Some(guard)), async |(mut waiting, mut guard)| match waiting.recv().await {
        Some(chunk) => Some((Ok::<Bytes, std::convert::Infallible>(chunk), (waiting, guard))),
        None => {
            guard.take().into_iter().for_each(|guard| guard.done());
            None
        }
    });
    // Who packs it asks again after its end.
    Ok((headers, Body::from_stream(file.fuse())).into_response())
}

/// Takes a piece of the file, or says why it takes no more.
type Taker<'a> = dyn FnMut(Bytes) -> Result<(), &'static str> + 'a;

fn write(logs: &LogStore, (question, asked): (&Question, &Asked), format: &Format, scan: &Scan, take: &mut Taker<'_>) {
    let mut text = format.beginning();
    let mut rows = 0u64;
    let mut refused = None;
    let found = run(question, logs, asked, scan, &mut |row| {
        format.write(&row, rows == 0, &mut text);
        rows += 1;
        if text.len() >= CHUNK_BYTES
            && let Err(why) = take(std::mem::take(&mut text).into())
        {
            refused = Some(why);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    let partial = match found {
        Ok(outcome) => {
            let mut said = Value::default();
            tell_whether_whole(&mut said, scan, refused.or(outcome.stopped.map(stop_words)));
            let stopped = said["partial"].as_str().map(str::to_owned);
            stopped.or_else(|| outcome.gaps.first().cloned())
        }
        Err(error) => Some(error.to_string()),
    };
    let partial = partial.map(|why| {
        format!("this file is not complete: {why}, after {rows} rows (query.export_time_max says how long it may take)")
    });
    format.end(partial.as_deref(), rows == 0, &mut text);
    // Whoever is gone misses nothing.
    let _ = take(text.into());
}

impl Format {
    fn read(parameters: &Parameters, shape: &Shape) -> Result<Format, ApiError> {
        match parameters.get("format") {
            None | Some("ndjson") => Ok(Format::Ndjson),
            Some("json") => Ok(Format::Json),
            Some("csv") => {
                if let Shape::Table { columns, open } = shape {
                    if *open {
                        return Err(ApiError::bad_request(
                            "the columns of this table are not known before its last row: end the question with `| fields a, b`, or take \
                             another format",
                        ));
                    }
                    return Ok(Format::Csv(columns.iter().map(|column| column.name.to_string()).collect()));
                }
                let (before, after) = COLUMNS;
                let mut columns: Vec<String> = before.iter().map(|&name| name.to_owned()).collect();
                let wanted = parameters.list("fields").into_iter().chain(after.iter().map(|&name| name.to_owned()));
                for name in wanted {
                    if !columns.contains(&name) {
                        columns.push(name);
                    }
                }
                Ok(Format::Csv(columns))
            }
            Some(other) => Err(ApiError::bad_request(format!("`format` is ndjson, csv or json, not `{other}`"))),
        }
    }

    fn headers(&self, now: Timestamp) -> HeaderMap {
        let (kind, ending) = match self {
            Format::Ndjson => (NDJSON, "ndjson"),
            Format::Csv(_) => ("text/csv; charset=utf-8; header=present", "csv"),
            Format::Json => ("application/json", "json"),
        };
        let name = format!("attachment; filename=\"taffrail-{}.{ending}\"", now.to_string().replace(':', "-"));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(HeaderValue::try_from(name).ok().map(|name| (header::CONTENT_DISPOSITION, name)));
        headers
    }

    fn beginning(&self) -> Vec<u8> {
        match self {
            Format::Ndjson => Vec::new(),
            Format::Csv(columns) => csv::row(columns.iter().map(String::as_str)).into_bytes(),
            Format::Json => b"[".to_vec(),
        }
    }

    fn write(&self, row: &Row, is_first: bool, into: &mut Vec<u8>) {
        let record = RowJson(row);
        match self {
            Format::Csv(columns) => {
                let record = serde_json::to_value(record).expect("a record has text keys");
                let cells: Vec<String> = columns.iter().map(|name| cell(&record, name)).collect();
                into.extend_from_slice(csv::row(cells.iter().map(String::as_str)).as_bytes());
            }
            Format::Ndjson | Format::Json => {
                if *self == Format::Json {
                    into.extend_from_slice(if is_first { b"\n" } else { b",\n" });
                }
                serde_json::to_writer(&mut *into, &record).expect("a record has text keys");
                if *self == Format::Ndjson {
                    into.push(b'\n');
                }
            }
        }
    }

    /// The end, with the mark of a file that is not complete.
    fn end(&self, partial: Option<&str>, is_empty: bool, into: &mut Vec<u8>) {
        let mark = partial.map(|why| json!({ "error": { "message": why } }).to_string());
        match (self, mark) {
            (Format::Ndjson, Some(mark)) => into.extend_from_slice(format!("{mark}\n").as_bytes()),
            (Format::Csv(_), Some(_)) => {
                let why = format!("# {}", partial.unwrap_or_default());
                into.extend_from_slice(csv::row([why.as_str()]).as_bytes());
            }
            (Format::Json, mark) => {
                let separator = if is_empty { "\n" } else { ",\n" };
                let last = mark.map(|mark| format!("{separator}{mark}")).unwrap_or_default();
                into.extend_from_slice(format!("{last}\n]\n").as_bytes());
            }
            (Format::Ndjson | Format::Csv(_), None) => {}
        }
    }
}

/// A field of a record, or a column of a row, as a cell shows it: the record's own before an attribute of the same name.
fn cell(record: &Value, name: &str) -> String {
    let value = match &record[name] {
        Value::Null => &record["attributes"][name],
        own => own,
    };
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::world::{World, record};
    use http::Request;
    use http_body_util::BodyExt;
    use taffrail_collector::model::Batch;
    use taffrail_ingest::TimeRange;
    use taffrail_ingest::log_store::Order;
    use tower::ServiceExt;

    const SHOP: &str = "from=2024-11-21T07:00:00Z&to=2024-11-21T08:00:00Z";

    #[tokio::test]
    async fn each_format_holds_every_record_in_order() {
        let world = World::shop().await;
        let ask = async |parameters: &str| world.text(&format!("/api/v1/logs/export?{SHOP}&{parameters}")).await.1;
        let numbers = |records: Vec<Value>| -> Vec<i64> {
            records.iter().map(|record| record["attributes"]["n"].as_i64().unwrap()).collect()
        };
        let lines = ask("order=oldest").await;
        let records: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(numbers(records), (0..10).collect::<Vec<_>>());
        let array = ask("format=json&q=level:error").await;
        assert_eq!(numbers(serde_json::from_str(&array).unwrap()), [9, 6, 3, 0]);
        assert_eq!(serde_json::from_str::<Value>(&ask("format=json&q=nothing").await).unwrap(), json!([]));
        let table = ask("format=csv&fields=n,host&limit=2").await;
        let expected = "time,level,host,service,n,trace_id,message\r\n\
             2024-11-21T07:00:09.000Z,error,h1,db,9,,line 9 of the shop\r\n\
             2024-11-21T07:00:08.000Z,info,h1,web,8,,line 8 of the shop\r\n";
        assert_eq!(table, expected);
        let (status, text) = world.text("/api/v1/logs/export?format=xlsx").await;
        assert!(status == 400 && text.contains("not `xlsx`"), "{text}");
    }

    #[tokio::test]
    async fn what_stages_make_is_written_as_records_are() {
        let world = World::shop().await;
        let ask = async |question: &str, format: &str| {
            let question = question.replace(' ', "%20").replace('|', "%7C").replace('<', "%3C").replace('>', "%3E");
            world.text(&format!("/api/v1/logs/export?{SHOP}&order=oldest&format={format}&q={question}")).await.1
        };
        let changed = ask("* | where n:<2 | rename n as number", "json").await;
        let changed: Vec<Value> = serde_json::from_str(&changed).unwrap();
        let numbers: Vec<_> = changed.iter().map(|record| &record["attributes"]["number"]).collect();
        assert_eq!(numbers, [&json!(0), &json!(1)]);
        assert_eq!(ask("n:<2 | fields n, service", "csv").await, "n,service\r\n0,web\r\n1,db\r\n");
        assert_eq!(ask("* | stats count() by level | sort by level", "ndjson").await.lines().count(), 2);
        let sorted = ask("* | sort by n desc | head 2 | fields n", "ndjson").await;
        assert_eq!(sorted, "{\"n\":9}\n{\"n\":8}\n");
        assert!(ask("* | fields message | parse_json", "csv").await.contains("| fields a, b"));
        assert!(ask("* | haed", "csv").await.contains("did you mean `head`?"));
    }

    #[tokio::test]
    async fn a_file_has_a_name_and_is_packed_for_who_takes_it() {
        let world = World::empty().await;
        let mut hostile = record(1);
        hostile.body = "=HYPERLINK(\"http://evil\")".to_owned();
        world.deliver(Batch { logs: vec![hostile], ..Batch::local() }).await;
        for format in ["ndjson", "csv", "json"] {
            let uri = format!("/api/v1/logs/export?{SHOP}&format={format}");
            let request = Request::builder().uri(uri).header("accept-encoding", "gzip").body(Body::empty()).unwrap();
            let response = world.router.clone().oneshot(request).await.unwrap();
            let name = response.headers()["content-disposition"].to_str().unwrap().to_owned();
            assert!(name.starts_with("attachment; filename=\"taffrail-2"), "{name}");
            assert!(name.ends_with(&format!(".{format}\"")) && !name.contains(':'), "{name}");
            assert_eq!(response.headers()["content-encoding"], "gzip", "{format}");
            let file = response.into_body().collect().await.unwrap().to_bytes();
            assert!(file.starts_with(&[0x1f, 0x8b]) && file.len() > 20, "{format}: {file:?}");
        }
        let table = world.text(&format!("/api/v1/logs/export?{SHOP}&format=csv")).await.1;
        assert!(table.contains("\"'=HYPERLINK(\"\"http://evil\"\")\""), "{table}");
    }

    #[tokio::test]
    async fn a_file_that_was_cut_says_so_in_its_last_line() {
        let world = World::shop().await;
        let question = Question::parse("*").unwrap();
        let asked = Asked {
            range: TimeRange::ALL,
            order: Order::OldestFirst,
            after: None,
            limit: usize::MAX,
            memory_bytes_max: 1 << 20,
        };
        let cut = |format: Format| {
            let mut file = Vec::new();
            let scan = Scan::new(None, 3);
            write(world.app.ingest.logs(), (&question, &asked), &format, &scan, &mut |chunk| {
                file.extend_from_slice(&chunk);
                Ok(())
            });
            String::from_utf8(file).unwrap()
        };
        let mark = "this file is not complete: out of rows";
        let lines = cut(Format::Ndjson);
        let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        assert!(last["error"]["message"].as_str().unwrap().starts_with(mark), "{last}");
        let array: Vec<Value> = serde_json::from_str(&cut(Format::Json)).unwrap();
        assert!(array.last().unwrap()["error"]["message"].as_str().unwrap().starts_with(mark));
        let table = cut(Format::Csv(vec!["time".to_owned()]));
        assert!(table.lines().last().unwrap().starts_with(&format!("\"# {mark}")), "{table}");
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_frees_the_export() {
        let world = World::empty().await;
        for part in 0..20 {
            world.deliver(Batch { logs: (part * 500..part * 500 + 500).map(record).collect(), ..Batch::local() }).await;
        }
        let mut response = world.ask("GET", "/api/v1/logs/export?from=2024-11-21&to=2024-11-22").await;
        response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(world.app.questions.counts().exports, 1);
        drop(response);
        while world.app.questions.counts().exports > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.app.questions.counts().cancelled, 1);
    }
}
