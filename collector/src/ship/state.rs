//! The agent's small state file: who it is, how far its sources were read, and the books of what goes where.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rapidhash::v3::rapidhash_v3;
use serde::{Deserialize, Serialize};

use super::ledger::{LANES, LaneBook, Lease, Ledger, Stream};
use crate::file_system::{FILE_MODE, FileSystem, replace_file};
use crate::model::{AgentId, Lane};
use crate::random::random_bits;
use crate::source::StartError;

/// What the file says, but for the ledger. Everything in it is as of the first `spooled` records; later ones are read from the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Who the agent is.
    pub(super) agent: AgentId,
    /// The epoch of all its streams.
    pub(super) epoch: u64,
    /// Records that `checkpoints` takes into account.
    pub(super) spooled: u64,
    /// Behind the last record whose frames went into several lanes.
    pub(super) parted_until: u64,
    /// Rows of each lane in them, and in those before that are gone.
    pub(super) rows: [u64; LANES],
    /// The number that the last checkpoint bears: of two servers that know a source, the one with the higher number knows more.
    pub(super) checkpoint_order: u64,
    /// How far the sources were read.
    pub(super) checkpoints: BTreeMap<String, Vec<u8>>,
}

/// A server that the books count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownServer {
    /// Where it was reached.
    pub(super) url: String,
    /// Who it said it was.
    pub(super) id: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateFile {
    version: u32,
    agent: String,
    epoch: String,
    spooled: u64,
    parted_until: u64,
    /// Absent in files of releases that did not count them.
    #[serde(default)]
    rows: [u64; LANES],
    checkpoint_order: u64,
    servers: Vec<KnownServer>,
    next_stream: u32,
    lanes: Vec<LaneEntry>,
    streams: Vec<StreamEntry>,
    checkpoints: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LaneEntry {
    waiting: Vec<(u64, u64)>,
    live_from: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamEntry {
    id: u32,
    server: usize,
    lane: u8,
    is_live: bool,
    next_seq: u64,
    lease: Option<LeaseEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeaseEntry {
    next: u64,
    row: u32,
    /// Absent in files of releases that did not know them.
    #[serde(default)]
    rows_before: Option<u64>,
    end: u64,
}

/// Version 1 knew one stream and one lane.
const VERSION: u32 = 2;

impl State {
    /// A new agent in this directory. Its id is made of the machine's and the directory's name, so that an agent whose state
    /// was lost is known to the server, which tells it how far its sources were read; its epoch is random, so that its
    /// streams start anew.
    pub(super) fn fresh(directory: &Path) -> State {
        let mut identity = Vec::new();
        for path in ["/etc/machine-id", "/proc/sys/kernel/hostname"] {
            identity.extend(std::fs::read(path).unwrap_or_default());
        }
        identity.extend(std::path::absolute(directory).unwrap_or_default().as_os_str().as_encoded_bytes());
        let low = rapidhash_v3(&identity);
        identity.extend(low.to_le_bytes());
        State {
            agent: AgentId(u128::from(rapidhash_v3(&identity)) << 64 | u128::from(low.max(1))),
            epoch: random_bits(),
            spooled: 0,
            parted_until: 0,
            rows: [0; LANES],
            checkpoint_order: 0,
            checkpoints: BTreeMap::new(),
        }
    }

    /// The state in this directory, if there is any, with the ledger and the servers that its streams count.
    pub(super) fn load<F: FileSystem>(
        file_system: &F,
        directory: &Path,
    ) -> io::Result<Option<(State, Ledger, Vec<KnownServer>)>> {
        let bytes = match file_system.read(&path(directory)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
        if version != VERSION {
            return Err(io::Error::other(format!("version {version} is not known to this release")));
        }
        let file: StateFile = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
        let mut ledger = Ledger { next_stream: file.next_stream, ..Ledger::default() };
        for (book, entry) in ledger.lanes.iter_mut().zip(file.lanes) {
            let waiting = entry.waiting.into_iter().map(|(start, end)| start..end).collect();
            *book = LaneBook { waiting, live_from: entry.live_from };
        }
        for entry in file.streams {
            let StreamEntry { id, server, lane, is_live, next_seq, lease } = entry;
            let lane = Lane::from_number(lane).filter(|_| server < file.servers.len());
            let lane = lane.ok_or_else(|| io::Error::other("a stream of an unknown lane or server"))?;
            let lease = lease.map(|LeaseEntry { next, row, rows_before, end }| {
                // Any of it may have been sent.
                Lease { next, row, rows_before, end, uncertain_until: end }
            });
            ledger.streams.push(Stream { id, server, lane, is_live, next_seq, lease });
        }
        let checkpoints = file.checkpoints.into_iter().map(|(key, value)| {
            let value = STANDARD.decode(value).map_err(io::Error::other)?;
            Ok((key, value))
        });
        let state = State {
            agent: AgentId(u128::from_str_radix(&file.agent, 16).map_err(io::Error::other)?),
            epoch: u64::from_str_radix(&file.epoch, 16).map_err(io::Error::other)?,
            spooled: file.spooled,
            parted_until: file.parted_until,
            rows: file.rows,
            checkpoint_order: file.checkpoint_order,
            checkpoints: checkpoints.collect::<io::Result<_>>()?,
        };
        Ok(Some((state, ledger, file.servers)))
    }

    /// Writes the state, durably.
    pub(super) fn save<F: FileSystem>(
        &self,
        ledger: &Ledger,
        servers: &[KnownServer],
        file_system: &F,
        directory: &Path,
    ) -> io::Result<()> {
        let lanes = ledger.lanes.iter().map(|book| LaneEntry {
            waiting: book.waiting.ranges().iter().map(|range| (range.start, range.end)).collect(),
            live_from: book.live_from,
        });
        let streams = ledger.streams.iter().map(|stream| StreamEntry {
            id: stream.id,
            server: stream.server,
            lane: stream.lane as u8,
            is_live: stream.is_live,
            next_seq: stream.next_seq,
            lease: stream.lease.map(|Lease { next, row, rows_before, end, .. }| LeaseEntry {
                next,
                row,
                rows_before,
                end,
            }),
        });
        let file = StateFile {
            version: VERSION,
            agent: self.agent.to_string(),
            epoch: format!("{:016x}", self.epoch),
            spooled: self.spooled,
            parted_until: self.parted_until,
            rows: self.rows,
            checkpoint_order: self.checkpoint_order,
            servers: servers.to_vec(),
            next_stream: ledger.next_stream,
            lanes: lanes.collect(),
            streams: streams.collect(),
            checkpoints: self.checkpoints.iter().map(|(key, value)| (key.clone(), STANDARD.encode(value))).collect(),
        };
        let content = serde_json::to_vec_pretty(&file).map_err(io::Error::other)?;
        replace_file(file_system, &path(directory), &content)
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join("state.json")
}

/// Locks the directory for this process.
pub(super) fn lock(directory: &Path) -> Result<File, StartError> {
    let path = directory.join("lock");
    let refused = |message: String| StartError { setting: "collector.state_dir", message };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(|error| refused(format!("cannot open {}: {error}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(refused(format!("another agent runs with {}: give each its own", directory.display())))
        }
        Err(TryLockError::Error(error)) => Err(refused(format!("cannot lock {}: {error}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated_file_system::SimulatedFileSystem;

    #[test]
    fn a_state_reads_back_and_a_lost_one_has_the_same_agent_and_another_epoch() {
        let (disk, directory) = (SimulatedFileSystem::new(1), Path::new("/state"));
        assert_eq!(State::load(&disk, directory).unwrap(), None);
        let mut state = State::fresh(directory);
        state.checkpoints.insert("file:1:2".to_owned(), vec![0, 255]);
        (state.spooled, state.parted_until, state.checkpoint_order) = (12, 3, 4);
        state.rows = [5, 6, 7, 8];
        let mut ledger = Ledger::default();
        ledger.lease_live(1, Lane::Normal, 7);
        ledger.age(Lane::Bulk, 9);
        let servers = ["http://a", "http://b"].map(|url| KnownServer { url: url.to_owned(), id: Some("5".to_owned()) });
        state.save(&ledger, &servers, &disk, directory).unwrap();
        let (read, mut books, urls) = State::load(&disk, directory).unwrap().unwrap();
        assert_eq!((read, urls), (state.clone(), servers.to_vec()));
        // What was leased may have been sent.
        ledger.recover(0, 9);
        books.recover(0, 9);
        assert_eq!(books, ledger);
        assert_eq!(books.streams[0].lease.map(|lease| (lease.next, lease.uncertain_until)), Some((0, 9)));
        let fresh = State::fresh(directory);
        assert_eq!(fresh.agent, state.agent);
        assert_ne!(fresh.epoch, state.epoch);
        assert_ne!(State::fresh(Path::new("/other")).agent, state.agent);
    }

    #[test]
    fn the_lock_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let lock = lock(directory.path()).unwrap();
        assert_eq!(lock.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
