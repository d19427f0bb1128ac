//! The agent's spool: a journal of frames that wait for a server.
//!
//! Frames are numbered from 0 on (the journal's numbers) and hold rows that are counted over all epochs. A frame's place in
//! its header is as it was spooled: the sender writes the place of the current epoch into its own copy.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;

use bytes::Bytes;

use super::config::ShipConfig;
use super::state::State;
use crate::delivery::{Refusal, RefusalReason};
use crate::file_system::FileSystem;
use crate::frame;
use crate::journal::{JournalConfig, JournalError, JournalReader, JournalWriter};
use crate::model::{AgentId, Checkpoint, Lane, StreamPlace};
use crate::random::random_bits;
use crate::source::StartError;

/// Bytes of the newest frames that are kept in memory, so that a sender that keeps up never reads the disk.
const RECENT_BYTES_MAX: usize = 8 << 20;

/// The agent's only stream as yet.
const STREAM: u32 = 0;

/// See the module's documentation.
pub(super) struct Spool<F: FileSystem> {
    file_system: F,
    state_dir: PathBuf,
    bytes_max: u64,
    state: State,
    journal: JournalWriter<F>,
    /// Appended and not yet durable.
    pending: Vec<Appended>,
    /// The newest durable frames, by number without a hole.
    recent: VecDeque<SpooledFrame>,
    recent_bytes: usize,
}

/// A durable frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SpooledFrame {
    /// Its number in the spool.
    pub(super) number: u64,
    /// Its bytes as they were spooled.
    pub(super) bytes: Bytes,
}

/// What became of the frames that were put since the last commit.
#[must_use]
#[derive(Debug)]
pub(super) struct Commit {
    /// So many of them, the first ones, are durable.
    pub(super) stored: usize,
    /// Why the others are not.
    pub(super) refusal: Option<Refusal>,
}

struct Appended {
    frame: SpooledFrame,
    rows: u64,
    checkpoints: Vec<Checkpoint>,
}

impl<F: FileSystem> Spool<F> {
    /// Opens the spool in the state directory, or makes a new one.
    pub(super) fn open(file_system: F, config: &ShipConfig) -> Result<Spool<F>, StartError> {
        let directory = &config.state_dir;
        let refused = |message: String| StartError { setting: "collector.state_dir", message };
        let state = State::load(&file_system, directory)
            .map_err(|error| refused(format!("cannot read state.json in {}: {error}", directory.display())))?;
        let state = state.unwrap_or_else(|| State::fresh(directory));
        let journal_config =
            JournalConfig { directory: directory.join("spool"), segment_bytes_max: config.segment_bytes_max() };
        let journal = JournalWriter::open(file_system.clone(), journal_config, state.spooled_frames)
            .map_err(|error| refused(error.to_string()))?;
        let mut spool = Spool {
            file_system,
            state_dir: directory.clone(),
            bytes_max: config.spool_bytes_max,
            state,
            journal,
            pending: Vec::new(),
            recent: VecDeque::new(),
            recent_bytes: 0,
        };
        spool.catch_up().map_err(|error| refused(error.to_string()))?;
        spool.save().map_err(|error| refused(format!("cannot write state.json: {error}")))?;
        Ok(spool)
    }

    /// Takes into account the frames that were spooled after the state was last written.
    fn catch_up(&mut self) -> Result<(), JournalError> {
        let mut reader = self.reader(self.state.spooled_frames)?;
        while let Some(record) = reader.next_record()? {
            match frame::decode(&record.payload) {
                Ok((batch, _)) => {
                    let first_row = batch.place.map_or(self.state.next_row, |place| place.first_seq);
                    self.state.next_row = self.state.next_row.max(first_row + batch.len() as u64);
                    note_checkpoints(&mut self.state.checkpoints, batch.checkpoints);
                }
                Err(error) => tracing::error!(frame = record.seq, %error, "a frame of the spool cannot be read"),
            }
            self.state.spooled_frames = record.seq + 1;
        }
        self.state.spooled_frames = self.state.spooled_frames.max(self.journal.next_seq());
        let report = reader.report();
        if report.damaged > 0 {
            tracing::error!(stretches = report.damaged, bytes = report.damaged_bytes, "parts of the spool are damaged");
        }
        Ok(())
    }

