//! How the store changes: inserts into the head, seals of heads into blocks, and opening. Merging is in `compact`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use rapidhash::RapidHashMap;
use taffrail_collector::model::{Exemplar, LabelSet, Sample, SampleKind, Timestamp};

use super::block_reader::Block;
use super::block_writer::write_block;
use super::change_log::ChangeLog;
use super::damage::DamagedBlocks;
use super::head::{Earlier, Head, HeadSeries, has_total};
use super::merge::{MergedParts, SeriesPart, SortedParts};
use super::place::{FRESH_HOURS, Place, RAW, partition_of, range_of};
use super::points::{End, RunningTotal};
use super::registry::Registry;
use super::series_order::SeriesOrder;
use super::table_cache::TableCache;
use super::view::{KnownMetrics, View};
use super::{BlockInfo, SeriesStore, SeriesStoreError};

/// A counter that was silent for longer starts again from zero, which PromQL reads as the reset of a restarted process.
const TOTALS_KEPT: Duration = Duration::from_secs(2 * 24 * 3_600);

/// Totals written to the registry at a time, so that inserts go on between.
const TOTALS_AT_ONCE: usize = 4_096;

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
    /// Stretches that were written anew: resolution and start.
    merged: Vec<(u32, Timestamp)>,
}

impl BlockChange {
    /// A change that takes these blocks away and has added none yet.
    pub(super) fn removing(removed: Vec<String>, merged: Vec<(u32, Timestamp)>) -> BlockChange {
        BlockChange { added: Vec::new(), added_infos: Vec::new(), removed, frozen: Vec::new(), merged }
    }

    /// The blocks that the catalog is to list from now on.
    pub fn added(&self) -> &[BlockInfo] {
        &self.added_infos
    }

    /// Names of the blocks that it is to list no longer.
    pub fn removed(&self) -> &[String] {
        &self.removed
    }

    /// Drops the change without removing its files: for when it is not known whether the catalog lists them. After a crash it
    /// may turn out to; otherwise the next start removes them.
    pub fn leave_files(mut self) {
        self.added.clear();
    }

    pub(super) fn add(&mut self, block: Block) {
        self.added_infos.push(block.info.clone());
        self.added.push(block);
    }
}

impl Drop for BlockChange {
    fn drop(&mut self) {
        self.added.iter().for_each(Block::doom);
    }
}

/// What counters and distributions have added up to, for series that the registry does not know (yet, or any more). Known by
/// a 64-bit hash: two series in 2^32 sharing one would start from each other's total, which no difference between two
/// points of theirs shows.
#[derive(Debug, Default)]
pub(super) struct Totals(RapidHashMap<u64, (RunningTotal, End)>);

impl Totals {
    fn take(&mut self, kind: SampleKind, labels: &LabelSet) -> RunningTotal {
        let total = self.0.remove(&series_hash(kind, labels)).map(|known| known.0).unwrap_or_default();
        if self.0.len() < self.0.capacity() / 8 {
            self.0.shrink_to_fit();
        }
        total
    }

    fn set(&mut self, kind: SampleKind, labels: &LabelSet, total: RunningTotal, last_end: End) {
        if has_total(kind) {
            self.0.insert(series_hash(kind, labels), (total, last_end));
        }
    }

