//! Compaction, retention by rules and deletions on a whole store: what is asked for stays, what is deleted is gone from every
//! answer at once and from the disk soon after.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use taffrail_collector::delivery::Outcome;
use taffrail_collector::file_system::RealFileSystem;
use taffrail_collector::frame;
use taffrail_collector::journal::JournalReader;
use taffrail_collector::model::{Batch, LabelSet, LogRecord, Sample, SampleValue, Timestamp};

use crate::deletion::{Deletion, DeletionRequest};
use crate::live_feed::Event;
use crate::log_store::split::Split;
use crate::log_store::test_records::record_at;
use crate::log_store::verify::describe_split;
use crate::log_store::{Filter, RetentionRule, RetentionRules, TextMatch};
use crate::pipeline_tests::{all_records, config, logs, open};
use crate::{CompactionBudget, Ingest, IngestConfig, Scan, TimeRange};

/// A store that merges without rest.
fn merging(data_dir: &Path) -> IngestConfig {
    let compaction = CompactionBudget { cpu_share: 1.0, bytes_per_second: u64::MAX };
    IngestConfig { compaction, seal_rows: 10_000, ..config(data_dir) }
}

async fn deliver(ingest: &Ingest, batch: Batch) {
    assert!(matches!(ingest.outlet().deliver(batch).await, Outcome::Stored { .. }));
}

