//! Trace context as libraries write it, brought to one form: a 128-bit trace id and a 64-bit span id.
//!
//! Formats: W3C Trace Context level 2 (<https://www.w3.org/TR/trace-context-2/#traceparent-header>), B3
//! (<https://github.com/openzipkin/b3-propagation>), AWS X-Ray's `X-Amzn-Trace-Id`, Jaeger's `uber-trace-id`, Datadog's
//! decimal ids, Google Cloud's `projects/P/traces/…` and `X-Cloud-Trace-Context`.
//! Short ids are padded with zeros on the left; ids that are all zero are none. A run of hexadecimal digits is an id only
//! where a name says so: without one it may as well be a checksum.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::names::{Role, role_of};
use crate::model::{SpanId, TraceId};

/// How a field writes its ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    TraceHex,
    SpanHex,
    Traceparent,
    B3,
    Amazon,
    Uber,
    DatadogTrace,
    DatadogSpan,
    GoogleTrace,
    GoogleHeader,
}

/// The ids that a field gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) trace: Option<TraceId>,
    pub(super) span: Option<SpanId>,
}

impl Form {
    /// Whether the ids stand there just as they are shown, so that keeping the field as well would repeat them.
    pub(super) fn is_plain(self) -> bool {
        matches!(self, Form::TraceHex | Form::SpanHex)
    }

    /// Reads the ids; none when the text does not have this form.
    pub(super) fn read(self, text: &str) -> Option<Context> {
        match self {
            Form::TraceHex => Some(Context { trace: Some(trace_hex(text)?), span: None }),
            Form::SpanHex => Some(Context { trace: None, span: Some(span_hex(text)?) }),
            Form::Traceparent => traceparent(text),
            Form::B3 => b3_single(text),
            Form::Amazon => amazon(text),
            Form::Uber => uber(text),
            Form::DatadogTrace => Some(Context { trace: Some(datadog_trace(text)?), span: None }),
            Form::DatadogSpan => Some(Context { trace: None, span: Some(datadog_span(text)?) }),
            Form::GoogleTrace => google_trace(text),
            Form::GoogleHeader => google_header(text),
        }
    }
}

/// Whether the text is what libraries write when there is no trace.
pub(super) fn is_no_id(text: &str) -> bool {
    text.bytes().all(|b| b == b'0')
}

/// Finds trace context in plain text: a known name, `=` or `:`, and a value of that name's form.
pub(super) fn find(text: &str) -> Context {
    let mut found = Context::default();
    let mut ranks = (u8::MAX, u8::MAX);
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(hit) = HINT.find_at(bytes, at) {
        let (key, value, end) = named_value(text, hit.start(), hit.end());
        at = end.max(hit.end());
        let (rank, form) = match role_of(key) {
            Role::Context(rank, form) => (rank, form),
            _ if key.eq_ignore_ascii_case("root") => (14, Form::Amazon),
            _ => continue,
        };
        let Some(context) = form.read(value) else { continue };
        if form.is_plain() && value.len() < TEXT_DIGITS_MIN {
            continue;
        }
        if context.trace.is_some() && rank < ranks.0 {
            (found.trace, ranks.0) = (context.trace, rank);
        }
        if context.span.is_some() && rank < ranks.1 {
            (found.span, ranks.1) = (context.span, rank);
        }
    }
    found
}

/// In plain text a shorter run of hexadecimal digits may be a word (`traceId: dead`).
const TEXT_DIGITS_MIN: usize = 8;

/// What every name in question contains; the parsers behind it decide.
static HINT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?i-u)trace|span|\bb3["']?[:=]|x-datadog-parent|@tr\b|@sp\b|root=1-"#).expect("a constant pattern")
});

