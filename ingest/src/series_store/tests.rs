//! The store against a plain model: random windows, seals, compactions and reopens in random order; and damage.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use taffrail_collector::model::{Exemplar, LabelSet, Sample, SampleKind, SampleValue, Timestamp, TraceId};
use tempfile::TempDir;

use super::rollup::roll_up_points;
use super::test_samples::value_of_kind;
use super::*;

const ALL: TimeRange = TimeRange::ALL;

fn sample(name: &str, host: &str, seconds: i64, value: SampleValue) -> Sample {
    Sample {
        labels: Arc::new(LabelSet::new([("__name__", name), ("host", host)])),
        timestamp: Timestamp::from_unix_seconds(seconds),
        interval_ms: 10_000,
        value,
        unit: "",
        exemplars: Vec::new(),
    }
}

fn counter(seconds: i64, sum: f64) -> Sample {
    sample("hits", "a", seconds, SampleValue::Counter { sum })
}

fn name_is(name: &str) -> Vec<LabelMatcher> {
    vec![LabelMatcher { name: "__name__".to_owned(), test: LabelTest::Equal(name.to_owned()) }]
}

fn seal(store: &SeriesStore) {
    let change = store.prepare_seal().unwrap();
    store.commit(change);
}

fn compact(store: &SeriesStore) -> Result<Option<BlockChange>, SeriesStoreError> {
    store.prepare_compaction(Timestamp::from_unix_seconds(0), &mut |_| Ok(()))
}

/// Merges all that is worth it so many days later, when every stretch was left alone for long.
fn compact_all(store: &SeriesStore, days: i64) {
    loop {
        store.merged_at.lock().clear();
        let now = Timestamp::from_unix_seconds(days * 86_400);
        let Some(change) = store.prepare_compaction(now, &mut |_| Ok(())).unwrap() else { return };
        store.commit(change);
    }
}

fn reopened(store: SeriesStore, directory: &TempDir) -> SeriesStore {
    seal(&store);
    let blocks = store.blocks();
    drop(store);
    SeriesStore::open(directory.path(), blocks).unwrap()
}

fn counters(store: &SeriesStore, range: TimeRange) -> Vec<(f64, Vec<(i64, f64)>)> {
    let series = store.select(&name_is("hits"), range, &Scan::unlimited()).unwrap();
    let of = |series: SeriesData| {
        let Values::Counter(sums) = series.points.values() else { panic!("{:?} is no counter", series.points) };
        let ends = series.points.ends().iter().map(|end| end / 1_000_000_000);
        (series.before.sum, ends.zip(sums.iter().copied()).collect())
    };
    series.into_iter().map(of).collect()
}

fn range(start: i64, end: i64) -> TimeRange {
    TimeRange { start: Timestamp::from_unix_seconds(start), end: Timestamp::from_unix_seconds(end) }
}

/// Deletes as the store's owner does: seal, then hide. Gives the mask back, for the next start.
fn delete(store: &SeriesStore, id: u64, matchers: Vec<LabelMatcher>, range: TimeRange) -> SeriesMask {
    seal(store);
    let mask = SeriesMask { id, selectors: vec![matchers], range };
    store.hide(mask.clone());
    mask
}

fn carry_out_deletions(store: &SeriesStore) {
    loop {
        match store.prepare_deletion(&mut |_| Ok(())).unwrap() {
            DeletionWork::Rewritten(change) => store.commit(change),
            DeletionWork::Unconcerned { blocks, through } => {
                store.note_unconcerned(&blocks, through);
                assert_eq!(store.pending_deletions(), Vec::<u64>::new());
                return store.forget_finished_deletions();
            }
        }
    }
}

