//! `/api/v1/logs/tail`: matching records as they become durable, numbered, so that a reader knows what it missed.
//!
//! Lines: `{"record":{"seq",…}}`, `{"gap":{"from_seq","to_seq","rows"}}` when the reader fell behind (the rows are in the
//! store), and `{"heartbeat":{"seq","time"}}` at the start and each second without a line; `seq` is the number to
//! go on from after the connection broke.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde_json::json;
use taffrail_collector::model::Timestamp;
use taffrail_ingest::live_feed::{Event, Subscription};
use taffrail_ingest::log_store::{CompiledFilter, RecordId};
use taffrail_query::log_search;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::api::App;
use crate::api::ndjson;
use crate::api::parameters::Parameters;
use crate::api::record_json::RecordJson;
use crate::api_error::ApiError;

const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Answers `q` and `from_seq` (from now on when absent). Ends when the server stops.
pub async fn tail(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Response, ApiError> {
    let filter = log_search::parse(parameters.get("q").unwrap_or_default())?;
    let filter = filter.compile().map_err(|error| ApiError::bad_request(error.to_string()))?;
    let from_seq = match parameters.get("from_seq") {
        None => None,
        Some(text) => Some(text.parse::<u64>().map_err(|_| {
            ApiError::bad_request(format!("`from_seq` must be a sequence number of an earlier answer, not `{text}`"))
        })?),
    };
    let next_seq = from_seq.unwrap_or_else(|| app.ingest.status().next_seq);
    let reader = Reader {
        subscription: app.ingest.live_feed().subscribe(from_seq),
        filter,
        next_seq,
        heartbeat_at: Instant::now(),
        stopping: app.stopping.clone(),
    };
    Ok(ndjson::stream(lines(reader)))
}

struct Reader {
    subscription: Subscription,
    filter: CompiledFilter,
    next_seq: u64,
    heartbeat_at: Instant,
    stopping: CancellationToken,
}

fn lines(reader: Reader) -> impl Stream<Item = Bytes> {
    stream::unfold(reader, async |mut reader| {
        let line = reader.next_line().await?;
        reader.heartbeat_at = Instant::now() + HEARTBEAT_INTERVAL;
        Some((line, reader))
    })
}

impl Reader {
    async fn next_line(&mut self) -> Option<Bytes> {
        loop {
            // Every branch is cancel-safe: `Subscription::next` says so, the others hold nothing.
            let event = tokio::select! {
                biased;
                () = self.stopping.cancelled() => return None,
                () = sleep_until(self.heartbeat_at) => {
                    let heartbeat = json!({ "seq": self.next_seq, "time": Timestamp::now().to_string() });
                    return Some(ndjson::line(&json!({ "heartbeat": heartbeat })));
                }
                event = self.subscription.next() => event?,
            };
            match event {
                Event::Record { seq, record } => {
                    self.next_seq = seq + 1;
                    if self.filter.matches(&record) {
                        let id = RecordId { time: record.timestamp, seq };
                        return Some(ndjson::line(&json!({ "record": RecordJson { id, record: &record } })));
                    }
                }
                Event::Gap { from_seq, to_seq } => {
                    self.next_seq = to_seq + 1;
                    let gap = json!({ "from_seq": from_seq, "to_seq": to_seq, "rows": to_seq - from_seq + 1 });
                    return Some(ndjson::line(&json!({ "gap": gap })));
                }
            }
            // A filter that lets nothing through must not keep the thread to itself.
            tokio::task::consume_budget().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::api::world::{World, record};
    use axum::body::Body;
    use http_body_util::BodyExt;
    use serde_json::Value;
    use taffrail_collector::model::Batch;

    /// The next line that is no heartbeat.
    async fn next(body: &mut Body) -> Option<Value> {
        loop {
            let frame = body.frame().await?.unwrap().into_data().unwrap();
            let line: Value = serde_json::from_slice(&frame).unwrap();
            if line.get("heartbeat").is_none() {
                return Some(line);
            }
        }
    }

    #[tokio::test]
    async fn matching_records_come_as_they_are_stored_until_the_server_stops() {
        let world = World::empty().await;
        let mut body = world.ask("GET", "/api/v1/logs/tail?q=level:error").await.into_body();
        world.deliver(Batch { logs: (0..4).map(record).collect(), ..Batch::local() }).await;
        let first = next(&mut body).await.unwrap();
        assert_eq!(first["record"]["message"], "line 0 of the shop");
        let second = next(&mut body).await.unwrap();
        assert_eq!(second["record"]["message"], "line 3 of the shop");

        let after_first = first["record"]["seq"].as_u64().unwrap() + 1;
        let mut again = world.ask("GET", &format!("/api/v1/logs/tail?from_seq={after_first}")).await.into_body();
        assert_eq!(next(&mut again).await.unwrap()["record"]["message"], "line 1 of the shop");

        world.app.stopping.cancel();
        assert_eq!(next(&mut body).await, None);
    }

    #[tokio::test]
    async fn a_silent_tail_beats_at_once() {
        let world = World::empty().await;
        let mut body = world.ask("GET", "/api/v1/logs/tail").await.into_body();
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let line: Value = serde_json::from_slice(&frame).unwrap();
        assert!(line["heartbeat"]["seq"].is_u64() && line["heartbeat"]["time"].is_string(), "{line}");
        assert_eq!(world.text("/api/v1/logs/tail?from_seq=x").await.0, 400);
        assert_eq!(world.text("/api/v1/logs/tail?q=(").await.0, 400);
    }
}
