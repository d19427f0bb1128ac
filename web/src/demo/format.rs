//! The three services' log formats, each different on purpose.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};
use taffrail_collector::model::Timestamp;

use super::speech::Said;

/// A JSON object in a line, as `web` logs, and as all history is sent.
pub fn json_line(said: &Said, at: Timestamp) -> String {
    let mut object = Map::new();
    let message = match said.below {
        "" => said.message.clone(),
        below => format!("{}\n{below}", said.message),
    };
    object.insert("time".to_owned(), json!(at.to_string()));
    object.insert("level".to_owned(), json!(said.level));
    object.insert("service".to_owned(), json!(said.service.name()));
    object.insert("host".to_owned(), json!(said.service.host()));
    object.insert("message".to_owned(), json!(message));
    object.insert("trace_id".to_owned(), json!(said.trace_id.to_string()));
    object.insert("span_id".to_owned(), json!(said.span_id.to_string()));
    object.insert("env".to_owned(), json!("demo"));
    for (name, value) in &said.fields {
        object.insert((*name).to_owned(), value.clone());
    }
    Value::Object(object).to_string()
}

/// RFC 5424 with logfmt as its text, octet-counted (RFC 6587): `checkout`'s way. 32473 is the number that RFC 5612 keeps
/// for examples.
pub fn syslog_frame(said: &Said, at: Timestamp) -> String {
    let code = match said.level {
        "error" => 3,
        "warn" => 4,
        "info" => 6,
        _ => 7,
    };
    let local0 = 16;
    let at = at.floor_to(Duration::from_micros(1)); // six decimals are the most that RFC 5424 allows
    let mut message = format!(
        "<{}>1 {at} {} {} 4711 - [opentelemetry trace_id=\"{}\" span_id=\"{}\"][shop@32473 env=\"demo\"] level={} msg=\"{}\"",
        local0 * 8 + code,
        said.service.host(),
        said.service.name(),
        said.trace_id,
        said.span_id,
        said.level,
        said.message
    );
    for (name, value) in &said.fields {
        match value {
            Value::String(text) if text.contains(' ') => write!(message, " {name}=\"{text}\""),
            Value::String(text) => write!(message, " {name}={text}"),
            other => write!(message, " {name}={other}"),
        }
        .expect("a String takes everything");
    }
    format!("{} {message}", message.len())
}

/// A line as log4j writes it, and the stack trace below it: `payment`'s log file. Line ends included.
pub fn log4j_lines(said: &Said, at: Timestamp) -> String {
    let at = at.floor_to(Duration::from_millis(1)); // log4j knows no finer time
    let time = at.to_string().replace('T', " ").replace('.', ",");
    let thread = said.span_id.bits() % 8;
    let mut lines = format!(
        "{time} {:<5} [charge-{thread}] shop.payment.PaymentService - {} traceparent=00-{}-{}-01\n",
        said.level.to_ascii_uppercase(),
        said.message,
        said.trace_id,
        said.span_id
    );
    if !said.below.is_empty() {
        lines.push_str(said.below);
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use taffrail_collector::enrich::{Enricher, ReceivedLine};
    use taffrail_collector::model::{Resource, Severity, SpanId, TraceId};

    use super::*;
    use crate::demo::speech::Service;

    fn said() -> Said {
        Said {
            after: Duration::ZERO,
            service: Service::Checkout,
            level: "warn",
            message: "order not paid".to_owned(),
            fields: vec![("reason", json!("card expired")), ("order_id", json!(7))],
            trace_id: TraceId::new(0xa1).unwrap(),
            span_id: SpanId::new(0xb2).unwrap(),
            below: "",
        }
    }

    #[test]
    fn each_service_writes_its_own_format() {
        let at = Timestamp::from_unix_millis(1_500);
        assert_eq!(
            json_line(&said(), at),
            r#"{"time":"1970-01-01T00:00:01.500Z","level":"warn","service":"checkout","host":"shop-app-1","message":"order not paid","trace_id":"000000000000000000000000000000a1","span_id":"00000000000000b2","env":"demo","reason":"card expired","order_id":7}"#
        );
        let frame = syslog_frame(&said(), at);
        let (length, message) = frame.split_once(' ').unwrap();
        assert_eq!(length.parse(), Ok(message.len()));
        assert_eq!(
            message,
            r#"<132>1 1970-01-01T00:00:01.500Z shop-app-1 checkout 4711 - [opentelemetry trace_id="000000000000000000000000000000a1" span_id="00000000000000b2"][shop@32473 env="demo"] level=warn msg="order not paid" reason="card expired" order_id=7"#
        );
        assert_eq!(
            log4j_lines(&Said { below: "at x", ..said() }, at),
            "1970-01-01 00:00:01,500Z WARN  [charge-2] shop.payment.PaymentService - order not paid traceparent=00-000000000000000000000000000000a1-00000000000000b2-01\nat x\n"
        );
    }

    #[test]
    fn a_line_of_the_log_file_says_its_time_level_and_trace() {
        let at = Timestamp::from_unix_nanos(1_795_253_966_317_838_853);
        let line = log4j_lines(&said(), at);
        let record = Enricher::default().enrich(ReceivedLine {
            bytes: line.trim_end().as_bytes(),
            arrival: Timestamp::EPOCH,
            resource: &Arc::new(Resource::default()),
            timestamp: None,
            severity: None,
            attributes: Vec::new(),
            truncated: false,
        });
        let record = record.expect("no rule drops it");
        assert_eq!(record.timestamp, Timestamp::from_unix_millis(1_795_253_966_317));
        assert_eq!((record.severity, record.trace_id), (Severity::WARN, Some(said().trace_id)));
    }
}
