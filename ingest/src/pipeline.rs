//! The way of a batch, and the threads that carry it:
//!
//! ```text
//! outlet ─► encoder ─► writer ─► heads, live feed, receipts
//!           times,      place,      │
//!           errors,     journal     └─► sealer ─► splits, blocks, catalog; retention
//!           frame                                   └─► compactor: splits from splits
//! ```
//!
//! All channels are bounded, so that a slow disk slows the senders. Opening is in [`startup`](crate::startup).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::Serialize;
use taffrail_collector::delivery::{Delivery, Outlet};
use taffrail_collector::file_system::RealFileSystem;
use taffrail_collector::frame::{self, EncodeError};
use taffrail_collector::model::{AgentId, Batch, Checkpoint, Timestamp};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::admission::{Limits, adjust_times, batch_bytes};
use crate::catalog::{Catalog, StreamMark};
use crate::compaction::{Compaction, CompactionBudget, CompactionStatus};
use crate::error_group;
use crate::live_feed::LiveFeed;
use crate::log_store::{FilterError, LogStore, RetentionRule, RetentionRules};
use crate::retention::Retention;
use crate::series_deletion::SelectorParser;
use crate::series_store::{LimitedWindows, SeriesLimits, SeriesRetention, SeriesStore};
use crate::write_ahead::{Command, Prepared, Shared};

/// Checked settings of the store.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// Everything durable lies below this directory.
    pub data_dir: PathBuf,
    /// The heads are sealed at this many log records …
    pub seal_rows: usize,
    /// … or this many bytes of them and of metric windows …
    pub seal_bytes: usize,
    /// … or this long after its first row.
    pub seal_age: Duration,
    /// Bytes the heads may hold, those being sealed included, before batches are refused.
    pub memory_bytes_max: usize,
    /// Log records older than this are removed; none keeps them for ever.
    pub retention_age: Option<Duration>,
    /// Log records that a rule matches are kept for that rule's time instead: the first that matches decides.
    pub retention_rules: Vec<RetentionRule>,
    /// How long metric windows are kept.
    pub series_retention: SeriesRetention,
    /// The oldest data is removed while more than this is on disk; none has no limit.
    pub retention_bytes: Option<u64>,
    /// Reads selectors of series, which deletions are written down as.
    pub parse_selector: SelectorParser,
    /// How many metric series there may be.
    pub series_limits: SeriesLimits,
    /// What the compaction of log splits may take of the machine.
    pub compaction: CompactionBudget,
    /// Free bytes below which batches are refused (507) so that queries and the system go on.
    pub disk_reserve_bytes: u64,
    /// Records later than now by more than this get their arrival time (the time they claim is kept as an attribute).
    pub future_max: Duration,
}

/// The store, open. Dropping it without [`Ingest::shutdown`] is like a crash: nothing acknowledged is lost.
pub struct Ingest {
    pub(crate) outlet: Outlet,
    pub(crate) shared: Shared,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) retention: Arc<ArcSwap<Retention>>,
    pub(crate) compaction: Arc<Compaction>,
    pub(crate) parse_selector: SelectorParser,
    /// Held while a deletion is written down and comes into force.
    pub(crate) deleting: Mutex<()>,
    pub(crate) replayed: Replayed,
    pub(crate) commands: SyncSender<Command>,
    pub(crate) threads: Mutex<Option<Threads>>,
    /// Held for as long as the store is open: two processes on one directory would destroy it.
    pub(crate) _lock: std::fs::File,
}

/// What the replay at start met.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Replayed {
    pub(crate) rows: u64,
    pub(crate) damaged: u64,
}

/// The pipeline's threads and what stops them.
pub(crate) struct Threads {
    /// Tells the encoder to take no more.
    pub(crate) closing: CancellationToken,
    /// Tells the sealer to stop half way.
    pub(crate) abandon: Arc<AtomicBool>,
    pub(crate) encoder: JoinHandle<()>,
    pub(crate) writer: JoinHandle<()>,
    pub(crate) sealer: JoinHandle<()>,
    pub(crate) compactor: JoinHandle<()>,
    pub(crate) compaction: Arc<Compaction>,
}

