//! The log store's one view of head and splits, swapped as a whole: a record is never missing and never seen twice while a
//! head is handed over to a split.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use taffrail_collector::model::{Timestamp, TraceId};

use super::count::count_by_interval;
use super::facet::{facets, field_names};
use super::group_counts::count_groups;
use super::head::{Chunk, Head, HeadSize, HeadSnapshot};
use super::mask::{MaskedFilter, Masks};
use super::pattern_counts::patterns;
use super::search::search;
use super::split::{OpenReaders, Split, SplitMeta};
use super::{
    DamagedSplit, Ending, Facet, Filter, FilterError, Fold, GroupCounts, GroupQuestion, IntervalCounts, LogStoreError,
    Order, PatternCounts, PatternQuestion, Projection, Search, StoredRecord,
};
use crate::scan::{Scan, TimeRange};

/// An interval that holds everything before and everything after the epoch.
const WHOLE_MS: u64 = i64::MAX as u64 / 1_000_000;
/// Of so many of the newest splits it is told which services stepped down.
const STEPS_LOOKED_AT: usize = 8;

/// The log store. All methods work on one consistent view (a record is never missing or seen twice while a head is handed
/// over to a split) and block: call them from a blocking thread.
pub struct LogStore {
    splits_directory: PathBuf,
    readers: Arc<OpenReaders>,
    view: ArcSwap<View>,
    /// Held while a new view is made from the present one.
    changing: Mutex<()>,
    /// What time it is for the retention.
    clock: fn() -> Timestamp,
}

impl fmt::Debug for LogStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogStore").field("splits_directory", &self.splits_directory).finish_non_exhaustive()
    }
}

#[derive(Clone, Default)]
struct View {
    splits: Vec<Arc<Split>>,
    /// The head before, while it is being written to a split.
    sealing: Option<Arc<Head>>,
    head: Arc<Head>,
    /// What no answer shows.
    masks: Arc<Masks>,
}

/// What a question works on.
pub(crate) struct Snapshot {
    /// Immutable splits, in no order.
    pub(crate) splits: Vec<Arc<Split>>,
    /// Records in memory.
    pub(crate) heads: Vec<HeadSnapshot>,
}

/// Counts of what the store holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogStoreSize {
    /// The head that grows.
    pub head: HeadSize,
    /// The head that is being sealed.
    pub sealing: HeadSize,
    /// Splits.
    pub splits: usize,
    /// Records in splits.
    pub split_rows: u64,
    /// Bytes of splits on disk.
    pub split_bytes: u64,
}

impl LogStore {
    /// The store over the splits that the catalog lists.
    pub(crate) fn new(splits_directory: PathBuf, splits: Vec<SplitMeta>) -> LogStore {
        let readers = Arc::new(OpenReaders::default());
        let split = |meta: SplitMeta| Split::new(splits_directory.join(&meta.name), meta, readers.clone());
        let view = View { splits: splits.into_iter().map(split).map(Arc::new).collect(), ..View::default() };
        view.splits.iter().for_each(|split| split.check_length());
        let view = ArcSwap::from_pointee(view);
        LogStore { splits_directory, readers, view, changing: Mutex::new(()), clock: Timestamp::now }
    }

    /// The same with another clock.
    #[cfg(test)]
    pub(crate) fn with_clock(self, clock: fn() -> Timestamp) -> LogStore {
        LogStore { clock, ..self }
    }

    /// Emits matching records in order until `limit`, the consumer's break or the scan's end.
    pub fn search(
        &self,
        wanted: &Search,
        scan: &Scan,
        emit: &mut dyn FnMut(StoredRecord) -> ControlFlow<()>,
    ) -> Result<Ending, LogStoreError> {
        self.search_fields(wanted, &Projection::All, scan, emit)
    }

    /// The same, of records with these fields only.
    pub fn search_fields(
        &self,
        wanted: &Search,
        fields: &Projection,
        scan: &Scan,
        emit: &mut dyn FnMut(StoredRecord) -> ControlFlow<()>,
    ) -> Result<Ending, LogStoreError> {
        let (snapshot, filter) = self.question(&wanted.filter)?;
        Ending::of(search(&snapshot, wanted, fields, &filter, scan, emit))
    }

    /// Gathers something from matching records in any order, several splits at once; of the records at least these fields are
    /// there.
    pub fn fold<F: Fold>(
        &self,
        filter: &Filter,
        range: TimeRange,
        fields: &Projection,
        fold: F,
        scan: &Scan,
    ) -> Result<(F, Ending), LogStoreError> {
        let range = filter.narrow(range);
        let (snapshot, filter) = self.question(filter)?;
        super::fold::fold(&snapshot, &filter, range, fields, fold, scan)
    }

