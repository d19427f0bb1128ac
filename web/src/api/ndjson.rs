//! Answers that stream as lines of JSON (<https://github.com/ndjson/ndjson-spec>): each line is sent as soon as it is there.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderValue, header};
use serde::Serialize;

/// The media type of a stream of lines. Answers of this type are never held back to be compressed.
pub const NDJSON: &str = "application/x-ndjson";

/// One line.
pub fn line(value: &impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(value).expect("our own answers have text keys and finite numbers");
    line.push(b'\n');
    line.into()
}

/// A response that sends these chunks of lines as they come.
pub fn stream(lines: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    use futures_util::StreamExt;
    let body = Body::from_stream(lines.map(Ok::<Bytes, std::convert::Infallible>));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(NDJSON)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Asks nginx not to hold lines back (https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering).
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, body).into_response()
}
