//! The whole sender in a simulated world: a disk that loses power, servers that refuse, hang, store and do not say so, store what
//! they were sent long ago, move to other addresses; an agent that dies at any moment, and now and then loses all that it knows.
//! Time is simulated, too, so that a thousand such stories take seconds. Each is told by its seed.
//!
//! What must hold in all of them: every line of a file is with exactly one server in the end, exactly once; every line of a socket that was
//! acknowledged, too, unless it was lost with the agent's disk; one that was not is there once at most. The controls at the end take away one safety each, and must fail.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::endpoint::{Answer, Endpoint, ServerView};
use super::{ShipConfig, Shipping, start_with};
use crate::delivery::{Outcome, Outlet};
use crate::file_system::{Append, FileSystem};
use crate::frame;
use crate::model::{AgentId, Batch, Checkpoint, Lane, LogRecord, Severity};
use crate::simulated_file_system::SimulatedFileSystem;
use crate::stored_range::{RANGE_PREFIX, StoredRange, ranges_of};

/// Stories told in every test run; `TAFFRAIL_SHIP_SEEDS` tells more.
const SEEDS: u64 = 300;

/// Numbers from a seed (splitmix64).
#[derive(Clone, Debug)]
struct Dice(Arc<Mutex<u64>>);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(Arc::new(Mutex::new(seed)))
    }

    fn below(&self, end: u64) -> u64 {
        let mut state = self.0.lock();
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = *state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) % end
    }
}

/// What is taken away from the world's safety.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    FileSync,
    DirectorySync,
    Dedup,
    Leases,
}

/// A store: what it has outlives the agent.
#[derive(Debug, Default)]
struct Store {
    next: HashMap<(AgentId, u64, u32), u64>,
    lines: Vec<String>,
    /// Where each of them came from, for the one who reads a failure.
    places: Vec<String>,
    checkpoints: BTreeMap<String, Vec<u8>>,
    /// Requests that the agent gave up, and that are still on their way.
    late: Vec<Batch>,
    duplicates: u64,
}

impl Store {
    fn take(&mut self, batch: Batch, without: Without) -> Answer {
        let place = batch.place.expect("a place");
        let next = self.next.entry((batch.agent, place.epoch, place.stream)).or_default();
        let end = place.first_seq + batch.len() as u64;
        if without == Without::Dedup {
            self.places.extend(batch.logs.iter().map(|_| String::new()));
            self.lines.extend(batch.logs.into_iter().map(|log| log.body));
            *next = end.max(*next);
            return Answer::Acked { through: end.checked_sub(1), duplicate: false };
        }
        if place.first_seq > *next {
            return Answer::Gap { expected: *next };
        }
        if end <= *next && place.first_seq < *next {
            self.duplicates += 1;
            return Answer::Acked { through: Some(*next - 1), duplicate: true };
        }
        let known = usize::try_from(*next - place.first_seq).expect("not that many");
        let shown = |at: usize| format!("{:x}/{}/{}", place.epoch >> 48, place.stream, place.first_seq + at as u64);
        self.places.extend((known..batch.logs.len()).map(shown));
        self.lines.extend(batch.logs.into_iter().skip(known).map(|log| log.body));
        for Checkpoint { key, value } in batch.checkpoints {
            if key == RANGE_PREFIX {
                self.checkpoints.retain(|key, known| !key.starts_with(RANGE_PREFIX) || known[..8] >= value[..8]);
            } else if value.is_empty() {
                self.checkpoints.remove(&key);
            } else {
                self.checkpoints.insert(key, value);
            }
        }
        *next = end.max(*next);
        Answer::Acked { through: end.checked_sub(1), duplicate: false }
    }
}

/// A store at an address.
struct Door {
    url: String,
    id: usize,
    store: Arc<Mutex<Store>>,
    dice: Dice,
    /// Of a hundred requests so many meet a fault.
    faults: u64,
    /// While set, nothing is answered: one in two requests of this kind is stored.
    hangs: Arc<Mutex<[bool; 3]>>,
    without: Without,
}

