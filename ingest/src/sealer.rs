//! Sealing in the background: the head that was set aside becomes a split and blocks, and the catalog learns of them, of the
//! stream marks and of the checkpoints in one transaction. Only then do readers change over, and the journal may forget.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use thiserror::Error;

use crate::catalog::{Catalog, CatalogError, Seal};
use crate::compaction::Compaction;
use crate::log_store::head::Head;
use crate::log_store::rewrite::{discard, write_head};
use crate::log_store::{LogStore, SplitMeta};
use crate::pipeline::SealReport;
use crate::retention::Retention;
use crate::series_store::{SeriesStore, SeriesStoreError};
use crate::stream_marks::Changes;
use crate::write_ahead::Command;
use taffrail_collector::crash_point::crash_point;

/// After a failed attempt the next one waits so long; meanwhile the memory limit holds senders back.
const RETRY: Duration = Duration::from_secs(5);
/// How often a waiting sealer looks whether it is to stop.
const TICK: Duration = Duration::from_millis(50);
/// How often the retention has its turn.
const RETENTION_PERIOD: Duration = Duration::from_secs(30);
/// Niceness of the sealing thread: answering and taking in go first, but a busy machine must still seal.
const NICE: i32 = 5;

/// What was set aside.
pub struct SealJob {
    /// Log records. Metric windows lie frozen in the series store.
    pub head: Arc<Head>,
    /// Marks and checkpoints that changed.
    pub changes: Changes,
    /// All rows below this number are in the head, in frozen windows or sealed before.
    pub through: u64,
}

/// What the sealing thread works with.
pub struct Sealer {
    /// Log records.
    pub logs: Arc<LogStore>,
    /// Metric windows.
    pub series: Arc<SeriesStore>,
    /// What counts.
    pub catalog: Arc<Catalog>,
    /// What is kept.
    pub retention: Arc<ArcSwap<Retention>>,
    /// Merges what becomes many.
    pub compaction: Arc<Compaction>,
    /// Set when sealing is to stop half way: the journal has it all.
    pub abandon: Arc<AtomicBool>,
}

#[derive(Debug, Error)]
enum SealError {
    #[error("a split could not be written below data_dir: {0}")]
    Split(#[from] io::Error),
    #[error("series blocks could not be written below data_dir: {0}")]
    Blocks(#[from] SeriesStoreError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl Sealer {
    /// Works until the writer has gone or the work is abandoned.
    pub fn run(self, jobs: &Receiver<SealJob>, done: &SyncSender<Command>) {
        lower_priority(NICE);
        let mut retention_at = Instant::now();
        while !self.abandon.load(Relaxed) {
            match jobs.recv_timeout(TICK) {
                Ok(job) => {
                    self.seal_until_done(&job, done);
                    self.compaction.wake();
                }
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= retention_at {
                self.retention.load().enforce(&self.logs, &self.series, &self.catalog);
                retention_at = Instant::now() + RETENTION_PERIOD;
            }
        }
    }

    fn seal_until_done(&self, job: &SealJob, done: &SyncSender<Command>) {
        let mut unlisted = None;
        loop {
            let result = self.seal(job, &mut unlisted);
            if self.abandon.load(Relaxed) && result.is_err() {
                return;
            }
            if let Err(error) = &result {
                tracing::error!(%error, "sealing failed and will be tried again; everything stored stays in the journal");
            }
            let finished = result.is_ok();
            if done.send(Command::Sealed(result.map_err(|error| error.to_string()))).is_err() || finished {
                return;
            }
            // A full disk may be what failed, and what is too old may be what fills it.
            self.retention.load().enforce(&self.logs, &self.series, &self.catalog);
            let again = Instant::now() + RETRY;
            while Instant::now() < again {
                if self.abandon.load(Relaxed) {
                    return;
                }
                std::thread::sleep(TICK);
            }
        }
    }

    /// One attempt. It leaves a split that the catalog would not list in `unlisted`, and the next one removes it: what failed may
    /// be the disk under the catalog, and after a crash in between the catalog may turn out to list it.
    fn seal(&self, job: &SealJob, unlisted: &mut Option<SplitMeta>) -> Result<SealReport, SealError> {
        crash_point("seal:before_split");
        let splits_directory = self.logs.splits_directory();
        discard(splits_directory, unlisted.take().as_slice());
        let (head, masks) = (job.head.snapshot(), self.logs.masks());
        let (split, deleted) = write_head(splits_directory, &head, &masks, &self.abandon)?;
        let blocks = self.series.write_frozen().inspect_err(|_| discard(splits_directory, split.as_slice()))?;
        crash_point("seal:before_catalog");
        let listed = self.catalog.record_seal(&Seal {
            splits: split.as_slice(),
            deleted: &deleted,
            blocks_added: blocks.added(),
            blocks_removed: blocks.removed(),
            marks: &job.changes.marks,
            checkpoints: &job.changes.checkpoints,
            sealed_through: Some(job.through),
        });
        listed.inspect_err(|_| unlisted.clone_from(&split))?;
        crash_point("seal:after_catalog");
        let report = SealReport {
            log_rows: split.as_ref().map_or(0, |split| split.rows),
            samples: blocks.added().iter().map(|block| block.samples).sum(),
            bytes: split.as_ref().map_or(0, |split| split.bytes)
                + blocks.added().iter().map(|block| block.bytes).sum::<u64>(),
        };
        self.logs.finish_seal(split);
        self.series.commit(blocks);
        Ok(report)
    }
}

/// Lowers the calling thread's priority: Linux gives every thread its own niceness. Where it is refused, the thread just runs
/// as everything else does.
pub fn lower_priority(nice: i32) {
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), nice) {
        tracing::debug!(%error, "a background thread keeps the usual priority");
    }
}
