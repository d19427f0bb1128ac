//! Whatever is done to a split's file: no question fails, no wrong record is shown, and what is missing is named.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use taffrail_collector::model::LogRecord;

use super::head::Chunk;
use super::split_writer::{newest_first, write_split};
use super::*;
use crate::scan::Scan;

const SPLITS: i64 = 3;
const ROWS: i64 = 1_000;

/// Three splits of a thousand records, one a second.
struct Built {
    directory: tempfile::TempDir,
    metas: Vec<SplitMeta>,
}

fn record(second: i64) -> LogRecord {
    let mut record = test_records::record_at(second);
    record.body = format!("request {second} took {} ms of {}", second % 37, second * 7919 % 10_007);
    record.attributes = vec![("user".into(), (second % 11).into())];
    record
}

fn build() -> Built {
    let directory = tempfile::tempdir().unwrap();
    let store = LogStore::new(directory.path().to_owned(), Vec::new());
    for part in 0..SPLITS {
        let records = (part * ROWS..(part + 1) * ROWS).map(record).collect();
        store.append(Arc::new(Chunk::new((part * ROWS) as u64, records).unwrap()));
        let head = store.start_seal();
        let split =
            write_split(store.splits_directory(), 0, &mut newest_first(&head.snapshot()), &AtomicBool::new(false))
                .unwrap();
        store.finish_seal(split);
    }
    Built { directory, metas: store.splits().iter().map(|split| split.meta.clone()).collect() }
}

impl Built {
    fn open(&self) -> LogStore {
        LogStore::new(self.directory.path().to_owned(), self.metas.clone())
    }

    /// The file of the middle split that holds its records under checksums.
    fn file(&self) -> PathBuf {
        self.directory.path().join(&self.metas[1].name)
    }
}

/// Asks for everything in each way, checks what comes, and returns what was left out.
fn ask(store: &LogStore, what: &str) -> BTreeSet<String> {
    let mut left_out = BTreeSet::new();
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let scan = Scan::unlimited();
        let wanted = Search { filter: Filter::All, range: TimeRange::ALL, order, after: None, limit: usize::MAX };
        let mut seen = BTreeSet::new();
        store
            .search(&wanted, &scan, &mut |stored| {
                assert_eq!(stored.record, record(stored.id.seq as i64), "{what}: a wrong record");
                assert!(seen.insert(stored.id.seq), "{what}: twice");
                ControlFlow::Continue(())
            })
            .unwrap();
        let whole = seen.len() as i64 == SPLITS * ROWS;
        let others = seen.iter().filter(|&&seq| seq as i64 / ROWS != 1).count() as i64;
        assert_eq!(others, (SPLITS - 1) * ROWS, "{what}: another split lost records");
        assert!(whole || !scan.left_out().is_empty(), "{what}: records are missing and nobody says so");
        left_out.extend(scan.left_out());
    }
    let scan = Scan::unlimited();
    let counts = store.count_by_interval(&Filter::All, TimeRange::ALL, 10_000, Some("user"), 100, &scan).unwrap();
    let in_buckets: u64 = counts.buckets.iter().flat_map(|(_, values)| values).map(|(_, count)| count).sum();
    let expected = (SPLITS - scan.left_out().len() as i64) * ROWS;
    assert_eq!((counts.total as i64, in_buckets as i64), (expected, expected), "{what}");
    left_out.extend(scan.left_out());

    let scan = Scan::unlimited();
    let word = Filter::Text { text: TextMatch::Phrase(vec!["request".to_owned()]), everywhere: false };
    let counts = store.count_by_interval(&word, TimeRange::ALL, 60_000, Some("level"), 100, &scan).unwrap();
    assert_eq!(counts.total as i64, (SPLITS - scan.left_out().len() as i64) * ROWS, "{what}");
    left_out.extend(scan.left_out());

    let scan = Scan::unlimited();
    let fields = ["user".to_owned(), "message".to_owned()];
    let (facets, _) = store.facets(&Filter::All, TimeRange::ALL, &fields, 20_000, &scan).unwrap();
    let expected = (SPLITS - scan.left_out().len() as i64) * ROWS;
    for facet in &facets {
        let counted: u64 = facet.values.iter().map(|(_, count)| count).sum();
        assert_eq!(counted as i64, expected, "{what}: {}", facet.field);
    }
    left_out.extend(scan.left_out());

    for filter in filters() {
        let scan = Scan::unlimited();
        let compiled = filter.compile().unwrap();
        let wanted =
            Search { filter, range: TimeRange::ALL, order: Order::NewestFirst, after: None, limit: usize::MAX };
        let mut seen = BTreeSet::new();
        store
            .search(&wanted, &scan, &mut |stored| {
                assert_eq!(stored.record, record(stored.id.seq as i64), "{what}: a wrong record");
                seen.insert(stored.id.seq as i64);
                ControlFlow::Continue(())
            })
            .unwrap();
        let expected = (0..SPLITS * ROWS).filter(|&second| compiled.matches(&record(second)));
        let lacks: Vec<i64> = expected.filter(|second| !seen.contains(second)).collect();
        assert!(lacks.iter().all(|second| second / ROWS == 1), "{what}: another split lost records");
        assert!(lacks.is_empty() || !scan.left_out().is_empty(), "{what}: {:?} lacks {lacks:?}", wanted.filter);
        left_out.extend(scan.left_out());
    }

    let scan = Scan::unlimited();
    let (names, _) = store.field_names(&Filter::All, TimeRange::ALL, &scan).unwrap();
    let messages = names.iter().find(|(name, _)| name == "message").map_or(0, |(_, count)| *count);
    assert_eq!(messages as i64, (SPLITS - scan.left_out().len() as i64) * ROWS, "{what}");
    left_out.extend(scan.left_out());
    left_out
}

