//! The agent's spool: a journal of what waits for a server, and the books that say where it goes.
//!
//! A record of the journal is one batch: up to one frame a lane, one behind the other, so that a batch is spooled as a whole or not
//! at all. Records are numbered from 0 on (the journal's numbers). A frame's place says its lane and how many rows of that lane were
//! spooled before it, so that what the disk damages leaves no doubt about what stands behind it; the sender writes the place of a stream
//! into its own copy.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::config::ShipConfig;
use super::lane_index::LaneIndex;
use super::lanes::room_percent;
use super::ledger::{LANES, Ledger};
use super::state::{KnownServer, State};
use crate::delivery::{Refusal, RefusalReason};
use crate::file_system::FileSystem;
use crate::frame;
use crate::journal::{JournalConfig, JournalError, JournalReader, JournalWriter};
use crate::model::{AgentId, Checkpoint, Lane, StreamPlace, Timestamp};
use crate::random::random_bits;
use crate::source::StartError;
use crate::stored_range::{RANGE_PREFIX, StoredRange};

/// Bytes of the newest records that are kept in memory, so that a sender that keeps up never reads the disk: this part of what the
/// spool may hold, and no more than what follows.
const RECENT_SHARE: u64 = 64;
const RECENT_BYTES_MAX: u64 = 2 << 20;

/// While no server takes anything it is this part of that: in an outage memory does not grow, and what waited is read from disk anyway.
const RECENT_OUTAGE_SHARE: usize = 8;

/// A segment that cannot be read at the start is put aside after so many tries.
const CATCH_UP_TRIES: u32 = 3;

/// What is put aside lies here, in the state directory.
pub(super) const QUARANTINE: &str = "quarantine";

/// See the module's documentation.
pub(super) struct Spool<F: FileSystem> {
    state_dir: PathBuf,
    bytes_max: u64,
    state: State,
    journal: JournalWriter<F>,
    /// Appended and not yet durable.
    pending: Vec<Appended>,
    /// Rows of each lane, with those.
    rows_with_pending: [u64; LANES],
    /// The newest durable records, by number without a hole.
    recent: VecDeque<SpooledRecord>,
    recent_bytes: usize,
    recent_bytes_max: usize,
    /// How often numbers were given again: what was read before may be another record than what bears its number now.
    generation: u64,
    /// The last record since the start that has a frame of each lane.
    last_in: [Option<u64>; LANES],
    lane_index: LaneIndex,
}

/// A durable record.
#[derive(Clone, Debug)]
pub(super) struct SpooledRecord {
    /// Its number in the spool.
    pub(super) number: u64,
    /// Its frames as they were spooled, with their lanes.
    pub(super) frames: Vec<(Lane, Bytes)>,
    /// When it became durable; the spool's opening for those of an earlier run.
    pub(super) spooled: Instant,
}

/// What became of the records that were put since the last commit.
#[must_use]
#[derive(Debug)]
pub(super) struct Commit {
    /// So many of them, the first ones, are durable.
    pub(super) stored: usize,
    /// Why the others are not.
    pub(super) refusal: Option<Refusal>,
}

/// What the state file is made of, taken at one moment.
pub(super) struct Image {
    state: State,
    ledger: Ledger,
}

struct Appended {
    record: SpooledRecord,
    checkpoints: Vec<Checkpoint>,
}

/// A spool, its books, and the servers that those count.
pub(super) struct Opened<F: FileSystem> {
    pub(super) spool: Spool<F>,
    pub(super) ledger: Ledger,
    pub(super) servers: Vec<KnownServer>,
}

