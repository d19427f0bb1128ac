//! The series that a question asks for: first which they are and where they lie, then the windows of one after the other, on
//! as many threads as the asker likes. What is not read is not unpacked.

use std::sync::Arc;

use rapidhash::RapidHashMap;
use taffrail_collector::model::{LabelSet, SampleKind};

use super::block_reader::{Block, BlockCursor};
use super::damage::DamagedBlocks;
use super::hidden::{Hidden, Masks};
use super::matcher::LabelMatcher;
use super::merge::SeriesPart;
use super::{SeriesData, SeriesStoreError};
use crate::scan::{Scan, TimeRange};

/// See the module's documentation. It stays as it was however the store changes.
#[derive(Debug)]
pub struct Selection {
    blocks: Vec<(Arc<Block>, TimeRange)>,
    /// What is hidden in each of them.
    masks: Vec<Masks>,
    series: Vec<SelectedSeries>,
    damaged: Arc<DamagedBlocks>,
}

/// One series of a selection.
#[derive(Debug)]
struct SelectedSeries {
    labels: Arc<LabelSet>,
    kind: SampleKind,
    /// Rows of blocks, by the blocks' order.
    rows: Vec<(u32, u32)>,
    /// What the heads hold of it.
    head: Option<SeriesPart>,
}

/// Reads series of a selection. Each thread has its own, and reads neighbours together best.
#[derive(Debug)]
pub struct SelectionReader<'a> {
    selection: &'a Selection,
    cursors: Vec<Option<BlockCursor<'a>>>,
}

impl Selection {
    /// The series that pass all matchers: of each block those with windows in its range, and the heads' parts, which are
    /// newer than any block.
    pub(super) fn new(
        blocks: Vec<(Arc<Block>, TimeRange)>,
        heads: Vec<SeriesPart>,
        matchers: &[LabelMatcher],
        (damaged, hidden): (Arc<DamagedBlocks>, &Hidden),
        scan: &Scan,
    ) -> Result<Selection, SeriesStoreError> {
        let masks: Vec<Masks> = blocks.iter().map(|(block, _)| hidden.masks_of(block)).collect();
        let mut found: Vec<SelectedSeries> = Vec::new();
        let mut places: RapidHashMap<(Arc<LabelSet>, SampleKind), usize> = RapidHashMap::default();
        let mut place_of = |labels: Arc<LabelSet>, kind, found: &mut Vec<SelectedSeries>| {
            *places.entry((labels, kind)).or_insert_with_key(|(labels, kind)| {
                found.push(SelectedSeries { labels: labels.clone(), kind: *kind, rows: Vec::new(), head: None });
                found.len() - 1
            })
        };
        for (at, (block, range)) in blocks.iter().enumerate() {
            let rows = match block.rows(matchers, *range, &masks[at]) {
                Ok(rows) => rows,
                Err(error) => {
                    damaged.leave_out(block, scan, error)?;
                    continue;
                }
            };
            scan.touch(rows.len() as u64, 0).map_err(SeriesStoreError::Stopped)?;
            for (row, labels, kind) in rows {
                let place = place_of(labels, kind, &mut found);
                found[place].rows.push((at as u32, row));
            }
        }
        for part in heads {
            let place = place_of(part.labels.clone(), part.points.kind(), &mut found);
            match &mut found[place].head {
                Some(older) => older.absorb(part),
                none => *none = Some(part),
            }
        }
        found.sort_unstable_by(|a, b| a.labels.cmp(&b.labels).then(a.kind.cmp(&b.kind)));
        scan.plan_parts(found.len() as u64);
        Ok(Selection { blocks, masks, series: found, damaged })
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// A series' labels and what it measures. Places are sorted by both.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn series(&self, place: usize) -> (&Arc<LabelSet>, SampleKind) {
        let series = &self.series[place];
        (&series.labels, series.kind)
    }

    /// Reads series.
    pub fn reader(&self) -> SelectionReader<'_> {
        SelectionReader { selection: self, cursors: self.blocks.iter().map(|_| None).collect() }
    }
}

impl SelectionReader<'_> {
    /// The windows of the series at a place; none when it has none in the range after all.
    ///
    /// # Panics
    /// When there are not so many series.
    pub fn read(&mut self, place: usize, scan: &Scan) -> Result<Option<SeriesData>, SeriesStoreError> {
        let series = &self.selection.series[place];
        let mut whole: Option<SeriesPart> = None;
        for &(at, row) in &series.rows {
            let (block, range) = &self.selection.blocks[at as usize];
            let part = match self.part(at as usize, row, &series.labels, scan) {
                Ok(part) => match self.selection.masks[at as usize].shown(part.into_range(*range)) {
                    Some(part) => part,
                    None => continue,
                },
                Err(error) => {
                    self.selection.damaged.leave_out(block, scan, error)?;
                    continue;
                }
            };
            match &mut whole {
                _ if part.points.is_empty() => {}
                Some(older) => older.absorb(part),
                none => *none = Some(part),
            }
        }
        if let Some(head) = &series.head {
            scan.touch(head.points.len() as u64, 0).map_err(SeriesStoreError::Stopped)?;
            match &mut whole {
                Some(older) => older.absorb(head.clone()),
                none => *none = Some(head.clone()),
            }
        }
        scan.finish_part();
        Ok(whole.map(|part| {
            let SeriesPart { labels: _, unit, interval_ms, before, points, exemplars: _ } = part;
            SeriesData { labels: series.labels.clone(), unit, interval_ms, before, points }
        }))
    }

    fn part(
        &mut self,
        at: usize,
        row: u32,
        labels: &Arc<LabelSet>,
        scan: &Scan,
    ) -> Result<SeriesPart, SeriesStoreError> {
        let cursor = match &mut self.cursors[at] {
            Some(cursor) => cursor,
            none => none.insert(self.selection.blocks[at].0.cursor()?),
        };
        cursor.read(row as usize, labels, scan)
    }
}