/// What a test does to the store.
#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<(u8, u8, i64, u8)>),
    Seal,
    AbandonedSeal,
    Compact,
    /// All that is worth it so many days after the epoch.
    CompactOn(i64),
    /// The windows of one series, or of all, that end in a range of slots.
    Delete(Option<u8>, i64, i64),
    /// What was deleted leaves the disk.
    CarryOut,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // (series, kind, slot of ten minutes within five hours or of some days, which value), and the same slot after slot
    let slot = prop_oneof![3 => 0i64..30, 2 => 120i64..170, 1 => 0i64..5_000];
    let any_order = prop::collection::vec((0u8..3, 1u8..6, slot, any::<u8>()), 1..20);
    let in_order = (0u8..3, 1u8..6, prop::collection::vec(any::<u8>(), 1..30)).prop_map(|(series, kind, values)| {
        (0..).zip(values).map(|(slot, which)| (series, kind, slot, which)).collect()
    });
    let insert = prop_oneof![any_order, in_order].prop_map(Step::Insert);
    let step = prop_oneof![
        5 => insert,
        3 => Just(Step::Seal),
        1 => Just(Step::AbandonedSeal),
        2 => Just(Step::Compact),
        2 => prop_oneof![Just(2i64), Just(33), Just(70)].prop_map(Step::CompactOn),
        1 => (prop::option::of(0u8..3), prop_oneof![0i64..170, 0i64..5_000], prop_oneof![0i64..20, 0i64..600])
            .prop_map(|(series, from, slots)| Step::Delete(series, from, from + slots)),
        1 => Just(Step::CarryOut),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..25)
}

