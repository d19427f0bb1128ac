//! Each kind of damage is found under its name, and after a repair the store opens and has everything else.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use taffrail_collector::delivery::Outcome;
use taffrail_collector::model::{Batch, LabelSet, Sample, SampleValue, Timestamp};

use super::examine::{CATALOG, JOURNAL};
use super::*;
use crate::Ingest;
use crate::log_store::split_writer::{TEMPORARY_PREFIX, write_split};
use crate::pipeline_tests::{all_records, config, logs, open};
use crate::set_aside::{BLOCKS, SPLITS};

const SEALS: i64 = 3;
const ROWS: i64 = 100;
/// Rows that only the journal has.
const UNSEALED: i64 = 30;

async fn deliver(ingest: &Ingest, batch: Batch) {
    assert!(matches!(ingest.outlet().deliver(batch).await, Outcome::Stored { .. }));
}

/// A stopped store: three splits and blocks, and a journal that holds more.
async fn stopped_store() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let ingest = open(&config(directory.path()));
    for seal in 0..SEALS {
        let mut batch = logs(seal * ROWS..(seal + 1) * ROWS);
        batch.samples = (0..20)
            .map(|window| Sample {
                labels: Arc::new(LabelSet::new([("__name__", "hits")])),
                timestamp: Timestamp::from_unix_seconds(seal * 200 + window * 10),
                interval_ms: 10_000,
                value: SampleValue::Counter { sum: 1.0 },
                unit: "",
                exemplars: Vec::new(),
            })
            .collect();
        deliver(&ingest, batch).await;
        ingest.seal().await.unwrap();
    }
    for row in SEALS * ROWS..SEALS * ROWS + UNSEALED {
        deliver(&ingest, logs(row..row + 1)).await;
    }
    ingest.catalog().put_document("test", "kept", "yes").unwrap();
    ingest.shutdown().await;
    directory
}

fn kinds(report: &Report) -> BTreeSet<ProblemKind> {
    report.problems.iter().map(|problem| problem.kind).collect()
}

fn look(data_dir: &Path, mode: Mode) -> Report {
    examine(data_dir, mode, &mut |done, total| assert!(done <= total)).unwrap()
}

/// The seconds of all records that the store holds.
async fn seconds(data_dir: &Path) -> Vec<i64> {
    let ingest = open(&config(data_dir));
    let seconds = all_records(&ingest).iter().map(|stored| stored.id.time.unix_seconds() as i64).collect();
    ingest.shutdown().await;
    seconds
}