impl Door {
    async fn shipped(&self, frame: Bytes, deadline: Duration) -> Answer {
        let (batch, _) = frame::decode(&frame).expect("a sound frame");
        tokio::time::sleep(Duration::from_millis(self.dice.below(40))).await;
        if self.dice.below(8) == 0 {
            let late = self.store.lock().late.pop();
            late.into_iter().for_each(|batch| drop(self.store.lock().take(batch, self.without)));
        }
        let timed_out = || Answer::TimedOut { reason: "simulated".to_owned() };
        if self.hangs.lock()[self.id] {
            if self.dice.below(2) == 0 {
                self.store.lock().late.push(batch);
            }
            tokio::time::sleep(deadline).await;
            return timed_out();
        }
        if self.dice.below(100) >= self.faults {
            return self.store.lock().take(batch, self.without);
        }
        let reason = "simulated".to_owned();
        match self.dice.below(8) {
            0 => Answer::Unsent { reason },
            1 => Answer::Busy { reason, retry_after: Some(Duration::from_secs(self.dice.below(3))), is_refused: true },
            2 => Answer::Busy { reason, retry_after: None, is_refused: false },
            3 => Answer::Failed { reason },
            4 => {
                self.store.lock().take(batch, self.without);
                Answer::Failed { reason }
            }
            5 => {
                self.store.lock().take(batch, self.without);
                tokio::time::sleep(deadline).await;
                timed_out()
            }
            6 => {
                self.store.lock().late.push(batch);
                tokio::time::sleep(deadline).await;
                timed_out()
            }
            _ => Answer::Broken { reason },
        }
    }
}

impl Endpoint for Door {
    fn url(&self) -> &str {
        &self.url
    }

    fn ship(&self, frame: Bytes, deadline: Duration) -> BoxFuture<'_, Answer> {
        Box::pin(self.shipped(frame, deadline))
    }

    fn streams(&self, agent: AgentId, _: bool, deadline: Duration) -> BoxFuture<'_, Result<ServerView, Answer>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(self.dice.below(40))).await;
            if self.hangs.lock()[self.id] {
                tokio::time::sleep(deadline).await;
                return Err(Answer::TimedOut { reason: "simulated".to_owned() });
            }
            if self.dice.below(100) < self.faults {
                return Err(Answer::Unsent { reason: "simulated".to_owned() });
            }
            let store = self.store.lock();
            let own = store.next.iter().filter(|((of, ..), next)| *of == agent && **next > 0);
            let streams = own.map(|((_, epoch, stream), next)| (*epoch, *stream, next - 1)).collect();
            let checkpoints = store.checkpoints.iter();
            let checkpoints = checkpoints.map(|(key, value)| Checkpoint { key: key.clone(), value: value.clone() });
            Ok(ServerView { server: self.id.to_string(), streams, checkpoints: checkpoints.collect() })
        })
    }
}

/// A disk whose syncs may be empty words.
#[derive(Clone)]
struct Disk {
    inner: SimulatedFileSystem,
    without: Without,
}

struct DiskAppender {
    inner: <SimulatedFileSystem as FileSystem>::Appender,
    without: Without,
}

impl Append for DiskAppender {
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.inner.append(bytes)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        if self.without == Without::FileSync { Ok(()) } else { self.inner.sync() }
    }
}

impl FileSystem for Disk {
    type Appender = DiskAppender;

    fn create(&self, path: &Path) -> std::io::Result<DiskAppender> {
        Ok(DiskAppender { inner: self.inner.create(path)?, without: self.without })
    }

    fn open_at(&self, path: &Path, length: u64) -> std::io::Result<DiskAppender> {
        Ok(DiskAppender { inner: self.inner.open_at(path, length)?, without: self.without })
    }

    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        self.inner.read(path)
    }

    fn list(&self, directory: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
        self.inner.list(directory)
    }

    fn length(&self, path: &Path) -> std::io::Result<u64> {
        self.inner.length(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.inner.remove(path)
    }

    fn create_directories(&self, path: &Path) -> std::io::Result<()> {
        self.inner.create_directories(path)
    }

    fn sync_directory(&self, path: &Path) -> std::io::Result<()> {
        if self.without == Without::DirectorySync { Ok(()) } else { self.inner.sync_directory(path) }
    }
}

/// What the sources know of themselves, outside of the agent.
#[derive(Debug, Default)]
struct Oracle {
    /// Lines of the file that were written; line `n` is `file n`.
    written: u64,
    /// Lines of the socket that were sent, and whether they were acknowledged.
    socket: Vec<bool>,
}

