//! The agent's small state file: who it is, where its stream stands, how far its sources were read.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rapidhash::v3::rapidhash_v3;
use serde::{Deserialize, Serialize};

use crate::file_system::{FileSystem, replace_file};
use crate::model::AgentId;
use crate::random::random_bits;
use crate::source::StartError;

/// What the file says. Everything in it is as of the first `spooled_frames` frames; later ones are read from the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Who the agent is.
    pub(super) agent: AgentId,
    /// The stream's epoch.
    pub(super) epoch: u64,
    /// The row of the spool that is the epoch's sequence number 0.
    pub(super) epoch_base: u64,
    /// Frames below this number are with a server, or in the quarantine.
    pub(super) acked_frames: u64,
    /// Frames that `next_row` and `checkpoints` take into account.
    pub(super) spooled_frames: u64,
    /// The row that the next frame starts with; rows are counted over all epochs.
    pub(super) next_row: u64,
    /// How far the sources were read.
    pub(super) checkpoints: BTreeMap<String, Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateFile {
    version: u32,
    agent: String,
    epoch: String,
    epoch_base: u64,
    acked_frames: u64,
    spooled_frames: u64,
    next_row: u64,
    checkpoints: BTreeMap<String, String>,
}

const VERSION: u32 = 1;

impl State {
    /// A new agent in this directory. Its id is made of the machine's and the directory's name, so that an agent whose state
    /// was lost is known to the server, which tells it how far its sources were read; its epoch is random, so that its
    /// stream starts anew.
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
            epoch_base: 0,
            acked_frames: 0,
            spooled_frames: 0,
            next_row: 0,
            checkpoints: BTreeMap::new(),
        }
    }

    /// The state in this directory, if there is any.
    pub(super) fn load<F: FileSystem>(file_system: &F, directory: &Path) -> io::Result<Option<State>> {
        let bytes = match file_system.read(&path(directory)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let file: StateFile = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
        if file.version != VERSION {
            return Err(io::Error::other(format!("version {} is not known to this release", file.version)));
        }
        let checkpoints = file.checkpoints.into_iter().map(|(key, value)| {
            let value = STANDARD.decode(value).map_err(io::Error::other)?;
            Ok((key, value))
        });
        Ok(Some(State {
            agent: AgentId(u128::from_str_radix(&file.agent, 16).map_err(io::Error::other)?),
            epoch: u64::from_str_radix(&file.epoch, 16).map_err(io::Error::other)?,
            epoch_base: file.epoch_base,
            acked_frames: file.acked_frames,
            spooled_frames: file.spooled_frames,
            next_row: file.next_row,
            checkpoints: checkpoints.collect::<io::Result<_>>()?,
        }))
    }

    /// Writes the state, durably.
    pub(super) fn save<F: FileSystem>(&self, file_system: &F, directory: &Path) -> io::Result<()> {
        let file = StateFile {
            version: VERSION,
            agent: self.agent.to_string(),
            epoch: format!("{:016x}", self.epoch),
            epoch_base: self.epoch_base,
            acked_frames: self.acked_frames,
            spooled_frames: self.spooled_frames,
            next_row: self.next_row,
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
        state.next_row = 12;
        state.save(&disk, directory).unwrap();
        assert_eq!(State::load(&disk, directory).unwrap().unwrap(), state);
        let fresh = State::fresh(directory);
        assert_eq!(fresh.agent, state.agent);
        assert_ne!(fresh.epoch, state.epoch);
        assert_ne!(State::fresh(Path::new("/other")).agent, state.agent);
    }
}