impl<F: FileSystem> Spool<F> {
    /// Opens the spool in the state directory, or makes a new one. Reads what was spooled since the state was last written, and
    /// the last segment; not the rest.
    pub(super) fn open(file_system: F, config: &ShipConfig) -> Result<Opened<F>, StartError> {
        let directory = &config.state_dir;
        let refused = |message: String| StartError { setting: "collector.state_dir", message };
        let loaded = State::load(&file_system, directory)
            .map_err(|error| refused(format!("cannot read state.json in {}: {error}", directory.display())))?;
        let (state, mut ledger, servers) =
            loaded.unwrap_or_else(|| (State::fresh(directory), Ledger::default(), Vec::new()));
        let journal_config =
            JournalConfig { directory: directory.join("spool"), segment_bytes_max: config.segment_bytes_max() };
        let journal = JournalWriter::open(file_system, journal_config, state.spooled)
            .map_err(|error| refused(error.to_string()))?;
        let mut spool = Spool {
            state_dir: directory.clone(),
            bytes_max: config.spool_bytes_max,
            state,
            journal,
            pending: Vec::new(),
            rows_with_pending: [0; LANES],
            recent: VecDeque::new(),
            recent_bytes: 0,
            recent_bytes_max: 0,
            generation: 0,
            last_in: [None; LANES],
            lane_index: LaneIndex::default(),
        };
        spool.set_outage(false);
        let first = spool.journal.first_seq();
        let mut tries = 0;
        while let Err(error) = spool.catch_up() {
            tries += 1;
            match error.unreadable_segment() {
                None => return Err(refused(error.to_string())),
                Some(_) if tries % CATCH_UP_TRIES > 0 => {}
                Some(segment) => {
                    let file = spool.set_aside(segment).map_err(|_| refused(error.to_string()))?;
                    tracing::error!(%error, file = %file.display(), "a part of the spool that cannot be read is put aside");
                }
            }
        }
        spool.rows_with_pending = spool.state.rows;
        ledger.recover(first, spool.end());
        Ok(Opened { spool, ledger, servers })
    }