struct World {
    seed: u64,
    dice: Dice,
    disk: Mutex<SimulatedFileSystem>,
    stores: Vec<Arc<Mutex<Store>>>,
    hangs: Arc<Mutex<[bool; 3]>>,
    oracle: Arc<Mutex<Oracle>>,
    /// Lines that were put aside on a disk that is lost.
    excused: Mutex<HashSet<String>>,
    /// What happened, for the one who reads a failure.
    story: Arc<Mutex<Vec<String>>>,
    /// The agent has lost what it knew since it last heard of its servers.
    is_new: Mutex<bool>,
    without: Without,
}

/// What a story came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    missing: Vec<String>,
    repeated: Vec<String>,
    resends: u64,
}

fn record(body: String, severity: Severity) -> LogRecord {
    LogRecord { severity, ..super::tests::line(body) }
}

/// Reads the file on from where the checkpoint says, for ever, and passes over what servers have beyond that.
async fn read_file(outlet: Outlet, oracle: Arc<Mutex<Oracle>>, known: HashMap<String, Vec<u8>>, dice: Dice) {
    let number = |value: &[u8]| std::str::from_utf8(value).unwrap().parse::<u64>().unwrap_or(0);
    let mut next = known.get("file").map_or(0, |value| number(value));
    let mut stored = ranges_of(&known, "file").remove("file").unwrap_or_default();
    loop {
        let written = oracle.lock().written;
        let until = written.min(next + 1 + dice.below(6));
        if next == until {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        let severity = |n: u64| [Severity::INFO, Severity::ERROR, Severity::DEBUG][(n % 3) as usize];
        let is_new = |n: &u64| {
            let has = |range: &StoredRange| (number(&range.from)..number(&range.to)).contains(n);
            !stored.iter().any(|range| range.is_of(Lane::of_severity(severity(*n))) && has(range))
        };
        let logs = (next..until).filter(is_new).map(|n| record(format!("file {n}"), severity(n))).collect();
        let mut checkpoints = vec![Checkpoint { key: "file".to_owned(), value: until.to_string().into_bytes() }];
        let passed = stored.extract_if(.., |range| number(&range.to) <= until);
        checkpoints.extend(passed.map(|range| Checkpoint { key: range.key(), value: Vec::new() }));
        match outlet.deliver(Batch { logs, checkpoints, ..Batch::local() }).await {
            Outcome::Stored { .. } => next = until,
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Sends a line now and then, and notes which were acknowledged.
async fn send_to_socket(outlet: Outlet, oracle: Arc<Mutex<Oracle>>, dice: Dice) {
    loop {
        tokio::time::sleep(Duration::from_millis(dice.below(900))).await;
        let n = {
            let mut oracle = oracle.lock();
            oracle.socket.push(false);
            oracle.socket.len() - 1
        };
        let logs = vec![record(format!("socket {n}"), Severity::WARN)];
        if let Outcome::Stored { .. } = outlet.deliver(Batch { logs, ..Batch::local() }).await {
            oracle.lock().socket[n] = true;
        }
    }
}

impl World {
    fn new(seed: u64, without: Without) -> World {
        World {
            seed,
            dice: Dice::new(seed),
            disk: Mutex::new(SimulatedFileSystem::new(seed)),
            stores: (0..3).map(|_| Arc::default()).collect(),
            hangs: Arc::default(),
            oracle: Arc::default(),
            excused: Mutex::default(),
            story: Arc::default(),
            is_new: Mutex::new(true),
            without,
        }
    }

    /// The agent's disk is gone, and with it what it had under way: servers take nothing more of that once its successor has asked.
    fn lose_state(&self) {
        self.story.lock().push("its disk is lost".to_owned());
        self.excused.lock().extend(self.quarantined());
        *self.disk.lock() = SimulatedFileSystem::new(self.dice.below(u64::MAX));
        self.stores.iter().for_each(|store| store.lock().late.clear());
        self.oracle.lock().socket.iter_mut().for_each(|acknowledged| *acknowledged = false);
        *self.is_new.lock() = true;
    }

    /// Records that met the same failure again and again.
    fn quarantined(&self) -> Vec<String> {
        let disk = self.disk.lock();
        let files = disk.list(Path::new("/agent/quarantine")).unwrap_or_default();
        let logs = files.into_iter().flat_map(|path| frame::decode(&disk.read(&path).unwrap()).unwrap().0.logs);
        logs.map(|log| log.body).collect()
    }

    /// The doors of one life: the order and the addresses may change from life to life.
    fn doors(&self, faults: u64) -> Vec<Arc<dyn Endpoint>> {
        let turn = self.dice.below(3) as usize;
        let first_port = self.dice.below(2);
        (0..3)
            .map(|at| -> Arc<dyn Endpoint> {
                let id = (at + turn) % 3;
                Arc::new(Door {
                    url: format!("http://server:{}", first_port + at as u64),
                    id,
                    store: Arc::clone(&self.stores[id]),
                    dice: self.dice.clone(),
                    faults,
                    hangs: Arc::clone(&self.hangs),
                    without: self.without,
                })
            })
            .collect()
    }

    async fn start(&self, faults: u64, stop: CancellationToken) -> Option<Shipping> {
        // For ever, or a story would have to end before it.
        let uncertain_wait =
            if self.without == Without::Leases { Duration::from_millis(1) } else { Duration::from_secs(1 << 30) };
        let config = ShipConfig {
            // Segments of 64 KiB, so that some are removed.
            spool_bytes_max: 512 << 10,
            uncertain_wait,
            ..ShipConfig::new(Vec::new(), "/agent".into())
        };
        let disk = Disk { inner: self.disk.lock().clone(), without: self.without };
        start_with(config, self.doors(faults), disk, None, stop).await.ok()
    }

    /// One life of the agent, which ends in the middle of something.
    fn live(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let stop = CancellationToken::new();
            let Some(shipping) = self.start(self.dice.below(3) * 20, stop.clone()).await else { return };
            let (oracle, dice) = (Arc::clone(&self.oracle), self.dice.clone());
            let (outlet, checkpoints) = (shipping.outlet.clone(), shipping.checkpoints);
            let (tell, told) = tokio::sync::oneshot::channel();
            let story = Arc::clone(&self.story);
            tokio::spawn(async move {
                let Ok(known) = checkpoints.await else { return };
                story.lock().push(format!("a life begins with {}", shown(&known)));
                let _ = tell.send(()); // not everybody waits for it
                read_file(outlet, oracle, known, dice).await;
            });
            tokio::spawn(send_to_socket(shipping.outlet.clone(), Arc::clone(&self.oracle), self.dice.clone()));
            if *self.is_new.lock() {
                // It believes what servers say that answer; a server that is away this long takes what it knows with it.
                *self.hangs.lock() = [false; 3];
                let _ = told.await; // it never is when the disk fails
            }
            *self.is_new.lock() = false;
            if self.dice.below(2) == 0 {
                self.disk.lock().stop_after(self.dice.below(400));
            }
            for _ in 0..self.dice.below(30) {
                self.oracle.lock().written += self.dice.below(12);
                if self.dice.below(6) == 0 {
                    let at = self.dice.below(3) as usize;
                    let mut hangs = self.hangs.lock();
                    hangs[at] = !hangs[at];
                }
                tokio::time::sleep(Duration::from_millis(self.dice.below(4000))).await;
            }
            if self.dice.below(4) == 0 {
                stop.cancel();
                tokio::time::sleep(Duration::from_secs(self.dice.below(9))).await;
            }
        });
        self.disk.lock().lose_power();
        runtime.shutdown_timeout(Duration::from_secs(10));
    }

    /// The last life: nothing fails any more, and everything arrives.
    fn recover(&self) -> Findings {
        *self.hangs.lock() = [false; 3];
        self.stores.iter().for_each(|store| {
            let mut store = store.lock();
            for batch in std::mem::take(&mut store.late) {
                store.take(batch, self.without);
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let stop = CancellationToken::new();
            let shipping = self.start(0, stop.clone()).await.expect("the agent starts");
            let known = shipping.checkpoints.await.expect("checkpoints");
            self.story.lock().push(format!("the last life begins with {}", shown(&known)));
            let oracle = Arc::clone(&self.oracle);
            oracle.lock().written += 1;
            let reading = tokio::spawn(read_file(shipping.outlet.clone(), oracle, known, self.dice.clone()));
            for moment in 0.. {
                tokio::time::sleep(Duration::from_millis(500)).await;
                let last = format!("file {}", self.oracle.lock().written - 1);
                let has_arrived = self.stores.iter().any(|store| store.lock().lines.contains(&last));
                let status = shipping.status.snapshot();
                if has_arrived && status.waiting_batches == 0 {
                    break;
                }
                assert!(moment < 1000, "seed {}: it does not come to rest: {status:#?}", self.seed);
            }
            reading.abort();
            stop.cancel();
            drop(shipping.outlet);
            shipping.task.await.expect("the sender ends");
        });
        self.findings()
    }

    fn findings(&self) -> Findings {
        let mut counts: HashMap<String, u32> = HashMap::new();
        let mut findings = Findings::default();
        for store in &self.stores {
            let store = store.lock();
            findings.resends += store.duplicates;
            store.lines.iter().for_each(|line| *counts.entry(line.clone()).or_default() += 1);
        }
        // What is put aside is not lost.
        self.quarantined().into_iter().for_each(|line| *counts.entry(line).or_default() += 1);
        let (oracle, excused) = (self.oracle.lock(), self.excused.lock());
        let acknowledged =
            oracle.socket.iter().enumerate().filter(|(_, acked)| **acked).map(|(n, _)| format!("socket {n}"));
        let expected = (0..oracle.written).map(|n| format!("file {n}")).chain(acknowledged);
        findings.missing = expected.filter(|line| !counts.contains_key(line) && !excused.contains(line)).collect();
        let repeated = counts.into_iter().filter(|(_, count)| *count > 1).map(|(line, _)| line);
        findings.repeated = repeated.map(|line| format!("{line} {}", self.places_of(&line))).collect();
        findings.repeated.sort();
        findings.repeated.truncate(10);
        findings.missing.truncate(10);
        findings
    }
}

impl World {
    fn places_of(&self, line: &str) -> String {
        let mut places = Vec::new();
        for (id, store) in self.stores.iter().enumerate() {
            let store = store.lock();
            let found = store.lines.iter().zip(&store.places).filter(|(found, _)| *found == line);
            places.extend(found.map(|(_, place)| format!("at {id}: {place}")));
        }
        places.join(", ")
    }
}

/// What an agent knows, to be read.
fn shown(known: &HashMap<String, Vec<u8>>) -> String {
    let mut words: Vec<_> = known.iter().map(|(key, value)| format!("{key}={}", value.escape_ascii())).collect();
    words.sort();
    words.join(" ")
}

fn tell(seed: u64, without: Without) -> (Findings, Vec<String>) {
    let world = World::new(seed, without);
    for _ in 0..1 + world.dice.below(5) {
        world.live();
        if world.dice.below(4) == 0 {
            world.lose_state();
        }
    }
    let findings = world.recover();
    let story = world.story.lock().clone();
    (findings, story)
}

#[test]
fn whatever_fails_every_line_is_stored_once() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("TAFFRAIL_TEST_SEED").unwrap_or(0);
    let seeds = number("TAFFRAIL_SHIP_SEEDS").unwrap_or(SEEDS);
    let mut resends = 0;
    for seed in first..first + seeds {
        let (findings, story) = tell(seed, Without::Nothing);
        let nothing = Findings { resends: findings.resends, ..Findings::default() };
        assert_eq!(findings, nothing, "seed {seed}:\n{}", story.join("\n"));
        resends += findings.resends;
    }
    assert!(resends > seeds / 4, "the stories are none without resends: {resends}");
}

/// Seeds after which the world, without one of its safeties, has lost or repeated lines.
fn failures(without: Without) -> usize {
    (0..60)
        .filter(|&seed| {
            // Without its safety the agent may not even start again.
            let story = std::panic::catch_unwind(|| tell(seed, without));
            story.map_or(true, |(findings, _)| !findings.missing.is_empty() || !findings.repeated.is_empty())
        })
        .count()
}

#[test]
fn without_syncing_files_the_stories_fail() {
    assert!(failures(Without::FileSync) > 0);
}

#[test]
fn without_syncing_directories_the_stories_fail() {
    assert!(failures(Without::DirectorySync) > 0);
}

#[test]
fn without_recognising_resends_the_stories_fail() {
    assert!(failures(Without::Dedup) > 0);
}

#[test]
fn without_waiting_for_the_word_of_a_server_the_stories_fail() {
    assert!(failures(Without::Leases) > 0);
}