/// The name around `start..end` and the value behind it; empty strings when it is no named value. Also where to go on.
fn named_value(text: &str, start: usize, end: usize) -> (&str, &str, usize) {
    let bytes = text.as_bytes();
    let in_key = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'@' | b'/' | b'-');
    let in_value =
        |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/' | b':' | b';' | b'=' | b'%' | b'@');
    let from = start - bytes[..start].iter().rev().take_while(|b| in_key(b)).count();
    // The hint may reach beyond the name (`b3=`): the name ends at the first byte that cannot be part of one.
    let to = start + bytes[start..].iter().take_while(|b| in_key(b)).count();
    let skip = |at: usize, set: &[u8]| at + bytes[at..].iter().take_while(|b| set.contains(b)).count();
    let separator = skip(to, b"\"'\\ ");
    if !matches!(bytes.get(separator), Some(b':' | b'=')) {
        return ("", "", end);
    }
    let value = skip(separator + 1, b"\"'\\ ");
    let value_end = value + bytes[value..].iter().take_while(|b| in_value(b)).count();
    // All bytes looked for are ASCII, so the ends lie between characters.
    let value_text = text[value..value_end].trim_end_matches([';', ':', '=']);
    (&text[from..to], value_text, value_end)
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, lower case only; later versions may go on behind another `-`.
fn traceparent(text: &str) -> Option<Context> {
    let bytes = text.as_bytes();
    let lower_hex = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
    if bytes.len() < 55 || [2, 35, 52].iter().any(|&at| bytes[at] != b'-') {
        return None;
    }
    let (version, trace, span, flags) = (&bytes[..2], &bytes[3..35], &bytes[36..52], &bytes[53..55]);
    if ![version, trace, span, flags].iter().all(|part| part.iter().all(lower_hex)) || version == b"ff" {
        return None;
    }
    match bytes.get(55) {
        None => {}
        Some(b'-') if version != b"00" => {}
        Some(_) => return None,
    }
    Some(Context { trace: Some(TraceId::new(hex(trace)?)?), span: Some(SpanId::new(hex(span)? as u64)?) })
}

/// `{16 or 32 hex}-{16 hex}[-{1,0,d}[-{16 hex}]]`; a lone sampling state names no trace.
fn b3_single(text: &str) -> Option<Context> {
    let mut parts = text.split('-');
    let (trace, span) = (parts.next()?, parts.next()?);
    if !matches!(trace.len(), 16 | 32) || span.len() != 16 {
        return None;
    }
    if !matches!(parts.next(), None | Some("0" | "1" | "d")) {
        return None;
    }
    if parts.next().is_some_and(|parent| parent.len() != 16 || hex(parent.as_bytes()).is_none())
        || parts.next().is_some()
    {
        return None;
    }
    Some(Context { trace: Some(trace_hex(trace)?), span: Some(span_hex(span)?) })
}

/// `Root=1-{8 hex}-{24 hex};Parent={16 hex};Sampled=1`, the root alone, or the root and a segment as the X-Ray SDK for Java
/// puts them into the MDC (`1-…-…@{16 hex}`).
fn amazon(text: &str) -> Option<Context> {
    let mut context = Context::default();
    for part in text.split(';') {
        let (name, value) = part.trim().split_once('=').unwrap_or(("Root", part.trim()));
        match name {
            "Root" => {
                let (root, segment) = value.split_once('@').unwrap_or((value, ""));
                context.trace = Some(amazon_root(root)?);
                context.span = context.span.or_else(|| span_hex(segment));
            }
            "Parent" if value.len() == 16 => context.span = span_hex(value),
            _ => {}
        }
    }
    context.trace.map(|_| context)
}

fn amazon_root(root: &str) -> Option<TraceId> {
    let (epoch, unique) = root.strip_prefix("1-")?.split_once('-')?;
    if epoch.len() != 8 || unique.len() != 24 {
        return None;
    }
    TraceId::new((hex(epoch.as_bytes())? << 96) | hex(unique.as_bytes())?)
}

/// `{trace}:{span}:{parent}:{flags}`, hexadecimal without leading zeros, the colons perhaps as `%3A`.
fn uber(text: &str) -> Option<Context> {
    let decoded;
    let text = if text.contains('%') {
        decoded = text.replace("%3A", ":").replace("%3a", ":");
        &decoded
    } else {
        text
    };
    let mut parts = text.split(':');
    let context = Context { trace: Some(trace_hex(parts.next()?)?), span: Some(span_hex(parts.next()?)?) };
    let (parent, flags) = (parts.next()?, parts.next()?);
    let is_short_hex = |part: &str| (1..=16).contains(&part.len()) && hex(part.as_bytes()).is_some();
    (is_short_hex(parent) && is_short_hex(flags) && parts.next().is_none()).then_some(context)
}

/// Up to 20 digits are decimal, even when they could be hexadecimal; else 16 to 32 hexadecimal digits.
fn datadog_trace(text: &str) -> Option<TraceId> {
    match decimal(text) {
        Some(number) => TraceId::new(u128::from(number)),
        None if text.len() == 32 || is_short_hex_id(text) => trace_hex(text),
        None => None,
    }
}

