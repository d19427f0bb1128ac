//! How the store changes: inserts into the head, seals of heads into blocks, compaction of blocks, and opening.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use rapidhash::RapidHashMap;
use taffrail_collector::model::{Exemplar, LabelSet, Sample, SampleKind, Timestamp};

use super::block_reader::Block;
use super::block_writer::write_block;
use super::change_log::ChangeLog;
use super::damage::DamagedBlocks;
use super::head::{Head, HeadSeries};
use super::merge::{MergedParts, SeriesPart, SortedParts};
use super::points::{End, RunningTotal};
use super::table_cache::TableCache;
use super::view::{KnownMetrics, View};
use super::{BLOCKS_OF_A_PARTITION_MAX, BlockInfo, PARTITION_LENGTH, SeriesStore, SeriesStoreError, partition_of};

/// A counter that was silent for longer starts again from zero, which PromQL reads as the reset of a restarted process.
const TOTALS_KEPT: Duration = Duration::from_secs(2 * 24 * 3_600);

/// How the file names of finished blocks end.
pub const BLOCK_SUFFIX: &str = ".series";

/// Files that are written, but not yet in the view: see [`SeriesStore::prepare_seal`]. Dropping it removes them again.
#[derive(Debug)]
#[must_use = "a change has no effect before it is committed"]
pub struct BlockChange {
    added: Vec<Block>,
    added_infos: Vec<BlockInfo>,
    removed: Vec<String>,
    frozen: Vec<Arc<RwLock<Head>>>,
}

impl BlockChange {
    /// The blocks that the catalog is to list from now on.
    pub fn added(&self) -> &[BlockInfo] {
        &self.added_infos
    }

    /// Names of the blocks that it is to list no longer.
    pub fn removed(&self) -> &[String] {
        &self.removed
    }

    fn add(&mut self, block: Block) {
        self.added_infos.push(block.info.clone());
        self.added.push(block);
    }
}

impl Drop for BlockChange {
    fn drop(&mut self) {
        self.added.iter().for_each(Block::doom);
    }
}

/// What counters and distributions have added up to, for series that are not in a head. Known by a 64-bit hash: two series
/// in 2^32 sharing one would start from each other's total, which no difference between two points of theirs shows.
#[derive(Debug, Default)]
pub(super) struct Totals(RapidHashMap<u64, (RunningTotal, End)>);

impl Totals {
    fn get(&self, kind: SampleKind, labels: &LabelSet) -> RunningTotal {
        self.0.get(&series_hash(kind, labels)).map(|known| known.0).unwrap_or_default()
    }

    fn set(&mut self, kind: SampleKind, labels: &LabelSet, total: RunningTotal, last_end: End) {
        if matches!(kind, SampleKind::Counter | SampleKind::Distribution) {
            self.0.insert(series_hash(kind, labels), (total, last_end));
        }
    }

    /// Lets go of series whose last window ended long before `newest`.
    fn forget_silent(&mut self, newest: End) {
        let oldest = Timestamp::from_unix_nanos(newest).saturating_sub(TOTALS_KEPT).unix_nanos();
        self.0.retain(|_, known| known.1 >= oldest);
    }
}

fn series_hash(kind: SampleKind, labels: &LabelSet) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = rapidhash::fast::RapidHasher::default();
    (kind, labels).hash(&mut hasher);
    hasher.finish()
}