fn values() -> impl Strategy<Value = Vec<Vec<SampleValue>>> {
    (1u8..6).map(|kind| prop::collection::vec(value_of_kind(kind), 8)).collect::<Vec<_>>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn select_equals_a_plain_model_whatever_is_sealed_compacted_and_reopened(
        steps in steps(), values in values(), from in 0i64..20_000, length in 0i64..20_000,
    ) {
        let directory = TempDir::new().unwrap();
        let mut store = SeriesStore::open(directory.path(), Vec::new()).unwrap();
        let mut model: BTreeMap<(Arc<LabelSet>, SampleKind), Points> = BTreeMap::new();
        let mut deletions: Vec<SeriesMask> = Vec::new();
        for step in steps {
            match step {
                Step::Insert(windows) => {
                    let samples: Vec<Sample> = windows
                        .into_iter()
                        .map(|(series, kind, slot, which)| {
                            let value = values[usize::from(kind) - 1][usize::from(which) % 8].clone();
                            sample("m", ["a", "b", "c"][usize::from(series)], slot * 600, value)
                        })
                        .collect();
                    for sample in &samples {
                        let kind = sample.value.kind();
                        let points = model.entry((sample.labels.clone(), kind)).or_insert_with(|| Points::new(kind));
                        points.insert((sample.timestamp.unix_nanos()) + 10_000_000_000, sample.value.clone());
                    }
                    store.insert(samples);
                }
                Step::Seal => seal(&store),
                Step::AbandonedSeal => drop(store.prepare_seal().unwrap()),
                Step::Compact => {
                    if let Some(change) = compact(&store).unwrap() {
                        store.commit(change);
                    }
                }
                Step::CompactOn(days) => compact_all(&store, days),
                Step::Delete(series, from, to) => {
                    let range = range(from * 600, to * 600);
                    let (start, end) = (range.start.unix_nanos(), range.end.unix_nanos());
                    let mut matchers = name_is("m");
                    let host = series.map(|series| ["a", "b", "c"][usize::from(series)]);
                    let is_host = |host: &str| LabelMatcher { name: "host".into(), test: LabelTest::Equal(host.into()) };
                    matchers.extend(host.map(is_host));
                    deletions.push(delete(&store, deletions.len() as u64 + 1, matchers, range));
                    model.retain(|(labels, _), points| {
                        if host.is_none_or(|host| labels.get("host") == host) {
                            let mut left = points.between(i64::MIN, start);
                            left.merge(points.between(end.max(start), i64::MAX));
                            *points = left;
                        }
                        !points.is_empty()
                    });
                }
                Step::CarryOut => carry_out_deletions(&store),
                Step::Reopen => {
                    store = reopened(store, &directory);
                    deletions.iter().for_each(|mask| store.hide(mask.clone()));
                }
            }
        }
        for range in [ALL, range(from, from + length)] {
            let found = store.select(&name_is("m"), range, &Scan::unlimited()).unwrap();
            let (start, end) = (range.start.unix_nanos(), range.end.unix_nanos());
            let expected: Vec<_> =
                model.iter().map(|(key, points)| (key, points.between(start, end))).filter(|(_, p)| !p.is_empty()).collect();
            prop_assert_eq!(found.len(), expected.len());
            for (found, ((labels, _), points)) in found.iter().zip(expected) {
                prop_assert_eq!(&found.labels, labels);
                prop_assert_eq!(&found.points, &points);
            }
        }
        // Coarser answers lose nothing, whatever was rolled up so far, and are rolled up whole once everything was merged.
        for wanted_ms in RESOLUTIONS_MS {
            let found = store.select_at(&name_is("m"), ALL, wanted_ms, &Scan::unlimited()).unwrap();
            prop_assert_eq!(found.len(), model.len());
            for (found, ((labels, _), points)) in found.iter().zip(&model) {
                prop_assert_eq!(&found.labels, labels);
                prop_assert_eq!(found.points.total(), points.total());
            }
        }
        seal(&store);
        carry_out_deletions(&store);
        compact_all(&store, 100);
        for wanted_ms in RESOLUTIONS_MS {
            let found = store.select_at(&name_is("m"), ALL, wanted_ms, &Scan::unlimited()).unwrap();
            prop_assert_eq!(found.len(), model.len());
            for (found, (_, points)) in found.iter().zip(&model) {
                prop_assert_eq!(&found.points, &roll_up_points(points, wanted_ms));
            }
        }
        // Nothing is left on disk but what is listed.
        seal(&store);
        let files = std::fs::read_dir(directory.path()).unwrap().count();
        prop_assert_eq!(files, store.blocks().len());
    }

    #[test]
    fn a_flipped_byte_is_noticed_and_the_block_named(at: prop::sample::Index, xor in 1u8.., cut: bool) {
        let directory = TempDir::new().unwrap();
        let store = SeriesStore::open(directory.path(), Vec::new()).unwrap();
        let trace = Exemplar { timestamp: Timestamp::from_unix_seconds(31), value: 1.0, trace_id: TraceId::new(7).unwrap(), span_id: None };
        store.insert((0..40).map(|i| Sample { exemplars: vec![trace.clone()], ..counter(i * 10, i as f64) }).collect());
        seal(&store);
        let blocks = store.blocks();
        drop(store);
        let path = directory.path().join(&blocks[0].name);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= xor;
        bytes.truncate(if cut { at } else { bytes.len() });
        std::fs::write(&path, bytes).unwrap();
        prop_assert!(verify::verify_block(directory.path(), &blocks[0]).is_err());
        let store = SeriesStore::open(directory.path(), blocks.clone()).unwrap();
        let scan = Scan::unlimited();
        // Each question reads some parts of the file; together they read all of it but the list of metrics.
        let metrics = store.view.read().blocks[0].metrics().err();
        store.select(&[], ALL, &scan).unwrap();
        store.exemplars(&[], ALL, &scan).unwrap();
        let named = scan.left_out().iter().any(|part| part.contains(&blocks[0].name));
        prop_assert!(named || metrics.is_some_and(|error| error.to_string().contains(&blocks[0].name)));
    }
}

