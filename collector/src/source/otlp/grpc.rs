//! OTLP over gRPC: one call brings one request and gets one response, so that HTTP/2 and five bytes before each message are all there
//! is to it (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
//!
//! ```text
//! request    POST /opentelemetry.proto.collector.logs.v1.LogsService/Export    content-type: application/grpc[+proto]
//!            body: u8 compressed (0 or 1, then as `grpc-encoding` says), u32 length (big endian), the message
//! response   200, content-type: application/grpc
//!            body as above, never compressed; trailers: grpc-status (0), grpc-message
//! failure    200, grpc-status and grpc-message among the headers, no body
//! ```
//!
//! | Status | Meaning for the sender |
//! |---|---|
//! | 0 OK | everything is on disk, or, with `partial_success`, everything but what it names |
//! | 3 INVALID_ARGUMENT, 12 UNIMPLEMENTED | nothing is stored, and sending it again would not help |
//! | 14 UNAVAILABLE | nothing is acknowledged: too busy, stopping, disk full; to be sent again |
//!
//! A message is bounded before and after it is decompressed by the limits of HTTP's bodies, and read on a thread that may be busy:
//! what general gRPC servers leave to their users.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt, Full};

use super::MessageForm;
use super::receiver::{Failure, FailureKind, Receiver, Signal, Unpacked};
use super::routes::{is_near, response_message};

const GRPC: &str = "application/grpc";
const ENCODINGS: HeaderValue = HeaderValue::from_static("identity,gzip,deflate,zstd");
/// Bytes before a message.
const PREFIX_BYTES: usize = 5;

const OK: u16 = 0;
const INVALID_ARGUMENT: u16 = 3;
const UNIMPLEMENTED: u16 = 12;
const UNAVAILABLE: u16 = 14;

impl Signal {
    const fn method(self) -> &'static str {
        match self {
            Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        }
    }
}

/// The methods of all signals.
pub(super) fn routes(receiver: &Arc<Receiver>) -> Router {
    Signal::ALL.into_iter().fold(Router::new(), |router, signal| {
        let receiver = Arc::clone(receiver);
        router.route(signal.method(), post(move |request| async move { call(&receiver, signal, request).await }))
    })
}

/// What is asked for that is no method of ours: to be the fallback where nothing but OTLP is served.
pub(super) async fn unknown_method(request: Request) -> Response {
    if !is_grpc(request.headers()) {
        let message = "OTLP alone is taken here: POST /v1/logs, /v1/metrics or /v1/traces, or gRPC's Export\n";
        return (StatusCode::NOT_FOUND, message).into_response();
    }
    failed(
        UNIMPLEMENTED,
        &format!("{} is not served here: Export of logs, metrics and traces is", request.uri().path()),
    )
}

async fn call(receiver: &Arc<Receiver>, signal: Signal, request: Request) -> Response {
    if !is_grpc(request.headers()) {
        let message = format!("this is a method of gRPC: send {GRPC}, or post to {}\n", signal.path());
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into_response();
    }
    let is_near = is_near(&request);
    let (parts, body) = request.into_parts();
    let encoding = parts.headers.get("grpc-encoding").and_then(|value| value.to_str().ok());
    let bytes_max = receiver.body_bytes_max();
    match receiver.receive(signal, body, is_near, |body| unpacked(&body, encoding, bytes_max)).await {
        Ok(rejected) => succeeded(&response_message(rejected)),
        Err(failure) => {
            let status = match failure.kind {
                FailureKind::UnknownEncoding => UNIMPLEMENTED,
                FailureKind::UnknownType | FailureKind::TooLarge | FailureKind::Malformed => INVALID_ARGUMENT,
                FailureKind::Unavailable => UNAVAILABLE,
            };
            failed(status, &failure.message)
        }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let form = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let form = form.split(';').next().unwrap_or_default().trim();
    form == GRPC || form == "application/grpc+proto"
}

/// The message without its prefix.
fn unpacked(body: &Bytes, encoding: Option<&str>, bytes_max: usize) -> Result<Unpacked, Failure> {
    let malformed = |message: &str| Err(Failure::new(FailureKind::Malformed, "malformed_body", message.to_owned()));
    let Some((prefix, message)) = body.split_first_chunk::<PREFIX_BYTES>() else {
        return malformed("the call ends before its message");
    };
    let [compressed, length @ ..] = *prefix;
    let length = u32::from_be_bytes(length) as usize;
    if length > bytes_max {
        return Err(Failure::too_large(bytes_max));
    }
    if length > message.len() {
        return malformed("the message ends before its length");
    }
    if length < message.len() {
        return malformed("a call brings one message, and something stands behind it");
    }
    let encoding = match (compressed, encoding) {
        (0, _) => "",
        (1, Some(encoding)) => encoding,
        _ => return malformed("the message is said to be compressed, but not how (grpc-encoding)"),
    };
    let body = body.slice(PREFIX_BYTES..);
    Ok(Unpacked { body, form: MessageForm::Protobuf, encoding: encoding.to_owned() })
}

fn succeeded(message: &[u8]) -> Response {
    let length = u32::try_from(message.len()).expect("a response is some hundred bytes long");
    let body = [&[0][..], &length.to_be_bytes(), message].concat();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", OK.into());
    let body = Full::new(Bytes::from(body)).with_trailers(async move { Some(Ok::<_, Infallible>(trailers)) });
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(GRPC))];
    (headers, Body::new(body)).into_response()
}

fn failed(status: u16, message: &str) -> Response {
    let mut response = Body::empty().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
    headers.insert("grpc-accept-encoding", ENCODINGS);
    headers.insert("grpc-status", status.into());
    headers.insert("grpc-message", percent_encoded(message));
    response
}

/// A message as a header carries it: what is not plain ASCII, and `%`, in hexadecimal.
fn percent_encoded(message: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::try_from(encoded).expect("it is plain ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_brings_one_message_whole() {
        let check = |body: &[u8], encoding: Option<&str>, expected: Result<(&[u8], &str), &str>| {
            let found = unpacked(&Bytes::copy_from_slice(body), encoding, 1_000);
            match (&found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!((&*found.body, &*found.encoding), expected),
                (Err(failure), Err(expected)) => assert!(failure.message.contains(expected), "{}", failure.message),
                (Ok(_), Err(expected)) => panic!("{body:?} is taken, and should be: {expected}"),
                (Err(failure), Ok(_)) => panic!("{body:?}: {}", failure.message),
            }
        };
        check(b"\0\0\0\0\x02hi", None, Ok((b"hi", "")));
        check(b"\0\0\0\0\x02hi", Some("gzip"), Ok((b"hi", "")));
        check(b"\x01\0\0\0\x02hi", Some("gzip"), Ok((b"hi", "gzip")));
        check(b"\0\0\0\0\0", None, Ok((b"", "")));
        check(b"\x01\0\0\0\x02hi", None, Err("but not how"));
        check(b"\x02\0\0\0\x02hi", Some("gzip"), Err("but not how"));
        check(b"\0\0\0", None, Err("before its message"));
        check(b"\0\0\0\0\x03hi", None, Err("before its length"));
        check(b"\0\0\0\0\x01hi", None, Err("behind it"));
        check(b"\0\x7f\0\0\0hi", None, Err("raise collector.otlp.body_bytes_max"));
    }

    #[test]
    fn messages_stand_in_headers_whatever_they_say() {
        let check = |message, expected: &str| assert_eq!(percent_encoded(message), expected);
        check("plain text: 100 bytes", "plain text: 100 bytes");
        check("50% é\n", "50%25 %C3%A9%0A");
    }
}
