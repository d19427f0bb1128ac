//! A restored store answers as the original did at that moment; what was interrupted or damaged is no backup.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use taffrail_collector::delivery::Outcome;
use taffrail_collector::model::{Batch, LabelSet, Sample, SampleValue, Timestamp};
use tempfile::TempDir;

use super::*;
use crate::doctor::{Mode, examine};
use crate::pipeline_tests::{all_records, config, counter_sums, logs, open};
use crate::{Ingest, IngestConfig};

async fn deliver(ingest: &Ingest, batch: Batch) {
    assert!(matches!(ingest.outlet().deliver(batch).await, Outcome::Stored { .. }));
}

/// Records of these seconds, and as many increments of one counter.
fn batch(seconds: std::ops::Range<i64>) -> Batch {
    let sample = |second: i64| Sample {
        labels: Arc::new(LabelSet::new([("__name__", "hits")])),
        timestamp: Timestamp::from_unix_seconds(second * 10),
        interval_ms: 10_000,
        value: SampleValue::Counter { sum: 1.0 },
        unit: "",
        exemplars: Vec::new(),
    };
    Batch { samples: seconds.clone().map(sample).collect(), ..logs(seconds) }
}

fn make_whole(data_dir: &Path, backup: &Path) -> BackupReport {
    make(data_dir, backup, None, &AtomicBool::new(false), &mut |done, total| assert!(done <= total)).unwrap()
}

fn restore_whole(backup: &Path, generation: Option<&str>) -> TempDir {
    let target = tempfile::tempdir().unwrap();
    restore(backup, generation, target.path(), &AtomicBool::new(false), &mut |_, _| {}).unwrap();
    target
}

/// Seconds of the records and sum of the counter.
async fn held(data_dir: &Path) -> (Vec<i64>, f64) {
    let ingest = open(&config(data_dir));
    let seconds = all_records(&ingest).iter().map(|stored| stored.id.time.unix_seconds() as i64).collect();
    let hits = counter_sums(&ingest).into_values().sum();
    ingest.shutdown().await;
    (seconds, hits)
}

struct World {
    data: TempDir,
    backup: TempDir,
    ingest: Ingest,
}

