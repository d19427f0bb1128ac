//! The series store: metric windows in memory, then in immutable blocks per partition of time.
//!
//! Windows come in through [`SeriesStore::insert`] once the journal has them, lie in the **head**, and are written to
//! **blocks** by a seal: one file for each two hours that the head reaches into. A seal is a [`BlockChange`] in two steps,
//! so that the catalog's transaction can lie between the files and the view that readers have:
//!
//! ```text
//! let change = store.prepare_seal()?;          // files are written and durable, readers still use the head
//! catalog.transaction(change.added(), change.removed(), …)?;
//! store.commit(change);                        // readers use the files; dropping the change instead removes them
//! ```
//!
//! Compaction is such a change too: more than [`BLOCKS_OF_A_PARTITION_MAX`] blocks of two hours become one, and a day that is
//! over becomes one raw block and blocks of longer windows (`place` draws them, `plan` says when). A seal, a compaction and
//! [`SeriesStore::remove_blocks`] may go on at the same time, as may inserts and questions: the catalog refuses a change that
//! would take away what is gone.
//!
//! Reading order: [`matcher`], `window_ends` and `points` (the windows of one series); `label_index`, `series_limits` and `registry`
//! (the series that are known), `cardinality` (which they are), `slices`, `number_windows`, `packed_windows`, `head`; `predictor`, `column`, `sketch_column`, `chunk`,
//! `series_table`, `place`, `block_layout`, `block_writer`, `table_cache`, `block_reader`; `series_retention`, `hidden`, `merge`, `cover`, `selection` and `view`
//! (questions), `series_order`, `change` (seals), `change_log`; `rollup`, `plan`, `day`, `compact` (what becomes of blocks later); `damage` (blocks
//! that cannot be read), `verify` (a whole block).

mod block_layout;
mod block_reader;
mod block_writer;
#[cfg(test)]
mod bytes_per_sample;
mod cardinality;
mod change;
mod change_log;
mod chunk;
mod column;
mod compact;
mod cover;
mod damage;
mod day;
mod first_values;
mod head;
mod hidden;
mod label_index;
pub mod matcher;
mod merge;
mod number_windows;
mod packed_windows;
mod place;
mod plan;
mod points;
mod predictor;
mod registry;
mod rollup;
mod selection;
mod series_limits;
mod series_order;
mod series_retention;
mod series_table;
mod sketch_column;
mod slices;
mod table_cache;
#[cfg(test)]
mod test_samples;
#[cfg(test)]
mod tests;
pub mod verify;
mod view;
mod window_ends;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use taffrail_collector::model::{Exemplar, LabelSet, Sample, SampleKind, Timestamp, TraceId};
use thiserror::Error;

pub use cardinality::{Cardinality, LabelCardinality, MetricCardinality, SourceCardinality, ValueCardinality};
pub(crate) use change::BLOCK_SUFFIX;
pub use change::BlockChange;
pub use change_log::ChangeMark;
pub use compact::DeletionWork;
pub use cover::wanted_resolution_ms;
pub use first_values::FirstValues;
pub use hidden::SeriesMask;
pub use matcher::{LabelMatcher, LabelRegex, LabelTest};
pub use place::{Place, RESOLUTIONS_MS};
pub use points::{Levels, Points, RunningTotal, Values};
pub use selection::{Selection, SelectionReader};
pub use series_limits::{Limited, LimitedBy, LimitedWindows, OVERFLOW_LABEL, SeriesLimits};
pub use series_retention::{LEVELS, LevelAges, SeriesRetention, SeriesRetentionRule};
pub use window_ends::{End, WindowEnds};

use crate::scan::{Scan, StopReason, TimeRange};
use change::Totals;
use change_log::ChangeLog;
use series_order::SeriesOrder;
use table_cache::TableCache;
use view::{KnownMetrics, View};

/// A stretch of two hours with more blocks than this is compacted into one.
pub const BLOCKS_OF_A_PARTITION_MAX: usize = 4;

