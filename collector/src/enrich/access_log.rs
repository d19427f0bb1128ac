//! Access logs of nginx and Apache: common, combined, with the virtual host before and more behind.
//!
//! ```text
//! [vhost[:port] ]client ident user [21/Nov/2026:07:33:00 +0000] "GET /path?query HTTP/1.1" status bytes[ "referer" "agent"[ "forwarded for"]][ more]
//! ```
//!
//! | part | field |
//! |---|---|
//! | vhost, port | `server.address`, `server.port` |
//! | client, ident, user | `client.address`, `client.ident`, `user.name` |
//! | request | `http.request.method`, `url.path`, `url.query`, `network.protocol.version`; `http.request.line` when it is none |
//! | status, bytes | `http.response.status_code`, `http.response.body.size` |
//! | quoted behind | `http.request.header.referer`, `user_agent.original`, `http.request.header.x-forwarded-for` |
//! | a number behind | `http.server.request.duration` in seconds: with a fraction it is nginx's `$request_time`, without one Apache's `%D` (µs) |
//! | `name=value` behind | under its own name (`urt=0.012`); `rt` and `request_time` are the duration |
//!
//! What is `-` is left out. The names are OpenTelemetry's
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>), the severity is the status' (5xx error, 4xx warning).

use std::borrow::Cow;

use super::fields::{Fields, Given};
use super::logfmt::bare_value;
use super::timestamp::{self, Setting};
use crate::model::{Severity, Timestamp, Value};

/// The time begins within so many bytes; addresses and names stand before it.
const HEAD_BYTES_MAX: usize = 300;

/// The parts of a line, as they are written.
#[derive(Debug, Default)]
struct AccessLine<'a> {
    server: Option<&'a str>,
    client: &'a str,
    ident: &'a str,
    user: &'a str,
    time: Timestamp,
    request: &'a str,
    status: u16,
    bytes: Option<i64>,
    rest: &'a str,
}

/// Whether the line may be one; a cheap look for `[21/Nov/`.
#[inline]
pub(super) fn looks_like(line: &str) -> bool {
    let bytes = line.as_bytes();
    let head = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    memchr::memchr(b'[', head)
        .is_some_and(|at| matches!(bytes.get(at + 3), Some(b'/')) && bytes.get(at + 7) == Some(&b'/'))
}

/// Offers the parts of the line; false, with nothing offered, when it is no access log's.
pub(super) fn read<'a>(line: &'a str, setting: Setting<'_>, fields: &mut Fields<'a, '_>) -> bool {
    let Some(parts) = parsed(line, setting) else { return false };
    parts.offer(fields);
    true
}

fn parsed<'a>(line: &'a str, setting: Setting<'_>) -> Option<AccessLine<'a>> {
    let opening = memchr::memchr(b'[', &line.as_bytes()[..line.len().min(HEAD_BYTES_MAX)])?;
    let mut parts = head(line[..opening].trim_ascii())?;
    let (time, length) = timestamp::start(&line.as_bytes()[opening + 1..], setting)?;
    parts.time = time;
    let behind = line[opening + 1 + length..].strip_prefix("] \"")?;
    let (request, behind) = until_quote(behind)?;
    parts.request = request;
    let mut words = behind.trim_ascii_start().splitn(3, ' ');
    let status = words.next().filter(|status| status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit()))?;
    parts.status = status.parse().ok()?;
    parts.bytes = match words.next()? {
        "-" => None,
        bytes => Some(bytes.parse().ok().filter(|bytes| *bytes >= 0)?),
    };
    parts.rest = words.next().unwrap_or_default();
    Some(parts)
}

/// What stands before the time.
fn head(head: &str) -> Option<AccessLine<'_>> {
    let mut words = head.split(' ').filter(|word| !word.is_empty()).peekable();
    let mut parts = AccessLine { client: words.next()?, ..AccessLine::default() };
    if let Some(client) = parts.client.strip_suffix(',') {
        // A list of addresses, as proxies pass it on: the first is the client's.
        parts.client = client;
        while words.next_if(|word| word.ends_with(',')).is_some() {}
        words.next()?;
    }
    let second = words.next()?;
    parts.ident = second;
    let third = words.next()?;
    match words.next() {
        None => parts.user = third,
        Some(user) if third == "-" => {
            // `%v:%p %h %l %u`: the virtual host stands before the rest.
            (parts.server, parts.client, parts.ident, parts.user) = (Some(parts.client), second, third, user);
        }
        // A name with spaces.
        Some(_) => parts.user = &head[third.as_ptr().addr() - head.as_ptr().addr()..],
    }
    let is_address = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-' | b'_' | b'%');
    parts.client.bytes().all(is_address).then_some(parts)
}

