//! The journal's writer: one thread that judges each batch's place, appends what is new, and answers after the fsync.
//!
//! Group commit: whatever waits when an fsync is over shares the next one; a batch that comes alone is not kept waiting.
//! After the fsync the group's rows enter the heads and the live feed in order, and only then its senders are answered:
//! who was answered can search what he sent. The encoder works ahead of this thread ([`pipeline`](crate::pipeline)); a batch
//! is encoded here only when its beginning is stored already and has to be left out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use taffrail_collector::crash_point::crash_point;
use taffrail_collector::delivery::{Outcome, Receipt, Refusal};
use taffrail_collector::file_system::FileSystem;
use taffrail_collector::frame::EncodeError;
use taffrail_collector::journal::{JournalError, JournalWriter};
use taffrail_collector::model::Batch;
use tokio::sync::oneshot;

use crate::admission::{self, DiskSpace, Limits};
use crate::counters::Counters;
use crate::live_feed::LiveFeed;
use crate::log_store::LogStore;
use crate::log_store::head::Chunk;
use crate::pipeline::{OpenError, SealReport, journal_frame};
use crate::sealer::SealJob;
use crate::series_store::SeriesStore;
use crate::stream_marks::{StreamKey, StreamMarks, Verdict, trim};

/// A group takes no further batch once it has this many bytes of frames: by then the fsync's fixed cost is small.
const GROUP_BYTES: usize = 4 << 20;
/// Nor after it has been collected for this long.
const GROUP_TIME: Duration = Duration::from_millis(5);
/// How often an idle writer looks whether the head has become old.
const IDLE: Duration = Duration::from_millis(250);

/// What the writer is asked to do.
pub enum Command {
    /// Store a batch.
    Batch(Box<Prepared>),
    /// Seal what is stored, and answer.
    Seal(oneshot::Sender<Result<SealReport, OpenError>>),
    /// The sealer has made an attempt.
    Sealed(Result<SealReport, String>),
    /// Everything was handed over: end.
    Stop,
}

/// A batch, encoded ahead.
pub struct Prepared {
    /// The batch.
    pub batch: Batch,
    /// Where to answer.
    pub receipt: Receipt,
    /// Its frame.
    pub frame: Result<Vec<u8>, EncodeError>,
    /// Bytes it takes in memory.
    pub bytes: usize,
    /// What was changed in it.
    pub adjusted: admission::Adjusted,
}

/// When a head is sealed without being asked.
#[derive(Clone, Debug)]
pub struct SealTriggers {
    /// At this many log records …
    pub rows: usize,
    /// … or this many bytes …
    pub bytes: usize,
    /// … or this long after the first.
    pub age: Duration,
}

/// What the writer shares with the rest of the store.
#[derive(Clone)]
pub struct Shared {
    /// Log records.
    pub logs: Arc<LogStore>,
    /// Metric windows.
    pub series: Arc<SeriesStore>,
    /// Live tail.
    pub feed: LiveFeed,
    /// Marks and checkpoints of what is stored.
    pub marks: Arc<Mutex<StreamMarks>>,
    /// Counters.
    pub counters: Arc<Counters>,
    /// The disk.
    pub disk: Arc<DiskSpace>,
    /// Bytes of the batches that are on their way to the writer.
    pub queued_bytes: Arc<AtomicUsize>,
    /// Set when everything is to stop as if the process had died.
    pub crashed: Arc<AtomicBool>,
}

/// The writer's state.
pub struct Writer<F: FileSystem> {
    journal: JournalWriter<F>,
    shared: Shared,
    limits: Limits,
    triggers: SealTriggers,
    sealer: SyncSender<SealJob>,
    unsealed: Unsealed,
    sealing: Option<u64>,
    /// Who waits for the seal under way.
    waiting: Vec<oneshot::Sender<Result<SealReport, OpenError>>>,
    /// Who waits for one that begins after it.
    waiting_for_next: Vec<oneshot::Sender<Result<SealReport, OpenError>>>,
}

/// What entered the heads since the last seal began. How many bytes the windows take the series store knows itself: that is
/// little once a series is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unsealed {
    /// Log records.
    pub rows: usize,
    /// Their bytes in memory.
    pub bytes: usize,
    /// When the first came.
    pub since: Option<Instant>,
}