    pub(super) fn agent(&self) -> AgentId {
        self.state.agent
    }

    pub(super) fn epoch(&self) -> u64 {
        self.state.epoch
    }

    /// How far the sources were read, as of all durable frames.
    pub(super) fn checkpoints(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.state.checkpoints
    }

    /// Checkpoints that only the server knew. Durable when this returns: once rows are spooled, the server is not asked again.
    pub(super) fn learn_checkpoints(&mut self, from_server: Vec<Checkpoint>) -> io::Result<()> {
        for Checkpoint { key, value } in from_server {
            self.state.checkpoints.entry(key).or_insert(value);
        }
        self.save()
    }

    /// The first frame that no server has taken yet.
    pub(super) fn acked_frames(&self) -> u64 {
        self.state.acked_frames
    }

    /// The number behind the last durable frame.
    pub(super) fn end(&self) -> u64 {
        self.state.spooled_frames
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.journal.disk_bytes()
    }

    /// The sequence number, in the current epoch, behind the last row that was ever spooled.
    pub(super) fn next_seq(&self) -> u64 {
        self.state.next_row.saturating_sub(self.state.epoch_base)
    }

    /// Appends a frame; durable after [`Spool::commit`].
    pub(super) fn put(&mut self, mut bytes: Vec<u8>, checkpoints: Vec<Checkpoint>) -> Result<(), Refusal> {
        let unsent_bytes = self.journal.disk_bytes() + bytes.len() as u64;
        if unsent_bytes > self.bytes_max {
            return Err(Refusal {
                reason: RefusalReason::DiskFull,
                message: format!(
                    "the spool in {} is full: no server takes its batches, and collector.spool_bytes_max is {}",
                    self.state_dir.display(),
                    self.bytes_max
                ),
                retry_after: Some(std::time::Duration::from_secs(1)),
            });
        }
        let first_row = self.state.next_row + self.pending.iter().map(|appended| appended.rows).sum::<u64>();
        let place = StreamPlace { epoch: self.state.epoch, stream: STREAM, lane: Lane::Normal, first_seq: first_row };
        let rows = frame::set_place(&mut bytes, place).and_then(|()| frame::peek(&bytes)).map(|header| header.rows());
        let rows = u64::from(rows.expect("the frame was encoded just now"));
        let number = self.journal.append(1, &bytes).map_err(|error| refusal(&error))?;
        self.pending.push(Appended { frame: SpooledFrame { number, bytes: bytes.into() }, rows, checkpoints });
        Ok(())
    }

    /// Makes the appended frames durable. When that fails, those that went to the disk with a closed segment stay; the others
    /// are lost, and their numbers and rows are given again.
    pub(super) fn commit(&mut self) -> Commit {
        let refusal = self.journal.sync().err().map(|error| refusal(&error));
        let durable = self.journal.synced_seq();
        self.pending.retain(|appended| appended.frame.number < durable);
        let stored = self.pending.len();
        for Appended { frame, rows, checkpoints } in self.pending.drain(..) {
            self.state.next_row += rows;
            self.state.spooled_frames = frame.number + 1;
            note_checkpoints(&mut self.state.checkpoints, checkpoints);
            self.recent_bytes += frame.bytes.len();
            self.recent.push_back(frame);
        }
        while self.recent_bytes > RECENT_BYTES_MAX
            && let Some(oldest) = self.recent.pop_front()
        {
            self.recent_bytes -= oldest.bytes.len();
        }
        Commit { stored, refusal }
    }