/// Why the store could not be opened, or its heads not sealed; the message names the setting.
#[derive(Clone, Debug, Error)]
#[error("{0}")]
pub struct OpenError(pub String);

/// What a seal wrote.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct SealReport {
    /// Log records sealed.
    pub log_rows: u64,
    /// Metric windows sealed.
    pub samples: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// The store's condition, for `/api/v1/ingest`, the Home page and metrics.
#[derive(Clone, Debug, Default, Serialize)]
pub struct IngestStatus {
    /// Log records taken since start.
    pub log_records: u64,
    /// Metric windows taken since start.
    pub samples: u64,
    /// Batches taken since start.
    pub batches: u64,
    /// Batches recognised as resends.
    pub duplicate_batches: u64,
    /// Refused batches by reason.
    pub refused: std::collections::BTreeMap<&'static str, u64>,
    /// Records whose time was replaced because it lay too far in the future, or dropped as too old, … by reason.
    pub adjusted: std::collections::BTreeMap<&'static str, u64>,
    /// Rows in memory.
    pub head_rows: u64,
    /// Their bytes.
    pub head_bytes: u64,
    /// Splits on disk.
    pub splits: u64,
    /// Rows in them.
    pub split_rows: u64,
    /// Their bytes.
    pub split_bytes: u64,
    /// Services whose log lines have no templates or no common attributes, and how they are kept instead: they take more room.
    pub stepped_down: std::collections::BTreeMap<String, String>,
    /// Deletions whose records may still take room on the disk, all of them hidden.
    pub deletions_pending: u64,
    /// Deletions of series whose windows may still take room on the disk, all of them hidden.
    pub series_deletions_pending: u64,
    /// What the compaction of splits has done since the start.
    pub compaction: CompactionStatus,
    /// Series known: of each metric the most that one block or the head holds.
    pub series: u64,
    /// Series that have windows in memory.
    pub head_series: u64,
    /// Series that are known without a look at blocks.
    pub known_series: u64,
    /// Bytes of memory that knowing them takes.
    pub known_series_bytes: u64,
    /// Windows whose series had no room, by limit: those joined to overflow series, and those dropped.
    pub series_limited: std::collections::BTreeMap<&'static str, LimitedWindows>,
    /// Series blocks on disk.
    pub blocks: u64,
    /// Their bytes.
    pub block_bytes: u64,
    /// Journal bytes on disk.
    pub journal_bytes: u64,
    /// Damaged journal stretches met at start.
    pub journal_damaged: u64,
    /// Rows replayed from the journal at start.
    pub replayed_rows: u64,
    /// The next row's sequence number.
    pub next_seq: u64,
    /// Free bytes on the data directory's disk.
    pub disk_free_bytes: u64,
}

impl IngestConfig {
    pub(crate) fn retention(&self) -> Retention {
        let rules = RetentionRules { rules: self.retention_rules.clone(), keep_rest: self.retention_age };
        Retention {
            rules,
            series: Arc::new(self.series_retention.clone()),
            rolls_up: self.compaction.merges(),
            bytes: self.retention_bytes,
        }
    }
}

impl Ingest {
    /// Opens or creates the store below `config.data_dir`, replays the journal, starts the pipeline's threads.
    /// `progress` is told (done, total) bytes of the replay.
    pub fn open(config: IngestConfig, progress: &mut dyn FnMut(u64, u64)) -> Result<Ingest, OpenError> {
        crate::startup::open(config, RealFileSystem, progress)
    }

    /// Where batches go in.
    pub fn outlet(&self) -> &Outlet {
        &self.outlet
    }

    /// The log store.
    pub fn logs(&self) -> &Arc<LogStore> {
        &self.shared.logs
    }

