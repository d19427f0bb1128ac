//! `/api/v1/logs/tail`: matching records as they become durable, numbered, so that a reader knows what it missed and goes on where it
//! was, with another question too, after a broken connection and after a restart of the server.
//!
//! Lines of JSON, or server-sent events of the same names for who accepts `text/event-stream`:
//!
//! - `{"record":{"seq",…}}`: a record; `seq + 1` is the number to go on with (`from_seq`, or the event's id as `Last-Event-ID`).
//! - `{"live":{"seq","rows","partial"}}`: so many records of the past were told; from here on they come as they are stored. `partial` is
//!   false, or says why some of the past may be missing.
//! - `{"gap":{"from_seq","to_seq","rows","reason"}}`: what was not told: the reader was too slow, or allowed fewer records a second. When
//!   nobody counted them, `rows` are as many as there are numbers; metric windows take numbers too.
//! - `{"heartbeat":{"seq","time","received","matched","shown","dropped"}}`: at once and each second: the number to go on with (null while
//!   only a part of the past was told) and what came since the connection began.
//! - `{"reset":{"asked","seq","reason"}}`: the store does not know the number that was asked for, and goes on with another.
//!
//! [`shape`] (the two forms), [`audience`] (what followers share), [`past`] (what the store is asked), [`follower`] (one stream).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use futures_util::stream;
use http::HeaderMap;
use taffrail_collector::model::Timestamp;
use taffrail_ingest::TimeRange;
use taffrail_query::log_search::question::Question;
use taffrail_query::time_range;

use crate::api::App;
use crate::api::parameters::Parameters;
use crate::api_error::ApiError;

pub mod audience;
mod follower;
mod past;
mod shape;
#[cfg(test)]
mod tests;

use follower::Follower;
use past::Past;
use shape::Shape;

/// Records a second that somebody may ask for.
const RATE_MAX: usize = 1_000_000;

/// Answers `q` with the stages that take each record alone, and of the past `from_seq`, `since` or `last` (nothing when absent); `rate` is how many records a second are sent at
/// most. Ends when the server stops.
pub async fn tail(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let shape = Shape::wanted(&headers);
    let question = parameters.get("q").unwrap_or_default();
    let group = app.audience.group(question, shape, followed)?;
    let past = wanted_past(&headers, &parameters)?;
    let rate = parameters.get("rate").map(|_| parameters.count("rate", RATE_MAX, RATE_MAX)).transpose()?;
    let place = app.audience.enter(app.questions.settings().followers_max)?;

    let known_seq = app.ingest.next_seq().max(app.ingest.live_feed().seqs().end);
    let unknown = match past {
        Some(Past::Since(seq)) if seq > known_seq => Some(seq),
        _ => None,
    };
    let mut follower = Follower::new(app, group, past.filter(|_| unknown.is_none()), rate, place);
    if let Some(asked) = unknown {
        follower.tell_of_unknown(asked);
    }
    let told = stream::unfold(follower, async |mut follower| {
        let bytes = follower.next().await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), follower))
    });
    Ok(shape.response(Body::from_stream(told)))
}

/// A question whose stages make of each record one or none.
fn followed(text: &str) -> Result<Question, ApiError> {
    let question = Question::parse(text)?;
    match question.first_stage_that_waits() {
        None => Ok(question),
        Some(stage) => Err(ApiError::bad_request(format!(
            "`| {stage}` cannot be followed: behind a search that is followed stand stages that leave records records (where, extract, parse_json, \
             parse_logfmt, rename, drop)"
        ))),
    }
}

/// The number that a broken stream is gone on with weighs more than what was wanted when it began.
fn wanted_past(headers: &HeaderMap, parameters: &Parameters) -> Result<Option<Past>, ApiError> {
    let last_event = headers.get("last-event-id").and_then(|value| value.to_str().ok()).filter(|id| !id.is_empty());
    if let Some(text) = last_event.or(parameters.get("from_seq")) {
        let seq = text.parse::<u64>().map_err(|_| {
            ApiError::bad_request(format!(
                "`from_seq` (or the header Last-Event-ID) must be a sequence number of an earlier answer, not `{text}`"
            ))
        })?;
        return Ok(Some(Past::Since(seq)));
    }
    let since = parameters.get("since");
    if since.is_none() && parameters.get("last").is_none() {
        return Ok(None);
    }
    let moment = |text| time_range::parse_moment(text, Timestamp::now()).map_err(ApiError::bad_request);
    let start = since.map(moment).transpose()?.unwrap_or(Timestamp::MIN);
    let rows = parameters.count("last", past::PAGE_ROWS, past::PAGE_ROWS)?;
    let range = TimeRange { start, end: Timestamp::MAX };
    Ok(Some(Past::Newest { range, rows, wants_all: parameters.get("last").is_none() }))
}