impl Unsealed {
    /// Counts a batch (of checkpoints only, perhaps).
    pub fn add(&mut self, batch: &Batch) {
        self.rows += batch.logs.len();
        self.bytes += admission::log_bytes(batch);
        self.since.get_or_insert_with(Instant::now);
    }
}

/// A batch whose answer waits for the fsync.
struct Waiting {
    receipt: Receipt,
    kind: WaitingKind,
}

enum WaitingKind {
    Append {
        seq: u64,
        batch: Batch,
        bytes: usize,
        adjusted: admission::Adjusted,
        /// What takes the mark back.
        undo: Option<(StreamKey, Option<u64>)>,
        /// The stream's mark after this batch.
        acked_through: Option<u64>,
    },
    /// Stored before, perhaps by this very group.
    Duplicate { acked_through: u64 },
}

impl<F: FileSystem> Writer<F> {
    /// A writer that goes on where the journal ends.
    pub fn new(
        journal: JournalWriter<F>,
        shared: Shared,
        limits: Limits,
        triggers: SealTriggers,
        sealer: SyncSender<SealJob>,
        unsealed: Unsealed,
    ) -> Writer<F> {
        let writer = Writer {
            journal,
            shared,
            limits,
            triggers,
            sealer,
            unsealed,
            sealing: None,
            waiting: Vec::new(),
            waiting_for_next: Vec::new(),
        };
        writer.publish_journal_state();
        writer
    }

    /// Works until told to stop (or until everybody who could tell it has gone).
    pub fn run(mut self, commands: &Receiver<Command>) {
        loop {
            let mut command = match commands.recv_timeout(IDLE) {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut group = Vec::new();
            if let Some(Command::Batch(first)) = command {
                command = self.collect(*first, commands, &mut group);
            }
            if self.shared.crashed.load(Relaxed) {
                return;
            }
            self.commit(group);
            match command {
                Some(Command::Batch(_)) | None => {}
                Some(Command::Seal(answer)) => self.seal_asked(answer),
                Some(Command::Sealed(result)) => self.sealed(result),
                Some(Command::Stop) => return,
            }
            self.seal_when_due();
        }
    }

    /// Takes what waits, up to a group's size; returns the command that ended it, if one did.
    fn collect(&self, first: Prepared, commands: &Receiver<Command>, group: &mut Vec<Prepared>) -> Option<Command> {
        let started = Instant::now();
        let mut bytes = first.frame.as_ref().map_or(0, Vec::len);
        group.push(first);
        while bytes < GROUP_BYTES && started.elapsed() < GROUP_TIME {
            match commands.try_recv() {
                Ok(Command::Batch(next)) => {
                    bytes += next.frame.as_ref().map_or(0, Vec::len);
                    group.push(*next);
                }
                Ok(other) => return Some(other),
                Err(_) => return None,
            }
        }
        None
    }

    fn commit(&mut self, group: Vec<Prepared>) {
        if group.is_empty() {
            return;
        }
        let shared = self.shared.clone();
        let mut waiting = Vec::with_capacity(group.len());
        {
            // Held until the fsync has told what stands: nobody may see marks that could be taken back.
            let mut marks = shared.marks.lock();
            let mut held = self.held_bytes();
            for prepared in group {
                if let Some(entry) = self.append(prepared, &mut marks, held) {
                    held += entry.bytes();
                    waiting.push(entry);
                }
            }
            crash_point("store:before_sync");
            if let Err(error) = self.journal.sync() {
                tracing::error!(%error, "batches were refused");
                waiting = self.refuse_lost(waiting, &error, &mut marks);
            }
            for entry in &mut waiting {
                if let WaitingKind::Append { batch, .. } = &mut entry.kind {
                    marks.note_checkpoints(batch.agent, std::mem::take(&mut batch.checkpoints));
                }
            }
        }
        crash_point("store:after_sync");
        let answers: Vec<(Receipt, Outcome)> =
            waiting.into_iter().map(|Waiting { receipt, kind }| (receipt, self.enter(kind))).collect();
        self.publish_journal_state();
        crash_point("store:before_receipt");
        answers.into_iter().for_each(|(receipt, outcome)| receipt.answer(outcome));
    }

    /// Judges the batch and appends what is new of it. Answers at once what will not be stored.
    fn append(&mut self, prepared: Prepared, marks: &mut StreamMarks, held: usize) -> Option<Waiting> {
        let Prepared { mut batch, receipt, mut frame, mut bytes, adjusted } = prepared;
        self.shared.queued_bytes.fetch_sub(bytes, Relaxed);
        match marks.judge(&batch) {
            Verdict::Next => {}
            Verdict::Overlap { stored } => {
                trim(&mut batch, stored);
                bytes = admission::batch_bytes(&batch);
                frame = journal_frame(&batch);
            }
            Verdict::Duplicate { acked_through } => {
                return Some(Waiting { receipt, kind: WaitingKind::Duplicate { acked_through } });
            }
            Verdict::Gap { expected } => {
                receipt.answer(Outcome::Gap { expected });
                return None;
            }
        }
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return self.refuse(receipt, admission::too_large(&error)),
        };
        // A batch that is larger than all of the memory still gets in when it is alone.
        if held > 0 && held + bytes > self.limits.memory_bytes_max {
            return self.refuse(receipt, admission::overloaded(held, bytes, &self.limits));
        }
        let free = self.shared.disk.free_bytes();
        if free < self.limits.disk_reserve_bytes {
            return self.refuse(receipt, admission::disk_reserve_reached(free, &self.limits));
        }
        match self.journal.append(batch.len() as u32, &frame) {
            Ok(seq) => {
                let undo = marks.advance(&batch);
                let acked_through = marks.acked_through(&batch);
                let kind = WaitingKind::Append { seq, batch, bytes, adjusted, undo, acked_through };
                Some(Waiting { receipt, kind })
            }
            Err(error) => self.refuse(receipt, admission::not_written(&error)),
        }
    }