    /// The series store.
    pub fn series(&self) -> &Arc<SeriesStore> {
        &self.shared.series
    }

    /// Small durable documents and the list of splits and blocks.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Keeps data by these rules and this size from now on: what has expired by them is hidden at once and leaves the disk
    /// later. What has left it does not come back when data is kept longer again.
    pub fn set_retention(&self, rules: RetentionRules, bytes: Option<u64>) -> Result<(), FilterError> {
        self.shared.logs.change_masks(|masks, _| masks.with_rules(&rules))?;
        self.retention.rcu(|at_work| Retention { rules: rules.clone(), bytes, ..Retention::clone(at_work) });
        self.compaction.wake();
        Ok(())
    }

    /// Keeps metric windows by these rules from now on, in the same way.
    pub fn set_series_retention(&self, retention: SeriesRetention) {
        let series = Arc::new(retention);
        self.shared.series.set_retention(series.clone());
        self.retention.rcu(|at_work| Retention { series: series.clone(), ..Retention::clone(at_work) });
        self.compaction.wake();
    }

    /// Limits how many metric series are known, from now on.
    pub fn set_series_limits(&self, limits: SeriesLimits) {
        self.shared.series.set_limits(limits);
    }

    /// Durable records as they come.
    pub fn live_feed(&self) -> &LiveFeed {
        &self.shared.feed
    }

    /// The number that the next row gets: no row has it or a later one yet.
    pub fn next_seq(&self) -> u64 {
        self.shared.counters.next_seq.load(Relaxed)
    }

    /// How far the agent's sources were read: the truth from which they go on.
    pub fn checkpoints(&self, agent: AgentId) -> Vec<Checkpoint> {
        self.shared.marks.lock().checkpoints(agent)
    }

    /// The agent's streams and their last durable sequence numbers.
    pub fn streams(&self, agent: AgentId) -> Vec<StreamMark> {
        self.shared.marks.lock().streams(agent)
    }

    /// Counts and sizes now.
    pub fn status(&self) -> IngestStatus {
        let counters = &self.shared.counters;
        let logs = self.shared.logs.size();
        let series = self.shared.series.sizes();
        let limited = self.shared.series.limited_windows();
        IngestStatus {
            log_records: counters.log_records.load(Relaxed),
            samples: counters.samples.load(Relaxed),
            batches: counters.batches.load(Relaxed),
            duplicate_batches: counters.duplicate_batches.load(Relaxed),
            refused: counters.refused(),
            adjusted: counters.adjusted(),
            head_rows: (logs.head.rows + logs.sealing.rows) as u64 + series.head_samples,
            head_bytes: (logs.head.bytes + logs.sealing.bytes) as u64 + series.head_bytes,
            splits: logs.splits as u64,
            split_rows: logs.split_rows,
            split_bytes: logs.split_bytes,
            stepped_down: self.shared.logs.stepped_down(),
            deletions_pending: self.shared.logs.masks().deletions().count() as u64,
            series_deletions_pending: self.shared.series.pending_deletions().len() as u64,
            compaction: self.compaction.status(),
            series: self.shared.series.metrics("", usize::MAX).iter().map(|metric| metric.series).sum(),
            head_series: series.head_series,
            known_series: series.known_series,
            known_series_bytes: series.known_bytes,
            series_limited: limited.into_iter().map(|(by, windows)| (by.name(), windows)).collect(),
            blocks: series.blocks,
            block_bytes: series.block_bytes,
            journal_bytes: counters.journal_bytes.load(Relaxed),
            journal_damaged: self.replayed.damaged,
            replayed_rows: self.replayed.rows,
            next_seq: counters.next_seq.load(Relaxed),
            disk_free_bytes: self.shared.disk.free_bytes(),
        }
    }

