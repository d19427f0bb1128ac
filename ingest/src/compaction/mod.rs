//! Compaction in the background: one thread that rewrites splits, within a budget, and never in the way of sealing.
//!
//! In this order: deletions (their records must leave the disk), then merges of series blocks (`blocks`) and of small splits
//! ([`plan`]), then splits of which much has expired. Each rewriting goes the same way: the new splits are written and durable ([`rewrite`]), one transaction of
//! the catalog lists them in the place of the old ones, readers change over, and the old files go once no question reads them. A
//! crash in between leaves files that the catalog does not list; the next start removes them.
//!
//! [`rewrite`]: crate::log_store::rewrite

mod blocks;
mod budget;
mod plan;
mod status;
mod unpacked;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::oneshot;

pub use budget::CompactionBudget;
pub use plan::Target;
pub use status::{Compaction, CompactionStatus};
pub use unpacked::UnpackedSizes;

use self::budget::Pace;
use crate::admission::DiskSpace;
use crate::catalog::{Catalog, CatalogError, Replacement};
use crate::deletion::{Deletion, is_needed};
use crate::log_store::mask::Extent;
use crate::log_store::rewrite::{RewriteError, Rewritten, discard, rewrite};
use crate::log_store::split::Split;
use crate::log_store::{LogStore, LogStoreError, RetentionRules};
use crate::scan::Scan;
use crate::series_store::{SeriesStore, SeriesStoreError};
use crate::write_ahead::Command;
use taffrail_collector::crash_point::crash_point;

/// How often it looks for work by itself; seals and deletions wake it.
const PERIOD: Duration = Duration::from_secs(10);
/// After a failure the next attempt waits so long.
const RETRY: Duration = Duration::from_secs(10);
/// How often a split is asked how much of it has expired.
const EXPIRED_LOOK: Duration = Duration::from_secs(600);
/// A split is rewritten without what has expired once that is this much of it: 3 of 10 rows.
const EXPIRED_SHARE: (u64, u64) = (3, 10);
/// Niceness of the thread: everything else goes first.
const NICE: i32 = 10;

/// What the compaction works with.
pub struct Compactor {
    /// Log records.
    pub logs: Arc<LogStore>,
    /// Metric windows.
    pub series: Arc<SeriesStore>,
    /// What counts.
    pub catalog: Arc<Catalog>,
    /// The journal's writer, who seals.
    pub commands: SyncSender<Command>,
    /// What it may take.
    pub budget: CompactionBudget,
    /// How large splits are to become.
    pub target: Target,
    /// How large splits are in memory.
    pub unpacked: UnpackedSizes,
    /// The disk, and what must stay free on it.
    pub disk: (Arc<DiskSpace>, u64),
    /// What it is told and tells.
    pub shared: Arc<Compaction>,
    /// Set when the store stops.
    pub abandon: Arc<AtomicBool>,
}