    /// Takes over what a block says, unless a block with later windows has said otherwise.
    fn learn(&mut self, kind: SampleKind, labels: &LabelSet, total: RunningTotal, last_end: End) {
        let known = self.0.get(&series_hash(kind, labels));
        if known.is_none_or(|known| known.1 <= last_end) {
            self.set(kind, labels, total, last_end);
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
    let mut next_number = blocks.iter().map(|block| block.place.order + 1).max().unwrap_or(1);
    for entry in fs::read_dir(directory).map_err(disk)? {
        let name = entry.map_err(disk)?.file_name().to_string_lossy().into_owned();
        next_number = next_number.max(number_in(&name).map_or(0, |number| number + 1));
        let ours = name.contains(BLOCK_SUFFIX);
        if ours && !listed.contains(name.as_str()) {
            fs::remove_file(directory.join(&name)).map_err(disk)?;
        }
    }
    blocks.sort_by_key(|block| block.place.order);
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
            let (place, last_end) = (block.info.place, block.info.last_end);
            if place.resolution_ms != RAW || last_end < newest.saturating_sub(TOTALS_KEPT) {
                return Ok(());
            }
            block.for_each_total(|kind, labels, total, last_end| totals.learn(kind, &labels, total, last_end))
        });
        if let Err(SeriesStoreError::Block { message, .. }) = read {
            damaged.note(block, message);
        }
    }
    Ok(SeriesStore {
        directory: directory.to_owned(),
        view: RwLock::new(View { blocks, damaged, ..View::default() }),
        totals: Mutex::new(totals),
        order: Mutex::new(SeriesOrder::default()),
        known_metrics: Mutex::new(known_metrics),
        merged_at: Mutex::default(),
        thinned: Mutex::default(),
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
        let earliest = samples.iter().map(|sample| sample.end().unix_nanos()).min();
        let earlier = EarlierTotals { frozen: &view.frozen, totals: &self.totals };
        view.active.write().insert(samples, &earlier);
        if let Some(earliest) = earliest {
            self.changes.note(earliest);
        }
    }

    /// See [`SeriesStore::freeze`].
    pub(super) fn freeze_head(&self) {
        let mut view = self.view.write();
        let active = view.active.clone();
        if active.read().samples() == 0 {
            return;
        }
        let next = Head::new(self.registry_after(&active.read()));
        view.active = Arc::new(RwLock::new(next));
        view.frozen.push(active);
    }

    /// The registry that goes on after this head: its own, unless most of what that knows has been silent for long. What the
    /// silent series added up to is remembered for when they come back.
    fn registry_after(&self, head: &Head) -> Arc<RwLock<Registry>> {
        let mut registry = head.registry().write();
        registry.note_heard(head.series().map(|series| series.id()));
        if !registry.is_mostly_silent() {
            registry.make_room();
            return head.registry().clone();
        }
        let newest = head.series().map(|series| series.last_end()).max().unwrap_or(End::MIN);
        let mut totals = self.totals.lock();
        for id in (0..registry.len() as u32).filter(|&id| has_total(registry.kind(id))) {
            totals.set(registry.kind(id), &registry.labels(id), registry.total(id), newest);
        }
        Arc::new(RwLock::new(registry.following()))
    }

    /// See [`SeriesStore::write_frozen`].
    pub(super) fn write_heads(&self) -> Result<BlockChange, SeriesStoreError> {
        let frozen = self.view.read().frozen.clone();
        let mut change = BlockChange::removing(Vec::new(), Vec::new());
        change.frozen.clone_from(&frozen);
        let heads: Vec<RwLockReadGuard<'_, Head>> = frozen.iter().map(|head| head.read()).collect();
        // Deletions seal first: what these heads hold came after all of them.
        let deletions_through = self.view.read().hidden.last_deletion();
        let mut order = self.order.lock();
        let sorted: Vec<Vec<HeadSeries<'_>>> =
            heads.iter().map(|head| order.of(head.registry()).iter().filter_map(|&id| head.of(id)).collect()).collect();
        drop(order);
        let partitions: BTreeSet<Timestamp> = heads.iter().flat_map(|head| head.partitions()).collect();
        for partition in partitions {
            let sources = sorted.iter().map(|series| head_parts(series, partition)).collect();
            let (name, number) = self.new_name(partition);
            let place = Place {
                partition,
                hours: FRESH_HOURS,
                resolution_ms: RAW,
                days_held: 0,
                order: number,
                deletions_through,
            };
            let written = write_block(&self.directory, &name, place, MergedParts::new(sources))?;
            written.into_iter().for_each(|info| change.add(self.block(info)));
        }
        Ok(change)
    }

    /// See [`SeriesStore::commit`].
    pub(super) fn commit_change(&self, mut change: BlockChange) {
        for block in &change.added {
            let Ok(metrics) = block.metrics() else { continue };
            let mut known = self.known_metrics.lock();
            metrics.iter().for_each(|(kind, name, unit, series)| known.note(*kind, name, unit, *series));
        }
        self.keep_totals(&change.frozen);
        // A seal changes no answer. A merge may show late windows in those that are rolled up.
        let earliest = change.added_infos.iter().map(|block| block.first_end.unix_nanos()).min().unwrap_or(End::MIN);
        let merged = std::mem::take(&mut change.merged);
        let is_merge = !merged.is_empty();
        self.merged_at.lock().extend(merged.into_iter().map(|stretch| (stretch, Instant::now())));
        let mut view = self.view.write();
        view.remove_blocks(&change.removed);
        view.blocks.extend(change.added.drain(..).map(Arc::new));
        view.blocks.sort_by_key(|block| block.info.place.order);
        view.frozen.retain(|head| !change.frozen.iter().any(|sealed| Arc::ptr_eq(head, sealed)));
        drop(view);
        if is_merge {
            self.changes.note(earliest);
        }
    }

    /// Before a head goes, what its series added up to is kept for when they come back.
    fn keep_totals(&self, heads: &[Arc<RwLock<Head>>]) {
        let current = self.view.read().active.read().registry().clone();
        for head in heads {
            let head = head.read();
            let counting = head.series().filter(|series| has_total(series.kind()));
            if !Arc::ptr_eq(head.registry(), &current) {
                let mut totals = self.totals.lock();
                counting.for_each(|series| {
                    totals.set(series.kind(), &series.labels(), series.total(), series.last_end());
                });
                continue;
            }
            let kept: Vec<(u32, RunningTotal)> = counting.map(|series| (series.id(), series.total())).collect();
            for part in kept.chunks(TOTALS_AT_ONCE) {
                let mut registry = current.write();
                part.iter().for_each(|(id, total)| registry.set_total(*id, *total));
            }
        }
        let newest = heads.iter().flat_map(|head| head.read().newest_end()).max();
        if let Some(newest) = newest {
            self.totals.lock().forget_silent(newest);
        }
    }

    /// A name for a block of this partition, and the number in it.
    pub(super) fn new_name(&self, partition: Timestamp) -> (String, u64) {
        let number = self.next_number.fetch_add(1, Relaxed);
        (format!("{}-{number:08x}{BLOCK_SUFFIX}", partition.unix_nanos().div_euclid(1_000_000_000)), number)
    }

    pub(super) fn block(&self, info: BlockInfo) -> Block {
        Block::new(&self.directory, info, self.tables.clone())
    }
}