fn datadog_span(text: &str) -> Option<SpanId> {
    match decimal(text) {
        Some(number) => SpanId::new(number),
        None if is_short_hex_id(text) => span_hex(text),
        None => None,
    }
}

fn is_short_hex_id(text: &str) -> bool {
    text.len() == 16 && !text.bytes().all(|b| b.is_ascii_digit())
}

fn decimal(text: &str) -> Option<u64> {
    if text.len() > 20 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// `projects/{project}/traces/{32 hex}`, or the id alone.
fn google_trace(text: &str) -> Option<Context> {
    let id = match text.strip_prefix("projects/") {
        Some(rest) => rest.split_once("/traces/")?.1,
        None => text,
    };
    (id.len() == 32).then(|| trace_hex(id)).flatten().map(|trace| Context { trace: Some(trace), span: None })
}

/// `{32 hex}[/{decimal span}][;o=1]`.
fn google_header(text: &str) -> Option<Context> {
    let ids = text.split(';').next()?;
    let (trace, span) = ids.split_once('/').unwrap_or((ids, ""));
    if trace.len() != 32 {
        return None;
    }
    Some(Context { trace: Some(trace_hex(trace)?), span: decimal(span).and_then(SpanId::new) })
}

fn trace_hex(text: &str) -> Option<TraceId> {
    if text.is_empty() || text.len() > 32 { None } else { TraceId::new(hex(text.as_bytes())?) }
}

fn span_hex(text: &str) -> Option<SpanId> {
    if text.is_empty() || text.len() > 16 { None } else { SpanId::new(hex(text.as_bytes())? as u64) }
}

/// Up to 32 hexadecimal digits of either case; the standard library's parser costs several times as much.
pub(super) fn hex(digits: &[u8]) -> Option<u128> {
    let half = |digits: &[u8]| {
        let (mut number, mut all) = (0, 0);
        for digit in digits {
            let value = HEX_VALUE[usize::from(*digit)];
            all |= value;
            number = (number << 4) | u64::from(value & 0xf);
        }
        (all < 16).then_some(number)
    };
    let (high, low) = digits.split_at(digits.len().saturating_sub(16));
    if high.len() > 16 {
        return None;
    }
    Some((u128::from(half(high)?) << 64) | u128::from(half(low)?))
}

static HEX_VALUE: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        table[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn shown(context: Context) -> (String, String) {
        let text = |id: Option<String>| id.unwrap_or_default();
        (text(context.trace.map(|id| id.to_string())), text(context.span.map(|id| id.to_string())))
    }

    #[test]
    fn every_form_is_read_as_its_grammar_says() {
        let check = |form: Form, text: &str, trace: &str, span: &str| {
            assert_eq!(
                shown(form.read(text).unwrap_or_default()),
                (trace.to_owned(), span.to_owned()),
                "{form:?} {text}"
            );
        };
        use Form::*;
        check(Traceparent, &format!("00-{TRACE}-{SPAN}-01"), TRACE, SPAN);
        check(Traceparent, &format!("00-{TRACE}-{SPAN}-01-x"), "", "");
        check(Traceparent, &format!("cc-{TRACE}-{SPAN}-01-later"), TRACE, SPAN);
        check(Traceparent, &format!("cc-{TRACE}-{SPAN}-01.later"), "", "");
        check(Traceparent, &format!("ff-{TRACE}-{SPAN}-01"), "", "");
        check(Traceparent, &format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), "", "");
        check(Traceparent, &format!("00-{}-{SPAN}-01", "0".repeat(32)), "", "");
        check(Traceparent, &format!("00-{TRACE}-{}-01", "0".repeat(16)), "", "");
        check(B3, &format!("{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90"), TRACE, SPAN);
        check(B3, &format!("a3ce929d0e0e4736-{SPAN}"), "0000000000000000a3ce929d0e0e4736", SPAN);
        check(B3, &format!("{TRACE}-{SPAN}-x"), "", "");
        check(B3, "0", "", "");
        check(
            Amazon,
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
            "5759e988bd862e3fe1be46a994272793",
            "53995c3f42cd8ad8",
        );
        check(Amazon, "1-5759e988-bd862e3fe1be46a994272793", "5759e988bd862e3fe1be46a994272793", "");
        check(
            Amazon,
            "1-5759e988-bd862e3fe1be46a994272793@53995c3f42cd8ad8",
            "5759e988bd862e3fe1be46a994272793",
            "53995c3f42cd8ad8",
        );
        check(Amazon, "Root=2-5759e988-bd862e3fe1be46a994272793", "", "");
        check(Uber, "abc:d:0:1", "00000000000000000000000000000abc", "000000000000000d");
        check(Uber, "abc%3Ad%3a0%3A1", "00000000000000000000000000000abc", "000000000000000d");
        check(Uber, "abc:d", "", "");
        check(DatadogTrace, "1234567890123456", "0000000000000000000462d53c8abac0", "");
        check(DatadogTrace, "18446744073709551615", "0000000000000000ffffffffffffffff", "");
        check(DatadogTrace, "18446744073709551616", "", "");
        check(DatadogTrace, TRACE, TRACE, "");
        check(DatadogSpan, "255", "", "00000000000000ff");
        check(TraceHex, "1234567890123456", "00000000000000001234567890123456", "");
        check(TraceHex, "4bf92f35-77b3-4da6-a3ce-929d0e0e4736", "", "");
        check(TraceHex, "0", "", "");
        check(GoogleTrace, &format!("projects/my-project/traces/{TRACE}"), TRACE, "");
        check(GoogleHeader, &format!("{TRACE}/255;o=1"), TRACE, "00000000000000ff");
    }

    #[test]
    fn text_gives_context_only_behind_a_name() {
        let check = |text: &str, trace: &str, span: &str| {
            assert_eq!(shown(find(text)), (trace.to_owned(), span.to_owned()), "{text}");
        };
        check(&format!("done trace_id={TRACE} span_id={SPAN} in 3 ms"), TRACE, SPAN);
        check(&format!("[traceId: {TRACE}, spanId: {SPAN}] done"), TRACE, SPAN);
        check(&format!("[otelTraceID=\"{TRACE}\"]"), TRACE, "");
        check(&format!("header traceparent: 00-{TRACE}-{SPAN}-01"), TRACE, SPAN);
        check(&format!("b3={TRACE}-{SPAN}-1 ok"), TRACE, SPAN);
        check(&format!("b3: {TRACE}-{SPAN}-1"), TRACE, SPAN);
        check("X-B3-TraceId=a3ce929d0e0e4736", "0000000000000000a3ce929d0e0e4736", "");
        check("dd.trace_id=255000000 dd.span_id=25500000", "0000000000000000000000000f32fdc0", "0000000001851960");
        check("got Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1", "5759e988bd862e3fe1be46a994272793", "");
        check(
            "X-Amzn-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "5759e988bd862e3fe1be46a994272793",
            "53995c3f42cd8ad8",
        );
        check("uber-trace-id: 3a5b7c9d1e2f3a4b%3A1:0%3A1", "00000000000000003a5b7c9d1e2f3a4b", "0000000000000001");
        check(&format!("{{\\\"trace_id\\\":\\\"{TRACE}\\\"}}"), TRACE, "");
        check(&format!("traceparent then trace_id={TRACE}"), TRACE, "");
        check(&format!("checksum {TRACE}"), "", "");
        check(&format!("trace {TRACE}"), "", "");
        check("traceId: dead", "", "");
        check("TRACE: tracing spans", "", "");
        check("trace_id=", "", "");
        check("trace_id", "", "");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*", name in "(trace_id|traceparent|b3|X-Amzn-Trace-Id|uber-trace-id|dd.trace_id)", tail in "[-0-9a-fA-F:%;=é]{0,60}") {
            find(&text);
            find(&format!("{text}{name}={tail}"));
            find(&format!("{name}: {tail}{text}"));
        }

        #[test]
        fn any_ids_come_back_from_every_form(trace in 1u128.., span in 1u64..) {
            let expected = Some(Context { trace: TraceId::new(trace), span: SpanId::new(span) });
            prop_assert_eq!(Form::Traceparent.read(&format!("00-{trace:032x}-{span:016x}-00")), expected);
            prop_assert_eq!(Form::B3.read(&format!("{trace:032x}-{span:016x}-d")), expected);
            prop_assert_eq!(Form::Uber.read(&format!("{trace:x}:{span:x}:0:1")), expected);
            prop_assert_eq!(Form::GoogleHeader.read(&format!("{trace:032x}/{span}")), expected);
        }
    }
}