#[derive(Debug, Error)]
enum CompactionError {
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Question(#[from] LogStoreError),
    #[error("series blocks: {0}")]
    Blocks(#[from] SeriesStoreError),
    #[error("the heads could not be sealed: {0}")]
    Seal(String),
}

impl CompactionError {
    fn is_interruption(&self) -> bool {
        match self {
            CompactionError::Rewrite(RewriteError::Write(error)) => error.kind() == io::ErrorKind::Interrupted,
            CompactionError::Blocks(SeriesStoreError::Stopped(_)) => true,
            _ => false,
        }
    }
}

/// When splits were last asked how much of them has expired, under which rules.
#[derive(Default)]
struct Looked {
    rules: RetentionRules,
    at: HashMap<String, Instant>,
}

impl Compactor {
    /// Works until the store stops.
    pub fn run(self) {
        crate::sealer::lower_priority(NICE);
        let mut looked = Looked::default();
        let mut wait = Duration::ZERO;
        while !self.abandon.load(Relaxed) {
            self.shared.wait(wait, &self.abandon);
            self.shared.begin_round();
            if self.abandon.load(Relaxed) {
                return;
            }
            wait = PERIOD;
            match self.round(&mut looked) {
                Ok(()) => {}
                Err(_) if self.abandon.load(Relaxed) => return,
                Err(error) if error.is_interruption() => wait = Duration::ZERO,
                Err(error) => {
                    self.shared.failed();
                    tracing::error!(%error, "splits could not be rewritten; they stay as they are, and it will be tried again");
                    wait = RETRY;
                }
            }
        }
    }

    /// Does what there is to do.
    fn round(&self, looked: &mut Looked) -> Result<(), CompactionError> {
        self.remove_deleted()?;
        self.remove_deleted_windows()?;
        while self.budget.merges() && (self.merge_blocks()? || self.merge()? || self.remove_expired(looked)?) {}
        Ok(())
    }

    fn remove_deleted(&self) -> Result<(), CompactionError> {
        let deletions = self.catalog.deletions()?;
        let concerned = |deletion: &Deletion| -> Vec<Arc<Split>> {
            let splits = self.logs.splits().into_iter();
            splits.filter(|split| deletion.mask.concerns(&Extent::from(&**split))).collect()
        };
        // A finished one has work again when a split has come back that was damaged.
        let pending: Vec<&Deletion> = deletions
            .iter()
            .filter(|deletion| {
                deletion.progress.finished_at.is_none()
                    || concerned(deletion).iter().any(|split| split.damage().is_none())
            })
            .collect();
        if pending.is_empty() {
            return Ok(());
        }
        crash_point("delete:before_seal");
        self.seal()?;
        crash_point("delete:after_seal");
        for deletion in pending {
            let mut damaged = Vec::new();
            let mut matching = Vec::new();
            for split in concerned(deletion) {
                match self.logs.count_in(&split, &deletion.mask.filter, deletion.mask.range, &Scan::unlimited()) {
                    Ok(0) => {
                        // Only as far as deletions were asked about: this one and those before it.
                        let others = self.logs.masks();
                        let mut open = others.deletions().filter(|other| other.id < deletion.mask.id);
                        if !open.any(|other| other.concerns(&Extent::from(&*split))) {
                            self.catalog.record_checked(&split.meta.name, deletion.mask.id)?;
                            split.set_deletions_through(deletion.mask.id);
                        }
                    }
                    Ok(_) => matching.push(split),
                    Err(LogStoreError::Split { .. }) => damaged.push(split.meta.name.clone()),
                    Err(error) => return Err(error.into()),
                }
            }
            self.catalog.begin_deletion(deletion.mask.id, matching.len() as u64)?;
            for split in matching {
                let name = split.meta.name.clone();
                match self.replace("delete", vec![split]) {
                    Err(CompactionError::Rewrite(RewriteError::Source(_))) => damaged.push(name),
                    other => drop(other?),
                }
            }
            crash_point("delete:before_finish");
            self.catalog.finish_deletion(deletion.mask.id, &damaged, self.logs.now())?;
            crash_point("delete:after_finish");
            tracing::info!(
                deletion = deletion.mask.id,
                damaged_splits = damaged.join(", "),
                "deleted records are off the disk"
            );
        }
        let deletions = self.catalog.deletions()?;
        let needed = |id, splits: &[Arc<Split>]| {
            let parts = splits.iter().map(|split| Extent::from(&**split));
            deletions.iter().find(|deletion| deletion.mask.id == id).is_none_or(|deletion| is_needed(deletion, parts))
        };
        let prune =
            self.logs.change_masks(|masks, splits| Ok(masks.without_deletions(|deletion| needed(deletion.id, splits))));
        Ok(prune.map_err(LogStoreError::Filter)?)
    }

    /// Makes everything stored so far leave the journal.
    fn seal(&self) -> Result<(), CompactionError> {
        let stopped = || CompactionError::Seal("the store has stopped".to_owned());
        let (answer, done) = oneshot::channel();
        self.commands.send(Command::Seal(answer)).map_err(|_| stopped())?;
        match done.blocking_recv() {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(CompactionError::Seal(error.to_string())),
            Err(_) => Err(stopped()),
        }
    }

    /// Merges a few small splits, when some are worth it.
    fn merge(&self) -> Result<bool, CompactionError> {
        if self.shared.is_interrupted() {
            return Ok(false);
        }
        let splits: Vec<Arc<Split>> = self.logs.splits().into_iter().filter(|split| split.damage().is_none()).collect();
        let metas: Vec<_> = splits.iter().map(|split| &split.meta).collect();
        self.unpacked.keep(&metas.iter().map(|meta| meta.name.as_str()).collect());
        let unpacked = |at: usize| self.unpacked.of(&splits[at]);
        let Some(group) = plan::next_merge(&metas, self.target, self.logs.now(), &unpacked) else { return Ok(false) };
        let sources: Vec<Arc<Split>> = group.into_iter().map(|at| splits[at].clone()).collect();
        let bytes: u64 = sources.iter().map(|split| split.meta.bytes).sum();
        let (disk, reserve) = &self.disk;
        let free = disk.free_bytes();
        if free < reserve.saturating_add(bytes) {
            self.shared.postponed();
            tracing::warn!(
                free,
                bytes,
                "splits are not merged for want of disk space: free some, or keep less with store.retention_age or \
                 store.retention_bytes"
            );
            return Ok(false);
        }
        match self.replace("compaction", sources) {
            // It is set aside now, and the others can be merged without it.
            Err(CompactionError::Rewrite(RewriteError::Source(_))) => Ok(true),
            other => other,
        }
    }

    /// Rewrites a split of which much has expired.
    fn remove_expired(&self, looked: &mut Looked) -> Result<bool, CompactionError> {
        let (masks, now) = (self.logs.masks(), self.logs.now());
        let rules = masks.rules();
        if rules != looked.rules {
            *looked = Looked { rules, at: HashMap::new() };
        }
        if looked.rules.rules.is_empty() || self.shared.is_interrupted() {
            return Ok(false);
        }
        let splits = self.logs.splits();
        let names: HashSet<&str> = splits.iter().map(|split| split.meta.name.as_str()).collect();
        looked.at.retain(|name, at| names.contains(name.as_str()) && at.elapsed() < EXPIRED_LOOK);
        for split in &splits {
            if looked.at.contains_key(&split.meta.name) || split.damage().is_some() {
                continue;
            }
            let Some(expired) = masks.expired_in(&Extent::from(&**split), now) else { continue };
            looked.at.insert(split.meta.name.clone(), Instant::now());
            let rows = match self.logs.count_in(split, &expired, crate::TimeRange::ALL, &Scan::unlimited()) {
                Err(LogStoreError::Split { .. }) => continue,
                rows => rows?,
            };
            let (share, of) = EXPIRED_SHARE;
            if rows.saturating_mul(of) >= split.meta.rows.saturating_mul(share) {
                let work = if rows == split.meta.rows {
                    self.remove_whole(split)
                } else {
                    self.replace("compaction", vec![split.clone()])
                };
                return match work {
                    Err(CompactionError::Rewrite(RewriteError::Source(_))) => Ok(true),
                    other => other,
                };
            }
        }
        Ok(false)
    }

    /// Removes a split all of whose records have expired.
    fn remove_whole(&self, split: &Arc<Split>) -> Result<bool, CompactionError> {
        let removed = [split.meta.name.clone()];
        let nothing = BTreeMap::new();
        crash_point("retention:before_catalog");
        if !self.catalog.record_replacement(&Replacement { removed: &removed, added: &[], deleted: &nothing })? {
            return Ok(false);
        }
        crash_point("retention:after_catalog");
        self.logs.replace_splits(&removed.into_iter().collect(), &[]);
        crash_point("retention:after_swap");
        self.shared.finished(1, 0, split.meta.rows, (0, 0), Duration::ZERO);
        tracing::info!(
            split = split.meta.name,
            rows = split.meta.rows,
            "a split whose records have all expired was removed"
        );
        Ok(true)
    }

    /// Rewrites the sources and puts the outcome in their place. Says whether that was done: not when one of them was removed
    /// meanwhile.
    fn replace(&self, work: &'static str, sources: Vec<Arc<Split>>) -> Result<bool, CompactionError> {
        let point = |at: usize| {
            let points = match work {
                "delete" => ["delete:after_write", "delete:after_rewrite", "delete:after_swap"],
                _ => ["compaction:after_write", "compaction:after_catalog", "compaction:after_swap"],
            };
            crash_point(points[at]);
        };
        if work == "compaction" {
            crash_point("compaction:before_write");
        }
        let started = Instant::now();
        let (rows, bytes) =
            sources.iter().fold((0, 0), |(rows, bytes), split| (rows + split.meta.rows, bytes + split.meta.bytes));
        let mut pace = Pace::new(self.budget, rows, bytes);
        let (masks, now) = (self.logs.masks(), self.logs.now());
        self.shared.begin(format!("{work}: {} splits with {rows} rows", sources.len()));
        let interrupt = self.shared.interrupt();
        let rewritten = rewrite(
            self.logs.splits_directory(),
            &sources,
            (&masks, now),
            self.target.unpacked_bytes,
            &mut |rows| pace.rest(rows, interrupt),
            interrupt,
        );
        let rewritten = match rewritten {
            Err(RewriteError::Source(error)) => {
                if let LogStoreError::Split { split: name, .. } = &error
                    && let Some(source) = sources.iter().find(|source| source.meta.name == *name)
                {
                    let _ = source.unless_broken(&Scan::unlimited(), Err::<(), _>(error.clone().into()));
                }
                return Err(RewriteError::Source(error).into());
            }
            other => other?,
        };
        point(0);
        let Rewritten { splits, unpacked_bytes, rows, expired, deleted } = rewritten;
        let removed: Vec<String> = sources.iter().map(|split| split.meta.name.clone()).collect();
        let replacement = Replacement { removed: &removed, added: &splits, deleted: &deleted };
        // When this fails the files stay: a transaction whose sync failed may still be found whole after a crash, and would then
        // list them in the place of the sources. The next attempt writes them anew.
        if !self.catalog.record_replacement(&replacement)? {
            discard(self.logs.splits_directory(), &splits);
            return Ok(false);
        }
        point(1);
        self.unpacked.learn(&splits, &unpacked_bytes);
        self.logs.replace_splits(&removed.into_iter().collect(), &splits);
        point(2);
        let written: u64 = splits.iter().map(|split| split.bytes).sum();
        let removed_rows = expired + deleted.values().sum::<u64>();
        self.shared.finished(sources.len() as u64, rows, removed_rows, (bytes, written), started.elapsed());
        tracing::info!(
            work,
            splits = sources.len(),
            into = splits.len(),
            rows,
            expired,
            deleted = deleted_rows(&deleted),
            bytes_read = bytes,
            bytes_written = written,
            seconds = started.elapsed().as_secs_f64(),
            "splits were rewritten"
        );
        drop(sources);
        pace.settle(interrupt);
        Ok(true)
    }
}

fn deleted_rows(deleted: &BTreeMap<u64, u64>) -> u64 {
    deleted.values().sum()
}