/// The series store. Methods block: call them from a blocking thread.
#[derive(Debug)]
pub struct SeriesStore {
    directory: PathBuf,
    view: RwLock<View>,
    totals: Mutex<Totals>,
    order: Mutex<SeriesOrder>,
    known_metrics: Mutex<KnownMetrics>,
    /// When stretches of a resolution were last written anew.
    merged_at: Mutex<BTreeMap<(u32, Timestamp), Instant>>,
    /// Blocks that were asked how much of them is to be thinned, and which levels were kept then.
    thinned: Mutex<BTreeMap<String, Vec<Option<usize>>>>,
    tables: Arc<TableCache>,
    next_number: AtomicU64,
    changes: ChangeLog,
}

/// What the catalog keeps of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockInfo {
    /// The file's name in the store's directory.
    pub name: String,
    /// Where it lies.
    #[serde(flatten)]
    pub place: Place,
    /// The end of its first window.
    #[serde(with = "nanos")]
    pub first_end: Timestamp,
    /// The end of its last window.
    #[serde(with = "nanos")]
    pub last_end: Timestamp,
    /// The file's length.
    pub bytes: u64,
    /// Windows in it.
    pub samples: u64,
    /// Series in it.
    pub series: u64,
}

impl BlockInfo {
    /// Whether it is as a seal wrote it: its day has not been merged since.
    pub fn is_of_a_seal(&self) -> bool {
        self.place.resolution_ms == place::RAW && self.place.hours == place::FRESH_HOURS
    }
}

/// One series and its windows in a time range, by rising time, each window once.
#[derive(Clone, Debug)]
pub struct SeriesData {
    /// Name and labels.
    pub labels: Arc<LabelSet>,
    /// The unit, when known.
    pub unit: String,
    /// The windows' length in milliseconds (0: readings of a moment).
    pub interval_ms: u32,
    /// What a counter or distribution had added up to before the first of the windows.
    ///
    /// It is kept per series and block as an anchor. An answer uses the anchor that goes with its oldest window
    /// and adds the increments it reads, so that it never falls unless an increment is negative. Windows that came late are
    /// in the answer, but not in the anchors of blocks sealed before them: two answers that start at different times may
    /// differ by a constant, never in what lies between two of their points.
    pub before: RunningTotal,
    /// The windows. A window's time is its END (start + length): what a reader at that moment could know.
    pub points: Points,
}

/// A gauge's window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaugeWindow {
    /// The last level.
    pub last: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
}

/// A series and its exemplars, by rising time.
pub type SeriesExemplars = (Arc<LabelSet>, Vec<Exemplar>);

/// What is known of a metric name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricInfo {
    /// The name.
    pub name: String,
    /// What it measures.
    pub kind: SampleKind,
    /// The unit, when known.
    pub unit: String,
    /// How many series have it: the most that the head or one block holds.
    pub series: u64,
}

/// A block that answers are without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedBlock {
    /// What the catalog says of it.
    pub block: BlockInfo,
    /// What is wrong with it.
    pub reason: String,
}

/// Sizes of the store now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SeriesStoreSizes {
    /// Windows in memory, those being sealed included.
    pub head_samples: u64,
    /// Series in memory.
    pub head_series: u64,
    /// About how many bytes they take.
    pub head_bytes: u64,
    /// Series that are known without a look at blocks: those of the heads, and those that were in one some hours ago.
    pub known_series: u64,
    /// About how many bytes knowing them takes.
    pub known_bytes: u64,
    /// Blocks.
    pub blocks: u64,
    /// Windows in them.
    pub block_samples: u64,
    /// Their bytes.
    pub block_bytes: u64,
}

/// A block could not be read or written, or the scan was stopped.
#[derive(Debug, Error)]
pub enum SeriesStoreError {
    /// A block is damaged.
    #[error("series block {block}: {message}")]
    Block {
        /// Which block.
        block: String,
        /// What is wrong with it.
        message: String,
    },
    /// The disk took no block, or the directory could not be read; for instance because the disk is full.
    #[error("series store {path}: {message}")]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        message: String,
    },
    /// The question was cancelled or hit its budget.
    #[error("stopped early")]
    Stopped(StopReason),
}

