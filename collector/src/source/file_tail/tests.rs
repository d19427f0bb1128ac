//! The tailer on real files, with a small store behind it.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::checkpoint::{FileId, Place};
use super::random_tests::Random;
use super::*;
use crate::delivery::{self, Outcome, Refusal};
use crate::model::{Batch, Checkpoint, Lane, LogRecord, Resource};
use crate::source::multiline::Multiline;
use crate::source::{Running, SourceContext, Tallies};
use crate::stored_range::{RANGE_PREFIX, StoredRange};

/// What a store keeps: records and checkpoints, together.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) logs: Vec<LogRecord>,
    pub(super) checkpoints: HashMap<String, Vec<u8>>,
    /// Refuse everything, as a store does that is about to be killed.
    pub(super) refuses: bool,
    /// What comes goes into a spool, and from there to the store as a server stores what is ahead of something.
    pub(super) spool: Option<Spool>,
    batches: u64,
}

/// An agent's spool that sends of each batch what it likes, and never the first: nothing is believed of how far sources were read.
#[derive(Debug)]
pub(super) struct Spool {
    pub(super) random: Random,
    read_to: HashMap<String, Vec<u8>>,
    /// Records that came.
    pub(super) taken: usize,
}

impl Store {
    fn take(&mut self, batch: Batch) {
        self.batches += 1;
        if self.spool.is_some() {
            return self.take_ahead(batch);
        }
        self.logs.extend(batch.logs);
        for Checkpoint { key, value } in batch.checkpoints {
            if value.is_empty() {
                self.checkpoints.remove(&key);
                self.checkpoints
                    .retain(|range, value| StoredRange::read(range, value).is_none_or(|range| range.source != key));
            } else {
                self.checkpoints.insert(key, value);
            }
        }
    }

    fn take_ahead(&mut self, batch: Batch) {
        let Some(spool) = &mut self.spool else { return };
        spool.taken += batch.logs.len();
        let mut ranges = Vec::new();
        for Checkpoint { key, value } in batch.checkpoints {
            let before = spool.read_to.insert(key.clone(), value.clone());
            let from = before.or_else(|| self.checkpoints.get(&key).cloned()).unwrap_or_default();
            if !key.starts_with(RANGE_PREFIX) && !value.is_empty() && from != value {
                ranges.push(StoredRange { lanes: 0, number: self.batches, source: key, from, to: value });
            }
        }
        for lane in [Lane::Urgent, Lane::Normal, Lane::Bulk] {
            if spool.random.below(2) == 0 {
                let of_lane = |record: &&LogRecord| Lane::of_severity(record.severity) == lane;
                self.logs.extend(batch.logs.iter().filter(of_lane).cloned());
                let of_lane =
                    |range: &StoredRange| StoredRange { lanes: 1 << lane as u8, ..range.clone() }.checkpoint();
                let stored = ranges.iter().filter_map(of_lane);
                self.checkpoints.extend(stored.map(|checkpoint| (checkpoint.key, checkpoint.value)));
            }
        }
    }
}

/// A directory with files, and a tailer that can be stopped and started over them.
pub(super) struct Rig {
    pub(super) directory: TempDir,
    pub(super) store: Arc<Mutex<Store>>,
    pub(super) tallies: Arc<Tallies>,
    pub(super) config: Config,
    /// Groups ahead of it.
    pub(super) earlier: Vec<Config>,
    running: Option<(Running, CancellationToken)>,
}

impl Rig {
    /// With lines that are given at once.
    pub(super) fn new(config: Config) -> Rig {
        Rig::joining(Config { multiline: Multiline::Off, ..config })
    }

    /// With lines that are joined as the configuration says; a last line is held until another follows it.
    pub(super) fn joining(config: Config) -> Rig {
        let directory = tempfile::tempdir().unwrap();
        let include = vec![format!("{}/*.log", directory.path().display())];
        let poll_interval = Duration::from_millis(5);
        let config = Config { include, poll_interval, line_timeout: Duration::from_secs(600), ..config };
        Rig { directory, store: Arc::default(), tallies: Arc::default(), config, earlier: Vec::new(), running: None }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        append(&self.path(name), text.as_ref());
    }

