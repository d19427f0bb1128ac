//! A split of several superblocks with text of every kind at once: services with templates, without them, without common
//! attributes, binary-looking and enormous lines. Every record comes back as it was, and every question is answered as a
//! plain scan of the records answers it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use taffrail_collector::model::{Attributes, LogRecord, Resource, Severity, SpanId, Timestamp, TraceId, Value};

use super::split_reader::SplitReader;
use super::split_writer::write_split;
use super::words::{fold, words};
use super::*;
use crate::scan::Scan;

const ROWS: usize = 34_000;

/// Numbers that look random (xorshift*), the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: u64) -> u64 {
        ((self.next() >> 32) * end) >> 32
    }

    fn letters(&mut self, count: u64) -> String {
        (0..count).map(|_| (b'a' + self.below(26) as u8) as char).collect()
    }

    fn words(&mut self, count: u64) -> String {
        (0..count).map(|_| self.letters(6) + " ").collect()
    }
}

fn body(random: &mut Random, service: &str) -> String {
    let (a, b) = (random.below(1000), random.next());
    match service {
        "shop" => match a % 9 {
            0 => format!("user_{} logged in from 10.{}.0.{}:{}", a % 50, a % 7, b % 200, 1024 + b % 60_000),
            1 => format!("took {}ms, 0x{:08x} status={}", b % 3000, b as u32, [200, 404, 503][a as usize % 3]),
            2 => format!("blk_-{b} received, {:02}:{:02} Ünïcode größe {}", a % 24, b % 60, a % 10),
            3 => format!("id {:08x}-{:04x}-4{:03x} done", b as u32, b as u16, a),
            4 => "Connection timed out".to_owned(),
            5 => format!("CONNECTION Timed\tout {a}\u{212A} ÿ{a}ÿ \u{11}{a}\u{11}"),
            6 => format!("emoji 🚢{}🚢 مرحبا {} \u{202E}rtl", a % 3, b % 10),
            7 => String::new(),
            _ => format!("{a}"),
        },
        "random" => random.words(8),
        "mixed" => format!("order of {} accepted by {}", random.letters(7), random.letters(5)),
        "binary" => (0..30).map(|_| char::from_u32(random.below(0x250) as u32).unwrap_or('x')).collect(),
        _ => format!("event {} happened {}", ["start", "stop"][a as usize % 2], b % 100_000),
    }
}

fn attributes(random: &mut Random, service: &str) -> Attributes {
    let number = random.below(1000) as i64;
    match service {
        "shop" => vec![
            ("status".into(), Value::Int([200, 404, 503][number as usize % 3])),
            ("path".into(), format!("/api/v1/items/{number}").into()),
            ("ratio".into(), Value::Float(number as f64 / 8.0)),
            ("ok".into(), Value::Bool(number % 2 == 0)),
        ],
        "wide" => (0..40)
            .filter(|key| random.next() >> (key % 32) & 7 < 5)
            .collect::<Vec<i64>>()
            .into_iter()
            .map(|key| {
                let value = match key % 4 {
                    0 => Value::Int(number + key),
                    1 => Value::String(format!("v{}", number % 5)),
                    2 => Value::Array(vec![Value::Int(number % 3), "red wine".into(), Value::Null]),
                    _ => Value::Null,
                };
                (format!("key.{key}").into(), value)
            })
            .chain([(format!("rare.{}", random.below(5000)).into(), Value::Int(1))])
            .collect(),
        _ if number % 50 == 0 => vec![("status".into(), "200".into()), ("tags".into(), Value::Array(vec!["a".into()]))],
        _ => Vec::new(),
    }
}