    /// Refuses what did not become durable, and takes its marks back, the last first.
    fn refuse_lost(&self, waiting: Vec<Waiting>, error: &JournalError, marks: &mut StreamMarks) -> Vec<Waiting> {
        let lost_from = match error {
            JournalError::Lost { lost_from, .. } => *lost_from,
            _ => self.journal.synced_seq(),
        };
        let mut durable = Vec::new();
        for Waiting { receipt, kind } in waiting.into_iter().rev() {
            match kind {
                WaitingKind::Append { seq, .. } if seq < lost_from => durable.push(Waiting { receipt, kind }),
                WaitingKind::Append { undo, .. } => {
                    undo.into_iter().for_each(|undo| marks.take_back(undo));
                    self.refuse(receipt, admission::not_written(error));
                }
                // What it repeats may be among what was lost.
                WaitingKind::Duplicate { .. } => {
                    self.refuse(receipt, admission::not_written(error));
                }
            }
        }
        durable.reverse();
        durable
    }

    /// Makes durable rows searchable and says what to answer.
    fn enter(&mut self, kind: WaitingKind) -> Outcome {
        let counters = &self.shared.counters;
        match kind {
            WaitingKind::Duplicate { acked_through } => {
                counters.duplicate_batches.fetch_add(1, Relaxed);
                Outcome::Duplicate { acked_through }
            }
            WaitingKind::Append { seq, batch, adjusted, acked_through, .. } => {
                counters.take(batch.logs.len(), batch.samples.len());
                counters.adjust(adjusted);
                self.unsealed.add(&batch);
                self.shared.enter(seq, batch);
                Outcome::Stored { acked_through }
            }
        }
    }

    fn refuse(&self, receipt: Receipt, refusal: Refusal) -> Option<Waiting> {
        self.shared.counters.refuse(refusal.reason);
        receipt.answer(Outcome::Refused(refusal));
        None
    }

    /// Bytes in memory, those being sealed included.
    fn held_bytes(&self) -> usize {
        self.shared.held_bytes()
    }

    fn publish_journal_state(&self) {
        self.shared.counters.next_seq.store(self.journal.next_seq(), Relaxed);
        self.shared.counters.journal_bytes.store(self.journal.disk_bytes(), Relaxed);
    }