    /// Seals the heads and returns once what was durable at the call lies in splits and blocks. Cancel-safe: the seal goes on.
    pub async fn seal(&self) -> Result<SealReport, OpenError> {
        let stopped = || OpenError("the store has stopped".to_owned());
        let (answer, done) = oneshot::channel();
        let commands = self.commands.clone();
        // The writer's channel may be full for as long as an fsync takes.
        let handed_over = tokio::task::spawn_blocking(move || commands.send(Command::Seal(answer)).is_ok());
        if !handed_over.await.unwrap_or(false) {
            return Err(stopped());
        }
        done.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Takes no more, makes everything taken durable, stops the threads.
    pub async fn shutdown(&self) {
        let Some(threads) = self.threads.lock().take() else { return };
        let feed = self.shared.feed.clone();
        threads.abandon.store(true, Relaxed);
        let joined = tokio::task::spawn_blocking(move || threads.join());
        if joined.await.is_err() {
            tracing::error!("a thread of the store panicked");
        }
        feed.close();
    }
}

/// As if the process had died: what was not answered may be lost.
impl Drop for Ingest {
    fn drop(&mut self) {
        let Some(threads) = self.threads.get_mut().take() else { return };
        self.shared.crashed.store(true, Relaxed);
        // Only to wake the writer; when its channel is full it is awake.
        let _ = self.commands.try_send(Command::Stop);
        threads.abandon.store(true, Relaxed);
        threads.join();
        self.shared.feed.close();
    }
}

impl Threads {
    fn join(self) {
        self.closing.cancel();
        self.compaction.hurry();
        for thread in [self.encoder, self.writer, self.sealer, self.compactor] {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked; what it held stays in the journal");
            }
        }
    }
}

/// How long a batch waits for the seal that makes room for it. After that it is refused: its sender may have given up.
const SEAL_WAIT_MAX: Duration = Duration::from_secs(5);
/// How often a waiting batch looks again.
const SEAL_LOOK: Duration = Duration::from_millis(5);

/// The encoder: replaces impossible times and makes frames, ahead of the writer, so that neither waits for the other. Holds
/// the senders back while memory is full and a seal is under way. Ends when `closing` is cancelled and everything taken was handed on.
pub(crate) async fn encode_ahead(
    mut deliveries: mpsc::Receiver<Delivery>,
    commands: SyncSender<Command>,
    limits: Limits,
    closing: CancellationToken,
    shared: Shared,
) {
    loop {
        let delivery = tokio::select! {
            biased;
            () = closing.cancelled(), if !deliveries.is_closed() => {
                deliveries.close();
                continue;
            }
            delivery = deliveries.recv() => delivery,
        };
        let Some(Delivery { mut batch, receipt, .. }) = delivery else { break };
        if shared.crashed.load(Relaxed) {
            return;
        }
        let adjusted = adjust_times(&mut batch, &limits, Timestamp::now());
        batch.logs.iter_mut().for_each(error_group::mark);
        let frame = journal_frame(&batch);
        let bytes = batch_bytes(&batch);
        // This thread has nothing else to do: waiting here is what slows the senders.
        let waits_until = Instant::now() + SEAL_WAIT_MAX;
        while shared.awaits_seal(bytes, &limits)
            && !closing.is_cancelled()
            && !shared.crashed.load(Relaxed)
            && Instant::now() < waits_until
        {
            std::thread::sleep(SEAL_LOOK);
        }
        shared.queued_bytes.fetch_add(bytes, Relaxed);
        let prepared = Box::new(Prepared { batch, receipt, frame, bytes, adjusted });
        if commands.send(Command::Batch(prepared)).is_err() {
            return;
        }
    }
    let _ = commands.send(Command::Stop);
}

/// The batch as the journal keeps it. Log lines are compressed, because what is fsynced costs more than the zstd; columns of
/// samples are as small without.
pub(crate) fn journal_frame(batch: &Batch) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    let encode = if batch.logs.is_empty() { frame::encode_plain } else { frame::encode };
    encode(batch, &mut bytes).map(|()| bytes)
}
