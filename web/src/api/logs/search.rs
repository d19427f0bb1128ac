//! `/api/v1/logs/search`: matching records, newest or oldest first, or the table that stages make of them, as a stream of lines
//! with progress, or as one document for who accepts `application/json`.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use http::{HeaderMap, header};
use serde_json::{Value, json};
use taffrail_ingest::log_store::{LogStore, RecordId};
use taffrail_ingest::{Scan, StopReason};
use taffrail_query::log_search::Question;
use taffrail_query::log_search::row::Row;
use taffrail_query::log_search::run::{self, Asked, Outcome};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{
    self,
    error::{SendTimeoutError, TrySendError},
};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::api::App;
use crate::api::document::Document;
use crate::api::ndjson;
use crate::api::parameters::Parameters;
use crate::api::question::{CancelOnDrop, Turn, progress, stop_words, summary};
use crate::api::record_json::record_id_text;
use crate::api::row_json::{Columns, RowJson, RowLine};
use crate::api_error::ApiError;
use crate::config::QuerySettings;

/// Records in an answer when nobody says how many.
const LIMIT_DEFAULT: usize = 100;
/// How often a stream says how far it has come.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// Lines that may wait for a slow reader before the search waits too.
const LINES_WAITING_MAX: usize = 256;
/// Bytes of waiting lines that are sent as one chunk.
const CHUNK_BYTES: usize = 64 << 10;

/// Bytes of records in an answer of one piece; what is beyond is had by its cursor.
const DOCUMENT_BYTES_MAX: usize = 64 << 20;

/// Answers `q`, `from`, `to`, `limit`, `cursor`, `order`.
pub async fn search(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let search = read_search(&parameters, app.questions.settings())?;
    if accepts_one_document(&headers) {
        let logs = app.ingest.logs().clone();
        let work = move |scan: &Scan| document(&logs, &search, scan, DOCUMENT_BYTES_MAX);
        return Ok(app.questions.ask(work).await?.0.into_response());
    }

    let Turn { scan, guard, permit } = app.questions.turn().await?;
    let (lines, waiting) = mpsc::channel(LINES_WAITING_MAX);
    // The last line has its place from the start: it waits for no reader.
    let last_place = lines.clone().try_reserve_owned().expect("the channel is empty and open");
    let logs = app.ingest.logs().clone();
    let worker_scan = scan.clone();
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let mut columns = Columns::of(&search.question.shape);
        let tell = |value: &Value| send(&lines, ndjson::line(value), &worker_scan).map_err(stop_words);
        let begun = columns.news().map_or(Ok(()), |news| tell(&news));
        let found = search.run(&logs, &worker_scan, &mut |row| {
            begun?;
            columns.see(row);
            if let Some(news) = columns.news() {
                tell(&news)?;
            }
            send(&lines, ndjson::line(&RowLine(row)), &worker_scan).map_err(stop_words)
        });
        let last = match found {
            Ok(found) => json!({ "summary": found.summary(&worker_scan) }),
            Err(error) => error.body(),
        };
        last_place.send(ndjson::line(&last));
    });
    Ok(ndjson::stream(with_progress(waiting, scan, guard)))
}

/// Takes a row, or says why it takes no more.
type Taker<'a> = dyn FnMut(&Row) -> Result<(), &'static str> + 'a;

/// A question with what was asked besides.
#[derive(Debug)]
struct Search {
    question: Question,
    asked: Asked,
}

/// What became of a question besides its rows.
struct Found {
    rows: u64,
    /// Whether there would have been more rows than were asked for.
    more: bool,
    /// Why it ended before its end, or is not whole.
    stopped: Option<String>,
    next_cursor: Option<RecordId>,
}

impl Found {
    fn summary(&self, scan: &Scan) -> Value {
        let mut summary = summary(scan, self.stopped.as_deref());
        summary["rows"] = self.rows.into();
        summary["more"] = self.more.into();
        summary["next_cursor"] = self.next_cursor.map_or(Value::Null, |id| record_id_text(id).into());
        summary
    }
}