#[test]
fn counters_go_on_from_their_running_sum_over_seals_and_reopens() {
    let directory = TempDir::new().unwrap();
    let store = SeriesStore::open(directory.path(), Vec::new()).unwrap();
    store.insert(vec![counter(0, 1.0), counter(10, 2.0)]);
    seal(&store);
    store.insert(vec![counter(7_190, 4.0), counter(7_200, 8.0)]);
    let change = store.prepare_seal().unwrap();
    store.insert(vec![counter(7_210, 16.0)]); // meanwhile, into the new head
    store.commit(change);
    let store = reopened(store, &directory);
    store.insert(vec![counter(7_220, 32.0)]);
    let check = |from, to, before, expected: &[(i64, f64)]| {
        assert_eq!(counters(&store, range(from, to)), [(before, expected.to_vec())], "{from}–{to}");
    };
    check(0, 9_000, 0.0, &[(10, 1.0), (20, 2.0), (7_200, 4.0), (7_210, 8.0), (7_220, 16.0), (7_230, 32.0)]);
    check(20, 7_211, 1.0, &[(20, 2.0), (7_200, 4.0), (7_210, 8.0)]);
    check(7_210, 9_000, 7.0, &[(7_210, 8.0), (7_220, 16.0), (7_230, 32.0)]);
    check(7_230, 9_000, 31.0, &[(7_230, 32.0)]);
    assert_eq!(
        store.blocks().iter().map(|b| b.place.partition.unix_nanos()).collect::<std::collections::BTreeSet<_>>().len(),
        2
    );
}

#[test]
fn counters_go_on_from_their_running_sum_when_silent_series_are_forgotten() {
    let directory = TempDir::new().unwrap();
    let store = SeriesStore::open(directory.path(), Vec::new()).unwrap();
    let grow_older = || store.view.read().active.read().registry().write().grow_older();
    let gauge = |n: u32| sample("many", &n.to_string(), 0, SampleValue::Gauge { last: 1.0, min: 1.0, max: 1.0 });
    store.insert(
        (0..20_000)
            .map(gauge)
            .chain([counter(0, 1.0), sample("hits", "b", 0, SampleValue::Counter { sum: 64.0 })])
            .collect(),
    );
    seal(&store);
    grow_older();
    store.insert(vec![counter(10, 2.0)]);
    let change = store.prepare_seal().unwrap();
    assert_eq!(store.sizes().known_series, 0, "a new registry");
    store.insert(vec![counter(20, 4.0)]); // meanwhile, into the new head
    store.commit(change);
    store.insert(vec![counter(30, 8.0), sample("hits", "b", 30, SampleValue::Counter { sum: 128.0 })]);
    assert_eq!(store.sizes().known_series, 2);
    seal(&store);
    store.insert(vec![counter(40, 16.0)]);
    let expected = [(3.0, vec![(30, 4.0), (40, 8.0), (50, 16.0)]), (64.0, vec![(40, 128.0)])];
    assert_eq!(counters(&store, range(30, 9_000)), expected);
    let expected = [(15.0, vec![(50, 16.0)])];
    assert_eq!(counters(&store, range(50, 9_000)), expected);
}

#[test]
fn a_window_is_seen_once_before_during_and_after_a_seal() {
    let directory = TempDir::new().unwrap();
    let store = SeriesStore::open(directory.path(), Vec::new()).unwrap();
    let check = |expected: &[(i64, f64)]| assert_eq!(counters(&store, ALL), [(0.0, expected.to_vec())]);
    store.insert(vec![counter(0, 1.0)]);
    check(&[(10, 1.0)]);
    let change = store.prepare_seal().unwrap();
    check(&[(10, 1.0)]);
    store.insert(vec![counter(0, 5.0), counter(10, 2.0)]);
    check(&[(10, 6.0), (20, 2.0)]);
    drop(change); // the catalog refused it
    check(&[(10, 6.0), (20, 2.0)]);
    let change = store.prepare_seal().unwrap();
    assert_eq!((change.added().len(), change.added()[0].samples), (1, 2));
    store.commit(change);
    check(&[(10, 6.0), (20, 2.0)]);
    assert_eq!(store.sizes().head_samples, 0);
}

