//! Groups of a store equal those of its records, taken one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use taffrail_collector::model::{LogRecord, Severity, Timestamp};

use super::pattern_tests::store_of;
use super::test_records::record_at;
use super::*;
use crate::scan::Scan;

type Groups = BTreeMap<Vec<String>, BTreeMap<usize, u64>>;

fn plain_groups(matching: &[&StoredRecord], question: &GroupQuestion) -> Groups {
    let mut found = Groups::new();
    let (Some(first), Some(last)) = (question.bounds.first(), question.bounds.last()) else { return found };
    for stored in matching.iter().filter(|stored| *first < stored.id.time && stored.id.time <= *last) {
        let value = |field: &Field| {
            let mut values = Vec::new();
            field.visit_values(&stored.record, &mut |value| values.push(value.into_owned()));
            values.into_iter().next().unwrap_or_default()
        };
        let stretch = question.bounds.iter().position(|bound| stored.id.time <= *bound).expect("before the last");
        let group = found.entry(question.fields.iter().map(value).collect()).or_default();
        *group.entry(stretch).or_default() += 1;
    }
    found
}

/// Asks the store for groups of `matching`, which are all the records that pass the filter.
pub(super) fn check_groups(
    store: &LogStore,
    filter: &Filter,
    fields: &[&str],
    bounds: &[i64],
    matching: &[&StoredRecord],
) {
    let mut bounds: Vec<Timestamp> = bounds.iter().map(|nanos| Timestamp::from_unix_nanos(*nanos)).collect();
    bounds.sort_unstable();
    bounds.dedup();
    let fields: Vec<Field> = fields.iter().map(|name| Field::named(name)).collect();
    let question = GroupQuestion { fields, bounds: bounds.into(), groups_max: usize::MAX };
    let found = store.count_groups(filter, &question, &Scan::unlimited()).expect("counted");
    assert_eq!((found.other, found.ending.stopped), (0, None));
    assert!(found.groups.is_sorted());
    let count = found.groups.len();
    let found: Groups =
        found.groups.into_iter().map(|group| (group.values, group.counts.into_iter().collect())).collect();
    assert_eq!(found.len(), count, "each group once");
    assert_eq!(found, plain_groups(matching, &question), "{filter:?} by {:?}", question.fields);
}

/// Minutes of records, so that counts by minute answer, with bounds on and off the minutes.
#[test]
fn whole_minutes_are_counted_without_a_look_at_rows() {
    let one = |n: i64| {
        let mut record = record_at(n / 6);
        record.severity = if n % 7 == 0 { Severity::ERROR } else { Severity::INFO };
        record.body = if n % 3 == 0 { format!("took {n} ms") } else { "done".to_owned() };
        record.attributes = vec![("path".into(), ["/a", "/b"][n as usize % 2].into()), ("n".into(), (n % 5).into())];
        record
    };
    let (store, all, _directory) = store_of(vec![(0..12_000).map(one).collect(), (0..40).map(one).collect()]);
    let errors = Filter::SeverityBetween(Severity::ERROR, Severity::ERROR);
    let minute = 60_000_000_000;
    for filter in [Filter::All, errors, Filter::Pattern(PatternId::of("done"))] {
        let compiled = filter.compile().expect("a good filter");
        let matching: Vec<&StoredRecord> = all.iter().filter(|stored| compiled.matches(&stored.record)).collect();
        let whole: Vec<i64> = (0..40).map(|n| n * minute - 1).collect();
        let crooked: Vec<i64> = (0..60).map(|n| n * 37_000_000_007 + 500).collect();
        for fields in [&["service", "level"][..], &[], &["path", "level"], &["n", "path", "host"], &["absent"]] {
            for bounds in [&whole, &crooked] {
                check_groups(&store, &filter, fields, bounds, &matching);
            }
        }
    }
    let scan = Scan::unlimited();
    let bounds: Vec<Timestamp> = (0..40).map(|n| Timestamp::from_unix_nanos(n * minute - 1)).collect();
    let fields = vec![Field::Level];
    let question = GroupQuestion { fields, bounds: bounds.into(), groups_max: 10 };
    store.count_groups(&Filter::All, &question, &scan).expect("counted");
    assert_eq!(scan.rows(), 40, "only those in memory");
}

#[test]
fn groups_beyond_the_most_are_told_of() {
    let one = |n: i64| LogRecord { attributes: vec![("n".into(), (n % 5).into())], ..record_at(n) };
    let (store, _, _directory) = store_of(vec![(0..50).map(one).collect(), (0..5).map(one).collect()]);
    let bounds = Arc::new([Timestamp::EPOCH, Timestamp::from_unix_seconds(100)]);
    let question = GroupQuestion { fields: vec![Field::named("n")], bounds, groups_max: 3 };
    let found = store.count_groups(&Filter::All, &question, &Scan::unlimited()).expect("counted");
    // The record at the first bound is not asked for.
    let counted: u64 = found.groups.iter().flat_map(|group| &group.counts).map(|(_, count)| count).sum();
    assert_eq!((found.groups.len(), counted + found.other), (3, 53));
    assert!(found.other >= 20);
}

/// Fields and bounds for any records of `test_records`.
pub(super) fn question() -> impl Strategy<Value = (Vec<String>, Vec<i64>)> {
    let fields = prop::collection::vec(super::equality_tests::field_name(), 0..4);
    (fields, prop::collection::vec((-2i64..26).prop_map(|quarter| quarter * 250_000_000), 0..12))
}
