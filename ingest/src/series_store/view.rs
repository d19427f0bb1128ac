//! What the store consists of at one moment, and the questions that are answered from it: blocks, then frozen heads, then
//! the active head, which is also the order in which windows became durable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::RwLock;
use taffrail_collector::model::{Exemplar, LabelSet, SampleKind, Timestamp, TraceId};

use super::block_reader::Block;
use super::cover::{Stretch, cover};
use super::damage::DamagedBlocks;
use super::first_values::FirstValues;
use super::head::{Head, HeadSeries};
use super::hidden::Hidden;
use super::matcher::LabelMatcher;
use super::merge::SeriesPart;
use super::place::{Place, RAW};
use super::selection::Selection;
use super::{MetricInfo, SeriesExemplars, SeriesStoreError, SeriesStoreSizes};
use crate::scan::{Scan, TimeRange};

/// See the module's documentation. Clones share everything, so a reader's clone stays as it was.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// By rising order.
    pub(super) blocks: Vec<Arc<Block>>,
    /// Heads being sealed, oldest first; nothing is inserted into them.
    pub(super) frozen: Vec<Arc<RwLock<Head>>>,
    pub(super) active: Arc<RwLock<Head>>,
    /// The same in every view.
    pub(super) damaged: Arc<DamagedBlocks>,
    pub(super) hidden: Arc<Hidden>,
}

impl View {
    /// Takes blocks out; their files go once nobody reads them.
    pub(super) fn remove_blocks(&mut self, names: &[String]) {
        self.blocks.retain(|block| {
            let removed = names.contains(&block.info.name);
            if removed {
                block.doom();
            }
            !removed
        });
    }

    pub(super) fn sizes(&self) -> SeriesStoreSizes {
        let mut sizes = SeriesStoreSizes { blocks: self.blocks.len() as u64, ..SeriesStoreSizes::default() };
        for block in &self.blocks {
            sizes.block_samples += block.info.samples;
            sizes.block_bytes += block.info.bytes;
        }
        let registry = self.active.read().registry().clone();
        sizes.known_series = registry.read().len() as u64;
        sizes.known_bytes = registry.read().bytes() as u64;
        for head in self.heads() {
            let head = head.read();
            sizes.head_samples += head.samples();
            sizes.head_series += head.len() as u64;
            sizes.head_bytes += head.bytes() as u64;
        }
        sizes
    }

    pub(super) fn selection(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        wanted_ms: u32,
        scan: &Scan,
    ) -> Result<Selection, SeriesStoreError> {
        let stretches = self.cover(range, wanted_ms);
        let mut blocks = Vec::new();
        for stretch in &stretches {
            blocks.extend(self.blocks_of(stretch).map(|block| (block.clone(), stretch.range)));
        }
        let mut heads = Vec::new();
        let masks = self.hidden.masks_of_heads();
        for stretch in stretches.iter().filter(|stretch| stretch.resolution_ms == RAW) {
            for head in self.heads() {
                let head = head.read();
                let parts = head.select(matchers).filter_map(|series| part_of(&series, stretch.range));
                heads.extend(parts.filter_map(|part| if masks.is_empty() { Some(part) } else { masks.shown(part) }));
            }
        }
        Selection::new(blocks, heads, matchers, (self.damaged.clone(), &self.hidden), scan)
    }

    pub(super) fn series(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        scan: &Scan,
    ) -> Result<Vec<(Arc<LabelSet>, SampleKind)>, SeriesStoreError> {
        let mut found = BTreeSet::new();
        let stretches = self.cover(range, 0);
        for stretch in &stretches {
            for block in self.blocks_of(stretch) {
                scan.touch(block.info.series, 0).map_err(SeriesStoreError::Stopped)?;
                let rows = block.rows(matchers, stretch.range, &self.hidden.masks_of(block));
                let series = self.damaged.unless_broken(block, scan, rows)?;
                found.extend(series.into_iter().flatten().map(|(_, labels, kind)| (labels, kind)));
            }
        }
        let masks = self.hidden.masks_of_heads();
        for stretch in stretches.iter().filter(|stretch| stretch.resolution_ms == RAW) {
            let (start, end) = (stretch.range.start.unix_nanos(), stretch.range.end.unix_nanos());
            for head in self.heads() {
                let head = head.read();
                let inside = head.select(matchers).filter(|series| series.any_between(start, end));
                let last = |series: &HeadSeries<'_>| Timestamp::from_unix_nanos(series.last_end());
                let inside = inside.filter(|series| {
                    masks.is_empty() || !masks.hides_all(&series.labels(), last(series), last(series))
                });
                found.extend(inside.map(|series| (series.labels(), series.kind())));
            }
        }
        Ok(found.into_iter().collect())
    }