/// The parts in `folder`, oldest first.
fn parts(data_dir: &Path, folder: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(data_dir.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn flip_in_the_middle(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    fs::write(path, bytes).unwrap();
}

fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn a_sound_store_is_read_to_its_last_byte_and_has_no_problems() {
    let store = stopped_store().await;
    let report = look(store.path(), Mode::Check);
    assert_eq!(report.problems, []);
    assert_eq!((report.splits, report.split_rows), (SEALS as u64, (SEALS * ROWS) as u64));
    assert_eq!((report.blocks > 0, report.samples), (true, 60));
    assert!(report.journal_rows >= UNSEALED as u64);
    assert_eq!(look(store.path(), Mode::ReadOnly).problems, []);
    assert_eq!(look(store.path(), Mode::Repair).problems, []);
}

#[tokio::test]
async fn damage_is_named_and_repaired_without_the_loss_of_anything_else() {
    type Harm = fn(&Path);
    let cases: [(&str, Harm, ProblemKind, bool); 11] = [
        ("a split with a flipped byte", |d| flip_in_the_middle(&parts(d, SPLITS)[1]), ProblemKind::SplitDamaged, true),
        (
            "a split that was cut",
            |d| {
                let split = &parts(d, SPLITS)[1];
                fs::File::options().write(true).open(split).unwrap().set_len(10).unwrap();
            },
            ProblemKind::SplitDamaged,
            true,
        ),
        ("a split that is gone", |d| remove(&parts(d, SPLITS)[1]), ProblemKind::SplitMissing, true),
        ("a block with a flipped byte", |d| flip_in_the_middle(&parts(d, BLOCKS)[0]), ProblemKind::BlockDamaged, false),
        ("a block that is gone", |d| remove(&parts(d, BLOCKS)[0]), ProblemKind::BlockMissing, false),
        (
            "what a crash left of a seal",
            |d| fs::write(d.join(SPLITS).join(format!("{TEMPORARY_PREFIX}x")), b"half").unwrap(),
            ProblemKind::Unfinished,
            false,
        ),
        (
            "a block that nobody lists",
            |d| fs::write(d.join("blocks/0-ffff.series"), b"x").unwrap(),
            ProblemKind::Unlisted,
            false,
        ),
        (
            "a torn journal",
            |d| {
                let last = parts(d, JOURNAL).pop().unwrap();
                let file = fs::File::options().write(true).open(&last).unwrap();
                file.write_all_at(b"TFJR half a record", file.metadata().unwrap().len()).unwrap();
            },
            ProblemKind::JournalTorn,
            false,
        ),
        (
            "a lost catalog",
            |d| {
                for name in [CATALOG, "catalog.sqlite-wal", "catalog.sqlite-shm"] {
                    let _ = fs::remove_file(d.join(name));
                }
            },
            ProblemKind::CatalogLost,
            false,
        ),
        (
            "an overwritten catalog",
            |d| fs::write(d.join(CATALOG), [7; 20_000]).unwrap(),
            ProblemKind::CatalogDamaged,
            false,
        ),
        (
            "a catalog with a page of garbage",
            |d| {
                let file = fs::File::options().write(true).open(d.join(CATALOG)).unwrap();
                file.write_all_at(&[0xA5; 4096], 4096).unwrap();
            },
            ProblemKind::CatalogDamaged,
            false,
        ),
    ];
    for (what, harm, kind, costs_a_split) in cases {
        let store = stopped_store().await;
        harm(store.path());
        let report = look(store.path(), Mode::Check);
        assert_eq!(kinds(&report), BTreeSet::from([kind]), "{what}: {:?}", report.problems);
        let report = look(store.path(), Mode::Repair);
        assert!(kinds(&report).contains(&kind), "{what}");
        assert!(report.problems.iter().all(|problem| problem.repaired.is_some()), "{what}: {:?}", report.problems);
        assert_eq!(look(store.path(), Mode::Check).problems, [], "{what}, after the repair");
        // What a damaged catalog still tells is taken over.
        let document =
            crate::catalog::Catalog::open(&store.path().join(CATALOG)).unwrap().document("test", "kept").unwrap();
        let gone = ["a lost catalog", "an overwritten catalog"].contains(&what);
        assert_eq!(document.is_none(), gone, "{what}");
        let lost = if costs_a_split { ROWS..2 * ROWS } else { 0..0 };
        let expected: Vec<i64> = (0..SEALS * ROWS + UNSEALED).filter(|second| !lost.contains(second)).collect();
        assert_eq!(seconds(store.path()).await, expected, "{what}");
    }
}

#[tokio::test]
async fn what_cannot_be_repaired_is_named() {
    let check = async |what: &str, harm: fn(&Path), kind: ProblemKind| {
        let store = stopped_store().await;
        harm(store.path());
        let report = look(store.path(), Mode::Repair);
        assert_eq!(kinds(&report), BTreeSet::from([kind]), "{what}: {:?}", report.problems);
        assert!(report.problems.iter().all(|problem| problem.repaired.is_none()), "{what}");
        seconds(store.path()).await;
    };
    check("a journal that is gone", |d| fs::remove_dir_all(d.join(JOURNAL)).unwrap(), ProblemKind::JournalGap).await;
    check("a journal that is damaged", |d| flip_in_the_middle(&parts(d, JOURNAL)[0]), ProblemKind::JournalDamaged)
        .await;
}

#[tokio::test]
async fn a_store_in_use_is_only_looked_at() {
    let store = stopped_store().await;
    let ingest = open(&config(store.path()));
    assert!(matches!(examine(store.path(), Mode::Check, &mut |_, _| {}), Err(DoctorError::InUse(_))));
    assert!(matches!(examine(store.path(), Mode::Repair, &mut |_, _| {}), Err(DoctorError::InUse(_))));
    let report = look(store.path(), Mode::ReadOnly);
    assert_eq!((report.problems, report.splits), (Vec::new(), SEALS as u64));
    ingest.shutdown().await;
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(examine(empty.path(), Mode::Check, &mut |_, _| {}), Err(DoctorError::NoStore(_))));
}

#[tokio::test]
async fn a_rebuilt_catalog_counts_no_record_twice() {
    let store = stopped_store().await;
    let ingest = open(&config(store.path()));
    let mut merged: Vec<_> =
        all_records(&ingest).into_iter().filter(|stored| stored.id.seq < 2 * (ROWS as u64 + 20)).collect();
    ingest.shutdown().await;
    drop(ingest);
    merged.reverse();
    let mut rows = merged.into_iter().map(|stored| Ok((stored.id, stored.record)));
    // A merge of the first two splits, which a crash left beside them.
    write_split(&store.path().join(SPLITS), 1, &mut rows, &AtomicBool::new(false)).unwrap();
    fs::remove_file(store.path().join(CATALOG)).unwrap();
    let report = look(store.path(), Mode::Repair);
    assert_eq!(report.problems.iter().filter(|problem| problem.kind == ProblemKind::Unlisted).count(), 2);
    assert_eq!(seconds(store.path()).await, (0..SEALS * ROWS + UNSEALED).collect::<Vec<_>>());
}