fn read_search(parameters: &Parameters, settings: &QuerySettings) -> Result<Search, ApiError> {
    let question = Question::parse(parameters.get("q").unwrap_or_default())?;
    // A table is meant to be seen as a whole.
    let limit_default = if Columns::of(&question.shape).is_table() { settings.limit_max } else { LIMIT_DEFAULT };
    let asked = Asked {
        range: parameters.range()?,
        order: parameters.order()?,
        after: parameters.record_id("cursor")?,
        limit: parameters.count("limit", limit_default.min(settings.limit_max), settings.limit_max)?,
        memory_bytes_max: settings.memory_bytes_max,
    };
    Ok(Search { question, asked })
}

impl Search {
    fn run(&self, logs: &LogStore, scan: &Scan, take: &mut Taker<'_>) -> Result<Found, ApiError> {
        let mut refused = None;
        let outcome = run::run(&self.question, logs, &self.asked, scan, &mut |row| match take(&row) {
            Ok(()) => ControlFlow::Continue(()),
            Err(why) => {
                refused = Some(why);
                ControlFlow::Break(())
            }
        })?;
        let Outcome { rows, more, last, stopped, gaps } = outcome;
        let mut why: Vec<String> = refused.or(stopped.map(stop_words)).map(str::to_owned).into_iter().collect();
        why.extend(gaps);
        let stopped = (!why.is_empty()).then(|| why.join("; "));
        let next_cursor = last.filter(|_| more || stopped.is_some());
        Ok(Found { rows, more, stopped, next_cursor })
    }
}