    pub(super) fn start(&mut self) {
        let (outlet, mut deliveries) = delivery::channel(2);
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            while let Some(delivery) = deliveries.recv().await {
                let mut store = store.lock();
                if store.refuses {
                    delivery.receipt.answer(Outcome::Refused(Refusal::shutting_down()));
                    continue;
                }
                store.take(delivery.batch);
                delivery.receipt.answer(Outcome::Stored { acked_through: None });
            }
        });
        let context = SourceContext {
            tallies: Arc::clone(&self.tallies),
            resource: Arc::new(Resource { host: "here".into(), ..Resource::default() }),
            checkpoints: Arc::new(self.store.lock().checkpoints.clone()),
            ..SourceContext::bare(outlet)
        };
        let stop = context.stop.clone();
        let running = start([self.earlier.as_slice(), std::slice::from_ref(&self.config)].concat(), context).unwrap();
        self.running = Some((running, stop));
    }

    pub(super) async fn stop(&mut self) {
        let (running, stop) = self.running.take().unwrap();
        stop.cancel();
        running.task.await.unwrap();
    }

    /// Stops without storing anything more, as a kill would.
    pub(super) async fn kill(&mut self) {
        self.store.lock().refuses = true;
        self.stop().await;
        self.store.lock().refuses = false;
    }

    /// From now on what comes is stored in part and out of order.
    pub(super) fn goes_ahead(&self, random: Random) {
        self.store.lock().spool = Some(Spool { random, read_to: HashMap::new(), taken: 0 });
    }

    /// The spool is lost with what was not sent, and with what was known of how far files were read.
    pub(super) async fn lose_state(&mut self) {
        self.kill().await;
        self.store.lock().spool = None;
    }

    pub(super) fn bodies(&self) -> Vec<String> {
        self.store.lock().logs.iter().map(|record| record.body.clone()).collect()
    }

    /// Waits until so many records are stored.
    pub(super) async fn wait_for(&self, count: usize) {
        for _ in 0..4000 {
            if self.store.lock().logs.len() >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{count} records expected, stored are {}: {:?}", self.bodies().len(), self.tallies.snapshot());
    }

    pub(super) fn problems(&self) -> Vec<(&'static str, u64)> {
        let tallies = self.tallies.snapshot();
        tallies.iter().flat_map(|tally| &tally.problems).map(|problem| (problem.reason, problem.count)).collect()
    }
}

