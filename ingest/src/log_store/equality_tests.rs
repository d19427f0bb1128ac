//! Whatever the records, the filter, the seals and the cursor: the store answers what a plain scan of the records would.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use proptest::prelude::*;
use taffrail_collector::model::{LogRecord, Severity, SpanId, Timestamp, TraceId};

use super::group_tests::{check_groups, question};
use super::head::{Chunk, Head};
use super::pattern_tests::check_patterns;
use super::split_reader::SplitReader;
use super::split_writer::{newest_first, write_split};
use super::test_records::{name, record, text, word};
use super::words::{fold, words};
use super::*;
use crate::scan::Scan;

fn text_match() -> impl Strategy<Value = TextMatch> {
    prop_oneof![
        4 => text().prop_map(|text| TextMatch::Phrase(words(&text).map(fold).collect())),
        4 => word().prop_map(|word| TextMatch::Phrase(vec![fold(&word)])),
        2 => (word(), 0usize..5).prop_map(|(word, length)| TextMatch::Prefix(fold(&word).chars().take(length).collect())),
        1 => text().prop_map(|text| TextMatch::Prefix(fold(&text))),
        2 => prop::sample::select(vec!["*", "t*e*", "?", "*ö*", "xx*", "web-*", "*out"]).prop_map(|p| TextMatch::Wildcard(p.to_owned())),
        1 => prop::sample::select(vec!["", "^t", "[0-9]+", "(?i)OUT", "^$", r"\b\w+_\d", "50?3", "ö|7$", r"e.*\d\D"]).prop_map(|p| TextMatch::Regex(p.to_owned())),
    ]
}

fn test() -> impl Strategy<Value = Test> {
    let number = prop::sample::select(vec![0.0, 7.0, 503.0, 0.25, -1.0, 2.0]);
    let bound = prop::option::of((number, any::<bool>()));
    let typed = prop_oneof![
        text(),
        word(),
        prop::sample::select(vec!["--", "0", "7", "true", "False", "2", ""]).prop_map(str::to_owned)
    ];
    let text_bound = || prop::option::of((word(), any::<bool>()));
    prop_oneof![
        2 => Just(Test::Exists),
        5 => typed.clone().prop_map(|typed| Test::Text(TextMatch::Phrase(words(&typed).map(fold).collect()), typed)),
        3 => (text_match(), typed.clone()).prop_map(|(text, typed)| Test::Text(text, typed)),
        3 => typed.prop_map(Test::Equals),
        2 => (bound.clone(), bound.clone()).prop_map(|(low, high)| Test::Number { low, high }),
        1 => (bound.clone(), bound).prop_map(|(low, high)| Test::Length { low, high }),
        1 => (text_bound(), text_bound()).prop_map(|(low, high)| Test::TextRange { low, high }),
        1 => prop::sample::select(vec![("10.0.0.0", 8), ("::", 64)])
            .prop_map(|(address, prefix)| Test::Network(address.parse().expect("an address"), prefix)),
    ]
}

pub(super) fn field_name() -> impl Strategy<Value = String> {
    let short = prop::sample::select(field::SHORT_NAMES.to_vec()).prop_map(str::to_owned);
    prop_oneof![short, name()]
}

pub(super) fn range() -> impl Strategy<Value = TimeRange> {
    prop_oneof![
        2 => Just(TimeRange::ALL),
        3 => (0i64..6000, 0i64..6000).prop_map(|(a, b)| TimeRange {
            start: Timestamp::from_unix_millis(a.min(b)),
            end: Timestamp::from_unix_millis(a.max(b)),
        }),
    ]
}