impl SeriesStore {
    /// Opens the store in `directory` with the blocks that the catalog lists; files that it does not list are leftovers of
    /// a crash and are removed. A listed block that cannot be read is reported in the log now, and left out of answers,
    /// which know it from their [`Scan`].
    pub fn open(directory: &Path, blocks: Vec<BlockInfo>) -> Result<SeriesStore, SeriesStoreError> {
        change::open(directory, blocks)
    }

    /// Limits how many series are known, from now on.
    pub fn set_limits(&self, limits: SeriesLimits) {
        let view = self.view.read();
        let registry = view.active.read().registry().clone();
        let mut registry = registry.write();
        registry.limiter_mut().limits = limits;
        let bytes = registry.bytes();
        registry.limiter_mut().note_bytes(bytes);
    }

    /// Windows whose series had no room, since the start.
    pub fn limited_windows(&self) -> BTreeMap<LimitedBy, LimitedWindows> {
        let registry = self.view.read().active.read().registry().clone();
        registry.read().limiter().totals().clone()
    }

    /// Forgets which windows had no room so far: those of a replay were counted when they came.
    pub fn forget_limited_windows(&self) {
        let registry = self.view.read().active.read().registry().clone();
        registry.write().limiter_mut().forget();
    }

    /// Which metrics, labels and sources make how many of the known series: at most `limit` of each. With a `metric`, of its
    /// series alone. Takes some milliseconds for a million series.
    pub fn cardinality(&self, metric: Option<&str>, limit: usize) -> Cardinality {
        let registry = self.view.read().active.read().registry().clone();
        let registry = registry.read();
        cardinality::cardinality(&registry, metric, limit)
    }

    /// The start of the first day that is in memory, and the end of the last window there.
    pub fn head_span(&self) -> Option<(Timestamp, Timestamp)> {
        let view = self.snapshot();
        let head = view.active.read();
        let first = head.days().starts().first().copied()?;
        Some((first, Timestamp::from_unix_nanos(head.newest_end()?)))
    }

    /// Takes in windows that are already durable; those whose series have no room are counted by
    /// [`SeriesStore::limited_windows`]. A question that starts after this returns sees them.
    pub fn insert(&self, samples: Vec<Sample>) {
        self.insert_samples(samples);
    }

    /// Freezes the head and writes it to block files. Samples inserted from now on lie in a new head. Frozen heads of
    /// changes that were dropped are written too.
    pub fn prepare_seal(&self) -> Result<BlockChange, SeriesStoreError> {
        self.freeze();
        self.write_frozen()
    }

    /// The first half of [`SeriesStore::prepare_seal`], for a caller that must know which samples a seal holds: exactly those
    /// inserted before.
    pub fn freeze(&self) {
        self.freeze_head();
    }

    /// The second half of [`SeriesStore::prepare_seal`]: writes the heads frozen so far to block files, on any thread.
    pub fn write_frozen(&self) -> Result<BlockChange, SeriesStoreError> {
        self.write_heads()
    }

    /// Makes the next merge that is worth it at this time; none when nothing is. `progress` hears how many windows were read
    /// since it was last called, and stops the work when it says so.
    pub fn prepare_compaction(
        &self,
        now: Timestamp,
        progress: &mut dyn FnMut(u64) -> Result<(), StopReason>,
    ) -> Result<Option<BlockChange>, SeriesStoreError> {
        self.compact(now, &mut |windows| progress(windows).map_err(SeriesStoreError::Stopped))
    }

    /// Looks what is to be done so that the disk holds nothing of what deletions hide. `progress` is that of
    /// [`SeriesStore::prepare_compaction`].
    pub fn prepare_deletion(
        &self,
        progress: &mut dyn FnMut(u64) -> Result<(), StopReason>,
    ) -> Result<DeletionWork, SeriesStoreError> {
        self.delete(&mut |windows| progress(windows).map_err(SeriesStoreError::Stopped))
    }

