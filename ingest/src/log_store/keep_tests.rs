//! Whatever is sealed, merged, deleted and kept for how long, in whatever order: the store answers what a plain list of the
//! records would under the same rules.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use proptest::prelude::*;
use taffrail_collector::model::{LogRecord, Timestamp};

use super::equality_tests::{Buckets, field_name, filter, found, plain_counts, range};
use super::group_tests::{check_groups, question};
use super::head::Chunk;
use super::mask::DeletionMask;
use super::pattern_tests::check_patterns;
use super::rewrite::{rewrite, write_head};
use super::test_records::record;
use super::*;
use crate::scan::Scan;

/// The random records lie between 0 and 6 seconds.
fn noon() -> Timestamp {
    Timestamp::from_unix_seconds(10)
}

/// A few of the random records.
const UNPACKED_BYTES_MAX: u64 = 2_000;

#[derive(Clone, Debug)]
enum Act {
    Append(Vec<LogRecord>),
    Seal,
    Delete(Filter, TimeRange),
    Keep(RetentionRules),
    Rewrite(Vec<prop::sample::Index>),
}

fn keep() -> impl Strategy<Value = Option<Duration>> {
    prop::option::of((0u64..8).prop_map(|seconds| Duration::from_secs(3 + seconds)))
}

fn act() -> impl Strategy<Value = Act> {
    let rule = (filter(), keep()).prop_map(|(filter, keep)| RetentionRule { filter, keep });
    let rules = (prop::collection::vec(rule, 0..3), prop_oneof![Just(None), keep()]);
    prop_oneof![
        4 => prop::collection::vec(record(), 0..12).prop_map(Act::Append),
        3 => Just(Act::Seal),
        2 => (filter(), range()).prop_map(|(filter, range)| Act::Delete(filter, range)),
        2 => rules.prop_map(|(rules, keep_rest)| Act::Keep(RetentionRules { rules, keep_rest })),
        3 => prop::collection::vec(any::<prop::sample::Index>(), 1..4).prop_map(Act::Rewrite),
    ]
}

/// The store, and what it should answer from.
struct Kept {
    store: LogStore,
    listed: Vec<StoredRecord>,
    rules: RetentionRules,
    next_seq: u64,
    deletions: u64,
    _directory: tempfile::TempDir,
}

impl Kept {
    fn new() -> Kept {
        let directory = tempfile::tempdir().expect("a directory");
        let store = LogStore::new(directory.path().to_owned(), Vec::new()).with_clock(noon);
        let rules = RetentionRules::default();
        Kept { store, listed: Vec::new(), rules, next_seq: 3, deletions: 0, _directory: directory }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Append(records) => {
                let ids = (self.next_seq..).zip(&records);
                let stored = ids.map(|(seq, record)| StoredRecord {
                    id: RecordId { time: record.timestamp, seq },
                    record: record.clone(),
                });
                self.listed.extend(stored);
                let rows = records.len() as u64;
                if let Some(chunk) = Chunk::new(self.next_seq, records) {
                    self.store.append(Arc::new(chunk));
                }
                self.next_seq += rows + 1;
            }
            Act::Seal => {
                let head = self.store.start_seal();
                let never = AtomicBool::new(false);
                let (head, masks) = (head.snapshot(), self.store.masks());
                let (split, _) = write_head(self.store.splits_directory(), &head, &masks, &never).expect("written");
                self.store.finish_seal(split);
            }
            Act::Delete(filter, range) => {
                self.deletions += 1;
                let matching = filter.compile().expect("a good filter");
                self.listed.retain(|stored| !(range.contains(stored.id.time) && matching.matches(&stored.record)));
                let mask = DeletionMask { id: self.deletions, seq_below: self.next_seq, range, filter };
                self.store.change_masks(|masks, _| masks.with_deletion(mask)).expect("a good filter");
            }
            Act::Keep(rules) => {
                self.store.change_masks(|masks, _| masks.with_rules(&rules)).expect("good filters");
                self.rules = rules;
            }
            Act::Rewrite(which) => self.rewrite(&which),
        }
    }

    fn rewrite(&mut self, which: &[prop::sample::Index]) {
        let splits = self.store.splits();
        if splits.is_empty() {
            return;
        }
        let mut sources = Vec::new();
        for split in which.iter().map(|at| at.get(&splits)) {
            if !sources.iter().any(|other| Arc::ptr_eq(other, split)) {
                sources.push(split.clone());
            }
        }
        let ids = |splits: &[Arc<split::Split>]| -> HashSet<RecordId> {
            let records = splits.iter().flat_map(|split| split.reader().expect("opens").records());
            records.map(|row| row.expect("reads").0).collect()
        };
        let read = ids(&sources);
        let masks = self.store.masks();
        let never = AtomicBool::new(false);
        let directory = self.store.splits_directory();
        let done = rewrite(directory, &sources, (&masks, noon()), UNPACKED_BYTES_MAX, &mut |_| {}, &never);
        let done = done.expect("rewritten");
        let names = sources.iter().map(|split| split.meta.name.clone()).collect();
        self.store.replace_splits(&names, &done.splits);
        let after: Vec<_> = self.store.splits().into_iter().filter(|split| done.splits.contains(&split.meta)).collect();
        let left = ids(&after);
        // What has expired is gone for good, what was deleted too; everything else is there.
        self.listed = std::mem::take(&mut self.listed)
            .into_iter()
            .filter(|stored| !read.contains(&stored.id) || !expired(&self.rules, stored))
            .collect();
        let expected: HashSet<RecordId> =
            self.listed.iter().map(|stored| stored.id).filter(|id| read.contains(id)).collect();
        assert_eq!(left, expected);
        assert_eq!(done.rows, read.len() as u64);
        let gone = done.expired + done.deleted.values().sum::<u64>();
        assert_eq!(gone, (read.len() - left.len()) as u64);
    }

    fn shown(&self) -> Vec<&StoredRecord> {
        self.listed.iter().filter(|stored| !expired(&self.rules, stored)).collect()
    }
}