async fn stop(ingest: Ingest) {
    ingest.shutdown().await;
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn bodies(ingest: &Ingest) -> Vec<String> {
    all_records(ingest).into_iter().map(|stored| stored.record.body).collect()
}

/// A record of this text a while ago.
fn said(body: &str, ago: Duration) -> LogRecord {
    LogRecord { timestamp: Timestamp::now().saturating_sub(ago), body: body.to_owned(), ..record_at(0) }
}

fn word(word: &str) -> Filter {
    Filter::Text { text: TextMatch::Phrase(vec![word.to_owned()]), everywhere: true }
}

fn request(filter: Filter) -> DeletionRequest {
    DeletionRequest {
        query: "as typed".to_owned(),
        filter,
        range: TimeRange::ALL,
        asked_by: "a test".to_owned(),
        reason: "asked to".to_owned(),
    }
}

/// The texts of all records whose bytes are on the disk: in splits, listed or not, and in the journal.
fn on_disk(data_dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(data_dir.join("splits")).expect("the splits") {
        let path = entry.expect("an entry").path();
        let split = Split::new(path.clone(), describe_split(&path).expect("a whole split"), Arc::default());
        found.extend(split.reader().expect("opens").records().map(|row| row.expect("reads").1.body));
    }
    let mut journal = JournalReader::open(RealFileSystem, &data_dir.join("journal"), 0).expect("the journal");
    while let Some(record) = journal.next_record().expect("reads") {
        let (batch, _) = frame::decode(&record.payload).expect("a batch");
        found.extend(batch.logs.into_iter().map(|record| record.body));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn small_splits_become_few_and_every_record_stays() {
    let directory = tempfile::tempdir().expect("a directory");
    let ingest = open(&merging(directory.path()));
    for seal in 0..20 {
        deliver(&ingest, logs(seal * 50..seal * 50 + 50)).await;
        ingest.seal().await.expect("sealed");
    }
    until("merges", || ingest.status().splits <= 4 && ingest.status().compaction.running.is_none()).await;
    let status = ingest.status().compaction;
    assert!(status.rewrites > 0 && status.splits > status.rewrites && status.rows >= 1000, "{status:?}");
    assert_eq!((status.rows_removed, status.failures), (0, 0));
    let before = all_records(&ingest);
    assert_eq!(before.len(), 1000);
    let entries = || std::fs::read_dir(directory.path().join("splits")).expect("the splits").count() as u64;
    until("the old splits' files to go", || entries() == ingest.status().splits).await;
    stop(ingest).await;
    let ingest = open(&config(directory.path()));
    let after = all_records(&ingest);
    assert!(before.iter().zip(&after).all(|(a, b)| a.id == b.id && a.record == b.record));
    assert_eq!(after.len(), before.len());
    stop(ingest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_load_is_not_rewritten_and_days_are_not_mixed() {
    let directory = tempfile::tempdir().expect("a directory");
    let ingest = open(&IngestConfig { seal_rows: 400, ..merging(directory.path()) });
    let day = 86_400;
    for seal in 0..12 {
        deliver(&ingest, logs(seal * 100..seal * 100 + 100)).await;
        ingest.seal().await.expect("sealed");
    }
    for of_day in [1, 2, 1, 2] {
        deliver(&ingest, logs(of_day * day..of_day * day + 10)).await;
        ingest.seal().await.expect("sealed");
    }
    until("the small ones to merge", || ingest.status().splits == 14).await;
    let status = ingest.status().compaction;
    assert_eq!((status.rewrites, status.splits, status.rows), (2, 4, 40));
    let days = |seconds: Timestamp| seconds.floor_to(Duration::from_secs(86_400));
    for split in ingest.logs().splits() {
        assert_eq!(days(split.meta.oldest.time), days(split.meta.newest.time), "{:?}", split.meta);
    }
    stop(ingest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_retention_hide_at_once_and_rewrite_when_it_is_worth_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let ingest = open(&merging(directory.path()));
    let hour = Duration::from_secs(3600);
    let records = [said("noise", 2 * hour), said("kept", 2 * hour), said("noise", hour / 2), said("audit", 50 * hour)];
    deliver(&ingest, Batch { logs: records.to_vec(), ..Batch::local() }).await;
    ingest.seal().await.expect("sealed");
    let rule = |filter, keep| RetentionRule { filter: word(filter), keep };
    let rules = vec![rule("audit", None), rule("noise", Some(hour))];
    let set = |rules: &[RetentionRule], keep_rest| {
        ingest.set_retention(RetentionRules { rules: rules.to_vec(), keep_rest }, None).expect("good rules");
    };
    set(&rules, Some(24 * hour));
    assert_eq!(bodies(&ingest), ["audit", "kept", "noise"]);
    // A quarter is not worth a rewriting: kept longer again, it is there again.
    set(&[], Some(99 * hour));
    assert_eq!(bodies(&ingest), ["audit", "noise", "kept", "noise"]);
    // Half is, and what has left the disk does not come back.
    set(&rules, Some(hour));
    assert_eq!(bodies(&ingest), ["audit", "noise"]);
    until("the rewriting", || ingest.status().compaction.rows_removed == 2).await;
    set(&[], None);
    assert_eq!(bodies(&ingest), ["audit", "noise"]);
    // All of a split goes without being read.
    let records = vec![said("noise", 3 * hour), said("noise", 4 * hour)];
    deliver(&ingest, Batch { logs: records, ..Batch::local() }).await;
    ingest.seal().await.expect("sealed");
    set(&[rule("audit", None), rule("noise", Some(2 * hour))], None);
    until("the split to go", || ingest.status().compaction.rows_removed == 4).await;
    set(&[], None);
    assert_eq!(bodies(&ingest), ["audit", "noise"]);
    stop(ingest).await;
    let rules = vec![rule("noise", Some(Duration::from_secs(60)))];
    let ingest = open(&IngestConfig { retention_rules: rules, ..config(directory.path()) });
    assert_eq!(bodies(&ingest), ["audit"], "rules are in force from the start");
    stop(ingest).await;
}

fn finished(ingest: &Ingest) -> Option<Vec<Deletion>> {
    let deletions = ingest.deletions().expect("listed");
    deletions.iter().all(|deletion| deletion.progress.finished_at.is_some()).then_some(deletions)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_in_no_answer_and_soon_not_on_the_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let ingest = open(&config(directory.path()));
    let batch = |part: &str| {
        let texts = ["alice did", "bob did"].map(|text| said(&format!("{text} {part}"), Duration::from_secs(60)));
        Batch { logs: texts.to_vec(), ..Batch::local() }
    };
    for part in ["one", "two"] {
        deliver(&ingest, batch(part)).await;
        ingest.seal().await.expect("sealed");
    }
    deliver(&ingest, batch("three")).await;
    let mut tail = ingest.live_feed().subscribe(Some(0));
    let asked = tokio::task::block_in_place(|| ingest.delete(request(word("alice")))).expect("deleted");
    assert_eq!(bodies(&ingest), ["bob did one", "bob did two", "bob did three"]);
    for part in ["one", "two", "three"] {
        let Some(Event::Passage(passage)) = tail.next().await else { panic!("the tail goes on") };
        let bodies: Vec<_> = passage.records().map(|(_, record)| record.body.as_str()).collect();
        assert_eq!(bodies, [format!("bob did {part}")]);
    }
    // What comes later is not meant.
    deliver(&ingest, batch("four")).await;
    assert_eq!(bodies(&ingest).len(), 5);
    until("the deletion to finish", || finished(&ingest).is_some()).await;
    let [done] = <[Deletion; 1]>::try_from(ingest.deletions().expect("listed")).expect("one");
    assert_eq!((done.query.as_str(), done.mask.id, done.progress.rows_removed), ("as typed", 1, 3));
    assert_eq!((done.progress.splits, done.progress.splits_done), (Some(2), 2));
    assert_eq!(done.asked_at, asked.asked_at);
    assert_eq!(bodies(&ingest).len(), 5);
    ingest.seal().await.expect("sealed");
    stop(ingest).await;
    let left: Vec<String> = on_disk(directory.path()).into_iter().filter(|text| text.contains("alice")).collect();
    assert_eq!(left, ["alice did four"]);
    let ingest = open(&config(directory.path()));
    assert_eq!(bodies(&ingest).len(), 5);
    assert_eq!(ingest.deletions().expect("listed"), [done]);
    stop(ingest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_survives_a_crash_at_once_and_goes_on_afterwards() {
    let directory = tempfile::tempdir().expect("a directory");
    let ingest = open(&config(directory.path()));
    let batch = |text: &str| Batch { logs: vec![said(text, Duration::from_secs(9))], ..Batch::local() };
    deliver(&ingest, batch("alice one")).await;
    ingest.seal().await.expect("sealed");
    deliver(&ingest, batch("alice two")).await;
    tokio::task::block_in_place(|| ingest.delete(request(word("alice")))).expect("deleted");
    drop(ingest);
    let ingest = open(&config(directory.path()));
    assert_eq!(bodies(&ingest), Vec::<String>::new());
    // In the same head as the journal's rows.
    deliver(&ingest, batch("alice three")).await;
    until("the deletion to finish", || finished(&ingest).is_some()).await;
    assert_eq!(bodies(&ingest), ["alice three"]);
    ingest.seal().await.expect("sealed");
    assert_eq!(bodies(&ingest), ["alice three"]);
    stop(ingest).await;
    assert_eq!(on_disk(directory.path()), BTreeSet::from(["alice three".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_split_is_named_in_the_deletions_record_and_stays_hidden() {
    let directory = tempfile::tempdir().expect("a directory");
    let ingest = open(&config(directory.path()));
    let logs = vec![said("alice", Duration::from_secs(9))];
    deliver(&ingest, Batch { logs, ..Batch::local() }).await;
    ingest.seal().await.expect("sealed");
    let name = ingest.logs().splits()[0].meta.name.clone();
    stop(ingest).await;
    let (split, away) = (directory.path().join("splits").join(&name), directory.path().join("away"));
    std::fs::rename(&split, &away).expect("moved away");
    let ingest = open(&config(directory.path()));
    tokio::task::block_in_place(|| ingest.delete(request(word("alice")))).expect("deleted");
    until("the deletion to finish", || finished(&ingest).is_some()).await;
    assert_eq!(ingest.deletions().expect("listed")[0].progress.damaged_splits, [name]);
    std::fs::rename(&away, &split).expect("moved back");
    let damaged = || tokio::task::block_in_place(|| !ingest.logs().damaged_splits().is_empty());
    until("the split to be read again", || !damaged()).await;
    assert_eq!(bodies(&ingest), Vec::<String>::new());
    ingest.compaction.wake();
    let progress = || ingest.deletions().expect("listed").remove(0).progress;
    until("its records to go", || progress().damaged_splits.is_empty()).await;
    assert_eq!((progress().rows_removed, ingest.status().splits), (1, 0));
    stop(ingest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_that_the_catalog_refused_leaves_no_other_split_when_it_is_tried_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let ingest = open(&config(directory.path()));
    let records = ["alice did", "bob did"].map(|text| said(text, Duration::from_secs(9)));
    deliver(&ingest, Batch { logs: records.to_vec(), ..Batch::local() }).await;
    let catalog = rusqlite::Connection::open(directory.path().join("catalog.sqlite")).expect("opens");
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON splits BEGIN SELECT RAISE(ABORT, 'refused'); END";
    catalog.execute_batch(refuse).expect("made");
    ingest.seal().await.expect_err("the catalog refuses");
    assert_eq!(bodies(&ingest), ["alice did", "bob did"]);
    // The next attempt leaves her out, so that it writes a split of another name.
    tokio::task::block_in_place(|| ingest.delete(request(word("alice")))).expect("deleted");
    catalog.execute_batch("DROP TRIGGER refuse").expect("dropped");
    until("the deletion to finish", || finished(&ingest).is_some()).await;
    assert_eq!((ingest.status().splits, bodies(&ingest)), (1, vec!["bob did".to_owned()]));
    assert_eq!(std::fs::read_dir(directory.path().join("splits")).expect("the splits").count(), 1);
    stop(ingest).await;
}

/// The metrics that have windows, and how many.
fn windows(ingest: &Ingest) -> Vec<(String, usize)> {
    let found = ingest.series().select(&[], TimeRange::ALL, &Scan::unlimited()).expect("selected");
    found.iter().map(|series| (series.labels.name().to_owned(), series.points.len())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_series_stay_deleted_over_a_crash_and_leave_the_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let ingest = Arc::new(open(&config(directory.path())));
    let batch = |second: i64| {
        let sample = |name: &str| Sample {
            labels: Arc::new(LabelSet::new([("__name__", name)])),
            timestamp: Timestamp::from_unix_seconds(second),
            interval_ms: 10_000,
            value: SampleValue::Counter { sum: 1.0 },
            unit: "",
            exemplars: Vec::new(),
        };
        Batch { samples: vec![sample("debug"), sample("bill")], ..Batch::local() }
    };
    let found = |debug: usize, bill: usize| {
        let all = [("bill", bill), ("debug", debug)].map(|(name, count)| (name.to_owned(), count));
        all.into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>()
    };
    deliver(&ingest, batch(0)).await;
    ingest.seal().await.expect("sealed");
    deliver(&ingest, batch(10)).await;
    let mark = ingest.series().change_mark();
    let wanted = vec!["debug".to_owned()];
    let asked = ingest.delete_series(wanted.clone(), TimeRange::ALL, "ann".to_owned()).await.expect("deleted");
    assert_eq!((asked.id, asked.selectors, asked.finished_at), (1, wanted, None));
    assert_eq!(windows(&ingest), found(0, 2));
    assert_eq!(ingest.series().changed_since(mark), Some(Timestamp::MIN), "kept answers are old now");
    // What comes later is not meant.
    deliver(&ingest, batch(20)).await;
    assert_eq!(windows(&ingest), found(1, 3));
    drop(ingest);
    let ingest = open(&config(directory.path()));
    assert_eq!(windows(&ingest), found(1, 3));
    until("the deletion to finish", || {
        ingest.series_deletions().expect("listed").iter().all(|deletion| deletion.finished_at.is_some())
    })
    .await;
    assert_eq!(ingest.status().series_deletions_pending, 0);
    ingest.seal().await.expect("sealed");
    let samples: u64 = ingest.series().blocks().iter().map(|block| block.samples).sum();
    assert_eq!((samples, windows(&ingest)), (4, found(1, 3)), "the disk holds what is shown");
    stop(ingest).await;
    let ingest = open(&config(directory.path()));
    assert_eq!(windows(&ingest), found(1, 3));
    stop(ingest).await;
}
