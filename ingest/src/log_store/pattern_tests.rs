//! Patterns of a store equal those of its records, taken one by one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use proptest::prelude::*;
use taffrail_collector::model::{LogRecord, Resource, Severity, Timestamp};

use super::head::Chunk;
use super::split_writer::{newest_first, write_split};
use super::test_records::record_at;
use super::*;
use crate::scan::Scan;

/// What is said of a pattern: count, first, last, by severity, by service, by step.
type Said = (u64, RecordId, RecordId, BTreeMap<Severity, u64>, BTreeMap<String, u64>, BTreeMap<i64, u64>);

/// The same from the records.
fn plain_patterns(matching: &[&StoredRecord], origin: i64, step: i64) -> BTreeMap<PatternId, Said> {
    let mut found: BTreeMap<PatternId, Said> = BTreeMap::new();
    for stored in matching {
        let none = || (0, stored.id, stored.id, BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let said = found.entry(PatternId::of(&stored.record.body)).or_insert_with(none);
        said.0 += 1;
        said.1 = said.1.min(stored.id);
        said.2 = said.2.max(stored.id);
        *said.3.entry(stored.record.severity).or_default() += 1;
        *said.4.entry(stored.record.resource.service.to_string()).or_default() += 1;
        let since = i128::from(stored.id.time.unix_nanos()) - i128::from(origin);
        *said.5.entry(since.div_euclid(i128::from(step)) as i64).or_default() += 1;
    }
    found
}

/// Asks the store for the patterns of `matching`, which are the records that pass the filter in the range.
pub(super) fn check_patterns(store: &LogStore, filter: &Filter, range: TimeRange, matching: &[&StoredRecord]) -> Scan {
    let (origin, step) = (1_300_000_000, 700_000_000);
    let question = PatternQuestion {
        origin: Timestamp::from_unix_nanos(origin),
        step: Duration::from_nanos(step as u64),
        patterns_max: usize::MAX,
    };
    let scan = Scan::unlimited();
    let found = store.patterns(filter, range, question, &scan).expect("counted");
    assert_eq!((found.total, found.other, found.ending.stopped), (matching.len() as u64, 0, None), "{filter:?}");
    assert!(found.patterns.is_sorted_by_key(|pattern| std::cmp::Reverse(pattern.count)));
    let said = |pattern: PatternCount| {
        assert_eq!(pattern.id, pattern.pattern.id());
        assert_eq!(pattern.pattern.holes.len() + 1, template::literals(&pattern.pattern.canonical).count());
        let (severities, services) = (pattern.severities.into_iter().collect(), pattern.services.into_iter().collect());
        let trend = pattern.trend.into_iter().collect();
        (pattern.id, (pattern.count, pattern.first, pattern.last, severities, services, trend))
    };
    let count = found.patterns.len();
    let found: BTreeMap<PatternId, Said> = found.patterns.into_iter().map(said).collect();
    assert_eq!(found.len(), count, "each pattern once");
    assert_eq!(found, plain_patterns(matching, origin, step), "{filter:?} in {range:?}");
    scan
}

pub(super) fn store_of(splits: Vec<Vec<LogRecord>>) -> (LogStore, Vec<StoredRecord>, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = LogStore::new(directory.path().to_owned(), Vec::new());
    let (mut seq, mut all) = (0, Vec::new());
    let count = splits.len();
    for (at, records) in splits.into_iter().enumerate() {
        let stored = |(seq, record): (u64, &LogRecord)| StoredRecord {
            id: RecordId { time: record.timestamp, seq },
            record: record.clone(),
        };
        all.extend((seq..).zip(&records).map(stored));
        let first = seq;
        seq += records.len() as u64;
        store.append(Arc::new(Chunk::new(first, records).expect("records")));
        // The last ones stay in memory.
        if at + 1 < count {
            let head = store.start_seal().snapshot();
            let written = write_split(store.splits_directory(), 0, &mut newest_first(&head), &AtomicBool::new(false));
            store.finish_seal(written.expect("written"));
        }
    }
    (store, all, directory)
}

#[test]
fn templates_are_counted_over_many_blocks_without_a_look_at_rows() {
    let one = |n: i64| {
        let mut record = record_at(n / 40);
        record.body = match n % 40_000 {
            0 => format!("rare {n}"),
            _ if n % 3 == 0 => "nothing differs".to_owned(),
            _ => format!("request {n} took {}.5 ms", n % 700),
        };
        record
    };
    let (store, all, _directory) = store_of(vec![(0..120_000).map(one).collect(), (0..50).map(one).collect()]);
    let everything: Vec<&StoredRecord> = all.iter().collect();
    let step = Duration::from_secs(2_000);
    let question = PatternQuestion { origin: Timestamp::EPOCH, step, patterns_max: 100 };
    let scan = Scan::unlimited();
    let wide = store.patterns(&Filter::All, TimeRange::ALL, question, &scan).expect("counted");
    let trends: Vec<Vec<(i64, u64)>> = wide.patterns.into_iter().map(|pattern| pattern.trend).collect();
    let in_step = |pattern: &str, step: i64| {
        let id = PatternId::of(pattern);
        let of = |stored: &&&StoredRecord| {
            PatternId::of(&stored.record.body) == id && stored.id.time.unix_nanos() / 2_000_000_000_000 == step
        };
        everything.iter().filter(of).count() as u64
    };
    for (trend, pattern) in trends.iter().zip(["request 1 took 1.5 ms", "nothing differs", "rare 1"]) {
        let expected: Vec<(i64, u64)> = (0..2).map(|step| (step, in_step(pattern, step))).collect();
        assert_eq!(*trend, expected, "{pattern}");
    }
    assert_eq!(scan.rows(), 50, "only those in memory");

    let range = TimeRange { start: Timestamp::from_unix_seconds(300), end: Timestamp::from_unix_seconds(2_900) };
    let within: Vec<&StoredRecord> = all.iter().filter(|stored| range.contains(stored.id.time)).collect();
    check_patterns(&store, &Filter::All, range, &within);
    let rare = Filter::Pattern(PatternId::of("rare 5"));
    let matching: Vec<&StoredRecord> =
        within.into_iter().filter(|stored| stored.record.body.starts_with("rare")).collect();
    check_patterns(&store, &rare, range, &matching);
}

#[test]
fn patterns_beyond_the_most_are_counted_together() {
    let one = |n: i64| LogRecord { body: "x".repeat(n as usize % 7), ..record_at(n) };
    let (store, _, _directory) = store_of(vec![(0..70).map(one).collect(), (0..7).map(one).collect()]);
    let question = PatternQuestion { origin: Timestamp::EPOCH, step: Duration::from_secs(1), patterns_max: 3 };
    let found = store.patterns(&Filter::All, TimeRange::ALL, question, &Scan::unlimited()).expect("counted");
    assert_eq!((found.patterns.len(), found.total, found.other), (3, 77, 44));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    /// Services without templates are cut by words and then not at all; their patterns are those of their messages.
    #[test]
    fn services_that_step_down_have_the_patterns_of_their_messages(seed in any::<u32>(), stepped in 1i64..4) {
        let mut state = seed | 1;
        let mut next = |below: u32| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state % below
        };
        let one = |n: i64| {
            let mut record = record_at(n / 9);
            let letters: String = (0..4).map(|_| char::from(b'a' + next(20) as u8)).collect();
            let service = ["steady", "wordy"][usize::from(n % 5 > 0)];
            record.body = match service {
                "steady" => format!("step {} of {n}", ["one", "two"][next(2) as usize]),
                _ if n > 4_000 && stepped == 3 => format!("{letters}{} {letters} x{n}", next(9)),
                _ => format!("order of {letters} accepted by {}", next(3)),
            };
            record.severity = if next(7) == 0 { Severity::ERROR } else { Severity::INFO };
            record.resource = Arc::new(Resource { host: "h".into(), service: service.into(), attributes: Vec::new() });
            record
        };
        let records: Vec<LogRecord> = (0..2_600 * stepped).map(one).collect();
        let (store, all, _directory) = store_of(vec![records, vec![record_at(7)]]);
        prop_assert!(stepped == 1 || store.stepped_down().contains_key("wordy"), "{:?}", store.stepped_down());
        let errors = Filter::SeverityBetween(Severity::ERROR, Severity::FATAL);
        for filter in [Filter::All, errors, Filter::Pattern(PatternId::of("step one of 5"))] {
            let compiled = filter.compile().expect("a good filter");
            let matching: Vec<&StoredRecord> = all.iter().filter(|stored| compiled.matches(&stored.record)).collect();
            check_patterns(&store, &filter, TimeRange::ALL, &matching);
        }
    }
}