    /// The frame of this number, if it is still in memory.
    pub(super) fn recent(&self, number: u64) -> Option<SpooledFrame> {
        let first = self.recent.front()?.number;
        let at = usize::try_from(number.checked_sub(first)?).ok()?;
        self.recent.get(at).cloned()
    }

    /// Reads the durable frames from this number on; frames that are spooled later may be missing.
    pub(super) fn reader(&self, from: u64) -> Result<JournalReader<F>, JournalError> {
        JournalReader::open(self.file_system.clone(), &self.state_dir.join("spool"), from)
    }

    /// The place in the current epoch of a frame whose header says that it starts with this row; none when the epoch started
    /// after it.
    pub(super) fn place(&self, first_row: u64) -> Option<StreamPlace> {
        let first_seq = first_row.checked_sub(self.state.epoch_base)?;
        Some(StreamPlace { epoch: self.state.epoch, stream: STREAM, lane: Lane::Normal, first_seq })
    }

    /// The row that has this sequence number in the current epoch.
    pub(super) fn row_of(&self, seq: u64) -> Option<u64> {
        self.state.epoch_base.checked_add(seq)
    }

    /// The frames below `number` are with a server. Gives their room back when whole segments are.
    pub(super) fn acked(&mut self, number: u64) -> Result<(), JournalError> {
        self.state.acked_frames = number;
        while self.recent.front().is_some_and(|frame| frame.number < number)
            && let Some(acked) = self.recent.pop_front()
        {
            self.recent_bytes -= acked.bytes.len();
        }
        if self.journal.can_remove_below(number) {
            // The state first: it must not point into what is gone.
            self.save().map_err(|source| JournalError::Io {
                action: "write",
                path: self.state_dir.join("state.json"),
                source,
            })?;
            self.journal.remove_below(number)?;
        }
        Ok(())
    }

    /// Goes back: the frames from `number` on are sent again.
    pub(super) fn rewind(&mut self, number: u64) {
        self.state.acked_frames = self.state.acked_frames.min(number);
    }

    /// Leaves the rows of the frame before `next` out of the stream, which goes on without a hole behind them. Durable when
    /// this returns, and in one step: a restart must neither send that frame again nor leave it out twice.
    pub(super) fn leave_out(&mut self, rows: u64, next: u64) -> io::Result<()> {
        self.state.epoch_base += rows;
        self.state.acked_frames = next;
        self.save()
    }

    /// Starts a new epoch, in which `row` has the sequence number 0. Durable when this returns.
    pub(super) fn open_epoch(&mut self, row: u64) -> io::Result<()> {
        self.state.epoch = random_bits();
        self.state.epoch_base = row;
        self.save()
    }

    /// The server has more of this stream than this state knows: the state is older than the stream (a restored backup). The
    /// server's word counts, and the stream starts anew.
    pub(super) fn yield_to_server(&mut self, checkpoints: Vec<Checkpoint>) -> io::Result<()> {
        note_checkpoints(&mut self.state.checkpoints, checkpoints);
        self.state.acked_frames = self.state.spooled_frames;
        self.open_epoch(self.state.next_row)
    }

    /// Writes the state.
    pub(super) fn save(&self) -> io::Result<()> {
        self.state.save(&self.file_system, &self.state_dir)
    }
}

fn note_checkpoints(known: &mut BTreeMap<String, Vec<u8>>, news: Vec<Checkpoint>) {
    for Checkpoint { key, value } in news {
        if value.is_empty() {
            known.remove(&key);
        } else {
            known.insert(key, value);
        }
    }
}

fn refusal(error: &JournalError) -> Refusal {
    let reason = match error {
        JournalError::RecordTooLarge { .. } => RefusalReason::BatchTooLarge,
        error if error.is_disk_full() => RefusalReason::DiskFull,
        _ => RefusalReason::WriteFailed,
    };
    let retry_after = (reason != RefusalReason::BatchTooLarge).then_some(std::time::Duration::from_secs(1));
    Refusal { reason, message: format!("collector.state_dir: {error}"), retry_after }
}