fn records() -> Vec<StoredRecord> {
    let random = &mut Random(0x9E37_79B9_7F4A_7C15);
    let resources: Vec<Arc<Resource>> = ["shop", "random", "mixed", "binary", "wide"]
        .iter()
        .flat_map(|service| (0..3).map(move |host| (service, host)))
        .map(|(service, host)| {
            let attributes = if host == 0 {
                vec![("region".into(), "eu".into()), ("status".into(), "up".into())]
            } else {
                Vec::new()
            };
            Arc::new(Resource { host: format!("web-{host}").into(), service: (*service).into(), attributes })
        })
        .collect();
    let mut trace = 1;
    let mut records: Vec<StoredRecord> = (0..ROWS as u64)
        .map(|seq| {
            let resource = resources[random.below(resources.len() as u64) as usize].clone();
            if random.below(6) == 0 {
                trace = u128::from(random.next()) << 64 | u128::from(random.next());
            }
            let severity = [Severity::INFO, Severity::ERROR, Severity::UNSPECIFIED][random.below(3) as usize];
            let time = Timestamp::from_unix_millis((seq / 3 * 20) as i64 + random.below(2000) as i64);
            let mut body = body(random, &resource.service);
            if seq % 20_000 == 777 {
                body = "long line 1 ".repeat(100_000);
            }
            let record = LogRecord {
                timestamp: time,
                observed_timestamp: Timestamp::from_unix_millis(seq as i64 / 100),
                severity,
                severity_text: ["", "ERR"][usize::from(severity == Severity::ERROR)].into(),
                body,
                trace_id: if random.below(9) > 0 { TraceId::new(trace) } else { None },
                span_id: if random.below(3) > 0 { SpanId::new(random.next()) } else { None },
                attributes: attributes(random, &resource.service),
                resource,
            };
            StoredRecord { id: RecordId { time, seq }, record }
        })
        .collect();
    records.sort_unstable_by_key(|stored| std::cmp::Reverse(stored.id));
    records
}

fn bare(text: &str) -> Filter {
    Filter::Text { text: TextMatch::Phrase(words(text).map(fold).collect()), everywhere: true }
}

fn in_body(text: TextMatch) -> Filter {
    Filter::Text { text, everywhere: false }
}

fn field(name: &str, test: Test) -> Filter {
    Filter::Field { name: name.to_owned(), test }
}

fn typed(name: &str, text: &str) -> Filter {
    field(name, Test::Text(TextMatch::Phrase(words(text).map(fold).collect()), text.to_owned()))
}

fn questions(records: &[StoredRecord]) -> Vec<Filter> {
    let some = &records[ROWS / 2].record;
    let mut questions = vec![
        Filter::All,
        Filter::Nothing,
        bare("timed out"),
        bare("TIMED"),
        bare("v3"),
        bare("red wine"),
        bare("user_7"),
        bare("200"),
        bare("10.3"),
        bare("777k"),
        bare("order of"),
        bare("größe 7"),
        in_body(TextMatch::Prefix("user_1".to_owned())),
        in_body(TextMatch::Prefix("0x0".to_owned())),
        in_body(TextMatch::Prefix("blk_".to_owned())),
        in_body(TextMatch::Prefix("a".to_owned())),
        in_body(TextMatch::Wildcard("*_4?".to_owned())),
        in_body(TextMatch::Wildcard("0x*f".to_owned())),
        in_body(TextMatch::Wildcard("*ö*".to_owned())),
        in_body(TextMatch::Regex(r"blk_-?\d{3}".to_owned())),
        in_body(TextMatch::Regex(r"status=(404|503)$".to_owned())),
        in_body(TextMatch::Regex(r"(?i)timed\s+OUT".to_owned())),
        in_body(TextMatch::Regex(r"\b1\d\d\b".to_owned())),
        in_body(TextMatch::Regex("^$".to_owned())),
        in_body(TextMatch::Regex("🚢[12]".to_owned())),
        typed("service", "shop"),
        typed("host", "web-1"),
        typed("level", "error"),
        typed("status", "503"),
        typed("status", "up"),
        typed("region", "eu"),
        typed("key.4", "500"),
        typed("key.2", "wine"),
        typed("rare.17", "1"),
        typed("path", "items/500"),
        field("path", Test::Text(TextMatch::Wildcard("/api/*/77*".to_owned()), String::new())),
        field("status", Test::Number { low: Some((400.0, true)), high: None }),
        field("ratio", Test::Number { low: Some((3.0, false)), high: Some((3.5, true)) }),
        field("ok", Test::Equals("true".to_owned())),
        field("key.1", Test::Exists),
        field("key.3", Test::Exists),
        field("rare.18", Test::Exists),
        field("trace_id", Test::Exists),
        field("span_id", Test::Text(TextMatch::Prefix("a".to_owned()), "a*".to_owned())),
        field("message", Test::Equals(some.body.clone())),
        field("message", Test::Exists),
        field("time", Test::Number { low: Some((100.0, true)), high: Some((120.5, false)) }),
        Filter::SeverityBetween(Severity::WARN, Severity::FATAL),
        Filter::Time(TimeRange { start: Timestamp::from_unix_seconds(30), end: Timestamp::from_unix_seconds(31) }),
    ];
    questions.extend(some.trace_id.map(Filter::Trace));
    questions.extend(some.span_id.map(Filter::Span));
    let both = [(2, 26), (27, 25), (28, 19), (6, 47), (5, 39), (36, 3)];
    for (a, b) in both {
        let (a, b) = (questions[a].clone(), questions[b].clone());
        questions.push(Filter::And(vec![a.clone(), Filter::Not(Box::new(b.clone()))]));
        questions.push(Filter::Or(vec![a, b]));
    }
    questions
}