/// Questions that go through dictionaries, columns and the index of templates.
fn filters() -> Vec<Filter> {
    let text = |text| Filter::Text { text, everywhere: true };
    vec![
        text(TextMatch::Phrase(vec!["took".to_owned(), "7".to_owned(), "ms".to_owned()])),
        text(TextMatch::Prefix("19".to_owned())),
        text(TextMatch::Regex("of 9[0-9]+$".to_owned())),
        Filter::Field { name: "user".to_owned(), test: Test::Number { low: Some((9.0, true)), high: None } },
        Filter::Field { name: "host".to_owned(), test: Test::Equals("web-01".to_owned()) },
        Filter::Not(Box::new(text(TextMatch::Phrase(vec!["ms".to_owned()])))),
    ]
}

fn flip(path: &Path, at: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at as usize] ^= 0x41;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_flipped_byte_anywhere_costs_at_most_the_split_it_is_in() {
    let built = build();
    let file = built.file();
    let whole = fs::read(&file).unwrap();
    let places = (0..48).map(|step| step * (whole.len() as u64 - 1) / 47);
    let mut noticed = 0;
    for at in places {
        flip(&file, at);
        let store = built.open();
        let left_out = ask(&store, &format!("byte {at} of {}", whole.len()));
        let named: BTreeSet<String> = store.damaged_splits().into_iter().map(|split| split.name).collect();
        assert_eq!(left_out, named, "byte {at}");
        drop(store);
        noticed += usize::from(!named.is_empty());
        fs::write(&file, &whole).unwrap();
    }
    assert!(noticed > 40, "{noticed} of 48 flipped bytes were noticed");
}

#[test]
fn every_flipped_byte_and_every_cut_is_found_by_reading_the_whole_split() {
    let built = build();
    let (file, meta) = (built.file(), &built.metas[1]);
    let whole = fs::read(&file).unwrap();
    verify::verify_split(&file, meta).unwrap();
    // A step that meets every remainder.
    for at in (0..whole.len()).step_by(41) {
        flip(&file, at as u64);
        let error = verify::verify_split(&file, meta).expect_err(&format!("byte {at} of {}", whole.len()));
        assert!(error.to_string().contains(&meta.name), "{error}");
        assert!(verify::describe_split(&file).map_or(true, |found| found != *meta), "byte {at}");
        fs::write(&file, &whole[..at]).unwrap();
        assert!(verify::verify_split(&file, meta).is_err() && verify::describe_split(&file).is_err(), "cut to {at}");
        fs::write(&file, &whole).unwrap();
    }
}

#[test]
fn a_split_that_is_cut_or_gone_is_known_from_the_start() {
    let built = build();
    let file = built.file();
    let whole = fs::read(&file).unwrap();
    let name = &built.metas[1].name;
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        let store = built.open();
        assert_eq!(store.damaged_splits().len(), 1, "cut to {length}");
        assert_eq!(ask(&store, "cut"), BTreeSet::from([name.clone()]));
    }
    fs::remove_file(&file).unwrap();
    let store = built.open();
    assert_eq!(store.damaged_splits()[0].name, *name);
    assert_eq!(ask(&store, "gone"), BTreeSet::from([name.clone()]));
}

#[test]
fn a_split_that_is_restored_is_read_again_without_a_restart() {
    let built = build();
    let file = built.file();
    let whole = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let store = built.open();
    assert_eq!(ask(&store, "gone").len(), 1);
    fs::write(&file, &whole).unwrap();
    while !store.damaged_splits().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(ask(&store, "restored"), BTreeSet::new());
}

#[test]
fn a_split_that_the_system_could_not_read_is_tried_again_and_a_wrong_one_only_once_it_changes() {
    use std::io::ErrorKind;
    let cases = [
        (ErrorKind::Other, true),
        (ErrorKind::OutOfMemory, true),
        (ErrorKind::InvalidData, false),
        (ErrorKind::UnexpectedEof, false),
    ];
    let set_aside = cases.map(|(kind, comes_back)| {
        let built = build();
        let store = built.open();
        let split = store.splits().into_iter().find(|split| split.meta == built.metas[1]).unwrap();
        let failed = split.reader().unwrap().failed(kind.into());
        let scan = Scan::unlimited();
        assert!(split.unless_broken(&scan, Err::<(), _>(failed.into())).unwrap().is_none(), "{kind}");
        assert_eq!(scan.left_out(), std::slice::from_ref(&split.meta.name), "{kind}");
        (built, store, kind, comes_back)
    });
    std::thread::sleep(damage::LOOK_AGAIN);
    for (_built, store, kind, comes_back) in set_aside {
        assert_eq!(store.damaged_splits().is_empty(), comes_back, "{kind}");
        assert_eq!(ask(&store, "later").is_empty(), comes_back, "{kind}");
    }
}

#[test]
fn damage_outside_of_a_questions_time_is_none_of_its_business() {
    let built = build();
    fs::remove_file(built.file()).unwrap();
    let store = built.open();
    let first = TimeRange { start: Timestamp::EPOCH, end: Timestamp::from_unix_seconds(ROWS) };
    let scan = Scan::unlimited();
    let counts = store.count_by_interval(&Filter::All, first, 1_000, None, 1, &scan).unwrap();
    assert_eq!((counts.total as i64, scan.left_out()), (ROWS, Vec::new()));
}