    fn seal_when_due(&mut self) {
        let Unsealed { rows, bytes, since } = self.unsealed;
        let bytes = bytes.saturating_add(self.shared.series.unsealed_bytes());
        let due = rows >= self.triggers.rows
            || (since.is_some() && bytes >= self.triggers.bytes.min(self.limits.memory_bytes_max / 2))
            || since.is_some_and(|since| since.elapsed() >= self.triggers.age)
            || !self.waiting_for_next.is_empty();
        if due && self.sealing.is_none() {
            self.start_seal();
        }
    }

    fn seal_asked(&mut self, answer: oneshot::Sender<Result<SealReport, OpenError>>) {
        match (self.unsealed.since, self.sealing) {
            (None, None) => {
                // Everything is sealed already; whoever asks wants it off the journal too.
                self.rotate_journal();
                self.empty_journal(self.journal.next_seq());
                let _ = answer.send(Ok(SealReport::default()));
            }
            (None, Some(_)) => {
                self.rotate_journal();
                self.waiting.push(answer);
            }
            (Some(_), _) => self.waiting_for_next.push(answer),
        }
    }

    /// Sets everything stored so far aside. Between two groups nothing is half way.
    fn start_seal(&mut self) {
        self.waiting.append(&mut self.waiting_for_next);
        if !self.waiting.is_empty() {
            self.rotate_journal();
        }
        self.unsealed = Unsealed::default();
        self.shared.series.freeze();
        let through = self.journal.next_seq();
        let job =
            SealJob { head: self.shared.logs.start_seal(), changes: self.shared.marks.lock().take_changes(), through };
        self.sealing = Some(through);
        if self.sealer.try_send(job).is_err() {
            // The sealer has stopped, with the store: the journal keeps what it would have sealed.
            self.waiting.clear();
        }
    }

    /// After a seal that was asked for nothing of what it sealed is left in the journal: the last segment is never removed, so
    /// what comes next goes to a new one.
    fn rotate_journal(&mut self) {
        if let Err(error) = self.journal.rotate() {
            tracing::warn!(%error, "the journal's last segment stays until the next seal");
        }
    }

    fn empty_journal(&mut self, through: u64) {
        if let Err(error) = self.journal.remove_below(through) {
            tracing::warn!(%error, "a sealed journal segment could not be removed");
        }
    }

    fn sealed(&mut self, result: Result<SealReport, String>) {
        match result {
            Ok(report) => {
                if let Some(through) = self.sealing.take() {
                    crash_point("seal:before_journal");
                    self.empty_journal(through);
                    crash_point("seal:after_journal");
                }
                self.publish_journal_state();
                self.waiting.drain(..).for_each(|answer| drop(answer.send(Ok(report))));
            }
            // The sealer tries again by itself; who waits is told.
            Err(message) => {
                self.waiting.drain(..).for_each(|answer| drop(answer.send(Err(OpenError(message.clone())))));
            }
        }
    }
}

impl Shared {
    /// Makes the rows of a durable batch searchable, the first of them under number `seq`.
    pub fn enter(&self, seq: u64, batch: Batch) {
        if let Some(chunk) = Chunk::new(seq, batch.logs) {
            let chunk = Arc::new(chunk);
            self.logs.append(chunk.clone());
            self.feed.push(chunk);
        }
        if !batch.samples.is_empty() {
            self.series.insert(batch.samples);
        }
    }

    /// Whether a batch of so many bytes finds no room yet, but will once the seal that is under way has freed some.
    pub fn awaits_seal(&self, bytes: usize, limits: &Limits) -> bool {
        let is_sealing = self.logs.head_sizes().1.rows > 0 || self.series.is_sealing();
        let held = self.held_bytes().saturating_add(self.queued_bytes.load(Relaxed));
        is_sealing && held.saturating_add(bytes) > limits.memory_bytes_max
    }

    /// Bytes that the heads hold, those being sealed included.
    pub fn held_bytes(&self) -> usize {
        let logs = self.logs.head_sizes();
        let series = usize::try_from(self.series.sizes().head_bytes).unwrap_or(usize::MAX);
        logs.0.bytes + logs.1.bytes + series
    }
}

impl Waiting {
    fn bytes(&self) -> usize {
        match &self.kind {
            WaitingKind::Append { bytes, .. } => *bytes,
            WaitingKind::Duplicate { .. } => 0,
        }
    }
}