#[test]
fn a_split_with_text_of_every_kind_answers_as_a_scan_does() {
    let records = records();
    let directory = tempfile::tempdir().expect("a directory");
    let mut rows = records.iter().map(|stored| Ok((stored.id, &stored.record)));
    let meta = write_split(directory.path(), 0, &mut rows, &AtomicBool::new(false)).expect("written").expect("rows");
    let reader = Arc::new(SplitReader::open(&directory.path().join(&meta.name), &meta).expect("opens"));
    assert!(reader.superblocks() > 1);
    let steps: Vec<(&str, &str)> = reader.stepped_down().iter().map(|(s, w)| (s.as_str(), w.as_str())).collect();
    assert_eq!(
        steps.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        [
            ("random", "frequent words"),
            ("mixed", "frequent words"),
            ("binary", "raw text"),
            ("wide", "loose attributes")
        ]
        .into()
    );
    let back: Vec<_> = reader.records().collect::<Result<_, _>>().expect("reads");
    assert_eq!(back.len(), records.len());
    for ((id, record), stored) in back.iter().zip(&records) {
        assert!((*id, record) == (stored.id, &stored.record), "{record:?} is not {:?}", stored.record);
    }
    drop(back);

    let store = LogStore::new(directory.path().to_owned(), vec![meta]);
    let scan = Scan::unlimited();
    let ranges = [
        TimeRange::ALL,
        TimeRange { start: Timestamp::from_unix_millis(40_123), end: Timestamp::from_unix_millis(200_000) },
    ];
    for (number, filter) in questions(&records).into_iter().enumerate() {
        let compiled = filter.compile().expect("a good filter");
        let matching: Vec<&StoredRecord> = records.iter().filter(|stored| compiled.matches(&stored.record)).collect();
        // Each question with one of the ranges: a scan of all records takes its time.
        for range in [ranges[number % 2]] {
            let expected: Vec<&&StoredRecord> =
                matching.iter().filter(|stored| range.contains(stored.id.time)).collect();
            for (order, limit) in [(Order::NewestFirst, 30), (Order::OldestFirst, 30), (Order::NewestFirst, ROWS)] {
                if limit == ROWS && expected.len() > 2000 {
                    continue;
                }
                let mut ids = Vec::new();
                let wanted = Search { filter: filter.clone(), range, order, after: None, limit };
                store
                    .search(&wanted, &scan, &mut |stored| {
                        ids.push(stored.id);
                        ControlFlow::Continue(())
                    })
                    .expect("searched");
                let plain: Vec<RecordId> = match order {
                    Order::NewestFirst => expected.iter().take(limit).map(|stored| stored.id).collect(),
                    Order::OldestFirst => expected.iter().rev().take(limit).map(|stored| stored.id).collect(),
                };
                assert_eq!(ids, plain, "{wanted:?}");
            }
            for (interval, by) in
                [(60_000, Some("level")), (60_000, None), (7_000, Some("host")), (1 << 40, Some("status"))]
            {
                let counts = store.count_by_interval(&filter, range, interval, by, 1000, &scan).expect("counted");
                assert_eq!(counts.total, expected.len() as u64, "{filter:?} {range:?}");
                let mut plain = std::collections::BTreeMap::new();
                for stored in &expected {
                    let bucket = stored.id.time.floor_to(std::time::Duration::from_millis(interval));
                    let mut any = false;
                    if let Some(by) = by {
                        Field::named(by).visit_values(&stored.record, &mut |value| {
                            any = true;
                            *plain.entry((bucket, value.into_owned())).or_insert(0u64) += 1;
                        });
                    }
                    if !any {
                        *plain.entry((bucket, String::new())).or_insert(0) += 1;
                    }
                }
                let found: std::collections::BTreeMap<_, _> = counts
                    .buckets
                    .into_iter()
                    .flat_map(|(time, values)| values.into_iter().map(move |(value, count)| ((time, value), count)))
                    .collect();
                assert_eq!(found, plain, "{filter:?} {range:?} by {by:?}");
            }
        }
    }
    assert!(scan.left_out().is_empty());
}
