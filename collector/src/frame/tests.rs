//! What goes in comes out, bit for bit; what was damaged comes out as an error.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::{
    AgentId, Attributes, Batch, Checkpoint, DistinctSet, Distribution, Exemplar, LabelSet, Lane, LogRecord, Resource,
    Sample, SampleValue, Severity, SpanId, StreamPlace, Timestamp, TraceId, Value,
};

fn encoded(batch: &Batch) -> Vec<u8> {
    let mut out = Vec::new();
    encode(batch, &mut out).unwrap();
    out
}

/// `Debug` tells −0 from 0 and does not mind that NaN differs from itself; encoding again tells every bit.
fn check_round_trip(batch: &Batch) {
    let frame = encoded(batch);
    let (decoded, length) = decode(&frame).unwrap();
    assert_eq!(length, frame.len());
    assert_eq!(format!("{decoded:?}"), format!("{batch:?}"));
    assert_eq!(encoded(&decoded), frame);
    let mut plain = Vec::new();
    encode_plain(batch, &mut plain).unwrap();
    assert_eq!(&plain[HEADER_BYTES..], raw_body(&frame));
    assert_eq!(format!("{:?}", decode(&plain).unwrap().0), format!("{batch:?}"));
    let header = peek(&frame[..HEADER_BYTES]).unwrap();
    assert_eq!((header.agent, header.place), (batch.agent, batch.place));
    assert_eq!(header.rows() as usize, batch.len());
    assert_eq!(header.frame_bytes(), frame.len());
}

prop_compose! {
    fn timestamp()(nanos in prop_oneof![any::<i64>(), 1_700_000_000_000_000_000..1_700_000_001_000_000_000i64])
        -> Timestamp {
        Timestamp::from_unix_nanos(nanos)
    }
}

fn float() -> impl Strategy<Value = f64> {
    let decimal = (-1_000_000i64..1_000_000, 0..5).prop_map(|(n, decimals)| n as f64 / 10f64.powi(decimals));
    prop_oneof![any::<u64>().prop_map(f64::from_bits), (-1000i32..1000).prop_map(f64::from), decimal, Just(-0.0)]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        float().prop_map(Value::Float),
        "\\PC{0,12}".prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::Array))
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let key = prop::sample::select(vec!["user", "http.status", "a", "", "größe"]);
    prop::collection::vec((key.prop_map(Arc::from), value()), 0..4)
}

prop_compose! {
    fn resource()(host in "[a-c]?", service in "[x-z]?", attributes in attributes()) -> Arc<Resource> {
        Arc::new(Resource { host: host.into(), service: service.into(), attributes })
    }
}

fn logs() -> impl Strategy<Value = Vec<LogRecord>> {
    prop::collection::vec(resource(), 1..4).prop_flat_map(|resources| {
        let trace_id = prop_oneof![Just(None), (0u128..3).prop_map(TraceId::new), any::<u128>().prop_map(TraceId::new)];
        let record = (
            (timestamp(), timestamp(), 0u8..=24, prop::sample::select(vec!["", "WARN", "E"]), "\\PC{0,40}"),
            (trace_id, any::<Option<u64>>(), prop::sample::select(resources), attributes()),
        )
            .prop_map(
                |((timestamp, observed_timestamp, severity, text, body), (trace_id, span, resource, attributes))| {
                    LogRecord {
                        timestamp,
                        observed_timestamp,
                        severity: Severity::from_number(severity).unwrap(),
                        severity_text: text.into(),
                        body,
                        trace_id,
                        span_id: span.and_then(SpanId::new),
                        resource,
                        attributes,
                    }
                },
            );
        prop::collection::vec(record, 0..20)
    })
}

