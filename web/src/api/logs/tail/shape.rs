//! The two forms in which a follower is told things: lines of JSON for `fetch` and the command line, and server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>) for `EventSource`.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;

use crate::api::ndjson::NDJSON;

const EVENT_STREAM: &str = "text/event-stream";

/// How things are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// `{"record":{…}}`, a line each.
    Lines,
    /// `id: 43`, `event: record`, `data: {…}`; the id is the number to go on with.
    Events,
}

impl Shape {
    /// Events for who accepts them, else lines.
    pub fn wanted(headers: &HeaderMap) -> Shape {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if accept.contains(EVENT_STREAM) { Shape::Events } else { Shape::Lines }
    }

    /// Writes one thing; `next_seq` is the number to go on with once it is told, if there is one.
    pub fn tell(self, name: &str, what: &impl Serialize, next_seq: Option<u64>, into: &mut Vec<u8>) {
        let text = |text: &str, into: &mut Vec<u8>| into.extend_from_slice(text.as_bytes());
        match self {
            Shape::Lines => text(&format!("{{\"{name}\":"), into),
            Shape::Events => {
                if let Some(seq) = next_seq {
                    text(&format!("id: {seq}\n"), into);
                }
                text(&format!("event: {name}\ndata: "), into);
            }
        }
        // JSON writes an end of line within a text as two characters, so that this is one line.
        serde_json::to_writer(&mut *into, what).expect("our own answers have text keys and finite numbers");
        text(if self == Shape::Lines { "}\n" } else { "\n\n" }, into);
    }

    /// The headers of an answer of this form around its body.
    pub fn response(self, body: axum::body::Body) -> Response {
        let kind = match self {
            Shape::Lines => NDJSON,
            Shape::Events => EVENT_STREAM,
        };
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            // Asks nginx not to hold lines back.
            (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
        ];
        (headers, body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_thing_is_a_line_or_an_event_with_the_number_to_go_on_with() {
        let check = |shape: Shape, next_seq, expected: &str| {
            let mut told = Vec::new();
            shape.tell("gap", &json!({"rows": 2, "why": "a\nb"}), next_seq, &mut told);
            assert_eq!(String::from_utf8(told).unwrap(), expected);
        };
        check(Shape::Lines, Some(7), "{\"gap\":{\"rows\":2,\"why\":\"a\\nb\"}}\n");
        check(Shape::Events, Some(7), "id: 7\nevent: gap\ndata: {\"rows\":2,\"why\":\"a\\nb\"}\n\n");
        check(Shape::Events, None, "event: gap\ndata: {\"rows\":2,\"why\":\"a\\nb\"}\n\n");
    }
}