    /// As [`LogStore::search`], over the records with these sequence numbers alone. `limit` counts the others too: give none.
    pub(crate) fn search_numbered(
        &self,
        wanted: &Search,
        seqs: &Range<u64>,
        scan: &Scan,
        emit: &mut dyn FnMut(StoredRecord) -> ControlFlow<()>,
    ) -> Result<Ending, LogStoreError> {
        let (mut snapshot, filter) = self.question(&wanted.filter)?;
        snapshot.splits.retain(|split| split.meta.seq_first < seqs.end && seqs.start <= split.meta.seq_last);
        snapshot.heads.iter_mut().for_each(|head| head.keep_numbered(seqs));
        Ending::of(search(&snapshot, wanted, &Projection::All, &filter, scan, &mut |record| match seqs
            .contains(&record.id.seq)
        {
            true => emit(record),
            false => ControlFlow::Continue(()),
        }))
    }

    /// Counts matching records per interval (`interval_ms` aligned to the epoch), split by a field's value when `by` is given
    /// (at most `values_max` values, the rest under [`OTHER`](super::OTHER)). Records without the field count under the empty
    /// string; a record whose field is an array counts once for each different item.
    pub fn count_by_interval(
        &self,
        filter: &Filter,
        range: TimeRange,
        interval_ms: u64,
        by: Option<&str>,
        values_max: usize,
        scan: &Scan,
    ) -> Result<IntervalCounts, LogStoreError> {
        let range = filter.narrow(range);
        let (snapshot, filter) = self.question(filter)?;
        count_by_interval(&snapshot, &filter, range, interval_ms, by, values_max, scan)
    }

    /// The commonest `limit` values of each field among matching records. A record whose field is an array counts once for
    /// each different item.
    pub fn facets(
        &self,
        filter: &Filter,
        range: TimeRange,
        fields: &[String],
        limit: usize,
        scan: &Scan,
    ) -> Result<(Vec<Facet>, Ending), LogStoreError> {
        let range = filter.narrow(range);
        let (snapshot, filter) = self.question(filter)?;
        facets(&snapshot, &filter, range, fields, limit, scan)
    }

    /// Names of the fields that matching records have, with how many of them have it, commonest first.
    pub fn field_names(
        &self,
        filter: &Filter,
        range: TimeRange,
        scan: &Scan,
    ) -> Result<(Vec<(String, u64)>, Ending), LogStoreError> {
        let range = filter.narrow(range);
        let (snapshot, filter) = self.question(filter)?;
        field_names(&snapshot, &filter, range, scan)
    }

    /// Counts matching records by the pattern of their message.
    pub fn patterns(
        &self,
        filter: &Filter,
        range: TimeRange,
        question: PatternQuestion,
        scan: &Scan,
    ) -> Result<PatternCounts, LogStoreError> {
        let range = filter.narrow(range);
        let (snapshot, filter) = self.question(filter)?;
        patterns(&snapshot, &filter, range, question, scan)
    }

    /// Counts matching records by the values of some fields together, in stretches of time.
    pub fn count_groups(
        &self,
        filter: &Filter,
        question: &GroupQuestion,
        scan: &Scan,
    ) -> Result<GroupCounts, LogStoreError> {
        let range = filter.narrow(question.range());
        let (snapshot, filter) = self.question(filter)?;
        count_groups(&snapshot, &filter, range, question, scan)
    }

    /// All records of a trace, oldest first.
    pub fn trace(
        &self,
        trace_id: TraceId,
        limit: usize,
        scan: &Scan,
    ) -> Result<(Vec<StoredRecord>, Ending), LogStoreError> {
        let wanted = Search {
            filter: Filter::Trace(trace_id),
            range: TimeRange::ALL,
            order: Order::OldestFirst,
            after: None,
            limit,
        };
        let mut records = Vec::new();
        let ending = self.search(&wanted, scan, &mut |record| {
            records.push(record);
            ControlFlow::Continue(())
        })?;
        Ok((records, ending))
    }

    /// The splits that answers are without, by name. Looks at their files again now and then, so it may block.
    pub fn damaged_splits(&self) -> Vec<DamagedSplit> {
        let view = self.view.load_full();
        let mut damaged: Vec<_> = view.splits.iter().filter_map(|split| split.damage()).collect();
        damaged.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        damaged
    }

    /// Services whose lines have no templates or no common attributes, and how the newest splits keep them. May block.
    pub fn stepped_down(&self) -> BTreeMap<String, String> {
        let mut splits = self.view.load_full().splits.clone();
        splits.sort_unstable_by_key(|split| std::cmp::Reverse(split.meta.newest));
        let mut found = BTreeMap::new();
        for reader in splits.iter().take(STEPS_LOOKED_AT).filter_map(|split| split.reader().ok()) {
            for (service, what) in reader.stepped_down() {
                found.entry(service.clone()).or_insert_with(|| what.clone());
            }
        }
        found
    }