fn expired(rules: &RetentionRules, stored: &StoredRecord) -> bool {
    let matches = |rule: &&RetentionRule| rule.filter.compile().expect("a good filter").matches(&stored.record);
    let keep = rules.rules.iter().find(matches).map_or(rules.keep_rest, |rule| rule.keep);
    keep.is_some_and(|keep| stored.id.time < noon().saturating_sub(keep))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_is_answered_and_nothing_else(
        acts in prop::collection::vec(act(), 0..14),
        questions in prop::collection::vec((filter(), range(), any::<bool>(), field_name()), 6),
        groups in question(),
    ) {
        let mut kept = Kept::new();
        for act in acts {
            kept.act(act);
        }
        for (filter, range, newest, by) in questions.into_iter().chain([(Filter::All, TimeRange::ALL, true, "host".to_owned())]) {
            let matching = filter.compile().expect("a good filter");
            let mut expected = kept.shown();
            let mut passing = expected.clone();
            passing.retain(|stored| matching.matches(&stored.record));
            let fields: Vec<&str> = groups.0.iter().map(String::as_str).collect();
            check_groups(&kept.store, &filter, &fields, &groups.1, &passing);
            expected.retain(|stored| range.contains(stored.id.time) && matching.matches(&stored.record));
            expected.sort_unstable_by_key(|stored| stored.id);
            let order = if newest { Order::NewestFirst } else { Order::OldestFirst };
            if newest {
                expected.reverse();
            }
            let wanted = Search { filter: filter.clone(), range, order, after: None, limit: usize::MAX };
            let answer = found(&kept.store, &wanted);
            prop_assert_eq!(answer.len(), expected.len());
            for (found, expected) in answer.iter().zip(&expected) {
                prop_assert_eq!((&found.id, &found.record), (&expected.id, &expected.record));
            }
            let unlimited = Scan::unlimited();
            let counts = kept.store.count_by_interval(&filter, range, 700, Some(&by), usize::MAX, &unlimited).expect("counted");
            prop_assert_eq!(counts.total, expected.len() as u64);
            let counted: Buckets = counts.buckets.into_iter().map(|(time, values)| (time, values.into_iter().collect())).collect();
            prop_assert_eq!(counted, plain_counts(&expected, Duration::from_millis(700), Some(&by)));
            let (facets, _) = kept.store.facets(&filter, range, std::slice::from_ref(&by), usize::MAX, &unlimited).expect("counted");
            let mut values: HashMap<String, u64> = HashMap::new();
            for stored in &expected {
                Field::named(&by).visit_values(&stored.record, &mut |value| *values.entry(value.into_owned()).or_default() += 1);
            }
            prop_assert_eq!(facets[0].values.iter().cloned().collect::<HashMap<_, _>>(), values);
            let (names, _) = kept.store.field_names(&filter, range, &unlimited).expect("counted");
            let mut plain: BTreeMap<String, u64> = BTreeMap::new();
            for stored in &expected {
                field::visit_names(&stored.record, &mut |name| *plain.entry(name.to_owned()).or_default() += 1);
            }
            prop_assert_eq!(names.into_iter().collect::<BTreeMap<_, _>>(), plain);
            check_patterns(&kept.store, &filter, range, &expected);
        }
    }
}

#[test]
fn merged_rows_are_cut_at_midnight_unless_they_lie_on_many_days() {
    let check = |splits: &[&[i64]], expected: &[usize]| {
        let mut kept = Kept::new();
        for hours in splits {
            kept.act(Act::Append(hours.iter().map(|hour| test_records::record_at(hour * 3600)).collect()));
            kept.act(Act::Seal);
        }
        let sources = kept.store.splits();
        let never = AtomicBool::new(false);
        let masks = kept.store.masks();
        let directory = kept.store.splits_directory();
        let done = rewrite(directory, &sources, (&masks, noon()), u64::MAX, &mut |_| {}, &never);
        let rows: Vec<u64> = done.expect("rewritten").splits.iter().map(|split| split.rows).collect();
        assert_eq!(rows, expected.iter().map(|rows| *rows as u64).collect::<Vec<_>>(), "{splits:?}");
    };
    check(&[&[1, 30, 31]], &[3]);
    check(&[&[1, 2], &[3, 30]], &[1, 3]);
    check(&[&[1, 23], &[0, 22]], &[4]);
    let days: Vec<i64> = (0..96).map(|day| day * 24).collect();
    check(&[&days[..48], &days[48..]], &[6; 16]);
}