fn sample_value() -> impl Strategy<Value = SampleValue> {
    prop_oneof![
        float().prop_map(|sum| SampleValue::Counter { sum }),
        float().prop_map(|total| SampleValue::Cumulative { total }),
        (float(), float(), float()).prop_map(|(last, min, max)| SampleValue::Gauge { last, min, max }),
        prop::collection::vec((-1e6f64..1e6, 0.5f64..20.0), 0..20).prop_map(|observations| {
            let mut distribution = Distribution::new();
            observations.into_iter().for_each(|(value, weight)| distribution.observe(value, weight));
            SampleValue::Distribution(Box::new(distribution))
        }),
        prop_oneof![0u64..20, Just(64), Just(65), Just(300)].prop_map(|count| {
            let mut set = DistinctSet::new();
            (0..count).for_each(|n| set.insert(n.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
            SampleValue::Set(Box::new(set))
        }),
    ]
}

prop_compose! {
    fn exemplar()(timestamp in timestamp(), value in float(), trace in 1u128.., span in any::<u64>()) -> Exemplar {
        Exemplar { timestamp, value, trace_id: TraceId::new(trace).unwrap(), span_id: SpanId::new(span) }
    }
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let labels = prop::collection::vec(("[a-d]", "[x-z]?"), 0..4).prop_map(|pairs| Arc::new(LabelSet::new(pairs)));
    prop::collection::vec(labels, 1..4).prop_flat_map(|series| {
        let sample = (
            prop::sample::select(series),
            timestamp(),
            any::<u32>(),
            sample_value(),
            prop::sample::select(vec!["", "ms", "furlongs"]),
            prop::collection::vec(exemplar(), 0..3),
        )
            .prop_map(|(labels, timestamp, interval_ms, value, unit, exemplars)| Sample {
                labels,
                timestamp,
                interval_ms,
                value,
                unit,
                exemplars,
            });
        prop::collection::vec(sample, 0..12)
    })
}

prop_compose! {
    fn place()(epoch in any::<u64>(), stream in any::<u32>(), lane in 0u8..4, first_seq in 0..u64::MAX / 2)
        -> StreamPlace {
        StreamPlace { epoch, stream, lane: Lane::from_number(lane).unwrap(), first_seq }
    }
}

prop_compose! {
    fn batch()(
        agent in any::<u128>(),
        place in prop::option::of(place()),
        checkpoints in prop::collection::vec(("\\PC{0,8}", any::<Vec<u8>>()), 0..3),
        logs in logs(),
        samples in samples(),
    ) -> Batch {
        let checkpoints = checkpoints.into_iter().map(|(key, value)| Checkpoint { key, value }).collect();
        Batch { agent: AgentId(agent), place, checkpoints, logs, samples }
    }
}

fn small_batch() -> Batch {
    let resource = Arc::new(Resource { host: "web-1".into(), service: "shop".into(), attributes: Vec::new() });
    let record = |n: i64| LogRecord {
        timestamp: Timestamp::from_unix_millis(1_700_000_000_000 + n),
        observed_timestamp: Timestamp::from_unix_millis(1_700_000_000_001 + n),
        severity: Severity::INFO,
        severity_text: "INFO".into(),
        body: format!("request {n} took {} ms", n * 7),
        trace_id: TraceId::new(u128::try_from(n).unwrap()),
        span_id: None,
        resource: Arc::clone(&resource),
        attributes: vec![("status".into(), Value::Int(200 + n))],
    };
    Batch { logs: (0..30).map(record).collect(), ..Batch::local() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_batch_comes_back_bit_for_bit(batch in batch()) {
        check_round_trip(&batch);
    }

    #[test]
    fn a_cut_frame_is_incomplete_and_a_flipped_byte_is_an_error(
        batch in batch(), cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), flip in 1u8..,
    ) {
        let mut frame = encoded(&batch);
        let cut = &frame[..cut.index(frame.len())];
        prop_assert!(matches!(decode(cut), Err(FrameError::Incomplete { .. })), "{:?}", decode(cut));
        let at = at.index(frame.len());
        frame[at] ^= flip;
        prop_assert!(decode(&frame).is_err(), "byte {}", at);
    }

    /// The wide and the long form of a request: many series once, few series often.
    #[test]
    fn samples_of_a_request_come_back_and_cost_little(series in 1usize..50, each in 1i64..50, step in 1i64..100, by_time: bool) {
        let labels: Vec<_> = (0..series)
            .map(|n| Arc::new(LabelSet::new([("__name__", "requests"), ("host", &*format!("web-{n:02}"))])))
            .collect();
        let one = |n: usize, at: i64| Sample {
            labels: labels[n].clone(),
            timestamp: Timestamp::from_unix_seconds(1_700_000_000 + at * step),
            interval_ms: 10_000,
            value: SampleValue::Counter { sum: (n as i64 * 31 % 17 + at) as f64 },
            unit: "",
            exemplars: Vec::new(),
        };
        let samples: Vec<Sample> = if by_time {
            (0..each).flat_map(|at| (0..series).map(move |n| (n, at))).map(|(n, at)| one(n, at)).collect()
        } else {
            (0..series).flat_map(|n| (0..each).map(move |at| (n, at))).map(|(n, at)| one(n, at)).collect()
        };
        let rows = samples.len();
        let batch = Batch { samples, ..Batch::local() };
        check_round_trip(&batch);
        let bytes = raw_body(&encoded(&batch)).len();
        prop_assert!(bytes < 120 + series * 16 + rows * 2 + (series + each as usize) * 12, "{} for {} rows", bytes, rows);
    }

    /// Checksums hide the decoder from random damage, so this one damages what stands behind them.
    #[test]
    fn a_body_that_lies_is_an_error_or_another_batch_but_no_panic(
        batch in batch(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let frame = encoded(&batch);
        let mut raw = raw_body(&frame);
        for (at, byte) in changes {
            if !raw.is_empty() {
                let at = at.index(raw.len());
                raw[at] = byte;
            }
        }
        if let Ok((decoded, _)) = decode(&with_body(&frame, &raw)) {
            prop_assert_eq!(decoded.len(), batch.len());
            encoded(&decoded);
        }
    }

    #[test]
    fn any_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&bytes).is_err());
    }
}