    /// Takes into account what was spooled after the state was last written.
    fn catch_up(&mut self) -> Result<(), JournalError> {
        let mut reader = self.reader(self.state.spooled, u64::MAX);
        while let Some(record) = reader.next_record()? {
            let parts = parts_of(record.payload.into());
            if parts.len() > 1 {
                self.state.parted_until = record.seq + 1;
            }
            for (lane, bytes) in parts {
                self.note_rows(lane, &bytes);
                match frame::decode(&bytes) {
                    Ok((batch, _)) => {
                        if lane != Lane::Normal && !batch.checkpoints.is_empty() {
                            self.state.parted_until = record.seq + 1;
                        }
                        self.note_checkpoints(batch.checkpoints);
                    }
                    Err(error) => tracing::error!(frame = record.seq, %error, "a frame of the spool cannot be read"),
                }
            }
            self.state.spooled = record.seq + 1;
        }
        self.state.spooled = self.state.spooled.max(self.journal.next_seq());
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

    /// How far the sources were read, as of all durable records.
    pub(super) fn checkpoints(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.state.checkpoints
    }

    /// Checkpoints and ranges as they stand on servers: those count that were made after all that this state knows of.
    /// Whether there were any.
    pub(super) fn learn_checkpoints(&mut self, from_servers: &HashMap<String, Vec<u8>>) -> bool {
        let known_until = self.state.checkpoint_order;
        let mut learnt = false;
        for (key, value) in from_servers {
            let Some((order, value)) = ordered(value).filter(|(order, _)| *order > known_until) else { continue };
            self.state.checkpoint_order = self.state.checkpoint_order.max(order);
            self.state.checkpoints.insert(key.clone(), value.to_vec());
            learnt = true;
        }
        learnt
    }

    /// From where to where a batch with these checkpoints brings its sources, for no lane yet.
    pub(super) fn ranges_to(&self, order: u64, checkpoints: &[Checkpoint]) -> Vec<StoredRange> {
        let range = |Checkpoint { key, value }: &Checkpoint| {
            let from = self.value_with_pending(key);
            let is_moved = !key.starts_with(RANGE_PREFIX) && !value.is_empty() && from != *value;
            let (source, from, to) = (key.clone(), from.to_vec(), value.clone());
            is_moved.then_some(StoredRange { lanes: 0, number: order, source, from, to })
        };
        checkpoints.iter().filter_map(range).collect()
    }

    /// How far a source was read, with what is appended and not durable yet; empty when nothing of it was.
    fn value_with_pending(&self, key: &str) -> &[u8] {
        let pending = self.pending.iter().rev().flat_map(|appended| appended.checkpoints.iter().rev());
        match pending.clone().find(|checkpoint| checkpoint.key == key) {
            Some(Checkpoint { value, .. }) => ordered(value).map_or(&[], |(_, value)| value),
            None => self.state.checkpoints.get(key).map_or(&[], Vec::as_slice),
        }
    }

    /// Behind the last record whose frames went into several lanes, or that has checkpoints in another lane than the normal one.
    pub(super) fn parted_until(&self) -> u64 {
        self.state.parted_until
    }

    /// The number behind the last durable record.
    pub(super) fn end(&self) -> u64 {
        self.state.spooled
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.journal.disk_bytes()
    }

    /// The last record spooled since the start that has a frame of this lane.
    pub(super) fn last_in(&self, lane: Lane) -> Option<u64> {
        self.last_in[lane as usize]
    }

    /// A checkpoint's next number: greater than all before, also after a restart without the state (as long as clocks go on).
    pub(super) fn next_order(&mut self) -> u64 {
        let now = u64::try_from(Timestamp::now().unix_nanos()).unwrap_or(0);
        self.state.checkpoint_order = now.max(self.state.checkpoint_order + 1);
        self.state.checkpoint_order
    }

    /// Whether batches that can be read again are about to be refused.
    pub(super) fn is_nearly_full(&self) -> bool {
        self.journal.disk_bytes() >= self.bytes_max / 100 * 70
    }

    /// Whether there is room for a batch of this lane.
    pub(super) fn has_room(&self, lane: Lane, is_replayable: bool) -> Result<(), Refusal> {
        let percent = room_percent(lane, is_replayable);
        if self.journal.disk_bytes() < self.bytes_max / 100 * percent {
            return Ok(());
        }
        Err(Refusal {
            reason: RefusalReason::DiskFull,
            message: format!(
                "the spool in {} is full ({percent} % for this): no server takes its batches, and collector.spool_bytes_max is {}",
                self.state_dir.display(),
                self.bytes_max
            ),
            retry_after: Some(Duration::from_secs(1)),
        })
    }

    /// Appends a record; durable after [`Spool::commit`]. The checkpoints are those inside of its frames.
    pub(super) fn put(
        &mut self,
        mut frames: Vec<(Lane, Vec<u8>)>,
        checkpoints: Vec<Checkpoint>,
    ) -> Result<(), Refusal> {
        let mut payload = Vec::with_capacity(frames.iter().map(|(_, bytes)| bytes.len()).sum());
        for (lane, bytes) in &mut frames {
            let rows = &mut self.rows_with_pending[*lane as usize];
            let place = StreamPlace { epoch: 0, stream: 0, lane: *lane, first_seq: *rows };
            frame::set_place(bytes, place).expect("the frame was encoded just now");
            *rows += frame::peek(bytes).map_or(0, |header| u64::from(header.rows()));
            payload.extend_from_slice(bytes);
        }
        let number = self.journal.append(1, &payload).map_err(|error| refusal(&error))?;
        drop(payload);
        let frames = frames.into_iter().map(|(lane, bytes)| (lane, bytes.into())).collect();
        let record = SpooledRecord { number, frames, spooled: Instant::now() };
        self.pending.push(Appended { record, checkpoints });
        Ok(())
    }

    /// Makes the appended records durable. When that fails, those that went to the disk with a closed segment stay; the others
    /// are lost, and their numbers are given again.
    pub(super) fn commit(&mut self) -> Commit {
        let refusal = self.journal.sync().err().map(|error| refusal(&error));
        let durable = self.journal.synced_seq();
        self.generation += u64::from(refusal.is_some());
        self.pending.retain(|appended| appended.record.number < durable);
        let stored = self.pending.len();
        for Appended { record, checkpoints } in std::mem::take(&mut self.pending) {
            self.state.spooled = record.number + 1;
            let is_usual = record.frames.iter().all(|(lane, _)| *lane == Lane::Normal) || checkpoints.is_empty();
            if record.frames.len() > 1 || !is_usual {
                self.state.parted_until = record.number + 1;
            }
            self.note_checkpoints(checkpoints);
            let lanes: Vec<Lane> = record.frames.iter().map(|(lane, _)| *lane).collect();
            self.lane_index.note(record.number, &lanes);
            for (lane, bytes) in &record.frames {
                self.note_rows(*lane, bytes);
                self.last_in[*lane as usize] = Some(record.number);
                self.recent_bytes += bytes.len();
            }
            self.recent.push_back(record);
        }
        self.rows_with_pending = self.state.rows;
        self.keep_to_memory();
        Commit { stored, refusal }
    }

    /// Says whether no server takes what is spooled.
    pub(super) fn set_outage(&mut self, is_outage: bool) {
        let most = (self.bytes_max / RECENT_SHARE).min(RECENT_BYTES_MAX) as usize;
        self.recent_bytes_max = if is_outage { most / RECENT_OUTAGE_SHARE } else { most };
        self.keep_to_memory();
    }

    fn keep_to_memory(&mut self) {
        while self.recent_bytes > self.recent_bytes_max && self.recent.len() > 1 {
            self.forget_oldest();
        }
    }

    /// The record of this number, if it is still in memory.
    pub(super) fn recent(&self, number: u64) -> Option<&SpooledRecord> {
        let first = self.recent.front()?.number;
        let at = usize::try_from(number.checked_sub(first)?).ok()?;
        self.recent.get(at)
    }

    /// What was read from the spool under another of these must be read again.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Reads the records of these numbers, and may read on; records that are spooled later may be missing.
    pub(super) fn reader(&self, from: u64, end: u64) -> JournalReader<F> {
        self.journal.reader(from, end)
    }

    /// Durable records were read, with frames of these lanes.
    pub(super) fn note_lanes(&mut self, records: &[(u64, Vec<Lane>)]) {
        records.iter().for_each(|(number, lanes)| self.lane_index.note(*number, lanes));
    }

    /// The first record from this number on that may have a frame of the lane.
    pub(super) fn first_possible(&self, lane: Lane, from: u64) -> u64 {
        self.lane_index.first_possible(lane, from)
    }

    /// The records below `number` are dealt with, and the written state says so.
    pub(super) fn remove_below(&mut self, number: u64) -> Result<(), JournalError> {
        self.forget_below(number);
        self.lane_index.forget_below(number);
        if self.holds_nothing_but_room(number) {
            self.journal.rotate()?;
        }
        self.journal.remove_below(number)
    }

    /// Whether all is dealt with, and yet the last segment takes so much that nothing new might be let in.
    fn holds_nothing_but_room(&self, number: u64) -> bool {
        number >= self.journal.next_seq() && self.journal.disk_bytes() > self.bytes_max / 4
    }

    /// Puts a segment that cannot be read aside, for a person to look at; returns where. Its records are missing from now on.
    pub(super) fn set_aside(&mut self, segment: &Path) -> Result<PathBuf, JournalError> {
        self.generation += 1;
        self.journal.set_aside(segment, &self.state_dir.join(QUARANTINE))
    }

    /// Whether whole segments would be removed below `number`.
    pub(super) fn can_remove_below(&self, number: u64) -> bool {
        self.journal.can_remove_below(number) || self.holds_nothing_but_room(number)
    }

    /// The records below are not asked for any more.
    pub(super) fn forget_below(&mut self, number: u64) {
        while self.recent.front().is_some_and(|record| record.number < number) {
            self.forget_oldest();
        }
    }

    /// All streams start anew: what servers say of them means others.
    pub(super) fn open_epoch(&mut self) {
        self.state.epoch = random_bits();
    }

    /// What is to be written into the state file.
    pub(super) fn image(&self, ledger: &Ledger) -> Image {
        Image { state: self.state.clone(), ledger: ledger.clone() }
    }

    fn note_rows(&mut self, lane: Lane, frame: &[u8]) {
        if let Ok(header) = frame::peek(frame) {
            let before = header.place.map_or(0, |place| place.first_seq);
            self.state.rows[lane as usize] = before + u64::from(header.rows());
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(record) = self.recent.pop_front() {
            self.recent_bytes -= record.frames.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        }
    }

    fn note_checkpoints(&mut self, news: Vec<Checkpoint>) {
        for Checkpoint { key, value } in news {
            // Those of this agent's own batches are for servers.
            if ordered(&value).is_some_and(|(order, value)| is_own_range(&key, order, value)) {
                continue;
            }
            match ordered(&value) {
                Some((order, value)) => {
                    self.state.checkpoint_order = self.state.checkpoint_order.max(order);
                    self.state.checkpoints.insert(key, value.to_vec());
                }
                None => {
                    self.state.checkpoints.remove(&key);
                    let is_of_it = |range: &str, value: &[u8]| {
                        StoredRange::read(range, value).is_some_and(|range| range.source == key)
                    };
                    // Sources that are gone are few, and ranges are fewer: only after a state was lost are there any.
                    if self.state.checkpoints.range(RANGE_PREFIX.to_owned()..).next().is_some() {
                        self.state.checkpoints.retain(|range, value| !is_of_it(range, value));
                    }
                }
            }
        }
    }
}

impl Image {
    /// Writes the state file, durably. `servers` are those that the ledger counts.
    pub(super) fn save<F: FileSystem>(
        &self,
        servers: &[KnownServer],
        file_system: &F,
        directory: &Path,
    ) -> io::Result<()> {
        self.state.save(&self.ledger, servers, file_system, directory)
    }
}

/// The frames of a record, with their lanes, as far as they can be told apart.
pub(super) fn parts_of(mut payload: Bytes) -> Vec<(Lane, Bytes)> {
    let mut parts = Vec::with_capacity(1);
    while !payload.is_empty() {
        let Ok(header) = frame::peek(&payload) else { break };
        if header.frame_bytes() > payload.len() {
            break;
        }
        let lane = header.place.map_or(Lane::Normal, |place| place.lane);
        parts.push((lane, payload.split_to(header.frame_bytes())));
    }
    parts
}

/// A checkpoint as it travels: the order in which it was made, 8 bytes, big-endian, and the source's own value. A removed one is
/// empty.
pub(super) fn with_order(checkpoint: &mut Checkpoint, order: u64) {
    if !checkpoint.value.is_empty() {
        checkpoint.value.splice(0..0, order.to_be_bytes());
    }
}

/// Adds what a server has to what others have: of each checkpoint what was made last, as they travel.
pub(super) fn keep_newest(heard: &mut HashMap<String, Vec<u8>>, of_server: Vec<Checkpoint>) {
    let order = |value: &[u8]| ordered(value).map(|(order, _)| order);
    for Checkpoint { key, value } in of_server {
        let known = heard.entry(key).or_default();
        if order(&value) > order(known) {
            *known = value;
        }
    }
}

fn ordered(value: &[u8]) -> Option<(u64, &[u8])> {
    let (order, value) = value.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*order), value)).filter(|(_, value)| !value.is_empty())
}

/// Whether it says of the batch that it travels in how far that reaches, or ends what others said.
fn is_own_range(key: &str, order: u64, value: &[u8]) -> bool {
    key == RANGE_PREFIX || StoredRange::read(key, value).is_some_and(|range| range.number == order)
}

fn refusal(error: &JournalError) -> Refusal {
    let reason = match error {
        JournalError::RecordTooLarge { .. } => RefusalReason::BatchTooLarge,
        error if error.is_disk_full() => RefusalReason::DiskFull,
        _ => RefusalReason::WriteFailed,
    };
    let retry_after = (reason != RefusalReason::BatchTooLarge).then_some(Duration::from_secs(1));
    Refusal { reason, message: format!("collector.state_dir: {error}"), retry_after }
}