/// See [`SeriesStore::open`].
pub(super) fn open(directory: &Path, mut blocks: Vec<BlockInfo>) -> Result<SeriesStore, SeriesStoreError> {
    let disk = |error: std::io::Error| SeriesStoreError::write(directory, &error);
    fs::create_dir_all(directory).map_err(disk)?;
    let listed: BTreeSet<&str> = blocks.iter().map(|block| block.name.as_str()).collect();
    let mut next_number = blocks.iter().map(|block| block.order + 1).max().unwrap_or(1);
    for entry in fs::read_dir(directory).map_err(disk)? {
        let name = entry.map_err(disk)?.file_name().to_string_lossy().into_owned();
        next_number = next_number.max(number_in(&name).map_or(0, |number| number + 1));
        let ours = name.contains(BLOCK_SUFFIX);
        if ours && !listed.contains(name.as_str()) {
            fs::remove_file(directory.join(&name)).map_err(disk)?;
        }
    }
    blocks.sort_by_key(|block| block.order);
    let tables = Arc::new(TableCache::default());
    let blocks: Vec<Arc<Block>> =
        blocks.into_iter().map(|info| Arc::new(Block::new(directory, info, tables.clone()))).collect();
    let damaged = Arc::new(DamagedBlocks::default());
    let mut totals = Totals::default();
    let mut known_metrics = KnownMetrics::default();
    let newest = blocks.iter().map(|block| block.info.last_end).max().unwrap_or_default();
    for block in &blocks {
        let read = block.metrics().and_then(|metrics| {
            metrics.iter().for_each(|(kind, name, unit, series)| known_metrics.note(*kind, name, unit, *series));
            if block.info.last_end < newest.saturating_sub(TOTALS_KEPT) {
                return Ok(());
            }
            block.for_each_total(|kind, labels, total, last_end| totals.set(kind, &labels, total, last_end))
        });
        if let Err(SeriesStoreError::Block { message, .. }) = read {
            damaged.note(block, message);
        }
    }
    Ok(SeriesStore {
        directory: directory.to_owned(),
        view: RwLock::new(View { blocks, damaged, ..View::default() }),
        totals: Mutex::new(totals),
        known_metrics: Mutex::new(known_metrics),
        tables,
        next_number: AtomicU64::new(next_number),
        changes: ChangeLog::default(),
    })
}

/// The number in a block file's name, `<partition's start in seconds>-<number, hex>.series`.
fn number_in(name: &str) -> Option<u64> {
    let (stem, _) = name.split_once(BLOCK_SUFFIX)?;
    u64::from_str_radix(stem.rsplit('-').next()?, 16).ok()
}

impl SeriesStore {
    /// See [`SeriesStore::insert`].
    pub(super) fn insert_samples(&self, samples: Vec<Sample>) {
        // Held until the batch is in, so that a seal never freezes a head that is still being written to.
        let view = self.view.read();
        let mut head = view.active.write();
        let mut earliest = End::MAX;
        for sample in samples {
            earliest = earliest.min(sample.end().unix_nanos());
            head.insert(sample, |kind, labels| {
                let frozen =
                    view.frozen.iter().rev().find_map(|head| head.read().get(kind, labels).map(HeadSeries::total));
                frozen.unwrap_or_else(|| self.totals.lock().get(kind, labels))
            });
        }
        drop(head);
        if earliest < End::MAX {
            self.changes.note(earliest);
        }
    }

    /// See [`SeriesStore::freeze`].
    pub(super) fn freeze_head(&self) {
        let mut view = self.view.write();
        if view.active.read().samples() > 0 {
            let head = std::mem::take(&mut view.active);
            view.frozen.push(head);
        }
    }

    /// See [`SeriesStore::write_frozen`].
    pub(super) fn write_heads(&self) -> Result<BlockChange, SeriesStoreError> {
        let frozen = self.view.read().frozen.clone();
        let mut change =
            BlockChange { added: Vec::new(), added_infos: Vec::new(), removed: Vec::new(), frozen: frozen.clone() };
        let heads: Vec<RwLockReadGuard<'_, Head>> = frozen.iter().map(|head| head.read()).collect();
        let sorted: Vec<Vec<&HeadSeries>> = heads.iter().map(|head| sorted_series(head)).collect();
        let partitions: BTreeSet<Timestamp> = heads.iter().flat_map(|head| head.partitions()).collect();
        for partition in partitions {
            let sources = sorted.iter().map(|series| head_parts(series, partition)).collect();
            change.add(self.write(partition, None, MergedParts::new(sources))?);
        }
        Ok(change)
    }