fn raw_body(frame: &[u8]) -> Vec<u8> {
    zstd::bulk::decompress(&frame[HEADER_BYTES..], RAW_BYTES_MAX).unwrap()
}

/// The frame with another body and the checksums that belong to it.
fn with_body(frame: &[u8], raw: &[u8]) -> Vec<u8> {
    let body = zstd::bulk::compress(raw, 1).unwrap();
    let header = FrameHeader {
        raw_bytes: u32::try_from(raw.len()).unwrap(),
        body_bytes: u32::try_from(body.len()).unwrap(),
        body_crc: crc32c::crc32c(&body),
        ..peek(frame).unwrap()
    };
    [&header.write()[..], &body].concat()
}

#[test]
fn every_flipped_byte_of_a_frame_is_found() {
    let frame = encoded(&small_batch());
    for at in 0..frame.len() {
        for bit in 0..8 {
            let mut damaged = frame.clone();
            damaged[at] ^= 1 << bit;
            assert!(decode(&damaged).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn frames_stand_one_behind_the_other() {
    let (first, second) = (small_batch(), Batch::local());
    let mut bytes = encoded(&first);
    encode(&second, &mut bytes).unwrap();
    let (decoded, length) = decode(&bytes).unwrap();
    assert_eq!(decoded, first);
    assert_eq!(decode(&bytes[length..]).unwrap(), (second, bytes.len() - length));
}

#[test]
fn a_frame_gets_another_place_and_keeps_its_content() {
    let mut batch = small_batch();
    let mut frame = encoded(&batch);
    for first_seq in [0, 7] {
        let place = StreamPlace { epoch: 3, stream: 1, lane: Lane::Urgent, first_seq };
        set_place(&mut frame, place).unwrap();
        batch.place = Some(place);
        assert_eq!(decode(&frame).unwrap().0, batch);
    }
    assert!(set_place(&mut frame[..HEADER_BYTES - 1], batch.place.unwrap()).is_err());
}

#[test]
fn another_version_is_refused_with_its_number() {
    let mut frame = encoded(&Batch::local());
    frame[4] = 9;
    assert_eq!(decode(&frame), Err(FrameError::Version(9)));
    assert_eq!(decode(&frame[..5]), Err(FrameError::Version(9)));
    assert_eq!(decode(b"POST"), Err(FrameError::NotAFrame));
    assert!(matches!(decode(b""), Err(FrameError::Incomplete { .. })));
}

#[test]
fn a_body_that_decompresses_to_more_than_it_says_is_refused() {
    let frame = encoded(&Batch::local());
    let bomb = zstd::bulk::compress(&vec![0; 32 << 20], 1).unwrap();
    for raw_bytes in [0, 1000, 64 << 20] {
        let header = FrameHeader {
            raw_bytes,
            body_bytes: u32::try_from(bomb.len()).unwrap(),
            body_crc: crc32c::crc32c(&bomb),
            ..peek(&frame).unwrap()
        };
        let result = decode(&[&header.write()[..], &bomb].concat());
        assert!(matches!(result, Err(FrameError::Malformed(_))), "{result:?}");
    }
    let header = FrameHeader { raw_bytes: (64 << 20) + 1, ..peek(&frame).unwrap() };
    assert!(matches!(decode(&header.write()), Err(FrameError::TooLarge { .. })));
}

#[test]
fn what_is_over_a_limit_is_refused_before_it_is_written() {
    let nested = (0..DEPTH_MAX).fold(Value::Null, |value, _| Value::Array(vec![value]));
    let mut batch = small_batch();
    batch.logs[0].attributes = vec![("deep".into(), nested.clone())];
    check_round_trip(&batch);
    batch.logs[0].attributes = vec![("deep".into(), Value::Array(vec![nested]))];
    let mut out = b"before".to_vec();
    assert_eq!(encode(&batch, &mut out).unwrap_err().what, "arrays inside arrays");
    batch.logs[0].attributes = vec![("wide".into(), Value::Array(vec![Value::Null; ITEMS_MAX]))];
    assert_eq!(encode(&batch, &mut out).unwrap_err().limit, ITEMS_MAX as u64);
    batch.logs[0].attributes.clear();
    batch.logs[0].body = "x".repeat(RAW_BYTES_MAX);
    assert_eq!(encode(&batch, &mut out).unwrap_err().limit, RAW_BYTES_MAX as u64);
    assert_eq!(out, b"before");
}

#[test]
fn a_value_nested_too_deep_is_refused_when_read() {
    let mut batch = small_batch();
    batch.logs.truncate(1);
    let nested = (0..DEPTH_MAX).fold(Value::Null, |value, _| Value::Array(vec![value]));
    batch.logs[0].attributes = vec![("deep".into(), nested)];
    let frame = encoded(&batch);
    let mut raw = raw_body(&frame);
    // The only column of values comes last: its null becomes one array more, around a null.
    let column = raw.len() - (2 * DEPTH_MAX + 1);
    assert_eq!(raw.pop(), Some(0));
    raw.extend([6, 1, 0]);
    let length = u32::try_from(raw.len() - column).unwrap();
    raw[column - 4..column].copy_from_slice(&length.to_le_bytes());
    let result = decode(&with_body(&frame, &raw));
    assert!(matches!(result, Err(FrameError::TooLarge { what: "arrays inside arrays", .. })), "{result:?}");
}

#[test]
fn resources_and_keys_are_shared_again_after_decoding() {
    let (decoded, _) = decode(&encoded(&small_batch())).unwrap();
    let (first, second) = (&decoded.logs[0], &decoded.logs[1]);
    assert!(Arc::ptr_eq(&first.resource, &second.resource));
    assert!(Arc::ptr_eq(&first.attributes[0].0, &second.attributes[0].0));
}
