//! The whole store on a real disk: exactly once through crashes, limits with their reasons, one view through seals.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use taffrail_collector::delivery::{Outcome, Pending, RefusalReason};
use taffrail_collector::file_system::{FileSystem, RealFileSystem};
use taffrail_collector::model::{
    AgentId, Batch, Checkpoint, LabelSet, Lane, LogRecord, Sample, SampleValue, StreamPlace, Timestamp,
};
use taffrail_collector::simulated_file_system::SimulatedFileSystem;

use crate::admission::Limits;
use crate::log_store::test_records::record_at;
use crate::log_store::{Filter, Order, Search, StoredRecord};
use crate::series_store::{LabelMatcher, LabelTest, Values};
use crate::{CompactionBudget, Ingest, IngestConfig, Scan, TimeRange};

pub(crate) fn config(data_dir: &Path) -> IngestConfig {
    IngestConfig {
        data_dir: data_dir.to_owned(),
        seal_rows: 1 << 20,
        seal_bytes: 1 << 30,
        seal_age: Duration::from_secs(3600),
        memory_bytes_max: 1 << 30,
        retention_age: None,
        retention_rules: Vec::new(),
        compaction: CompactionBudget { cpu_share: 0.0, bytes_per_second: u64::MAX },
        retention_bytes: None,
        disk_reserve_bytes: 0,
        future_max: Duration::from_secs(3600),
        // A name alone is a selector here.
        parse_selector: |name| {
            let test = LabelTest::Equal(name.to_owned());
            Ok(vec![LabelMatcher { name: "__name__".to_owned(), test }])
        },
        series_retention: crate::series_store::SeriesRetention::default(),
        series_limits: crate::series_store::SeriesLimits::default(),
    }
}

pub(crate) fn open(config: &IngestConfig) -> Ingest {
    Ingest::open(config.clone(), &mut |done, total| assert!(done <= total)).expect("opens")
}

pub(crate) fn logs(seconds: std::ops::Range<i64>) -> Batch {
    Batch { logs: seconds.map(record_at).collect(), ..Batch::local() }
}

pub(crate) fn all_records(ingest: &Ingest) -> Vec<StoredRecord> {
    let wanted = Search {
        filter: Filter::All,
        range: TimeRange::ALL,
        order: Order::OldestFirst,
        after: None,
        limit: usize::MAX,
    };
    let mut records = Vec::new();
    let ending = ingest.logs().search(&wanted, &Scan::unlimited(), &mut |record| {
        records.push(record);
        ControlFlow::Continue(())
    });
    assert_eq!(ending.expect("searched").stopped, None);
    records
}

/// Sums of all counters by series.
pub(crate) fn counter_sums(ingest: &Ingest) -> BTreeMap<String, f64> {
    let series = ingest.series().select(&[], TimeRange::ALL, &Scan::unlimited()).expect("selected");
    series
        .into_iter()
        .map(|series| {
            let Values::Counter(sums) = series.points.values() else { panic!("only counters were sent") };
            (series.labels.to_string(), sums.iter().sum())
        })
        .collect()
}

/// splitmix64: a schedule that a printed seed brings back.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }
}

/// Row `seq` of a stream: every fourth is a window, as far as the batch allows (its records come first).
fn stream_batch(stream: u32, first_seq: u64, logs: u64, samples: u64) -> Batch {
    let log = |seq: u64| LogRecord { body: format!("stream {stream} row {seq}"), ..record_at((seq % 97) as i64) };
    let sample = |seq: u64| Sample {
        labels: Arc::new(LabelSet::new([("__name__", format!("rows_{stream}"))])),
        timestamp: Timestamp::from_unix_seconds(seq as i64 * 10),
        interval_ms: 10_000,
        value: SampleValue::Counter { sum: 1.0 },
        unit: "",
        exemplars: Vec::new(),
    };
    let last = first_seq + logs + samples - 1;
    Batch {
        agent: AgentId(77),
        place: Some(StreamPlace { epoch: 5, stream, lane: Lane::Normal, first_seq }),
        checkpoints: vec![Checkpoint { key: format!("source {stream}"), value: last.to_be_bytes().to_vec() }],
        logs: (first_seq..first_seq + logs).map(log).collect(),
        samples: (first_seq + logs..=last).map(sample).collect(),
    }
}