    /// See [`SeriesStore::prepare_compaction`].
    pub(super) fn write_compacted(&self) -> Result<Option<BlockChange>, SeriesStoreError> {
        let mut partitions: BTreeMap<Timestamp, Vec<Arc<Block>>> = BTreeMap::new();
        for block in &self.view.read().blocks {
            partitions.entry(block.info.partition).or_default().push(block.clone());
        }
        let crowded = partitions.into_iter().find(|(_, blocks)| blocks.len() > BLOCKS_OF_A_PARTITION_MAX);
        let Some((partition, blocks)) = crowded else { return Ok(None) };
        let sources = blocks.iter().map(|block| Ok(Box::new(block.parts()?) as SortedParts<'_>));
        let merged = MergedParts::new(sources.collect::<Result<_, SeriesStoreError>>()?);
        let order = blocks.iter().map(|block| block.info.order).max();
        let mut change = BlockChange {
            added: Vec::new(),
            added_infos: Vec::new(),
            removed: blocks.iter().map(|block| block.info.name.clone()).collect(),
            frozen: Vec::new(),
        };
        change.add(self.write(partition, order, merged)?);
        Ok(Some(change))
    }

    /// See [`SeriesStore::commit`].
    pub(super) fn commit_change(&self, mut change: BlockChange) {
        for block in &change.added {
            let Ok(metrics) = block.metrics() else { continue };
            let mut known = self.known_metrics.lock();
            metrics.iter().for_each(|(kind, name, unit, series)| known.note(*kind, name, unit, *series));
        }
        self.keep_totals(&change.frozen);
        let mut view = self.view.write();
        view.remove_blocks(&change.removed);
        view.blocks.extend(change.added.drain(..).map(Arc::new));
        view.blocks.sort_by_key(|block| block.info.order);
        view.frozen.retain(|head| !change.frozen.iter().any(|sealed| Arc::ptr_eq(head, sealed)));
    }

    /// Before a head goes, what its series added up to is kept for when they come back.
    fn keep_totals(&self, heads: &[Arc<RwLock<Head>>]) {
        let mut totals = self.totals.lock();
        let mut newest = End::MIN;
        for head in heads {
            for series in head.read().series() {
                let last_end = series.points.last_end().unwrap_or(End::MIN);
                newest = newest.max(last_end);
                totals.set(series.points.kind(), &series.labels, series.total(), last_end);
            }
        }
        if newest > End::MIN {
            totals.forget_silent(newest);
        }
    }

    fn write(
        &self,
        partition: Timestamp,
        order: Option<u64>,
        parts: MergedParts<'_>,
    ) -> Result<Block, SeriesStoreError> {
        let number = self.next_number.fetch_add(1, Relaxed);
        let name = format!("{}-{number:08x}{BLOCK_SUFFIX}", partition.unix_nanos().div_euclid(1_000_000_000));
        let info = write_block(&self.directory, &name, partition, order.unwrap_or(number), parts)?;
        Ok(Block::new(&self.directory, info, self.tables.clone()))
    }
}

fn sorted_series(head: &Head) -> Vec<&HeadSeries> {
    let mut series: Vec<&HeadSeries> = head.series().iter().collect();
    series.sort_by(|a, b| (a.points.kind(), &a.labels).cmp(&(b.points.kind(), &b.labels)));
    series
}

/// What the series of a head hold in one partition.
fn head_parts<'a>(series: &'a [&'a HeadSeries], partition: Timestamp) -> SortedParts<'a> {
    let start = partition.unix_nanos();
    let end = partition.saturating_add(PARTITION_LENGTH).unix_nanos();
    Box::new(series.iter().filter(move |series| series.points.any_between(start, end)).map(move |series| {
        Ok(SeriesPart {
            labels: series.labels.clone(),
            unit: series.unit.to_owned(),
            interval_ms: series.interval_ms,
            before: series.before + series.points.total_before(start),
            points: series.points.between(start, end),
            exemplars: exemplars_of(series, partition),
        })
    }))
}

/// The exemplars that go into this partition's block: those of its time, and those of a time in which the series has no
/// window (an exemplar at the start of a window that ends in the next partition) with the first window after them, or the
/// last of all.
fn exemplars_of(series: &HeadSeries, partition: Timestamp) -> Vec<Exemplar> {
    let home = |exemplar: &&Exemplar| {
        let at = series.points.first_end_from(exemplar.timestamp.unix_nanos()).or(series.points.last_end());
        at.map(partition_of) == Some(partition)
    };
    series.exemplars.iter().filter(home).cloned().collect()
}