/// A store in use: two splits, and rows that only the journal has.
async fn world() -> World {
    let (data, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ingest = open(&config(data.path()));
    for part in 0..2 {
        deliver(&ingest, batch(part * 100..(part + 1) * 100)).await;
        ingest.seal().await.unwrap();
    }
    deliver(&ingest, batch(200..230)).await;
    World { data, backup, ingest }
}

#[tokio::test]
async fn a_restored_store_answers_as_the_original_did() {
    let World { data, backup, ingest } = world().await;
    let report = make_whole(data.path(), backup.path());
    assert_eq!(report.copied_files, report.files);
    deliver(&ingest, batch(230..300)).await;
    ingest.shutdown().await;
    let restored = restore_whole(backup.path(), None);
    assert_eq!(examine(restored.path(), Mode::Check, &mut |_, _| {}).unwrap().problems, []);
    assert_eq!(held(restored.path()).await, ((0..230).collect(), 230.0));
    // The original is none the worse, and nothing is held any more.
    assert!(!data.path().join("pins/held").exists());
    drop(ingest);
    assert_eq!(held(data.path()).await, ((0..300).collect(), 300.0));
}

#[tokio::test]
async fn a_second_backup_copies_only_what_is_new_and_each_generation_stays() {
    let World { data, backup, ingest } = world().await;
    let first = make_whole(data.path(), backup.path());
    deliver(&ingest, batch(230..300)).await;
    ingest.seal().await.unwrap();
    let second = make_whole(data.path(), backup.path());
    let earlier = read_manifest(backup.path(), &first.generation).unwrap();
    let later = read_manifest(backup.path(), &second.generation).unwrap();
    let new = later.files.iter().filter(|file| !earlier.files.contains(file));
    let (files, bytes) = new.fold((0, 0), |(files, bytes), file| (files + 1, bytes + file.bytes));
    assert_eq!((second.copied_files, second.copied_bytes), (files, bytes));
    let shared = |file: &&BackupFile| file.place.starts_with("splits/") && earlier.files.contains(file);
    assert!(later.files.iter().filter(shared).count() >= 2, "{later:?}");
    ingest.shutdown().await;
    assert_eq!(
        held(restore_whole(backup.path(), Some(&first.generation)).path()).await.0,
        (0..230).collect::<Vec<_>>()
    );
    assert_eq!(held(restore_whole(backup.path(), None).path()).await.0, (0..300).collect::<Vec<_>>());
    let third = make_whole(data.path(), backup.path());
    let sealed = |file: &&BackupFile| file.place.starts_with("splits/") || file.place.starts_with("blocks/");
    let sealed_bytes: u64 = later.files.iter().filter(sealed).map(|file| file.bytes).sum();
    assert!(third.copied_bytes + sealed_bytes <= third.bytes, "nothing that was sealed before is copied again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_under_load_hold_all_that_was_acknowledged_and_nothing_twice() {
    let (data, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let small = IngestConfig { seal_rows: 300, ..config(data.path()) };
    let ingest = Arc::new(open(&small));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let sender = tokio::spawn({
        let (ingest, acknowledged) = (ingest.clone(), acknowledged.clone());
        async move {
            for start in (0..).step_by(7) {
                deliver(&ingest, batch(start..start + 7)).await;
                acknowledged.store(start as u64 + 7, Relaxed);
            }
        }
    });
    let mut made = Vec::new();
    while made.len() < 6 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        let (data_dir, target) = (data.path().to_owned(), backup.path().to_owned());
        let before = acknowledged.load(Relaxed);
        let report = tokio::task::spawn_blocking(move || make_whole(&data_dir, &target)).await.unwrap();
        assert_eq!(report.missing, Vec::<String>::new());
        made.push((report.generation, before, acknowledged.load(Relaxed)));
    }
    sender.abort();
    let _ = sender.await;
    ingest.shutdown().await;
    assert!(made.last().unwrap().1 > 600, "seals came between the backups: {made:?}");
    for (generation, before, after) in made {
        let (seconds, hits) = held(restore_whole(backup.path(), Some(&generation)).path()).await;
        let count = seconds.len() as u64;
        assert_eq!(seconds, (0..count as i64).collect::<Vec<_>>(), "{generation}: each record once, without a gap");
        // A batch may be durable, and its answer on the way.
        assert!((before..=after + 7).contains(&count), "{generation}: {count} of {before} to {after}");
        assert_eq!(hits, count as f64, "{generation}");
    }
}

#[tokio::test]
async fn a_backup_that_is_cut_short_is_none_and_leaves_the_earlier_ones_whole() {
    let World { data, backup, ingest } = world().await;
    let first = make_whole(data.path(), backup.path());
    deliver(&ingest, batch(230..300)).await;
    ingest.seal().await.unwrap();
    let stop = AtomicBool::new(false);
    let cut = make(data.path(), backup.path(), None, &stop, &mut |done, total| stop.store(done * 2 > total, Relaxed));
    assert!(matches!(cut, Err(BackupError::Stopped)), "{cut:?}");
    let names: Vec<String> = generations(backup.path()).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [first.generation]);
    ingest.shutdown().await;
    assert_eq!(held(restore_whole(backup.path(), None).path()).await.0, (0..230).collect::<Vec<_>>());
    make_whole(data.path(), backup.path());
    assert_eq!(held(restore_whole(backup.path(), None).path()).await.0, (0..300).collect::<Vec<_>>());
    let left = walk(backup.path()).into_iter().filter(|path| path.to_string_lossy().contains("unfinished"));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

fn walk(directory: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_damaged_file_of_a_backup_is_named_and_nothing_is_restored() {
    let World { data, backup, ingest } = world().await;
    let report = make_whole(data.path(), backup.path());
    ingest.shutdown().await;
    let files = walk(backup.path()).into_iter().filter(|path| !path.ends_with("lock"));
    for path in files {
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 4;
        for damaged in [flipped, whole[..whole.len() - 1].to_vec()] {
            // The line's end of a manifest may go.
            if damaged.len() < whole.len() && path.extension().is_some_and(|extension| extension == "json") {
                continue;
            }
            fs::write(&path, damaged).unwrap();
            let target = tempfile::tempdir().unwrap();
            let result = restore(
                backup.path(),
                Some(&report.generation),
                target.path(),
                &AtomicBool::new(false),
                &mut |_, _| {},
            );
            let message = result.expect_err("it is damaged").to_string();
            assert!(message.contains(&*path.file_name().unwrap().to_string_lossy()), "{message}");
            assert!(fs::read_dir(target.path()).unwrap().next().is_none());
        }
        fs::write(&path, whole).unwrap();
    }
}

#[tokio::test]
async fn what_would_harm_is_refused_in_words() {
    let World { data, backup, ingest } = world().await;
    make_whole(data.path(), backup.path());
    let go_on = AtomicBool::new(false);
    let into = |target: &Path, generation| {
        restore(backup.path(), generation, target, &go_on, &mut |_, _| {}).map(drop).unwrap_err().to_string()
    };
    assert!(into(data.path(), None).contains("is not empty"));
    assert!(into(&data.path().join("new"), Some("x")).contains("--generation x"));
    let empty = tempfile::tempdir().unwrap();
    let from_nothing = restore(empty.path(), None, &empty.path().join("new"), &go_on, &mut |_, _| {}).map(drop);
    assert!(from_nothing.unwrap_err().to_string().contains("no generation"));
    let inside = make(data.path(), &data.path().join("backup"), None, &go_on, &mut |_, _| {}).map(drop);
    assert!(inside.unwrap_err().to_string().contains("must lie elsewhere"));
    let no_store = make(empty.path(), backup.path(), None, &go_on, &mut |_, _| {}).map(drop);
    assert!(no_store.unwrap_err().to_string().contains("--data-dir"));
    ingest.shutdown().await;
}

#[tokio::test]
async fn old_generations_go_with_the_files_that_only_they_had() {
    let World { data, backup, ingest } = world().await;
    let first = make_whole(data.path(), backup.path());
    deliver(&ingest, batch(230..300)).await;
    ingest.seal().await.unwrap();
    make_whole(data.path(), backup.path());
    ingest.shutdown().await;
    let keep = NonZeroUsize::new(2);
    let third = make(data.path(), backup.path(), keep, &AtomicBool::new(false), &mut |_, _| {}).unwrap();
    assert_eq!(third.removed, [first.generation]);
    let all = generations(backup.path()).unwrap();
    let named = all.iter().flat_map(|(_, generation)| &generation.as_ref().unwrap().files);
    let named: std::collections::BTreeSet<PathBuf> =
        named.map(|file| backup.path().join(FILES).join(&file.stored)).collect();
    assert_eq!(walk(&backup.path().join(FILES)).into_iter().collect::<std::collections::BTreeSet<_>>(), named);
    for (name, _) in all {
        assert_eq!(held(restore_whole(backup.path(), Some(&name)).path()).await.0.len(), 300);
    }
}

#[tokio::test]
async fn what_expires_while_a_backup_copies_is_in_it_all_the_same() {
    let World { data, backup, ingest } = world().await;
    ingest.shutdown().await;
    let mut removed = 0;
    make(data.path(), backup.path(), None, &AtomicBool::new(false), &mut |done, _| {
        // As retention and merges do, at the moment the copying begins.
        if done == 0 && removed == 0 {
            for path in ["splits", "blocks", "journal"].iter().flat_map(|folder| walk(&data.path().join(folder))) {
                fs::remove_file(path).unwrap();
                removed += 1;
            }
        }
    })
    .unwrap();
    assert!(removed > 4);
    assert_eq!(held(restore_whole(backup.path(), None).path()).await, ((0..230).collect(), 230.0));
}

#[tokio::test]
async fn a_part_that_is_missing_is_named_and_the_rest_is_backed_up() {
    let World { data, backup, ingest } = world().await;
    let split = fs::read_dir(data.path().join("splits")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&split).unwrap();
    let report = make_whole(data.path(), backup.path());
    assert_eq!(report.missing, [format!("splits/{}", split.file_name().unwrap().to_string_lossy())]);
    ingest.shutdown().await;
    assert_eq!(held(restore_whole(backup.path(), None).path()).await.0.len(), 130);
}