    /// Hides windows of blocks that were written before, from every question that starts after this returns. The head must
    /// have been sealed.
    pub fn hide(&self, mask: SeriesMask) {
        let earliest = mask.range.start.unix_nanos();
        let mut view = self.view.write();
        view.hidden = Arc::new(view.hidden.with(mask));
        drop(view);
        self.changes.note(earliest);
    }

    /// Keeps series by these rules from now on: what has expired by them is hidden at once.
    pub fn set_retention(&self, retention: Arc<SeriesRetention>) {
        let mut view = self.view.write();
        view.hidden = Arc::new(view.hidden.keeping_for(retention));
        drop(view);
        self.thinned.lock().clear();
        self.changes.note(End::MIN);
    }

    /// Hides what has expired by this time. Hours are what is counted.
    pub fn expire(&self, now: Timestamp) {
        let now = now.floor_to(Duration::from_secs(3_600));
        let mut view = self.view.write();
        let hidden = view.hidden.clone();
        if hidden.now() == now {
            return;
        }
        view.hidden = Arc::new(hidden.at(now));
        drop(view);
        if !hidden.retention().rules.is_empty() {
            self.changes.note(End::MIN);
        }
    }

    /// Hears that in these blocks are no windows of the deletions up to `through`.
    pub fn note_unconcerned(&self, blocks: &[String], through: u64) {
        let view = self.view.read();
        let concerned = view.blocks.iter().filter(|block| blocks.contains(&block.info.name));
        concerned.for_each(|block| block.set_deletions_through(through));
    }

    /// Whether deletions hide anything.
    pub fn has_deletions(&self) -> bool {
        !self.view.read().hidden.deletions().is_empty()
    }

    /// The deletions whose windows may still be in some block, by rising number.
    pub fn pending_deletions(&self) -> Vec<u64> {
        let view = self.snapshot();
        let open: BTreeSet<u64> =
            view.blocks.iter().flat_map(|block| view.hidden.open_in(block)).map(|mask| mask.id).collect();
        open.into_iter().collect()
    }

    /// Stops hiding what is in no block any more, and forgets names of metrics that have gone.
    pub fn forget_finished_deletions(&self) {
        let pending = self.pending_deletions();
        let mut view = self.view.write();
        if view.hidden.deletions().iter().all(|mask| pending.contains(&mask.id)) {
            return;
        }
        view.hidden = Arc::new(view.hidden.keeping(|mask| pending.contains(&mask.id)));
        drop(view);
        let mut known = KnownMetrics::default();
        for block in &self.snapshot().blocks {
            let metrics = block.metrics().unwrap_or_default();
            metrics.iter().for_each(|(kind, name, unit, series)| known.note(*kind, name, unit, *series));
        }
        *self.known_metrics.lock() = known;
    }

    /// Shows a change to readers, once the catalog has it: what it added takes the place of what it removed (or of the
    /// head), at once, so that no window is missed or seen twice.
    pub fn commit(&self, change: BlockChange) {
        self.commit_change(change);
    }

    /// Removes blocks that the catalog no longer lists. Questions that are reading them end undisturbed.
    pub fn remove_blocks(&self, names: &[String]) {
        self.view.write().remove_blocks(names);
        self.changes.note(End::MIN);
    }

    /// The blocks, oldest first.
    pub fn blocks(&self) -> Vec<BlockInfo> {
        self.view.read().blocks.iter().map(|block| block.info.clone()).collect()
    }

    /// The blocks that answers are without, as far as questions have met them. Looks at their files, so it may block.
    pub fn damaged_blocks(&self) -> Vec<DamagedBlock> {
        let view = self.snapshot();
        view.damaged.among(&view.blocks)
    }

    /// Whether windows are on their way to blocks.
    pub fn is_sealing(&self) -> bool {
        !self.view.read().frozen.is_empty()
    }

    /// About how many bytes the windows take that are not being sealed yet.
    pub fn unsealed_bytes(&self) -> usize {
        self.view.read().active.read().bytes()
    }