    /// How much the store holds.
    pub fn size(&self) -> LogStoreSize {
        let (head, sealing) = self.head_sizes();
        let view = self.view.load();
        LogStoreSize {
            head,
            sealing,
            splits: view.splits.len(),
            split_rows: view.splits.iter().map(|split| split.meta.rows).sum(),
            split_bytes: view.splits.iter().map(|split| split.meta.bytes).sum(),
        }
    }

    /// How much is in memory: in the head that grows, and in the one that is being sealed.
    pub(crate) fn head_sizes(&self) -> (HeadSize, HeadSize) {
        let view = self.view.load();
        (view.head.size(), view.sealing.as_ref().map(|head| head.size()).unwrap_or_default())
    }

    /// Where splits lie.
    pub(crate) fn splits_directory(&self) -> &std::path::Path {
        &self.splits_directory
    }

    /// Makes a batch's records searchable. Called by one thread only, the one that also calls [`LogStore::start_seal`].
    pub(crate) fn append(&self, chunk: Arc<Chunk>) {
        self.view.load().head.append(chunk);
    }

    /// Sets the head aside for sealing and begins a new one. One seal at a time.
    pub(crate) fn start_seal(&self) -> Arc<Head> {
        let _changing = self.changing.lock();
        let mut view = View::clone(&self.view.load());
        assert!(view.sealing.is_none(), "one seal at a time");
        let sealing = std::mem::take(&mut view.head);
        view.sealing = Some(sealing.clone());
        self.view.store(Arc::new(view));
        sealing
    }

    /// Puts the split in the place of the head that was set aside.
    pub(crate) fn finish_seal(&self, split: Option<SplitMeta>) {
        let _changing = self.changing.lock();
        let mut view = View::clone(&self.view.load());
        view.sealing = None;
        view.splits.extend(split.map(|meta| self.split(meta)));
        self.view.store(Arc::new(view));
    }

    /// All splits.
    pub(crate) fn splits(&self) -> Vec<Arc<Split>> {
        self.view.load().splits.clone()
    }

    /// What no answer shows.
    pub(crate) fn masks(&self) -> Arc<Masks> {
        self.view.load().masks.clone()
    }

    /// Hides other records from now on.
    pub(crate) fn change_masks(
        &self,
        change: impl FnOnce(&Masks, &[Arc<Split>]) -> Result<Masks, FilterError>,
    ) -> Result<(), FilterError> {
        let _changing = self.changing.lock();
        let mut view = View::clone(&self.view.load());
        view.masks = Arc::new(change(&view.masks, &view.splits)?);
        self.view.store(Arc::new(view));
        Ok(())
    }

    /// How many records of the split match, hidden or not.
    pub(crate) fn count_in(
        &self,
        split: &Arc<Split>,
        filter: &Filter,
        range: TimeRange,
        scan: &Scan,
    ) -> Result<u64, LogStoreError> {
        split.reader()?;
        let snapshot = Snapshot { splits: vec![split.clone()], heads: Vec::new() };
        let masked = MaskedFilter::new(filter, Arc::default(), self.now()).map_err(LogStoreError::Filter)?;
        let counts = count_by_interval(&snapshot, &masked, range, WHOLE_MS, None, 1, scan)?;
        // A split that broke meanwhile was left out.
        split.reader().map(|_| counts.total)
    }

    /// What time it is for the retention.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Puts splits in the place of others, as the catalog did; the files of these go once no question reads them any more.
    pub(crate) fn replace_splits(&self, names: &HashSet<String>, by: &[SplitMeta]) {
        let _changing = self.changing.lock();
        let mut view = View::clone(&self.view.load());
        view.splits.retain(|split| {
            let gone = names.contains(&split.meta.name);
            if gone {
                split.doom();
            }
            !gone
        });
        view.splits.extend(by.iter().map(|meta| self.split(meta.clone())));
        self.view.store(Arc::new(view));
    }

    fn split(&self, meta: SplitMeta) -> Arc<Split> {
        let path = self.splits_directory.join(&meta.name);
        Arc::new(Split::new(path, meta, self.readers.clone()))
    }

    /// What a question works on: one consistent state, and the filter without what is hidden in it.
    fn question(&self, filter: &Filter) -> Result<(Snapshot, MaskedFilter), LogStoreError> {
        let view = self.view.load_full();
        let filter = MaskedFilter::new(filter, view.masks.clone(), self.now()).map_err(LogStoreError::Filter)?;
        let mut snapshot = view.snapshot();
        snapshot.splits.retain(|split| !filter.hides_all(&**split));
        Ok((snapshot, filter))
    }
}

impl View {
    /// One consistent state. The view is loaded first: heads only grow, and a head that was set aside after that is still
    /// this view's head.
    fn snapshot(&self) -> Snapshot {
        let heads = self.sealing.iter().chain([&self.head]).map(|head| head.snapshot()).collect();
        Snapshot { splits: self.splits.clone(), heads }
    }
}