pub(super) fn filter() -> impl Strategy<Value = Filter> {
    let severity = || (0u8..=24).prop_map(|number| Severity::from_number(number).expect("up to 24"));
    let leaf = prop_oneof![
        1 => Just(Filter::All),
        1 => Just(Filter::Nothing),
        6 => (text_match(), any::<bool>()).prop_map(|(text, everywhere)| Filter::Text { text, everywhere }),
        9 => (field_name(), test()).prop_map(|(name, test)| Filter::Field { name, test }),
        1 => (severity(), severity()).prop_map(|(a, b)| Filter::SeverityBetween(a, b)),
        1 => (1u128..5).prop_map(|id| Filter::Trace(TraceId::new(id).expect("not zero"))),
        1 => (1u64..4).prop_map(|id| Filter::Span(SpanId::new(id).expect("not zero"))),
        1 => range().prop_map(Filter::Time),
        1 => text().prop_map(|text| Filter::Pattern(PatternId::of(&text))),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::Or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

/// What the records become: batches, some of which are followed by a seal; at the end one seal may still be under way.
#[derive(Clone, Debug)]
struct World {
    batches: Vec<(Vec<LogRecord>, bool)>,
    seal_open: bool,
}

fn world() -> impl Strategy<Value = World> {
    let batch = (prop::collection::vec(record(), 0..12), prop::bool::weighted(0.4));
    (prop::collection::vec(batch, 0..6), any::<bool>()).prop_map(|(batches, seal_open)| World { batches, seal_open })
}

struct Built {
    store: LogStore,
    all: Vec<StoredRecord>,
    _directory: tempfile::TempDir,
}

/// The head's records as a split on disk.
fn written(store: &LogStore, head: &Head) -> Option<SplitMeta> {
    let head = head.snapshot();
    let never = AtomicBool::new(false);
    write_split(store.splits_directory(), 0, &mut newest_first(&head), &never).expect("written")
}

fn build(world: World) -> Built {
    let directory = tempfile::tempdir().expect("a directory");
    let store = LogStore::new(directory.path().to_owned(), Vec::new());
    let (mut seq, mut all) = (3, Vec::new());
    let batches = world.batches.len();
    for (at, (records, seal)) in world.batches.into_iter().enumerate() {
        for (seq, record) in (seq..).zip(&records) {
            all.push(StoredRecord { id: RecordId { time: record.timestamp, seq }, record: record.clone() });
        }
        let rows = records.len() as u64;
        if let Some(chunk) = Chunk::new(seq, records) {
            store.append(Arc::new(chunk));
        }
        // Metric windows take sequence numbers too.
        seq += rows + 1;
        if seal && !(at + 2 >= batches && world.seal_open) {
            let head = store.start_seal();
            store.finish_seal(written(&store, &head));
        } else if seal && store.size().sealing.rows == 0 && at + 2 == batches {
            store.start_seal();
        }
    }
    Built { store, all, _directory: directory }
}

pub(super) fn plain_search(all: &[StoredRecord], wanted: &Search) -> Vec<RecordId> {
    let filter = wanted.filter.compile().expect("a good filter");
    let mut ids: Vec<RecordId> = all
        .iter()
        .filter(|stored| wanted.range.contains(stored.id.time) && filter.matches(&stored.record))
        .map(|stored| stored.id)
        .collect();
    ids.sort_unstable();
    if wanted.order == Order::NewestFirst {
        ids.reverse();
    }
    if let Some(after) = wanted.after {
        ids.retain(|id| if wanted.order == Order::NewestFirst { *id < after } else { *id > after });
    }
    ids.truncate(wanted.limit);
    ids
}

pub(super) fn found(store: &LogStore, wanted: &Search) -> Vec<StoredRecord> {
    let mut found = Vec::new();
    let ending = store
        .search(wanted, &Scan::unlimited(), &mut |record| {
            found.push(record);
            ControlFlow::Continue(())
        })
        .expect("searched");
    assert_eq!(ending.stopped, None);
    found
}

pub(super) type Buckets = BTreeMap<Timestamp, HashMap<String, u64>>;

pub(super) fn plain_counts(matching: &[&StoredRecord], interval: Duration, by: Option<&str>) -> Buckets {
    let mut buckets = Buckets::new();
    for stored in matching {
        let bucket = buckets.entry(stored.id.time.floor_to(interval)).or_default();
        let mut values = Vec::new();
        if let Some(by) = by {
            Field::named(by).visit_values(&stored.record, &mut |value| values.push(value.into_owned()));
        }
        if values.is_empty() {
            values.push(String::new());
        }
        values.into_iter().for_each(|value| *bucket.entry(value).or_default() += 1);
    }
    buckets
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn pages_in_order_of_arrival_hold_every_wanted_record_once(
        world in world(),
        questions in prop::collection::vec((filter(), range(), 0u64..40, 0u64..70, 1usize..10, 1usize..4000), 6),
    ) {
        let Built { store, all, _directory } = build(world);
        for (filter, range, from, to, rows_max, bytes_max) in questions {
            let matching = plain_search(&all, &Search {
                filter: filter.clone(), range, order: Order::NewestFirst, after: None, limit: usize::MAX,
            });
            let mut expected: Vec<RecordId> =
                matching.iter().copied().filter(|id| (from..to).contains(&id.seq)).collect();
            let newest: Vec<RecordId> = expected.clone();
            expected.sort_unstable_by_key(|id| id.seq);
            let mut wanted = arrival::Wanted { filter, range, seqs: from..to, rows_max, bytes_max };
            let mut told = Vec::new();
            loop {
                let page = store.first_arrived(&wanted, &Scan::unlimited()).expect("read");
                prop_assert!(page.records.len() <= rows_max && page.next_seq <= to.max(from));
                told.extend(page.records.iter().map(|record| record.id));
                if !page.is_cut {
                    break;
                }
                prop_assert!(page.next_seq > wanted.seqs.start, "it goes on");
                wanted.seqs.start = page.next_seq;
            }
            prop_assert_eq!(&told, &expected, "{:?}", wanted);
            wanted.seqs.start = from;
            let page = store.newest_arrived(&wanted, &Scan::unlimited()).expect("read");
            let mut told: Vec<RecordId> = page.records.iter().map(|record| record.id).collect();
            prop_assert!(told.is_sorted_by_key(|id| id.seq));
            prop_assert_eq!(page.is_cut, told.len() < newest.len());
            prop_assert!(!told.is_empty() || newest.is_empty());
            told.sort_unstable();
            told.reverse();
            prop_assert_eq!(&told[..], &newest[..told.len()]);
        }
    }

    #[test]
    fn the_store_answers_what_a_plain_scan_would(
        world in world(),
        questions in prop::collection::vec((filter(), range(), any::<bool>(), prop::option::of(any::<prop::sample::Index>()), 0usize..40, field_name(), 1u64..2500), 12),
        groups in question(),
    ) {
        let Built { store, all, _directory } = build(world);
        for (filter, range, newest, after, limit, by, interval_ms) in questions {
            let after = after.filter(|_| !all.is_empty()).map(|at| at.get(&all).id);
            let order = if newest { Order::NewestFirst } else { Order::OldestFirst };
            let wanted = Search { filter: filter.clone(), range, order, after, limit };
            let expected = plain_search(&all, &wanted);
            let answer = found(&store, &wanted);
            prop_assert_eq!(answer.iter().map(|stored| stored.id).collect::<Vec<_>>(), expected, "{:?}", wanted);
            for stored in &answer {
                let original = all.iter().find(|other| other.id == stored.id).expect("a record that was stored");
                prop_assert_eq!(&stored.record, &original.record);
            }

            let compiled = filter.compile().expect("a good filter");
            let matching: Vec<&StoredRecord> =
                all.iter().filter(|stored| range.contains(stored.id.time) && compiled.matches(&stored.record)).collect();
            for by in [None, Some(by.as_str())] {
                let counts = store.count_by_interval(&filter, range, interval_ms, by, usize::MAX, &Scan::unlimited()).expect("counted");
                prop_assert_eq!(counts.total, matching.len() as u64);
                let counted: Buckets = counts.buckets.into_iter().map(|(time, values)| (time, values.into_iter().collect())).collect();
                let plain = plain_counts(&matching, Duration::from_millis(interval_ms), by);
                prop_assert_eq!(counted, plain, "{:?} by {:?}", filter, by);
            }

            let (facets, _) = store.facets(&filter, range, std::slice::from_ref(&by), 2, &Scan::unlimited()).expect("counted");
            let mut values: HashMap<String, u64> = HashMap::new();
            let mut missing = 0;
            for stored in &matching {
                let mut there = false;
                Field::named(&by).visit_values(&stored.record, &mut |value| {
                    there = true;
                    *values.entry(value.into_owned()).or_default() += 1;
                });
                missing += u64::from(!there);
            }
            let mut values: Vec<_> = values.into_iter().collect();
            values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            let other: u64 = values.iter().skip(2).map(|(_, count)| count).sum();
            values.truncate(2);
            prop_assert_eq!((&facets[0].values, facets[0].other, facets[0].missing), (&values, other, missing), "{:?} of {:?}", by, filter);

            let (names, _) = store.field_names(&filter, range, &Scan::unlimited()).expect("counted");
            let mut plain: BTreeMap<String, u64> = BTreeMap::new();
            for stored in &matching {
                field::visit_names(&stored.record, &mut |name| *plain.entry(name.to_owned()).or_default() += 1);
            }
            prop_assert_eq!(names.into_iter().collect::<BTreeMap<_, _>>(), plain);
            check_patterns(&store, &filter, range, &matching);
            let passing: Vec<&StoredRecord> = all.iter().filter(|stored| compiled.matches(&stored.record)).collect();
            let fields: Vec<&str> = groups.0.iter().map(String::as_str).collect();
            check_groups(&store, &filter, &fields, &groups.1, &passing);
        }
    }
}

#[test]
fn a_page_of_a_wide_range_opens_only_the_splits_it_needs() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = LogStore::new(directory.path().to_owned(), Vec::new());
    for part in 0..4 {
        let records = (0..10).map(|n| test_records::record_at(part * 10 + n)).collect();
        store.append(Arc::new(Chunk::new(part as u64 * 10, records).expect("records")));
        let head = store.start_seal();
        store.finish_seal(written(&store, &head));
    }
    // What is never opened is never missed.
    for name in
        ["00000000000000000000-00000000000000000009-0.split", "00000000000000000010-00000000000000000019-0.split"]
    {
        std::fs::remove_file(directory.path().join(name)).expect("a split of this name");
    }
    let newest =
        Search { filter: Filter::All, range: TimeRange::ALL, order: Order::NewestFirst, after: None, limit: 20 };
    assert_eq!(found(&store, &newest).len(), 20);
    let all = Search { limit: 21, ..newest };
    let scan = Scan::unlimited();
    let ending = store.search(&all, &scan, &mut |_| ControlFlow::Continue(())).expect("an answer without what is gone");
    assert_eq!((ending.stopped, scan.left_out().len()), (None, 2));
}

#[test]
fn a_scan_stops_at_its_budget_and_when_nobody_waits() {
    let Built { store, _directory, .. } = build(World {
        batches: vec![
            ((0..3000).map(test_records::record_at).collect(), true),
            ((0..3000).map(test_records::record_at).collect(), false),
        ],
        seal_open: false,
    });
    let filter = Filter::Text { text: TextMatch::Regex("request 7777 ".to_owned()), everywhere: false };
    let wanted = Search { filter, range: TimeRange::ALL, order: Order::NewestFirst, after: None, limit: 1 };
    let check = |scan: &Scan, expected| {
        let ending = store.search(&wanted, scan, &mut |_| ControlFlow::Continue(())).expect("no error");
        assert_eq!(ending.stopped, expected);
        let counts = store.count_by_interval(&wanted.filter, wanted.range, 1000, None, 10, scan).expect("no error");
        assert_eq!(counts.ending.stopped, expected);
    };
    check(&Scan::unlimited(), None);
    check(&Scan::new(None, 4000), Some(StopReason::OutOfRows));
    check(&Scan::new(Some(Duration::ZERO), u64::MAX), Some(StopReason::OutOfTime));
    let cancelled = Scan::unlimited();
    cancelled.cancel();
    check(&cancelled, Some(StopReason::Cancelled));
}

#[test]
fn a_split_gives_all_its_records_newest_first() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = LogStore::new(directory.path().to_owned(), Vec::new());
    let records: Vec<LogRecord> = (0..1500).map(test_records::record_at).collect();
    store.append(Arc::new(Chunk::new(7, records.clone()).expect("records")));
    let meta = written(&store, &store.start_seal()).expect("a split");
    let split = Arc::new(SplitReader::open(&directory.path().join(&meta.name), &meta).expect("opens"));
    let read: Vec<(RecordId, LogRecord)> = split.records().collect::<Result<_, _>>().expect("reads");
    let expected = (7..).zip(records).map(|(seq, record)| (RecordId { time: record.timestamp, seq }, record));
    assert_eq!(read.into_iter().rev().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}