/// What a sender knows: what it built, and how far that was acknowledged.
#[derive(Default)]
struct Sender {
    /// (first_seq, logs, samples) of every batch ever built, in order.
    batches: Vec<(u64, u64, u64)>,
    next_seq: u64,
    acked: u64,
}

/// Drops the store without a shutdown again and again. On the simulated disk the journal also loses its power, and its disk
/// is full or faulty now and then.
fn crash_and_recover<F: JournalDisk>(seed: u64) {
    println!("seed {seed} on {}", F::NAME);
    let mut random = Random(seed);
    let disk = F::new(seed);
    let directory = tempfile::tempdir().expect("a directory");
    let config = IngestConfig { seal_rows: 40 + random.below(200) as usize, ..config(directory.path()) };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let mut senders: [Sender; 3] = Default::default();
    let rounds = 6;
    for round in 0..=rounds {
        let ingest = crate::startup::open(config.clone(), disk.clone(), &mut |_, _| {}).expect("opens");
        for (stream, sender) in senders.iter().enumerate() {
            let mark = ingest.streams(AgentId(77)).into_iter().find(|mark| mark.stream == stream as u32);
            let stored = mark.map_or(0, |mark| mark.acked_through + 1);
            assert!(stored >= sender.acked, "stream {stream}: {} were acknowledged, {stored} are there", sender.acked);
            let checkpoints = ingest.checkpoints(AgentId(77));
            let checkpoint = checkpoints.iter().find(|checkpoint| checkpoint.key == format!("source {stream}"));
            let expected = stored.checked_sub(1).map(|last| last.to_be_bytes().to_vec());
            assert_eq!(
                checkpoint.map(|checkpoint| checkpoint.value.clone()),
                expected,
                "the mark and the checkpoint part"
            );
        }
        let last_round = round == rounds;
        let faulty = !last_round && disk.fail_now_and_then(&mut random);
        runtime.block_on(async {
            send_and_hear(&ingest, &mut senders, &mut random, faulty, last_round).await;
            if faulty && random.below(2) == 0 {
                // The same process meets a disk that works again.
                disk.heal();
                let all = random.below(2) == 0;
                send_and_hear(&ingest, &mut senders, &mut random, false, all).await;
            }
            match random.below(6) {
                0 => drop(tokio::time::timeout(Duration::from_millis(random.below(30)), ingest.seal()).await),
                1 | 2 => drop(ingest.seal().await.expect("splits lie on a disk that works")),
                _ => {}
            }
        });
        if last_round {
            check_exactly_once(&ingest, &senders);
            runtime.block_on(ingest.shutdown());
        }
        drop(ingest);
        if last_round {
            let ingest = crate::startup::open(config.clone(), disk.clone(), &mut |_, _| {}).expect("opens");
            check_exactly_once(&ingest, &senders);
        }
        disk.lose_power(directory.path(), &mut random);
    }
}