/// The text up to the next quote that is not escaped, and what stands behind the quote.
fn until_quote(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', &bytes[at..])?;
        if bytes[at] == b'"' {
            return Some((&text[..at], &text[at + 1..]));
        }
        at = (at + 2).min(bytes.len());
    }
}

impl<'a> AccessLine<'a> {
    fn offer(self, fields: &mut Fields<'a, '_>) {
        fields.claim_time(self.time);
        fields.claim_severity(severity_of(self.status));
        if let Some(server) = self.server {
            let (name, port) = split_port(server);
            text(fields, "server.address", name);
            if let Some(port) = port {
                fields.offer("server.port", Value::Int(port).into());
            }
        }
        text(fields, "client.address", self.client);
        text(fields, "client.ident", self.ident);
        text(fields, "user.name", self.user);
        request(self.request, fields);
        fields.offer("http.response.status_code", Value::Int(i64::from(self.status)).into());
        if let Some(bytes) = self.bytes {
            fields.offer("http.response.body.size", Value::Int(bytes).into());
        }
        rest(self.rest, fields);
    }
}

/// Offers the parts of a request line; error logs hold one too.
pub(super) fn request<'a>(line: &'a str, fields: &mut Fields<'a, '_>) {
    let mut words = line.split(' ');
    let (method, target, protocol, more) = (words.next(), words.next(), words.next(), words.next());
    let is_method = |method: &&str| !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    let version = protocol.map_or(Some(""), |protocol| protocol.strip_prefix("HTTP/"));
    let (Some(method), Some(target), Some(version), None) = (method.filter(is_method), target, version, more) else {
        return text(fields, "http.request.line", line);
    };
    text(fields, "http.request.method", method);
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    // A proxy is asked for a whole URL.
    match path.split_once("://") {
        Some((_, behind)) => {
            text(fields, "url.full", target);
            text(fields, "url.path", behind.find('/').map_or("/", |slash| &behind[slash..]));
        }
        None => text(fields, "url.path", path),
    }
    text(fields, "url.query", query.unwrap_or_default());
    text(fields, "network.protocol.version", version);
}

/// Offers what stands behind the size.
fn rest<'a>(mut rest: &'a str, fields: &mut Fields<'a, '_>) {
    let mut quoted =
        ["http.request.header.referer", "user_agent.original", "http.request.header.x-forwarded-for"].into_iter();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return;
        }
        if let Some(inside) = rest.strip_prefix('"') {
            let Some((value, behind)) = until_quote(inside) else { return };
            if let Some(name) = quoted.next() {
                text(fields, name, value);
            }
            rest = behind;
            continue;
        }
        let length = rest.bytes().take_while(|b| !matches!(b, b' ' | b'=')).count();
        let word = &rest[..length];
        if let Some(behind) = rest[length..].strip_prefix('=').filter(|_| is_name(word)) {
            let (value, behind) = match behind.strip_prefix('"').and_then(until_quote) {
                Some(quoted) => quoted,
                None => behind.split_at(behind.find(' ').unwrap_or(behind.len())),
            };
            rest = behind;
            match word {
                "rt" | "request_time" => duration(value, fields),
                "host" => text(fields, "server.address", value),
                _ if value != "-" => fields.offer(word, bare_value(value)),
                _ => {}
            }
            continue;
        }
        duration(word, fields);
        rest = &rest[rest.find(' ').unwrap_or(rest.len())..];
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Seconds with a fraction, or whole microseconds.
fn duration(word: &str, fields: &mut Fields<'_, '_>) {
    if word.is_empty() || !word.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return;
    }
    let unit = if word.contains('.') { 1.0 } else { 1e-6 };
    if let Ok(number) = word.parse::<f64>() {
        fields.offer("http.server.request.duration", Value::Float(number * unit).into());
    }
}

/// Offers a text unless it is empty or says that there is none.
pub(super) fn text<'a>(fields: &mut Fields<'a, '_>, name: &str, value: &'a str) {
    if !value.is_empty() && value != "-" {
        fields.offer(name, Given::Text(Cow::Borrowed(value)));
    }
}

/// The host and the port of `host:port`, `[::1]:80` or a bare host.
pub(super) fn split_port(address: &str) -> (&str, Option<i64>) {
    let split = address.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    match split.and_then(|(host, port)| Some((host, i64::from(port.parse::<u16>().ok()?)))) {
        Some((host, port)) => (host.trim_matches(['[', ']']), Some(port)),
        None => (address, None),
    }
}

fn severity_of(status: u16) -> Severity {
    match status {
        500.. => Severity::ERROR,
        400.. => Severity::WARN,
        _ => Severity::INFO,
    }
}
