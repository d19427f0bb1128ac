//! Error logs of nginx and Apache.
//!
//! ```text
//! 2026/11/21 07:33:00 [error] 123#124: *789 connect() failed, client: 10.0.0.1, server: shop, request: "GET / HTTP/1.1", host: "e.org"
//! [Sat Nov 21 07:33:00.123456 2026] [core:error] [pid 123:tid 456] [client 10.0.0.1:5678] AH00126: Invalid URI
//! ```
//!
//! Time and severity are the line's; `process.pid`, `thread.id`, `client.address`, `client.port`, `server.address`, what is
//! known of the request (as in an access log), and of nginx `nginx.connection` and `nginx.upstream`, of Apache
//! `apache.module` and `error.code`. The line stays the body.

use super::access_log::{request, split_port, text};
use super::fields::Fields;
use super::logfmt::bare_value;
use super::timestamp::{self, Setting};
use crate::model::Value;

/// Offers the parts of a line of nginx' error log; false, with nothing offered, when it is none.
pub(super) fn read_nginx<'a>(line: &'a str, setting: Setting<'_>, fields: &mut Fields<'a, '_>) -> bool {
    let Some((time, length)) = timestamp::start(line.as_bytes(), setting) else { return false };
    let Some((level, behind)) = line[length..].strip_prefix(" [").and_then(|behind| behind.split_once("] ")) else {
        return false;
    };
    let Some((ids, message)) = behind.split_once(": ") else { return false };
    let Some((pid, tid)) = ids.split_once('#') else { return false };
    let (Ok(pid), Ok(tid)) = (pid.parse(), tid.parse()) else { return false };
    fields.claim_time(time);
    text(fields, "level", level);
    fields.offer("process.pid", Value::Int(pid).into());
    fields.offer("thread.id", Value::Int(tid).into());
    if let Some((connection, _)) = message.strip_prefix('*').and_then(|behind| behind.split_once(' ')) {
        fields.offer("nginx.connection", bare_value(connection));
    }
    // The message may itself hold a comma; only these names are read behind one.
    for (mark, name) in NGINX_TAIL {
        let Some(at) = message.find(mark) else { continue };
        let value = &message[at + mark.len()..];
        let value = match value.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next().unwrap_or_default(),
            None => value.split(", ").next().unwrap_or_default(),
        };
        match name {
            "request" => request(value, fields),
            name => text(fields, name, value),
        }
    }
    true
}

const NGINX_TAIL: [(&str, &str); 6] = [
    (", client: ", "client.address"),
    (", server: ", "server.address"),
    (", request: ", "request"),
    (", upstream: ", "nginx.upstream"),
    (", host: ", "http.request.header.host"),
    (", referrer: ", "http.request.header.referer"),
];

/// Offers the parts of a line of Apache's error log; false, with nothing offered, when it is none.
pub(super) fn read_apache<'a>(line: &'a str, setting: Setting<'_>, fields: &mut Fields<'a, '_>) -> bool {
    let Some(inside) = line.strip_prefix('[') else { return false };
    let Some((time, length)) = timestamp::start(inside.as_bytes(), setting) else { return false };
    let Some((level, mut rest)) = inside[length..].strip_prefix("] ").and_then(bracketed) else { return false };
    fields.claim_time(time);
    let (module, level) = level.split_once(':').unwrap_or(("", level));
    // `trace1` to `trace8` are one level to us.
    text(fields, "level", if level.starts_with("trace") { "trace" } else { level });
    text(fields, "apache.module", module);
    while let Some((part, behind)) = bracketed(rest) {
        rest = behind;
        if let Some(ids) = part.strip_prefix("pid ") {
            let (pid, tid) = ids.split_once(":tid ").unwrap_or((ids, ""));
            for (name, id) in [("process.pid", pid), ("thread.id", tid)] {
                if !id.is_empty() {
                    fields.offer(name, bare_value(id));
                }
            }
        } else if let Some(client) = part.strip_prefix("client ") {
            let (address, port) = split_port(client);
            text(fields, "client.address", address);
            if let Some(port) = port {
                fields.offer("client.port", Value::Int(port).into());
            }
        }
    }
    let code = rest.split(':').next().unwrap_or_default();
    if code.len() == 7 && code.starts_with("AH") && code[2..].bytes().all(|b| b.is_ascii_digit()) {
        text(fields, "error.code", code);
    }
    true
}

/// What stands in the bracket that the text starts with, and what behind it.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    let (inside, behind) = text.strip_prefix('[')?.split_once(']')?;
    Some((inside, behind.trim_ascii_start()))
}
