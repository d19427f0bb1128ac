//! The moments that people write: RFC 3339, Unix seconds to nanoseconds, or relative to now (`now-15m`, `15m`).

use std::time::Duration;
use taffrail_collector::model::Timestamp;
use taffrail_ingest::TimeRange;

/// A moment as typed, seen from `now`; the error is a sentence that says what is allowed.
pub fn parse_moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let _ = (text, now);
    unimplemented!()
}

/// A length as typed: `90s`, `5m`, `1h30m`, `2d`, `1w`, `500ms`.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let _ = text;
    unimplemented!()
}

/// `from`/`to` parameters as typed; `to` defaults to now, `from` to one hour before `to`.
pub fn parse_range(from: Option<&str>, to: Option<&str>, now: Timestamp) -> Result<TimeRange, String> {
    let _ = (from, to, now);
    unimplemented!()
}