    /// The values of a label among the series of wanted kinds that pass all matchers and have windows in the range.
    pub(super) fn label_values(
        &self,
        label: &str,
        matchers: &[LabelMatcher],
        range: TimeRange,
        is_wanted: fn(SampleKind) -> bool,
        scan: &Scan,
        found: &mut FirstValues,
    ) -> Result<(), SeriesStoreError> {
        let masks = self.hidden.masks_of_heads();
        let hidden = |series: &HeadSeries<'_>| {
            let last = Timestamp::from_unix_nanos(series.last_end());
            !masks.is_empty() && masks.hides_all(&series.labels(), last, last)
        };
        let stretches = self.cover(range, 0);
        for stretch in &stretches {
            for block in self.blocks_of(stretch) {
                scan.touch(block.info.series, 0).map_err(SeriesStoreError::Stopped)?;
                let masks = self.hidden.masks_of(block);
                let read = block.label_values(label, (matchers, &masks), stretch.range, is_wanted, found);
                self.damaged.unless_broken(block, scan, read)?;
            }
        }
        for stretch in stretches.iter().filter(|stretch| stretch.resolution_ms == RAW) {
            let (start, end) = (stretch.range.start.unix_nanos(), stretch.range.end.unix_nanos());
            for head in self.heads() {
                let head = head.read();
                if !head.has_any(is_wanted) {
                    continue;
                }
                let wanted = head.select(matchers).filter(|series| is_wanted(series.kind()) && !hidden(series));
                head.label_values(label, wanted.filter(|series| series.any_between(start, end)), found);
            }
        }
        Ok(())
    }

    pub(super) fn exemplars(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        scan: &Scan,
    ) -> Result<Vec<SeriesExemplars>, SeriesStoreError> {
        let mut found: BTreeMap<Arc<LabelSet>, Vec<Exemplar>> = BTreeMap::new();
        for block in &self.blocks {
            let exemplars = self.damaged.unless_broken(block, scan, block.exemplars(matchers, range, |_| true))?;
            let Some(exemplars) = exemplars else { continue };
            scan.touch(exemplars.len() as u64, 0).map_err(SeriesStoreError::Stopped)?;
            let masks = self.hidden.masks_of(block);
            let shown = exemplars.into_iter().filter(|(labels, exemplar)| !masks.hides_exemplar(labels, exemplar));
            shown.for_each(|(labels, exemplar)| found.entry(labels).or_default().push(exemplar));
        }
        for head in self.heads() {
            for series in head.read().select(matchers) {
                let inside: Vec<Exemplar> =
                    series.exemplars().iter().filter(|exemplar| range.contains(exemplar.timestamp)).cloned().collect();
                if !inside.is_empty() {
                    found.entry(series.labels()).or_default().extend(inside);
                }
            }
        }
        found.values_mut().for_each(|exemplars| exemplars.sort_by_key(|exemplar| exemplar.timestamp));
        Ok(found.into_iter().collect())
    }

    pub(super) fn exemplars_of_trace(&self, trace_id: TraceId) -> Vec<(Arc<LabelSet>, Exemplar)> {
        let mut found = Vec::new();
        for block in &self.blocks {
            match block.exemplars(&[], TimeRange::ALL, |exemplar| exemplar.trace_id == trace_id) {
                Ok(exemplars) => {
                    let masks = self.hidden.masks_of(block);
                    found.extend(exemplars.into_iter().filter(|(labels, e)| !masks.hides_exemplar(labels, e)));
                }
                Err(error) => tracing::error!(%error, "exemplars of a series block are left out of a trace"),
            }
        }
        for head in self.heads() {
            for series in head.read().series_with_exemplars() {
                let pointing = series.exemplars().iter().filter(|exemplar| exemplar.trace_id == trace_id);
                found.extend(pointing.map(|exemplar| (series.labels(), exemplar.clone())));
            }
        }
        found.sort_by_key(|(_, exemplar)| exemplar.timestamp);
        found
    }

    /// Adds the heads' metrics whose name contains `part`.
    pub(super) fn add_head_metrics(&self, part: &str, known: &mut KnownMetrics) {
        let part = part.to_lowercase();
        for head in self.heads() {
            for metric in head.read().metrics().iter().filter(|metric| contains_without_case(&metric.name, &part)) {
                known.note(metric.kind, &metric.name, metric.unit, metric.series);
            }
        }
    }

    /// Which blocks answer for which part of the range.
    fn cover(&self, range: TimeRange, wanted_ms: u32) -> Vec<Stretch> {
        let places: Vec<Place> = self.blocks.iter().map(|block| block.info.place).collect();
        let open = self.heads().flat_map(|head| head.read().days().starts().clone());
        let open = open.chain(self.hidden.cut_days(&self.blocks)).collect();
        cover(&places, &open, range, wanted_ms)
    }

    /// The blocks of a stretch that may have windows in it.
    fn blocks_of<'a>(&'a self, stretch: &'a Stretch) -> impl Iterator<Item = &'a Arc<Block>> {
        let blocks = stretch.blocks.iter().map(|&at| &self.blocks[at]);
        blocks.filter(|block| block.overlaps(stretch.range))
    }

    /// Frozen heads, then the active one.
    fn heads(&self) -> impl Iterator<Item = &Arc<RwLock<Head>>> {
        self.frozen.iter().chain([&self.active])
    }
}

