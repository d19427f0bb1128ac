//! `/api/v1/logs/search`: matching records, newest or oldest first, as a stream of lines with progress, or as one document
//! for who accepts `application/json`.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use http::{HeaderMap, header};
use serde_json::{Value, json};
use taffrail_ingest::log_store::{Ending, LogStore, Order, RecordId, Search};
use taffrail_ingest::{Scan, StopReason};
use taffrail_query::log_search;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::api::App;
use crate::api::ndjson;
use crate::api::parameters::Parameters;
use crate::api::question::{CancelOnDrop, Turn, progress, summary};
use crate::api::record_json::{RecordJson, record_id_text};
use crate::api_error::ApiError;

/// Records in an answer when nobody says how many.
const LIMIT_DEFAULT: usize = 100;
/// How often a stream says how far it has come.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// Lines that may wait for a slow reader before the search waits too.
const LINES_WAITING_MAX: usize = 256;
/// Bytes of waiting lines that are sent as one chunk.
const CHUNK_BYTES: usize = 64 << 10;

/// Answers `q`, `from`, `to`, `limit`, `cursor`, `order`.
pub async fn search(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let search = read_search(&parameters, app.questions.settings().limit_max)?;
    if accepts_one_document(&headers) {
        let logs = app.ingest.logs().clone();
        let work = move |scan: &Scan| {
            let mut records = Vec::new();
            let result = run(&logs, &search, scan, &mut |record| {
                records.push(serde_json::to_value(record).expect("a record has text keys"));
                ControlFlow::Continue(())
            })?;
            Ok::<_, ApiError>((records, result))
        };
        let ((records, found), scan) = app.questions.ask(work).await?;
        return Ok(Json(json!({ "records": records, "summary": found.summary(&scan) })).into_response());
    }

    let Turn { scan, guard, permit } = app.questions.turn().await?;
    let (lines, waiting) = mpsc::channel(LINES_WAITING_MAX);
    let logs = app.ingest.logs().clone();
    let worker_scan = scan.clone();
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let found = run(&logs, &search, &worker_scan, &mut |record| {
            // Only a reader that went away closes the channel.
            match lines.blocking_send(ndjson::line(&json!({ "record": record }))) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        let last = match found {
            Ok(found) => json!({ "summary": found.summary(&worker_scan) }),
            Err(error) => error.body(),
        };
        let _ = lines.blocking_send(ndjson::line(&last));
    });
    Ok(ndjson::stream(with_progress(waiting, scan, guard)))
}

/// What a search found besides the records themselves.
struct Found {
    rows: u64,
    stopped: Option<StopReason>,
    next_cursor: Option<RecordId>,
}

impl Found {
    fn summary(&self, scan: &Scan) -> Value {
        let mut summary = summary(scan, self.stopped);
        summary["rows"] = self.rows.into();
        summary["next_cursor"] = self.next_cursor.map_or(Value::Null, |id| record_id_text(id).into());
        summary
    }
}

fn read_search(parameters: &Parameters, limit_max: usize) -> Result<Search, ApiError> {
    let order = match parameters.get("order") {
        None | Some("newest") => Order::NewestFirst,
        Some("oldest") => Order::OldestFirst,
        Some(other) => {
            return Err(ApiError::bad_request(format!("`order` is `newest` or `oldest`, not `{other}`")));
        }
    };
    Ok(Search {
        filter: log_search::parse(parameters.get("q").unwrap_or_default())?,
        range: parameters.range()?,
        order,
        after: parameters.record_id("cursor")?,
        limit: parameters.count("limit", LIMIT_DEFAULT.min(limit_max), limit_max)?,
    })
}

fn run(
    logs: &LogStore,
    search: &Search,
    scan: &Scan,
    emit: &mut dyn FnMut(RecordJson<'_>) -> ControlFlow<()>,
) -> Result<Found, ApiError> {
    let mut rows = 0;
    let mut last = None;
    let Ending { stopped } = logs.search(search, scan, &mut |stored| {
        rows += 1;
        last = Some(stored.id);
        emit(RecordJson::from(&stored))
    })?;
    let more = rows == search.limit as u64 || stopped.is_some();
    Ok(Found { rows, stopped, next_cursor: last.filter(|_| more) })
}

fn accepts_one_document(headers: &HeaderMap) -> bool {
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
        assert_eq!(lines[0]["record"]["attributes"], json!({"n": 9}));
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