/// Sends again everything that was not acknowledged, then new batches; hears some of the answers, or all.
async fn send_and_hear(ingest: &Ingest, senders: &mut [Sender], random: &mut Random, faulty: bool, all: bool) {
    let mut under_way: Vec<(usize, u64, Pending)> = Vec::new();
    for (stream, sender) in senders.iter_mut().enumerate() {
        for _ in 0..random.below(12) {
            let (logs, samples) = (1 + random.below(9), random.below(4));
            sender.batches.push((sender.next_seq, logs, samples));
            sender.next_seq += logs + samples;
        }
        for &(first, logs, samples) in &sender.batches {
            if first + logs + samples <= sender.acked {
                continue;
            }
            let times = if random.below(20) == 0 { 2 } else { 1 };
            for _ in 0..times {
                let pending = ingest.outlet().send(stream_batch(stream as u32, first, logs, samples)).await;
                under_way.push((stream, first + logs + samples, pending.expect("the store is open")));
            }
        }
    }
    let heard = if all { under_way.len() } else { random.below(under_way.len() as u64 + 1) as usize };
    for (stream, end, pending) in under_way.drain(..heard) {
        match pending.outcome().await {
            Outcome::Stored { .. } | Outcome::Duplicate { .. } => {
                senders[stream].acked = senders[stream].acked.max(end);
            }
            Outcome::Gap { .. } if faulty => {}
            Outcome::Refused(refusal) if faulty => {
                assert!(matches!(refusal.reason, RefusalReason::DiskFull | RefusalReason::WriteFailed), "{refusal}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Where the journal of a crash test lies.
trait JournalDisk: FileSystem {
    const NAME: &str;
    fn new(seed: u64) -> Self;
    /// Asks for faults in the round to come; says whether it did.
    fn fail_now_and_then(&self, random: &mut Random) -> bool;
    /// Ends the faults.
    fn heal(&self);
    /// What happens to the journal's files between two processes.
    fn lose_power(&self, data_dir: &Path, random: &mut Random);
}

impl JournalDisk for SimulatedFileSystem {
    const NAME: &str = "a disk that loses its power";

    fn new(seed: u64) -> SimulatedFileSystem {
        SimulatedFileSystem::new(seed)
    }

    fn fail_now_and_then(&self, random: &mut Random) -> bool {
        match random.below(5) {
            0 => self.fail_syncs(1 + random.below(2) as u32),
            1 => self.fail_appends(1 + random.below(2) as u32),
            2 => self.set_capacity(Some(random.below(20_000))),
            _ => return false,
        }
        true
    }

    fn heal(&self) {
        self.set_capacity(None);
        self.fail_syncs(0);
        self.fail_appends(0);
    }

    fn lose_power(&self, _: &Path, _: &mut Random) {
        self.heal();
        SimulatedFileSystem::lose_power(self);
    }
}

impl JournalDisk for RealFileSystem {
    const NAME: &str = "the real disk";

    fn new(_: u64) -> RealFileSystem {
        RealFileSystem
    }

    fn fail_now_and_then(&self, _: &mut Random) -> bool {
        false
    }

    fn heal(&self) {}

    fn lose_power(&self, data_dir: &Path, random: &mut Random) {
        if random.below(2) == 0 {
            tear_the_journals_tail(data_dir, random);
        }
    }
}

/// What a power cut may leave after the last record.
fn tear_the_journals_tail(data_dir: &Path, random: &mut Random) {
    let segments =
        std::fs::read_dir(data_dir.join("journal")).expect("the journal").map(|entry| entry.expect("an entry").path());
    let Some(last) = segments.max() else { return };
    let garbage: Vec<u8> = (0..random.below(300)).map(|_| random.below(256) as u8).collect();
    std::fs::File::options().append(true).open(last).expect("opens").write_all(&garbage).expect("writes");
}

fn check_exactly_once(ingest: &Ingest, senders: &[Sender]) {
    let mut expected: HashMap<String, u32> = HashMap::new();
    let mut sums = BTreeMap::new();
    for (stream, sender) in senders.iter().enumerate() {
        for &(first, logs, samples) in &sender.batches {
            (first..first + logs)
                .for_each(|seq| *expected.entry(format!("stream {stream} row {seq}")).or_default() += 1);
            if samples > 0 {
                *sums.entry(format!("rows_{stream}")).or_insert(0.0) += samples as f64;
            }
        }
    }
    let records = all_records(ingest);
    assert!(records.windows(2).all(|pair| pair[0].id < pair[1].id), "in order, each id once");
    let mut found: HashMap<String, u32> = HashMap::new();
    records.into_iter().for_each(|stored| *found.entry(stored.record.body).or_default() += 1);
    assert_eq!(found, expected);
    assert_eq!(counter_sums(ingest), sums);
}

#[test]
fn what_is_acknowledged_is_there_once_after_any_crash() {
    let (from, runs) = match std::env::var("TAFFRAIL_TEST_SEED") {
        Ok(seed) => (seed.parse().expect("a number"), 1),
        Err(_) => (Timestamp::now().unix_nanos().cast_unsigned(), 3),
    };
    for seed in (0..runs).map(|n| from.wrapping_add(n)) {
        crash_and_recover::<RealFileSystem>(seed);
        crash_and_recover::<SimulatedFileSystem>(seed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_answered_as_the_wall_promises() {
    let directory = tempfile::tempdir().expect("a directory");
    let ingest = open(&config(directory.path()));
    let deliver = |first, logs, samples| ingest.outlet().deliver(stream_batch(1, first, logs, samples));
    assert_eq!(deliver(3, 5, 0).await, Outcome::Gap { expected: 0 });
    assert_eq!(deliver(0, 4, 1).await, Outcome::Stored { acked_through: Some(4) });
    assert_eq!(deliver(0, 4, 1).await, Outcome::Duplicate { acked_through: 4 });
    assert_eq!(deliver(2, 6, 0).await, Outcome::Stored { acked_through: Some(7) });
    assert_eq!(deliver(9, 1, 0).await, Outcome::Gap { expected: 8 });
    assert_eq!(ingest.outlet().deliver(logs(0..3)).await, Outcome::Stored { acked_through: None });
    assert_eq!(all_records(&ingest).len(), 4 + 3 + 3);
    let status = ingest.status();
    assert_eq!((status.batches, status.duplicate_batches, status.log_records, status.samples), (3, 1, 10, 1));
    assert_eq!(status.next_seq, 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_can_be_searched_and_followed_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let ingest = open(&config(directory.path()));
    let mut tail = ingest.live_feed().subscribe(None);
    for n in 0..20 {
        ingest.outlet().deliver(logs(n..n + 1)).await;
        assert_eq!(all_records(&ingest).len() as i64, n + 1);
        match tail.next().await {
            Some(crate::live_feed::Event::Passage(passage)) => {
                let (id, record) = passage.records().next().expect("a record");
                assert_eq!((id.seq as i64, record.timestamp), (n, record_at(n).timestamp));
            }
            other => panic!("{other:?}"),
        }
    }
    ingest.shutdown().await;
    assert!(tail.next().await.is_none());
    assert!(
        matches!(ingest.outlet().deliver(logs(0..1)).await, Outcome::Refused(refusal) if refusal.reason == RefusalReason::ShuttingDown)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_moves_everything_to_parts_and_frees_the_journal() {
    let directory = tempfile::tempdir().expect("a directory");
    let ingest = open(&config(directory.path()));
    assert_eq!(ingest.seal().await.expect("nothing to do").log_rows, 0);
    ingest.outlet().deliver(stream_batch(1, 0, 50, 10)).await;
    let report = ingest.seal().await.expect("sealed");
    assert_eq!((report.log_rows, report.samples), (50, 10));
    let status = ingest.status();
    assert_eq!((status.head_rows, status.splits, status.split_rows, status.blocks), (0, 1, 50, 1));
    assert!(status.split_bytes > 0 && status.block_bytes > 0);
    ingest.outlet().deliver(stream_batch(1, 60, 5, 0)).await;
    drop(ingest);
    let ingest = open(&config(directory.path()));
    assert_eq!(ingest.status().replayed_rows, 5);
    assert_eq!(all_records(&ingest).len(), 55);
    assert_eq!(counter_sums(&ingest).values().sum::<f64>(), 10.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_sealed_by_rows_by_bytes_and_by_age() {
    for change in [
        |config: &mut IngestConfig| config.seal_rows = 10,
        |config: &mut IngestConfig| config.seal_bytes = 1000,
        |config: &mut IngestConfig| config.seal_age = Duration::from_millis(10),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let mut config = config(directory.path());
        change(&mut config);
        let ingest = open(&config);
        ingest.outlet().deliver(logs(0..20)).await;
        while ingest.status().splits == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(all_records(&ingest).len(), 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_never_missing_and_never_twice_while_heads_are_sealed() {
    let directory = tempfile::tempdir().expect("a directory");
    let ingest = Arc::new(open(&IngestConfig { seal_rows: 30, ..config(directory.path()) }));
    let stop = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (ingest, stop) = (ingest.clone(), stop.clone());
        move || {
            let mut before = 0;
            while !stop.load(Relaxed) {
                let seqs: Vec<u64> = all_records(&ingest).iter().map(|stored| stored.id.seq).collect();
                assert_eq!(seqs, (0..seqs.len() as u64).collect::<Vec<_>>());
                assert!(seqs.len() >= before);
                before = seqs.len();
            }
            before
        }
    });
    for n in 0..60 {
        ingest.outlet().deliver(logs(n * 10..n * 10 + 10)).await;
    }
    ingest.seal().await.expect("sealed");
    stop.store(true, Relaxed);
    assert!(reader.join().expect("the reader found no fault") > 0);
    assert_eq!(all_records(&ingest).len(), 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_refuse_with_their_reason_and_questions_go_on() {
    let refused = async |change: fn(&mut IngestConfig), batch: Batch| {
        let directory = tempfile::tempdir().expect("a directory");
        let mut config = config(directory.path());
        change(&mut config);
        let ingest = open(&config);
        ingest.outlet().deliver(logs(0..1)).await;
        let outcome = ingest.outlet().deliver(batch).await;
        let Outcome::Refused(refusal) = outcome else { panic!("{outcome:?}") };
        assert_eq!(ingest.status().refused[refusal.reason.name()], if config.disk_reserve_bytes > 0 { 2 } else { 1 });
        assert!(all_records(&ingest).len() <= 1);
        refusal.reason
    };
    assert_eq!(refused(|config| config.memory_bytes_max = 1000, logs(0..50)).await, RefusalReason::Overloaded);
    assert_eq!(refused(|config| config.disk_reserve_bytes = u64::MAX - 1, logs(0..1)).await, RefusalReason::DiskFull);
    let huge = LogRecord { body: "x".repeat(65 << 20), ..record_at(0) };
    let batch = Batch { logs: vec![huge], ..Batch::local() };
    assert_eq!(refused(|_| {}, batch).await, RefusalReason::BatchTooLarge);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_is_full_is_sealed_and_then_free_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let ingest = open(&IngestConfig { memory_bytes_max: 20_000, ..config(directory.path()) });
    let mut stored = 0;
    while stored < 400 {
        match ingest.outlet().deliver(logs(stored..stored + 20)).await {
            Outcome::Stored { .. } => stored += 20,
            Outcome::Refused(refusal) => {
                assert_eq!(refusal.reason, RefusalReason::Overloaded);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(all_records(&ingest).len(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_wait_for_memory_only_while_a_seal_will_free_some() {
    let directory = tempfile::tempdir().expect("a directory");
    let ingest = open(&config(directory.path()));
    ingest.outlet().deliver(logs(0..100)).await;
    let shared = &ingest.shared;
    let held = shared.held_bytes();
    assert!(held > 100, "{held}");
    let check = |memory_bytes_max: usize, bytes: usize, expected: bool| {
        let limits = Limits {
            memory_bytes_max,
            disk_reserve_bytes: 0,
            future_max: Duration::from_secs(1),
            retention: Arc::default(),
        };
        assert_eq!(shared.awaits_seal(bytes, &limits), expected, "{held} held, {bytes} of {memory_bytes_max}");
    };
    check(held, 1, false);
    shared.logs.start_seal();
    check(held, 1, true);
    check(held + 50, 50, false);
    check(held + 50, 51, true);
    shared.queued_bytes.fetch_add(10, Relaxed);
    check(held + 50, 50, true);
    check(usize::MAX, held, false);
    shared.logs.finish_seal(None);
    check(held, 1, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_by_bytes_removes_the_oldest_split_and_its_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    let ingest = open(&config);
    for part in 0..3 {
        ingest.outlet().deliver(logs(part * 100..part * 100 + 100)).await;
        ingest.seal().await.expect("sealed");
    }
    let bytes = ingest.status().split_bytes;
    ingest.shutdown().await;
    drop(ingest);
    let ingest = open(&IngestConfig { retention_bytes: Some(bytes - 1), ..config });
    while ingest.status().splits > 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let records = all_records(&ingest);
    assert_eq!((records.len(), records[0].id.time), (200, record_at(100).timestamp));
    // Files go once nobody reads them any more, which may be a moment later.
    while std::fs::read_dir(directory.path().join("splits")).expect("the splits").count() > 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_splits_are_removed_and_missing_ones_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    let splits = directory.path().join("splits");
    let ingest = open(&config);
    ingest.outlet().deliver(logs(0..10)).await;
    ingest.seal().await.expect("sealed");
    drop(ingest);
    let name = std::fs::read_dir(&splits).expect("the splits").next().expect("one").expect("an entry").file_name();
    let leftover = splits.join("unfinished-1.split");
    std::fs::write(&leftover, "half a spl").expect("created");
    let moved = directory.path().join("moved");
    std::fs::rename(splits.join(&name), &moved).expect("moved away");
    let ingest = open(&config);
    assert!(!leftover.exists());
    ingest.outlet().deliver(logs(100..101)).await;
    let wanted = |start| Search {
        filter: Filter::All,
        range: TimeRange { start: Timestamp::from_unix_seconds(start), end: Timestamp::MAX },
        order: Order::NewestFirst,
        after: None,
        limit: 100,
    };
    let left_out = |start| {
        let scan = Scan::unlimited();
        ingest.logs().search(&wanted(start), &scan, &mut |_| ControlFlow::Continue(())).expect("an answer");
        scan.left_out()
    };
    assert!(left_out(50).is_empty());
    assert_eq!(left_out(0), [name.to_string_lossy()]);
    std::fs::rename(&moved, splits.join(&name)).expect("moved back");
    // Files are looked at again after a few seconds.
    let came_back = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        left_out(0).is_empty()
    });
    assert!(came_back, "a split that came back is read again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_older_catalog_costs_no_sealed_part() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    let names = |below: &str| {
        let entries = std::fs::read_dir(directory.path().join(below)).into_iter().flatten();
        entries.map(|entry| entry.expect("an entry").file_name()).collect::<std::collections::BTreeSet<_>>()
    };
    let catalog = directory.path().join("catalog.sqlite");
    let older = directory.path().join("older.sqlite");
    for stream in 0..2 {
        let ingest = open(&config);
        ingest.outlet().deliver(stream_batch(stream, 0, 5, 5)).await;
        ingest.seal().await.expect("sealed");
        drop(ingest);
        if stream == 0 {
            std::fs::copy(&catalog, &older).expect("copied");
        }
    }
    let (splits, blocks) = (names("splits"), names("blocks"));
    assert_eq!((splits.len(), blocks.len()), (2, 2));

    std::fs::remove_file(&catalog).expect("lost");
    let error = Ingest::open(config.clone(), &mut |_, _| {}).err().expect("refused").to_string();
    assert!(error.contains("catalog.sqlite is missing"), "{error}");
    assert_eq!((names("splits"), names("blocks")), (splits.clone(), blocks.clone()));

    // With the journal, the older catalog's rows are replayed; without it the parts are all there is.
    std::fs::copy(&older, &catalog).expect("restored");
    std::fs::remove_dir_all(directory.path().join("journal")).expect("lost");
    let ingest = open(&config);
    assert_eq!(all_records(&ingest).len(), 5);
    assert_eq!((names("splits").len(), names("blocks").len()), (1, 1));
    assert_eq!((names("set-aside/splits").len(), names("set-aside/blocks").len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_directory_is_opened_by_one_store() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    let ingest = open(&config);
    let error = Ingest::open(config.clone(), &mut |_, _| {}).err().expect("refused").to_string();
    assert!(error.contains("data_dir") && error.contains("another taffrail"), "{error}");
    drop(ingest);
    open(&config);
    std::fs::write(directory.path().join("file"), "").expect("written");
    let below_a_file = IngestConfig { data_dir: directory.path().join("file"), ..config };
    let error = Ingest::open(below_a_file, &mut |_, _| {}).err().expect("refused").to_string();
    assert!(error.contains("data_dir"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_that_fails_half_way_leaves_no_split_behind_and_succeeds_later() {
    let directory = tempfile::tempdir().expect("a directory");
    let ingest = open(&config(directory.path()));
    ingest.outlet().deliver(stream_batch(1, 0, 50, 10)).await;
    let (blocks, moved) = (directory.path().join("blocks"), directory.path().join("moved"));
    let files = || std::fs::read_dir(directory.path().join("splits")).expect("the splits").count();
    std::fs::rename(&blocks, &moved).expect("moved away");
    ingest.seal().await.expect_err("there is no place for blocks");
    assert_eq!(files(), 0, "the split that was written is gone");
    assert_eq!(all_records(&ingest).len(), 50);
    std::fs::rename(&moved, &blocks).expect("moved back");
    while ingest.status().splits == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((files(), all_records(&ingest).len()), (1, 50));
}