#[test]
fn a_merge_of_wide_records_is_cut_by_their_bytes_in_memory() {
    const WIDE: usize = 100_000;
    let mut kept = Kept::new();
    for split in 0..4 {
        let wide = |n: i64| {
            let mut record = test_records::record_at(n * 4 + split);
            record.body = "stack frame ".repeat(WIDE / 12) + &n.to_string();
            record
        };
        kept.act(Act::Append((0..25).map(wide).collect()));
        kept.act(Act::Seal);
    }
    let (sources, never) = (kept.store.splits(), AtomicBool::new(false));
    assert!(sources.iter().all(|split| split.meta.bytes < WIDE as u64), "they compress well");
    for split in &sources {
        let bytes = super::rewrite::unpacked_bytes(split).expect("sampled") / WIDE as u64;
        assert_eq!(bytes, 25, "as large as its records");
    }
    let masks = kept.store.masks();
    let directory = kept.store.splits_directory();
    let limit = 15 * WIDE as u64;
    let done = rewrite(directory, &sources, (&masks, noon()), limit, &mut |_| {}, &never).expect("rewritten");
    let (last, full) = done.unpacked_bytes.split_last().expect("pieces");
    assert!(
        full.len() >= 5 && full.iter().all(|bytes| (limit + 1..limit + 2 * WIDE as u64).contains(bytes)),
        "{full:?}"
    );
    assert!(*last > 0 && done.unpacked_bytes.len() == done.splits.len());
    let names = sources.iter().map(|split| split.meta.name.clone()).collect();
    kept.store.replace_splits(&names, &done.splits);
    let wanted = Search {
        filter: Filter::All,
        range: TimeRange::ALL,
        order: Order::OldestFirst,
        after: None,
        limit: usize::MAX,
    };
    let found = found(&kept.store, &wanted);
    let mut expected: Vec<&StoredRecord> = kept.listed.iter().collect();
    expected.sort_unstable_by_key(|stored| stored.id);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.id == expected.id && found.record == expected.record, "{:?}", found.id);
    }
}

#[test]
fn a_split_that_cannot_get_its_name_leaves_nothing_behind() {
    let mut kept = Kept::new();
    kept.act(Act::Append((0..3).map(test_records::record_at).collect()));
    let (directory, masks) = (kept.store.splits_directory(), kept.store.masks());
    let taken = directory.join(format!("{:020}-{:020}-0.split", 3, 5));
    std::fs::create_dir(&taken).expect("in its way");
    let head = kept.store.start_seal().snapshot();
    let attempt = || write_head(directory, &head, &masks, &AtomicBool::new(false));
    attempt().expect_err("its name is taken");
    let left: Vec<_> = std::fs::read_dir(directory).expect("the splits").map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, std::slice::from_ref(&taken));
    std::fs::remove_dir(&taken).expect("out of its way");
    assert_eq!(attempt().expect("written").0.expect("a split").rows, 3);
}

#[test]
fn a_question_under_way_goes_on_with_the_splits_it_began_with() {
    let mut kept = Kept::new();
    for split in 0..3 {
        kept.act(Act::Append((0..400).map(|n| test_records::record_at(n * 3 + split)).collect()));
        kept.act(Act::Seal);
    }
    let entries = |kept: &Kept| std::fs::read_dir(kept.store.splits_directory()).expect("the splits").count();
    let wanted = Search {
        filter: Filter::All,
        range: TimeRange::ALL,
        order: Order::NewestFirst,
        after: None,
        limit: usize::MAX,
    };
    let mut found = Vec::new();
    let ending = kept.store.search(&wanted, &Scan::unlimited(), &mut |stored| {
        if found.len() == 10 {
            let (sources, never) = (kept.store.splits(), AtomicBool::new(false));
            let masks = kept.store.masks();
            let directory = kept.store.splits_directory();
            let done =
                rewrite(directory, &sources, (&masks, noon()), u64::MAX, &mut |_| {}, &never).expect("rewritten");
            let names = sources.iter().map(|split| split.meta.name.clone()).collect();
            kept.store.replace_splits(&names, &done.splits);
            drop(sources);
            assert_eq!(entries(&kept), 4, "what is being read is still there");
        }
        found.push(stored.id);
        std::ops::ControlFlow::Continue(())
    });
    assert_eq!(ending.expect("searched").stopped, None);
    let mut expected: Vec<RecordId> = kept.listed.iter().map(|stored| stored.id).collect();
    expected.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
    assert!(found == expected, "{} of {}", found.len(), expected.len());
    assert_eq!(entries(&kept), 1, "and goes with its last reader");
}