/// Metric names met in blocks, with kind, unit and the most series that one block has.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownMetrics(BTreeMap<(String, SampleKind), (String, u64)>);

impl KnownMetrics {
    pub(super) fn note(&mut self, kind: SampleKind, name: &str, unit: &str, series: u64) {
        let known = self.0.entry((name.to_owned(), kind)).or_default();
        if !unit.is_empty() {
            unit.clone_into(&mut known.0);
        }
        known.1 = known.1.max(series);
    }

    pub(super) fn containing(&self, part: &str) -> KnownMetrics {
        let part = part.to_lowercase();
        let containing = self.0.iter().filter(|((name, _), _)| contains_without_case(name, &part));
        KnownMetrics(containing.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    pub(super) fn into_infos(self, limit: usize) -> Vec<MetricInfo> {
        let infos = self.0.into_iter().map(|((name, kind), (unit, series))| MetricInfo { name, kind, unit, series });
        infos.take(limit).collect()
    }
}

/// Whether the text contains the part, which is in lower case, in whatever case. Names are plain letters mostly, of which there may be
/// a million: they are not copied.
fn contains_without_case(text: &str, part: &str) -> bool {
    if !text.is_ascii() || !part.is_ascii() {
        return text.to_lowercase().contains(part);
    }
    let (text, part) = (text.as_bytes(), part.as_bytes());
    let Some(&first) = part.first() else { return true };
    let is_at = |at: usize| text.get(at..at + part.len()).is_some_and(|here| here.eq_ignore_ascii_case(part));
    memchr::memchr2_iter(first, first.to_ascii_uppercase(), text).any(is_at)
}

fn part_of(series: &HeadSeries<'_>, range: TimeRange) -> Option<SeriesPart> {
    let (points, before) = series.between_and_before(range.start.unix_nanos(), range.end.unix_nanos());
    let (unit, interval_ms) = series.unit_and_interval();
    (!points.is_empty()).then(|| SeriesPart {
        labels: series.labels(),
        unit: unit.to_owned(),
        interval_ms,
        before,
        points,
        exemplars: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::contains_without_case;

    proptest! {
        #[test]
        fn parts_are_found_in_any_case(text in "[aAbBéÉK_]{0,6}", part in "[abé_k]{0,3}") {
            prop_assert_eq!(contains_without_case(&text, &part), text.to_lowercase().contains(&part));
        }
    }
}