/// What the series of a head hold in one partition.
fn head_parts<'a>(series: &'a [HeadSeries<'a>], partition: Timestamp) -> SortedParts<'a> {
    let range = range_of(partition, FRESH_HOURS);
    let (start, end) = (range.start.unix_nanos(), range.end.unix_nanos());
    Box::new(series.iter().filter_map(move |series| {
        let (points, before) = series.between_and_before(start, end);
        let (unit, interval_ms) = series.unit_and_interval();
        (!points.is_empty()).then(|| {
            let exemplars = exemplars_of(series, partition);
            Ok(SeriesPart { labels: series.labels(), unit: unit.to_owned(), interval_ms, before, points, exemplars })
        })
    }))
}

/// The exemplars that go into this partition's block: those of its time, and those of a time in which the series has no
/// window (an exemplar at the start of a window that ends in the next partition) with the first window after them, or the
/// last of all.
fn exemplars_of(series: &HeadSeries<'_>, partition: Timestamp) -> Vec<Exemplar> {
    if series.exemplars().is_empty() {
        return Vec::new();
    }
    let points = series.between(End::MIN, End::MAX);
    let home = |exemplar: &&Exemplar| {
        let at = points.first_end_from(exemplar.timestamp.unix_nanos()).or(points.last_end());
        at.map(|end| partition_of(end, FRESH_HOURS)) == Some(partition)
    };
    series.exemplars().iter().filter(home).cloned().collect()
}

/// See [`Earlier`].
struct EarlierTotals<'a> {
    /// Heads being sealed, oldest first.
    frozen: &'a [Arc<RwLock<Head>>],
    totals: &'a Mutex<Totals>,
}

impl Earlier for EarlierTotals<'_> {
    fn remembered(&self, kind: SampleKind, labels: &LabelSet) -> RunningTotal {
        self.totals.lock().take(kind, labels)
    }

    fn frozen(
        &self,
        registry: &Arc<RwLock<Registry>>,
        id: u32,
        kind: SampleKind,
        labels: &LabelSet,
    ) -> Option<RunningTotal> {
        self.frozen.iter().rev().find_map(|head| {
            let head = head.read();
            // Who asks has locked his registry; in another one the series has another number, if it is known there at all.
            let series = if Arc::ptr_eq(head.registry(), registry) { head.of(id) } else { head.get(kind, labels) };
            series.map(|series| series.total())
        })
    }
}