/// All rows in one piece, as many as stay below `bytes_max`; the first one is taken whatever its size.
fn document(logs: &LogStore, search: &Search, scan: &Scan, bytes_max: usize) -> Result<Document, ApiError> {
    let mut columns = Columns::of(&search.question.shape);
    let mut json = if columns.is_table() { br#"{"rows":["#.to_vec() } else { br#"{"records":["#.to_vec() };
    let empty = json.len();
    let found = search.run(logs, scan, &mut |row| {
        let whole = json.len();
        if whole > empty {
            json.push(b',');
        }
        serde_json::to_writer(&mut json, &RowJson(row)).expect("a row has text keys");
        if whole > empty && json.len() > bytes_max {
            json.truncate(whole);
            return Err("out of bytes");
        }
        columns.see(row);
        Ok(())
    })?;
    json.push(b']');
    if columns.is_table() {
        json.extend_from_slice(br#","columns":"#);
        serde_json::to_writer(&mut json, &columns.json()).expect("columns have text keys");
    }
    json.extend_from_slice(br#","summary":"#);
    serde_json::to_writer(&mut json, &found.summary(scan)).expect("a summary has text keys");
    json.push(b'}');
    Ok(Document::written(json))
}

/// Sends a line from a blocking thread, and waits for a slow reader as long as the question may take: no reader keeps a turn
/// for ever.
pub(in crate::api) fn send(lines: &mpsc::Sender<Bytes>, line: Bytes, scan: &Scan) -> Result<(), StopReason> {
    let line = match lines.try_send(line) {
        Ok(()) => return Ok(()),
        // Only a reader that went away closes the channel.
        Err(TrySendError::Closed(_)) => return Err(StopReason::Cancelled),
        Err(TrySendError::Full(line)) => line,
    };
    let left = scan.time_left().unwrap_or(Duration::MAX);
    Handle::current().block_on(lines.send_timeout(line, left)).map_err(|error| match error {
        SendTimeoutError::Closed(_) => StopReason::Cancelled,
        SendTimeoutError::Timeout(_) => StopReason::OutOfTime,
    })
}

/// Whether who asks wants the answer in one piece.
pub(in crate::api) fn accepts_one_document(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("application/json") && !accept.contains("ndjson")
}

/// The lines as they come, several at once when several wait, with a line of progress between them now and then.
fn with_progress(waiting: mpsc::Receiver<Bytes>, scan: Arc<Scan>, guard: CancelOnDrop) -> impl Stream<Item = Bytes> {
    struct Answer {
        waiting: mpsc::Receiver<Bytes>,
        scan: Arc<Scan>,
        guard: CancelOnDrop,
        ticks: Interval,
    }
    let mut ticks = tokio::time::interval_at(Instant::now() + PROGRESS_INTERVAL, PROGRESS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let answer = Answer { waiting, scan, guard, ticks };
    stream::unfold(answer, async |mut answer| {
        // Both branches are cancel-safe (tokio documents it of `recv` and `tick`).
        tokio::select! {
            biased;
            _ = answer.ticks.tick() => {
                let line = ndjson::line(&progress(&answer.scan));
                Some((line, answer))
            }
            line = answer.waiting.recv() => match line {
                Some(first) => {
                    let mut chunk = BytesMut::from(first);
                    while chunk.len() < CHUNK_BYTES && let Ok(next) = answer.waiting.try_recv() {
                        chunk.extend_from_slice(&next);
                    }
                    Some((chunk.freeze(), answer))
                }
                None => {
                    answer.guard.done();
                    None
                }
            },
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::world::World;
    use http_body_util::BodyExt;

    const SHOP: &str = "from=2024-11-21T07:00:00Z&to=2024-11-21T08:00:00Z";

    fn messages(lines: &[Value]) -> Vec<&str> {
        lines.iter().filter_map(|line| line["record"]["message"].as_str()).collect()
    }

    #[tokio::test]
    async fn records_stream_newest_first_and_the_summary_is_last() {
        let world = World::shop().await;
        let lines = world.lines(&format!("/api/v1/logs/search?q=level:error&{SHOP}")).await;
        let expected = ["line 9 of the shop", "line 6 of the shop", "line 3 of the shop", "line 0 of the shop"];
        assert_eq!(messages(&lines), expected);
        let summary = &lines.last().unwrap()["summary"];
        assert_eq!(
            (&summary["rows"], &summary["partial"], &summary["next_cursor"]),
            (&json!(4), &json!(false), &Value::Null)
        );
        assert_eq!(lines[0]["record"]["attributes"]["n"], 9);
    }

    #[tokio::test]
    async fn cursors_page_through_everything_once_in_both_orders() {
        let world = World::shop().await;
        for order in ["newest", "oldest"] {
            let mut seen = Vec::new();
            let mut cursor = String::new();
            for page in 0.. {
                assert!(page < 10, "paging ends");
                let uri = format!("/api/v1/logs/search?{SHOP}&limit=3&order={order}{cursor}");
                let lines = world.lines(&uri).await;
                seen.extend(messages(&lines).into_iter().map(str::to_owned));
                match lines.last().unwrap()["summary"]["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            let mut expected: Vec<String> = (0..10).map(|n| format!("line {n} of the shop")).collect();
            if order == "newest" {
                expected.reverse();
            }
            assert_eq!(seen, expected, "{order}");
        }
    }

    #[tokio::test]
    async fn a_document_ends_where_its_bytes_do_and_its_cursor_goes_on() {
        let world = World::shop().await;
        let pairs = [("from", "2024-11-21T07:00:00Z"), ("to", "2024-11-21T08:00:00Z")];
        let parameters = Parameters::new(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec());
        let mut search = read_search(&parameters, world.app.questions.settings()).unwrap();
        let mut pages = Vec::new();
        loop {
            let document = document(world.app.ingest.logs(), &search, &Scan::unlimited(), 600).unwrap();
            let answer: Value = serde_json::from_slice(document.bytes()).unwrap();
            let rows = answer["records"].as_array().unwrap().len();
            assert_eq!(answer["summary"]["rows"], rows);
            pages.push(rows);
            let Some(next) = answer["summary"]["next_cursor"].as_str() else { break };
            assert_eq!(answer["summary"]["partial"], "out of bytes");
            search.asked.after = crate::api::record_json::parse_record_id(next);
        }
        assert!(pages.len() > 1, "{pages:?}");
        assert_eq!(pages.iter().sum::<usize>(), 10, "{pages:?}");
    }

    #[tokio::test]
    async fn tables_tell_their_columns_first_and_their_rows_as_objects() {
        let world = World::shop().await;
        let q = "q=*%20%7C%20stats%20count()%20by%20level%20%7C%20sort%20count%20desc";
        let lines = world.lines(&format!("/api/v1/logs/search?{q}&{SHOP}")).await;
        let columns = json!([{"name": "level", "type": "text"}, {"name": "count", "type": "number"}]);
        assert_eq!(lines[0], json!({ "columns": columns }));
        assert_eq!(lines[1], json!({"row": {"level": "info", "count": 6}}));
        assert_eq!(lines[2], json!({"row": {"level": "error", "count": 4}}));
        let summary = &lines[3]["summary"];
        assert_eq!(
            (&summary["rows"], &summary["more"], &summary["partial"]),
            (&json!(2), &json!(false), &json!(false))
        );
        assert_eq!(summary["next_cursor"], Value::Null);

        let cut = world.lines(&format!("/api/v1/logs/search?{q}&{SHOP}&limit=1")).await;
        assert_eq!((cut.len(), &cut[2]["summary"]["more"]), (3, &json!(true)));

        let pairs = [("q", "* | top level"), ("from", "2024-11-21T07:00:00Z"), ("to", "2024-11-21T08:00:00Z")];
        let parameters = Parameters::new(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec());
        let search = read_search(&parameters, world.app.questions.settings()).unwrap();
        let document = document(world.app.ingest.logs(), &search, &Scan::unlimited(), 1 << 20).unwrap();
        let document: Value = serde_json::from_slice(document.bytes()).unwrap();
        assert_eq!(document["columns"][2], json!({"name": "percent", "type": "number"}));
        assert_eq!(document["rows"][0], json!({"level": "info", "count": 6, "percent": 60}));

        // What treats each record alone can be paged through as a search can.
        let q = "q=*%20%7C%20where%20n:%3E2";
        let mut seen = Vec::new();
        let mut cursor = String::new();
        while seen.len() < 100 {
            let lines = world.lines(&format!("/api/v1/logs/search?{q}&{SHOP}&limit=3{cursor}")).await;
            seen.extend(messages(&lines).into_iter().map(str::to_owned));
            match lines.last().unwrap()["summary"]["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let expected: Vec<String> = (3..10).rev().map(|n| format!("line {n} of the shop")).collect();
        assert_eq!(seen, expected);
    }

    #[tokio::test]
    async fn a_question_without_memory_says_which_setting_gives_it_more() {
        let world = World::shop().await;
        let pairs = [("q", "* | stats count() by n"), ("from", "2024-11-21T07:00:00Z"), ("to", "2024-11-21T08:00:00Z")];
        let parameters = Parameters::new(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec());
        let settings = QuerySettings { memory_bytes_max: 1_000, ..world.app.questions.settings().clone() };
        let search = read_search(&parameters, &settings).unwrap();
        let document = document(world.app.ingest.logs(), &search, &Scan::unlimited(), 1 << 20).unwrap();
        let answer: Value = serde_json::from_slice(document.bytes()).unwrap();
        assert!(answer["rows"].as_array().unwrap().len() < 10);
        assert!(answer["summary"]["partial"].as_str().unwrap().contains("query.memory_bytes_max"), "{answer}");
    }

    #[tokio::test]
    async fn a_reader_that_does_not_read_is_waited_for_until_the_deadline() {
        let (lines, waiting) = mpsc::channel(1);
        let scan = Scan::new(Some(Duration::from_millis(20)), u64::MAX);
        let sender = tokio::task::spawn_blocking(move || {
            let line = || Bytes::from_static(b"{}\n");
            (send(&lines, line(), &scan), send(&lines, line(), &scan))
        });
        assert_eq!(sender.await.unwrap(), (Ok(()), Err(StopReason::OutOfTime)));
        drop(waiting);
    }

    #[tokio::test]
    async fn bad_questions_say_what_is_wrong() {
        let world = World::empty().await;
        let check = async |parameters: &str, expected: &str| {
            let (status, text) = world.text(&format!("/api/v1/logs/search?{parameters}")).await;
            assert_eq!(status, 400, "{parameters}: {text}");
            assert!(text.contains(expected), "{parameters}: {text}");
        };
        check("q=level:(", "\"column\":").await;
        check("limit=many", "`limit` must be a whole number").await;
        check("limit=1000000", "10000 at most").await;
        check("order=random", "`newest` or `oldest`").await;
        check("cursor=first", "must be the id of a record").await;
        check("from=whenever", "whenever").await;
    }

    #[tokio::test]
    async fn a_dropped_answer_frees_the_turn() {
        let world = World::shop().await;
        let mut response = world.ask("GET", &format!("/api/v1/logs/search?{SHOP}")).await;
        response.body_mut().frame().await.unwrap().unwrap();
        drop(response);
        while world.app.questions.counts().running > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.app.questions.counts().cancelled, 1);
    }
}