#[test]
fn exemplars_metrics_and_series_are_found_in_blocks_and_heads() {
    let directory = TempDir::new().unwrap();
    let store = SeriesStore::open(directory.path(), Vec::new()).unwrap();
    let trace = |n: u128, seconds| Exemplar {
        timestamp: Timestamp::from_unix_seconds(seconds),
        value: 2.5,
        trace_id: TraceId::new(n).unwrap(),
        span_id: taffrail_collector::model::SpanId::new(9),
    };
    // The window ends in the next partition, its exemplar lies in the one before.
    store.insert(vec![Sample { exemplars: vec![trace(1, 7_195)], unit: "ms", ..counter(7_191, 1.0) }]);
    seal(&store);
    store.insert(vec![
        Sample { exemplars: vec![trace(2, 7_300)], ..counter(7_300, 1.0) },
        sample("Heat", "b", 7_300, SampleValue::Gauge { last: 1.0, min: 1.0, max: 1.0 }),
    ]);
    for _ in 0..2 {
        let scan = Scan::unlimited();
        let found = store.exemplars(&name_is("hits"), ALL, &scan).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1, [trace(1, 7_195), trace(2, 7_300)]);
        assert_eq!(store.exemplars(&name_is("hits"), range(0, 7_200), &scan).unwrap()[0].1, [trace(1, 7_195)]);
        let of_trace = store.exemplars_of_trace(TraceId::new(1).unwrap());
        assert_eq!(of_trace.len(), 1);
        assert_eq!((of_trace[0].0.name(), &of_trace[0].1), ("hits", &trace(1, 7_195)));
        let names: Vec<_> = store.metrics("H", 9).into_iter().map(|m| (m.name, m.kind, m.unit, m.series)).collect();
        assert_eq!(
            names,
            [
                ("Heat".to_owned(), SampleKind::Gauge, String::new(), 1),
                ("hits".into(), SampleKind::Counter, "ms".into(), 1)
            ]
        );
        assert_eq!(store.metrics("hit", 9).len(), 1);
        let series = store.series(&[], range(7_300, 7_400), &scan).unwrap();
        assert_eq!(series.iter().map(|(labels, _)| labels.get("host")).collect::<Vec<_>>(), ["b", "a"]);
        seal(&store); // and once more from blocks alone
    }
}

#[test]
fn crowded_partitions_are_compacted_and_removed_blocks_leave_the_disk() {
    let directory = TempDir::new().unwrap();
    let store = SeriesStore::open(directory.path(), Vec::new()).unwrap();
    let trace = Exemplar {
        timestamp: Timestamp::from_unix_seconds(5),
        value: 1.0,
        trace_id: TraceId::new(3).unwrap(),
        span_id: None,
    };
    for i in 0..5 {
        store.insert(vec![Sample { exemplars: vec![trace.clone()], ..counter(i * 10, 1.0) }, counter(100_000, 1.0)]);
        assert!(compact(&store).unwrap().is_none());
        seal(&store);
    }
    let change = compact(&store).unwrap().unwrap();
    assert_eq!((change.removed().len(), change.added()[0].samples), (5, 1), "the newest first");
    store.commit(change);
    let change = compact(&store).unwrap().unwrap();
    store.commit(change);
    assert!(compact(&store).unwrap().is_none());
    assert_eq!(store.blocks().len(), 2);
    assert_eq!(store.exemplars_of_trace(TraceId::new(3).unwrap()).len(), 5);
    let first = counters(&store, range(0, 9_000));
    assert_eq!(first, [(0.0, vec![(10, 1.0), (20, 1.0), (30, 1.0), (40, 1.0), (50, 1.0)])]);
    let oldest = store.blocks().into_iter().min_by_key(|block| block.place.partition).unwrap();
    store.remove_blocks(&[oldest.name]);
    assert_eq!(counters(&store, ALL)[0].1, [(100_010, 5.0)]);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn leftovers_of_a_crash_are_removed_and_a_missing_block_is_left_out_of_its_time_only() {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("0-0000000f.series.unfinished"), b"half").unwrap();
    std::fs::write(directory.path().join("0-0000000e.series"), b"never listed").unwrap();
    let gone = BlockInfo {
        name: "0-00000001.series".into(),
        place: Place {
            partition: Timestamp::EPOCH,
            hours: 2,
            resolution_ms: 0,
            days_held: 0,
            order: 1,
            deletions_through: 0,
        },
        first_end: Timestamp::from_unix_seconds(10),
        last_end: Timestamp::from_unix_seconds(20),
        bytes: 1,
        samples: 1,
        series: 1,
    };
    let store = SeriesStore::open(directory.path(), vec![gone]).unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    store.insert(vec![counter(8_000, 1.0)]);
    seal(&store);
    assert!(store.blocks()[1].name.ends_with("-00000010.series"), "{:?}", store.blocks());
    assert_eq!(counters(&store, range(100, 9_000)).len(), 1);
    let scan = Scan::unlimited();
    assert!(store.select(&[], range(0, 100), &scan).unwrap().is_empty());
    assert_eq!(scan.left_out(), ["series block 0-00000001.series"]);
    assert_eq!(store.damaged_blocks()[0].block.name, "0-00000001.series");
}