    /// Sizes now.
    pub fn sizes(&self) -> SeriesStoreSizes {
        self.view.read().sizes()
    }

    /// The windows of every series that passes all matchers, whose end lies in `range`, as fine as they are there; sorted by
    /// labels, then kind.
    pub fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        scan: &Scan,
    ) -> Result<Vec<SeriesData>, SeriesStoreError> {
        self.select_at(matchers, range, 0, scan)
    }

    /// The same, in windows of `wanted_ms` milliseconds at most where there are such, which is quicker over long times: see
    /// [`wanted_resolution_ms`]. They are longer where finer ones have expired.
    pub fn select_at(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        wanted_ms: u32,
        scan: &Scan,
    ) -> Result<Vec<SeriesData>, SeriesStoreError> {
        let selection = self.selection(matchers, range, wanted_ms, scan)?;
        let mut reader = selection.reader();
        (0..selection.len()).filter_map(|place| reader.read(place, scan).transpose()).collect()
    }

    /// Now, to ask later what has changed since. To be taken before the store is asked anything.
    pub fn change_mark(&self) -> ChangeMark {
        self.changes.mark()
    }

    /// The end of the earliest window that may have been added, changed or removed since; none when none was.
    pub fn changed_since(&self, mark: ChangeMark) -> Option<Timestamp> {
        self.changes.changed_since(mark).map(Timestamp::from_unix_nanos)
    }

    /// The series that [`SeriesStore::select_at`] gives, still to be read.
    pub fn selection(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        wanted_ms: u32,
        scan: &Scan,
    ) -> Result<Selection, SeriesStoreError> {
        self.snapshot().selection(matchers, range, wanted_ms, scan)
    }

    /// The label sets (and kinds) that pass all matchers and whose windows reach into `range`; sorted.
    pub fn series(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        scan: &Scan,
    ) -> Result<Vec<(Arc<LabelSet>, SampleKind)>, SeriesStoreError> {
        self.snapshot().series(matchers, range, scan)
    }

    /// Adds the values of a label among the series of wanted kinds that pass all matchers and whose windows reach into `range`.
    pub fn label_values(
        &self,
        label: &str,
        matchers: &[LabelMatcher],
        range: TimeRange,
        is_wanted: fn(SampleKind) -> bool,
        scan: &Scan,
        found: &mut FirstValues,
    ) -> Result<(), SeriesStoreError> {
        self.snapshot().label_values(label, matchers, range, is_wanted, scan, found)
    }

    /// Known metrics whose name contains `part` (without case), sorted by name, at most `limit`.
    pub fn metrics(&self, part: &str, limit: usize) -> Vec<MetricInfo> {
        let view = self.snapshot();
        let mut known = self.known_metrics.lock().containing(part);
        view.add_head_metrics(part, &mut known);
        known.into_infos(limit)
    }

    /// Exemplars of matching series in `range`, by series then time.
    pub fn exemplars(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        scan: &Scan,
    ) -> Result<Vec<SeriesExemplars>, SeriesStoreError> {
        self.snapshot().exemplars(matchers, range, scan)
    }

    /// Exemplars that point to a trace, oldest first. Blocks that cannot be read are passed over (and logged).
    pub fn exemplars_of_trace(&self, trace_id: TraceId) -> Vec<(Arc<LabelSet>, Exemplar)> {
        self.snapshot().exemplars_of_trace(trace_id)
    }

    fn snapshot(&self) -> View {
        self.view.read().clone()
    }
}

impl SeriesStoreError {
    fn write(path: &Path, error: &std::io::Error) -> SeriesStoreError {
        SeriesStoreError::Disk { path: path.to_owned(), message: error.to_string() }
    }
}

mod nanos {
    //! A moment in the catalog: nanoseconds since the epoch.
    use serde::{Deserialize, Deserializer, Serializer};
    use taffrail_collector::model::Timestamp;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub fn serialize<S: Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(moment.unix_nanos())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(Timestamp::from_unix_nanos)
    }
}