pub(super) fn append(path: &Path, text: &[u8]) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_come_once_through_rotation_truncation_and_restart() {
    let mut rig = Rig::new(Config { service: "shop".to_owned(), ..Config::default() });
    rig.append("a.log", "1\n2\n");
    rig.start();
    rig.wait_for(2).await;
    rig.append("a.log", "3\nhalf");
    rig.wait_for(3).await;
    // Renamed while a line is half written: the rest goes to the old file.
    fs::rename(rig.path("a.log"), rig.path("a.log.1")).unwrap();
    rig.append("a.log", "5\n");
    append(&rig.path("a.log.1"), b" and half\n");
    rig.wait_for(5).await;
    rig.stop().await;
    // Away while it is rotated twice.
    rig.append("a.log", "6\n");
    fs::rename(rig.path("a.log.1"), rig.path("a.log.3")).unwrap();
    fs::rename(rig.path("a.log"), rig.path("a.log.2")).unwrap();
    rig.append("a.log", "7\n");
    fs::rename(rig.path("a.log"), rig.path("a.log.1")).unwrap();
    rig.append("a.log", "8\n");
    rig.start();
    rig.wait_for(8).await;
    // Emptied in place.
    File::create(rig.path("a.log")).unwrap();
    rig.append("a.log", "9\n");
    rig.wait_for(9).await;
    rig.stop().await;
    let mut bodies = rig.bodies();
    bodies.sort();
    assert_eq!(bodies, ["1", "2", "3", "5", "6", "7", "8", "9", "half and half"]);
    let store = rig.store.lock();
    let record = &store.logs[0];
    assert_eq!((&*record.resource.service, &*record.resource.host), ("shop", "here"));
    let path = rig.path("a.log").display().to_string();
    assert!(store.logs.iter().all(|record| record.attribute("log.file.path").unwrap().as_str() == Some(&path)));
    assert!(rig.problems().iter().all(|problem| *problem == ("truncated_file", 1)), "{:?}", rig.problems());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_file_is_read_to_its_end() {
    let mut rig = Rig::new(Config::default());
    rig.append("a.log", "1\n");
    rig.start();
    rig.wait_for(1).await;
    let mut open = OpenOptions::new().append(true).open(rig.path("a.log")).unwrap();
    fs::remove_file(rig.path("a.log")).unwrap();
    open.write_all(b"2\n").unwrap();
    rig.append("a.log", "3\n");
    rig.wait_for(3).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_begin_where_their_group_says_and_later_ones_at_their_start() {
    let mut rig = Rig::new(Config { start_at: StartAt::End, ..Config::default() });
    rig.append("old.log", "old\n");
    rig.start();
    tokio::time::sleep(Duration::from_millis(50)).await;
    rig.append("new.log", "new\n");
    rig.wait_for(1).await;
    rig.append("old.log", "later\n");
    rig.wait_for(2).await;
    rig.stop().await;
    rig.append("away.log", "away\n");
    rig.start();
    rig.wait_for(3).await;
    rig.stop().await;
    assert_eq!(rig.bodies(), ["new", "later", "away"]);

    let mut rig = Rig::new(Config { ignore_older: Duration::from_nanos(1), ..Config::default() });
    rig.append("stale.log", "stale\n");
    tokio::time::sleep(Duration::from_millis(20)).await;
    rig.start();
    tokio::time::sleep(Duration::from_millis(50)).await;
    rig.append("stale.log", "fresh\n");
    rig.wait_for(1).await;
    rig.stop().await;
    assert_eq!(rig.bodies(), ["fresh"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_good_line_is_cut_replaced_or_passed_over_and_counted() {
    let mut rig = Rig::new(Config { line_bytes_max: 1000, ..Config::default() });
    rig.append("binary.log", b"\x7fELF\0\0");
    rig.append("a.log", b"caf\xe9\n");
    rig.append("a.log", vec![b'x'; 3 << 20]);
    rig.append("a.log", "\nnext\n");
    rig.start();
    rig.wait_for(3).await;
    rig.stop().await;
    let bodies = rig.bodies();
    assert_eq!(bodies[0], "caf\u{fffd}");
    assert_eq!((bodies[1].len(), &*bodies[2]), (1000, "next"));
    assert_eq!(rig.problems(), [("binary_file", 1), ("invalid_utf8", 1), ("line_too_long", 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_last_line_without_an_end_is_given_after_a_while() {
    let mut rig = Rig::new(Config::default());
    rig.config.line_timeout = Duration::from_millis(50);
    rig.append("a.log", "no end");
    rig.start();
    rig.wait_for(1).await;
    rig.append("a.log", "\nnext\n");
    rig.wait_for(2).await;
    rig.stop().await;
    assert_eq!(rig.bodies(), ["no end", "next"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_whose_rest_stands_in_the_file_is_not_given_in_halves() {
    let mut rig = Rig::new(Config::default());
    rig.config.line_timeout = Duration::from_nanos(1);
    let lines: Vec<String> = (0..20_000).map(|n| format!("line {n} of many that fill several blocks")).collect();
    rig.append("a.log", lines.join("\n") + "\n");
    rig.start();
    rig.wait_for(lines.len()).await;
    rig.stop().await;
    assert_eq!(rig.bodies(), lines);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_file_with_the_same_inode_is_read_from_its_start() {
    let mut rig = Rig::new(Config::default());
    rig.append("a.log", "1\n");
    rig.start();
    rig.wait_for(1).await;
    rig.stop().await;
    // What inode reuse looks like: the checkpoint of one file, found on another.
    let id = FileId::of(&fs::metadata(rig.path("a.log")).unwrap());
    let place = Place::from_value(&rig.store.lock().checkpoints[&id.key()]).unwrap();
    assert_eq!((place.offset(), place.path), (2, rig.path("a.log")));
    fs::write(rig.path("a.log"), "2\n3\n").unwrap();
    rig.start();
    rig.wait_for(3).await;
    rig.stop().await;
    assert_eq!(rig.bodies(), ["1", "2", "3"]);
    assert_eq!(rig.problems(), [("replaced_file", 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_but_not_stored_is_read_again() {
    let mut rig = Rig::new(Config::default());
    rig.append("a.log", "1\n");
    rig.start();
    rig.wait_for(1).await;
    rig.store.lock().refuses = true;
    rig.append("a.log", "2\n");
    tokio::time::sleep(Duration::from_millis(300)).await;
    rig.kill().await;
    rig.start();
    rig.wait_for(2).await;
    rig.stop().await;
    assert_eq!(rig.bodies(), ["1", "2"]);
}

/// Makes the store remember its only file as one on another device.
fn renumber_device(rig: &Rig, name: &str) -> FileId {
    let id = FileId::of(&fs::metadata(rig.path(name)).unwrap());
    let former = FileId { device: id.device + 1, ..id };
    let mut store = rig.store.lock();
    let place = store.checkpoints.remove(&id.key()).unwrap();
    store.checkpoints.insert(former.key(), place);
    former
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_a_reboot_renumbered_costs_no_place() {
    for rotated in [false, true] {
        let mut rig = Rig::new(Config::default());
        rig.append("a.log", "1\n2\n");
        rig.start();
        rig.wait_for(2).await;
        rig.stop().await;
        let former = renumber_device(&rig, "a.log");
        rig.append("a.log", "3\n");
        if rotated {
            fs::rename(rig.path("a.log"), rig.path("a.log.1")).unwrap();
            // Begins as the rotated one does, and is another.
            rig.append("a.log", "1\n2\n");
        }
        rig.start();
        rig.wait_for(if rotated { 5 } else { 3 }).await;
        rig.stop().await;
        let mut bodies = rig.bodies();
        bodies.sort();
        assert_eq!(bodies.join(" "), if rotated { "1 1 2 2 3" } else { "1 2 3" });
        assert!(!rig.store.lock().checkpoints.contains_key(&former.key()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_outlives_the_absence_of_its_directory_and_not_that_of_its_file() {
    let mut rig = Rig::new(Config::default());
    rig.append("a.log", "1\n");
    rig.append("b.log", "2\n");
    rig.start();
    rig.wait_for(2).await;
    rig.stop().await;
    let away = rig.directory.path().with_extension("away");
    fs::rename(rig.directory.path(), &away).unwrap();
    rig.start();
    tokio::time::sleep(Duration::from_millis(50)).await;
    rig.stop().await;
    assert_eq!(rig.store.lock().checkpoints.len(), 2);
    fs::rename(&away, rig.directory.path()).unwrap();
    fs::remove_file(rig.path("b.log")).unwrap();
    rig.append("a.log", "3\n");
    rig.start();
    rig.wait_for(3).await;
    rig.stop().await;
    assert_eq!(rig.bodies()[2], "3");
    assert_eq!(rig.store.lock().checkpoints.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_under_an_inode_that_was_binary_is_read() {
    let mut rig = Rig::new(Config::default());
    rig.append("a.log", b"\x7fELF\0\0");
    rig.start();
    while rig.problems().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Written in place, so that it is the same inode for certain.
    fs::write(rig.path("a.log"), "text\n").unwrap();
    rig.wait_for(1).await;
    rig.stop().await;
    assert_eq!(rig.bodies(), ["text"]);
    assert_eq!(rig.problems(), [("binary_file", 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_containers_bear_their_runtimes_time_and_stream_and_their_own_fields() {
    let mut rig = Rig::joining(Config::default());
    rig.append("cri.log", "2026-11-21T07:33:00.5Z stdout P {\"user\":\n2026-11-21T07:33:01Z stderr F no tea\n");
    rig.append("cri.log", "2026-11-21T07:33:02Z stdout F \"ann\",\"msg\":\"hi\"}\n2026-11-21T07:33:03Z stderr F {}\n");
    let docker = r#"{"log":"{\"user\":\"bob\"}\n","stream":"stdout","time":"2026-11-21T07:33:04.000000001Z"}"#;
    rig.append("docker.log", format!("{docker}\n"));
    rig.start();
    rig.wait_for(4).await;
    rig.stop().await;
    let store = rig.store.lock();
    let mut shown: Vec<_> = store
        .logs
        .iter()
        .map(|record| {
            let text = |name: &str| record.attribute(name).map(ToString::to_string).unwrap_or_default();
            format!("{} {} {} {}", record.timestamp, text("stream"), text("user"), record.body)
        })
        .collect();
    shown.sort();
    let expected = [
        "2026-11-21T07:33:00.500Z stdout ann hi",
        "2026-11-21T07:33:01.000Z stderr  no tea",
        "2026-11-21T07:33:03.000Z stderr  {}",
        "2026-11-21T07:33:04.000000001Z stdout bob {\"user\":\"bob\"}",
    ];
    assert_eq!(shown, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_in_other_letters_is_read_by_its_mark_or_by_the_setting() {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let mut rig = Rig::new(Config::default());
    rig.append("a.log", [b"\xff\xfe".as_slice(), &wide("grün\r\nro")].concat());
    rig.start();
    rig.wait_for(1).await;
    rig.stop().await;
    rig.append("a.log", [&wide("t\n")[..], b"x"].concat());
    rig.start();
    rig.wait_for(2).await;
    rig.stop().await;
    assert_eq!(rig.bodies(), ["grün", "rot"]);

    let mut rig = Rig::new(Config { encoding: "latin1".to_owned(), ..Config::default() });
    rig.append("a.log", b"gr\xfcn\n");
    rig.start();
    rig.wait_for(1).await;
    rig.stop().await;
    assert_eq!(rig.bodies(), ["grün"]);
    assert_eq!(rig.problems(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_kernel_tells_is_read_without_waiting_for_a_look() {
    let mut rig = Rig::new(Config::default());
    // Longer than the test waits: only a word of the kernel's can be why a line is read.
    rig.config.poll_interval = Duration::from_secs(3600);
    rig.append("a.log", "1\n");
    rig.start();
    rig.wait_for(1).await;
    rig.append("a.log", "2\n");
    rig.wait_for(2).await;
    fs::rename(rig.path("a.log"), rig.path("a.log.1")).unwrap();
    rig.append("a.log", "3\n");
    rig.wait_for(3).await;
    rig.append("b.log", "4\n");
    rig.wait_for(4).await;
    // What a link leads to is rotated in a directory of its own.
    fs::create_dir(rig.path("pod")).unwrap();
    rig.append("pod/0", "5\n");
    std::os::unix::fs::symlink(rig.path("pod/0"), rig.path("c.log")).unwrap();
    rig.wait_for(5).await;
    fs::rename(rig.path("pod/0"), rig.path("pod/0.20261121")).unwrap();
    rig.append("pod/0", "6\n");
    rig.append("pod/0.20261121", "7\n");
    rig.wait_for(7).await;
    rig.stop().await;
    let mut bodies = rig.bodies();
    bodies.sort();
    assert_eq!(bodies, ["1", "2", "3", "4", "5", "6", "7"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_several_links_lead_to_is_read_once() {
    let mut rig = Rig::new(Config::default());
    rig.append("real.txt", "1\n");
    std::os::unix::fs::symlink(rig.path("real.txt"), rig.path("a.log")).unwrap();
    std::os::unix::fs::symlink(rig.path("a.log"), rig.path("b.log")).unwrap();
    rig.start();
    rig.wait_for(1).await;
    rig.append("real.txt", "2\n");
    rig.append("c.log", "3\n");
    rig.wait_for(3).await;
    rig.stop().await;
    assert_eq!(rig.bodies().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_copytruncate_left_unread_is_read_from_the_copy() {
    for (include, away) in [("*.log", false), ("*.log*", false), ("*.log*", true)] {
        let mut rig = Rig::new(Config { inotify: false, ..Config::default() });
        rig.config.include = vec![format!("{}/{include}", rig.directory.path().display())];
        rig.append("a.log", "1\n2\n");
        rig.start();
        rig.wait_for(2).await;
        if away {
            rig.stop().await;
        } else {
            rig.config.poll_interval = Duration::from_millis(400);
            rig.stop().await;
            rig.start();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // All of it between two looks.
        rig.append("a.log", "3\n");
        fs::copy(rig.path("a.log"), rig.path("a.log.1")).unwrap();
        File::create(rig.path("a.log")).unwrap();
        rig.append("a.log", "4\n");
        if away {
            rig.start();
        }
        rig.wait_for(4).await;
        // Neither the copy nor its original is read again.
        rig.stop().await;
        rig.start();
        rig.append("a.log", "5\n");
        rig.wait_for(5).await;
        rig.stop().await;
        let mut bodies = rig.bodies();
        bodies.sort();
        assert_eq!(bodies.join(" "), "1 2 3 4 5", "{include} {away}");
        assert!(rig.problems().iter().all(|(reason, _)| *reason == "truncated_file"), "{:?}", rig.problems());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_were_seen_and_truncated_away_are_counted() {
    let mut rig = Rig::new(Config::default());
    rig.append("a.log", "1\n");
    rig.start();
    rig.wait_for(1).await;
    rig.append("a.log", "2\nhalf");
    rig.wait_for(2).await;
    fs::write(rig.path("a.log"), "3\n").unwrap();
    rig.wait_for(4).await;
    rig.stop().await;
    assert_eq!(rig.bodies(), ["1", "2", "half", "3"]);
    assert_eq!(rig.problems(), [("truncated_file", 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_replaced_in_place_by_one_of_the_same_length_is_read() {
    let mut rig = Rig::new(Config::default());
    rig.append("a.log", "one\n");
    rig.start();
    rig.wait_for(1).await;
    fs::write(rig.path("a.log"), "two\n").unwrap();
    rig.wait_for(2).await;
    rig.stop().await;
    assert_eq!(rig.bodies(), ["one", "two"]);
}

/// Compresses text as two members, as appending to a compressed file makes them.
fn gzip(text: &str) -> Vec<u8> {
    let (first, second) = text.split_at(text.len() / 2);
    let member = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    [member(first), member(second)].concat()
}

fn numbered(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| format!("line {number:06} of a file that is long enough to be known\n")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_files_are_read_once_and_go_on_where_their_plain_one_was_left() {
    let mut rig = Rig::new(Config { backfill_gzip: true, ..Config::default() });
    rig.append("a.log.2.gz", gzip(&numbered(0..5000)));
    rig.append("broken.log.1.gz", &gzip("")[..15]);
    File::options()
        .append(true)
        .open(rig.path("broken.log.1.gz"))
        .unwrap()
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    rig.append("a.log", numbered(5000..5100));
    rig.start();
    rig.wait_for(5100).await;
    rig.kill().await;
    // Away while more is written, rotated and compressed at once.
    rig.append("a.log", numbered(5100..5200));
    let text = fs::read_to_string(rig.path("a.log")).unwrap();
    rig.append("a.log.1.gz", gzip(&text));
    fs::remove_file(rig.path("a.log")).unwrap();
    rig.append("a.log", numbered(5200..5300));
    rig.start();
    rig.wait_for(5300).await;
    rig.stop().await;
    let mut bodies = rig.bodies();
    bodies.retain(|body| body.starts_with("line"));
    bodies.sort();
    let expected: Vec<_> = numbered(0..5300).lines().map(str::to_owned).collect();
    assert_eq!(bodies, expected);
    assert!(
        rig.problems().iter().any(|(reason, count)| (*reason, *count) == ("corrupt_gzip", 1)),
        "{:?}",
        rig.problems()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_tailed_is_not_read_again_once_it_is_compressed_and_a_kill_in_between_repeats_nothing() {
    let mut rig = Rig::new(Config { backfill_gzip: true, ..Config::default() });
    rig.append("a.log", numbered(0..100));
    rig.start();
    rig.wait_for(100).await;
    rig.append("a.log.1.gz", gzip(&numbered(0..100)));
    // Large enough to be broken off.
    rig.append("b.log.1.gz", gzip(&numbered(100..60_100)));
    rig.stop().await;
    rig.start();
    while rig.store.lock().logs.len() < 5_000 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    rig.kill().await;
    rig.start();
    rig.wait_for(60_100).await;
    rig.stop().await;
    let mut bodies = rig.bodies();
    bodies.sort();
    assert_eq!(bodies.len(), 60_100);
    bodies.dedup();
    assert_eq!(bodies.len(), 60_100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_has_of_files_beyond_its_checkpoints_is_passed_over() {
    let mut rig = Rig::new(Config::default());
    let lines = |numbers: std::ops::Range<usize>| -> String {
        let level = |number: usize| ["info", "error", "debug"][number % 3];
        numbers.map(|number| format!("level={} msg=\"line {number:05}\"\n", level(number))).collect()
    };
    rig.append("a.log", lines(0..30));
    rig.start();
    rig.wait_for(30).await;
    rig.goes_ahead(Random(7));
    for from in [30, 60, 90, 120, 150, 180] {
        rig.append("a.log", lines(from..from + 30));
        rig.append("b.log", lines(1000 + from..1000 + from + 30));
        while rig.store.lock().spool.as_ref().is_none_or(|spool| spool.taken < from * 2) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let before = rig.bodies().len();
    assert!((31..390).contains(&before), "some of it is stored: {before}");
    rig.lose_state().await;
    let ranges = |rig: &Rig| rig.store.lock().checkpoints.keys().filter(|key| key.starts_with(RANGE_PREFIX)).count();
    assert!(ranges(&rig) > 2);
    rig.start();
    rig.append("a.log", lines(210..213));
    rig.append("b.log", lines(1210..1213));
    rig.wait_for(396).await;
    rig.stop().await;
    let mut bodies = rig.bodies();
    bodies.sort();
    let mut expected: Vec<String> = [0..213, 1030..1213]
        .into_iter()
        .flat_map(|numbers| lines(numbers).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    expected.sort();
    assert_eq!(bodies, expected);
    assert_eq!(ranges(&rig), 0, "all of them are behind us");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_key_that_a_program_prints_is_one_record() {
    let mut rig = Rig::joining(Config::default());
    let key = format!("-----BEGIN PRIVATE KEY-----\n{0}\n{0}\n-----END PRIVATE KEY-----", "QUJD".repeat(16));
    rig.append("a.log", format!("before\n{key}\nafter\nlast\n"));
    rig.start();
    rig.wait_for(3).await;
    rig.stop().await;
    // As one record it is found by the rule that redacts it.
    assert_eq!(rig.bodies()[..3], ["before", &key, "after"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_the_first_groups_that_means_it_whichever_sees_it_first() {
    let mut rig = Rig::new(Config { service: "all".to_owned(), ..Config::default() });
    let include =
        vec![rig.path("shop.log").display().to_string(), format!("{}/shop.log.*.gz", rig.directory.path().display())];
    rig.earlier.push(Config { service: "shop".to_owned(), include, ..rig.config.clone() });
    rig.append("other.log", "other\n");
    rig.start();
    rig.wait_for(1).await;
    // It comes at any moment of a look.
    for number in 0..300 {
        rig.append("shop.log", format!("{number}\n"));
        tokio::time::sleep(Duration::from_millis(5)).await;
        fs::rename(rig.path("shop.log"), rig.path(&format!("shop.log.{number}"))).unwrap();
    }
    rig.wait_for(301).await;
    rig.stop().await;
    let services: Vec<_> = rig.store.lock().logs.iter().map(|record| record.resource.service.clone()).collect();
    assert_eq!((&*services[0], services.len()), ("all", 301));
    assert!(services[1..].iter().all(|service| &**service == "shop"), "{services:?}");
}