#[test]
fn a_rule_of_retention_hides_at_once_thins_what_is_written_anew_and_leaves_the_others_alone() {
    let directory = TempDir::new().unwrap();
    let store = SeriesStore::open(directory.path(), Vec::new()).unwrap();
    let day = 86_400;
    let named = |name: &str, seconds: i64| sample(name, "a", seconds, SampleValue::Counter { sum: 1.0 });
    let slots = || (0..2 * day / 600).flat_map(|slot| [slot * 600, slot * 600 + 10]);
    store.insert(slots().flat_map(|at| [named("debug", at), named("bill", at)]).collect());
    seal(&store);
    compact_all(&store, 3);
    let days = |count: u64| Some(Duration::from_secs(count * 86_400));
    let rule = SeriesRetentionRule { matchers: name_is("debug"), keep: [days(1), days(1), days(4), days(4)] };
    let retention = SeriesRetention { rules: vec![rule], ..SeriesRetention::default() };
    store.set_retention(Arc::new(retention));
    let windows = |name: &str, wanted_ms| {
        let found = store.select_at(&name_is(name), ALL, wanted_ms, &Scan::unlimited()).unwrap();
        found.first().map_or((0, 0.0), |series| (series.points.len(), series.points.total().sum))
    };
    let all = 4 * day as usize / 600;
    let sum = all as f64;
    store.expire(Timestamp::from_unix_seconds(3 * day));
    assert_eq!([windows("debug", 0), windows("bill", 0)], [(all, sum); 2], "as fine as they are there");
    compact_all(&store, 3);
    // A window of ten minutes for each two: half of the block's windows were too fine, so it was worth it.
    assert_eq!([windows("debug", 0), windows("bill", 0)], [(all / 2, sum), (all, sum)]);
    assert_eq!([windows("debug", 60_000), windows("bill", 60_000)], [(all / 2, sum); 2]);
    assert_eq!(windows("debug", 3_600_000), windows("bill", 3_600_000));
    store.expire(Timestamp::from_unix_seconds(5 * day));
    assert_eq!(windows("debug", 0), (all / 4, sum / 2.0), "the first day is no longer kept at any level");
    store.expire(Timestamp::from_unix_seconds(6 * day));
    assert_eq!([windows("debug", 0), windows("debug", 3_600_000)], [(0, 0.0); 2]);
    assert!(store.series(&name_is("debug"), ALL, &Scan::unlimited()).unwrap().is_empty());
    assert_eq!(store.metrics("", 9).len(), 2);
    let bytes = store.sizes().block_bytes;
    compact_all(&store, 3);
    assert!(store.sizes().block_bytes < bytes, "what nothing keeps has left the disk");
    assert_eq!(windows("bill", 0), (all, sum));
    store.set_retention(Arc::default());
    assert_eq!(windows("debug", 0), (0, 0.0), "it does not come back");
}
